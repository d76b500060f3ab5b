"""Lists of incidents are read from an index, however many there were: no scan, and nothing sorted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.models import checks, incidents
from heartfly.incidents import queries
from heartfly.incidents.hosts import on_hosts
from heartfly.incidents.spans import are_members
from tests.plans import Ask, plan

pytestmark = pytest.mark.anyio

BEFORE = (datetime(2026, 3, 2, tzinfo=UTC), 7)
INCIDENT: Any = SimpleNamespace(pid=1, id=2, source_id=3)


def on_host(which: int) -> sa.Select[Any]:
    return sa.select(sa.func.max(checks.c.last_end_at)).where(checks.c.pid == 1, on_hosts(1, ["db-1"])[which])


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda read: queries.find_many(read, 1, limit=5), "ix_incidents_pid_opened_at_id (pid=?)"),
        (lambda read: queries.find_many(read, 1, before=BEFORE, limit=5), "ix_incidents_pid_opened_at_id (pid=? AND"),
        (lambda read: queries.find_many(read, 1, is_open=True, limit=5), "ix_incidents_open (pid=?)"),
        (lambda read: queries.find_many(read, 1, is_open=True, before=BEFORE, limit=5), "ix_incidents_open (pid=? AND"),
        (
            lambda read: queries.find_many(read, 1, check_id=3, limit=5),
            "ix_incidents_pid_source_kind_source_id_opened_at (pid=? AND source_kind=? AND source_id=?)",
        ),
        (
            lambda read: queries.find_many(read, 1, by_cause=True, before=BEFORE, limit=5),
            "ix_incidents_pid_opened_at_id (pid=? AND",
        ),
        (
            lambda read: read.execute(sa.select(incidents.c.closed_at).where(are_members(1, [2]))),
            "ix_incidents_part_of (pid=? AND part_of=?)",
        ),
        (lambda read: read.execute(on_host(0)), "ix_checks_host (pid=? AND host=?)"),
        (lambda read: read.execute(on_host(1)), "ix_checks_heard_host (pid=? AND heard_host=?)"),
        (lambda read: queries.flips_of(read, INCIDENT), "ix_flips_incident (pid=? AND incident_id=? AND check_id=?)"),
        (lambda read: queries.notes_of(read, 1, 2), "(pid=? AND incident_id=?)"),
    ],
)
async def test_a_list_is_read_from_its_index(tmp_path: Path, ask: Ask, index: str) -> None:
    found = await plan(tmp_path, ask)

    assert index in found
    assert "SCAN" not in found
    assert "TEMP B-TREE" not in found
