"""`heartfly usage`: days, their runs, and whether every rollup is what its events come to."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from heartfly.cli import main
from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import rollups, windows
from tests.cli.conftest import Run, ok
from tests.server_process import Server
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


@pytest.mark.e2e
def test_a_day_is_closed_and_tells_what_was_not_counted_and_what_has_changed_since(run: Run, server: Server) -> None:
    assert "No day of usage was closed yet" in ok(run("usage", "days"))
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    noon = (SystemClock().now() - timedelta(days=3)).replace(hour=12)
    day = noon.date().isoformat()

    def send(number: int, size: str) -> None:
        named = {"transaction_id": f"d-{number}", "customer_id": "acme", "event_type": "day.call"}
        event = named | {"timestamp": noon.isoformat(), "properties": {"size": size}}
        server.api("POST", "/v1/events", key, [event])

    ok(run("usage", "meters", "create", "sized", "--type", "day.call", "--aggregation", "sum", "--value", "size"))
    send(1, "0.1")
    send(2, "abc")

    assert f"{day}: 2 events" in ok(run("usage", "rerun", day, "--yes"))
    assert re.search(rf"^{day} +final +2 +1 .*1 not counted by sized", ok(run("usage", "days")), re.MULTILINE)
    assert re.search(rf"Warning .*of {day} 1 event could not be counted", ok(run("usage", "meters", "show", "sized")))
    assert "since it was last proved: no figures changed" in ok(run("usage", "rerun", day))
    send(3, "0.000000000000000001")
    told = ok(run("usage", "rerun", day))
    assert "since it was last proved: 1 figure changed" in told
    assert "sized acme: 0.1 of 1 events → 0.100000000000000001 of 2 events" in told
