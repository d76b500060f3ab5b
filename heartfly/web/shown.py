"""The status of a check as people see it; the rule stands in checks/shown.py."""

from __future__ import annotations

from heartfly.checks.shown import WATCHED, shown_status, tolerated_of

__all__ = ["WATCHED", "shown_status", "tolerated_of"]
