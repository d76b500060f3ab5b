"""What a ping asks of the runs of its check is read by an index: 150,000 of them may be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartfly.checks import rows
from heartfly.clock import SystemClock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.migrate import upgrade
from heartfly.db.prepared import Prepared
from heartfly.pings import past


@pytest.mark.parametrize(
    ("asks", "index"),
    [
        (rows._OPEN_RUNS, "ix_runs_open (pid=? AND check_id=?)"),
        (past._ENDED, "ix_runs_rid (pid=? AND check_id=? AND rid=? AND ended_at>?)"),
    ],
)
def test_neither_its_open_runs_nor_those_that_ended_lately_need_all_of_them(
    tmp_path: Path, asks: Prepared, index: str
) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)

    def plan(tx: Tx) -> str:
        asked = asks.plan(tx.dialect, tx)
        said = tx.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked.sql}", ("[1]",) * len(asked.names))
        return "\n".join(row[3] for row in said)

    assert f"SEARCH runs USING INDEX {index}" in database.transaction(plan)
    database.close()
