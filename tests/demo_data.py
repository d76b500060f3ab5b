"""Databases with the data of heartfly/demo/, as fixtures: `demo`, `big` and `empty`. On SQLite; made once, then copied.

A conftest names those that its tests want. Who signs in is `demo@example.com`, with DEMO_PASSWORD.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from heartfly.accounts.passwords import hashed
from heartfly.clock import SystemClock
from heartfly.config.settings import SQLITE_FILE
from heartfly.db.database import Database
from heartfly.demo.fill import BIG, DEMO, EMPTY, Size, fill
from tests.dealing import made_once
from tests.world import SEALER

DEMO_NOW = datetime(2026, 11, 20, 3, 11, 4, tzinfo=UTC)
DEMO_PASSWORD = "correct horse battery"
NAMES = {DEMO: "demo", BIG: "big", EMPTY: "empty"}


@pytest.fixture(scope="session")
def demo_file(of_all_workers: Path, sqlite_template: Path) -> Callable[[Size], Path]:
    """A file with data of that size."""

    def of(size: Size) -> Path:
        def make(folder: Path) -> None:
            shutil.copy(sqlite_template, folder / SQLITE_FILE)
            database = Database(url="", data_dir=folder, clock=SystemClock())
            database.transaction(
                lambda tx: fill(
                    tx, size, seed=1, now=DEMO_NOW, sealer=SEALER, password_hash=hashed(DEMO_PASSWORD), keep_pings=100
                )
            )
            database.close()

        return made_once(of_all_workers / f"demo-{NAMES[size]}", make) / SQLITE_FILE

    return of


async def _opened(file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    folder = tmp_path / "demo"
    folder.mkdir(mode=0o700)
    shutil.copy(file, folder / SQLITE_FILE)
    database = Database(url="", data_dir=folder, clock=SystemClock())
    database.start()
    yield database
    await database.stop()


@pytest.fixture
async def demo(demo_file: Callable[[Size], Path], tmp_path: Path) -> AsyncIterator[Database]:
    async for database in _opened(demo_file(DEMO), tmp_path):
        yield database


@pytest.fixture
async def big(demo_file: Callable[[Size], Path], tmp_path: Path) -> AsyncIterator[Database]:
    async for database in _opened(demo_file(BIG), tmp_path):
        yield database


@pytest.fixture
async def empty(demo_file: Callable[[Size], Path], tmp_path: Path) -> AsyncIterator[Database]:
    async for database in _opened(demo_file(EMPTY), tmp_path):
        yield database
