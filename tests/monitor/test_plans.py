"""What the watcher asks each second is answered from an index, however many checks there are."""

from __future__ import annotations

from pathlib import Path

from heartfly.clock import SystemClock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.migrate import upgrade
from heartfly.monitor.watch import NEXT_WAKE


def test_the_next_deadline_is_read_from_its_index(tmp_path: Path) -> None:
    database = Database(url="", data_dir=tmp_path, clock=SystemClock())
    upgrade(database.engine)

    def plan(tx: Tx) -> str:
        asked = str(NEXT_WAKE.compile(dialect=tx.conn.dialect))
        return "\n".join(row[3] for row in tx.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}"))

    assert "SEARCH checks USING COVERING INDEX ix_checks_wake_at (wake_at>?)" == database.transaction(plan)
    database.close()
