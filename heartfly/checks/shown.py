"""The status of a check as people see it: the stored one, or `late`, which nobody stores."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from heartfly.core.words import Status

WATCHED = frozenset({Status.UP.value, Status.DEGRADED.value})


def shown_status(row: Any, now: datetime) -> str:
    """A run under way is no lateness: the rule of core/check.py."""
    late = row.status in WATCHED and not row.n_open_runs and row.expected_at is not None and row.expected_at <= now
    return "late" if late else str(row.status)
