"""An audit in a database with one project, and the key file that a server would have made."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.accounts.commands import create_project
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit
from heartfly.sealing import load_or_create
from tests.audit.book import T0, Book


@pytest.fixture
async def book(db: Database, database_url: str, ids: IdSource, tmp_path: Path) -> Book:
    """Nothing is in the audit yet, not even that there is a project."""
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    sealer = load_or_create(data / "secret.key")
    made = await db.write(
        lambda tx: create_project(tx, slug="main", name="Main", zone="UTC", sealer=sealer, at=T0, ids=ids)
    )
    await db.write(lambda tx: tx.conn.execute(sa.delete(audit)).rowcount)
    return Book(db, database_url, data, ids, sealer, made.pid)
