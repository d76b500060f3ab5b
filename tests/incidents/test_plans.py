"""Lists of incidents are read from an index, however many there were: no scan, and nothing sorted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heartfly.incidents import queries
from tests.plans import Ask, plan

pytestmark = pytest.mark.anyio

BEFORE = (datetime(2026, 3, 2, tzinfo=UTC), 7)
INCIDENT: Any = SimpleNamespace(pid=1, id=2, source_id=3)


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
        (lambda read: queries.flips_of(read, INCIDENT), "ix_flips_incident (pid=? AND incident_id=? AND check_id=?)"),
        (lambda read: queries.notes_of(read, 1, 2), "(pid=? AND incident_id=?)"),
    ],
)
async def test_a_list_is_read_from_its_index(tmp_path: Path, ask: Ask, index: str) -> None:
    found = await plan(tmp_path, ask)

    assert index in found
    assert "SCAN" not in found
    assert "TEMP B-TREE" not in found
