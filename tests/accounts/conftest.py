"""What several tests of accounts share: two nodes at one PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from heartfly.clock import SystemClock
from heartfly.db.database import Database


@pytest.fixture
def nodes(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    one, two = (Database(url=postgres_url, data_dir=tmp_path, clock=SystemClock(), node_id=n) for n in (1, 2))
    yield one, two
    one.close()
    two.close()
