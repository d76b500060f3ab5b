"""`heartfly usage`: days, their runs, and whether every rollup is what its events come to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from heartfly.cli import main
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import rollups, windows
from tests.sim_clock import SimClock
from tests.usage.factory import NOW, Plant, events_of

pytestmark = pytest.mark.anyio


async def test_verify_finds_what_differs_and_says_where(
    usage_db: Database, database_url: str, ids: IdSource, tmp_path: Path
) -> None:
    plant = Plant(usage_db, SimClock(NOW), ids)
    await plant.all_meters()
    await plant.send(*events_of(40, seed=41, from_at=NOW - timedelta(hours=3), to_at=NOW))
    await plant.fold()
    env = {"HEARTFLY_DATABASE__URL": database_url} if database_url else {}

    def verify() -> tuple[int, str]:
        result = CliRunner().invoke(main, ["usage", "verify", "--data", str(tmp_path / "data")], env=env)
        return result.exit_code, result.output

    code, told = verify()
    assert 0 == code, told
    assert "Every rollup is what its events come to." in told

    await usage_db.write(lambda tx: tx.conn.execute(sa.update(rollups).values(n=rollups.c.n + 1)))
    code, told = verify()
    assert 1 == code
    assert "differ:" in told
    assert "hour count c-" in told

    await usage_db.write(lambda tx: tx.conn.execute(sa.update(windows).values(sealed_at=NOW)))
    code, told = verify()
    assert 0 == code, told
    assert "0 windows of 0 events looked at." in told
    assert "4 windows are sealed and not looked at" in told
