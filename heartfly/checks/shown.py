"""The status of a check as people see it: the stored one, or `late`, which nobody stores."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from typing import Any

import msgspec

from heartfly.checks.config import tolerance_of
from heartfly.core.tolerance import Memory, standing
from heartfly.core.words import Status

WATCHED = frozenset({Status.UP.value, Status.DEGRADED.value})


def shown_status(row: Any, now: datetime, excused: Container[int] = ()) -> str:
    """A run under way is no lateness: the rule of core/check.py. `excused`: ids of checks that are not late, as
    maintenance leaves them unjudged.
    """
    late = row.status in WATCHED and not row.n_open_runs and row.expected_at is not None and row.expected_at <= now
    return "late" if late and row.id not in excused else str(row.status)


def tolerated_of(row: Any) -> str:
    """How near to an alarm its failures are, such as `1 of 3`; empty: nothing failed, or it is told already."""
    if row.status not in WATCHED or not (row.memory and row.tolerance):
        return ""
    memory = msgspec.json.decode(row.memory, type=Memory)
    return standing(tolerance_of(row.tolerance), memory) if memory.bad else ""
