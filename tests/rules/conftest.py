"""A neighbourhood on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.rules.neighbourhood import Neighbourhood, neighbourhood


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(db: Database, usage_db: Database, ids: IdSource) -> AsyncIterator[Neighbourhood]:
    async with neighbourhood(db, usage_db, ids) as found:
        yield found
