"""How many runs of a check were due and did not come, for who hears that it is well again."""

from __future__ import annotations

from datetime import datetime

from heartfly.core.values import Rules

MOST = 500
"""Beyond it one says “at least”: a job of every minute that was down for a week has thousands."""


def n_missed(rules: Rules, *, anchor: datetime | None, at: datetime) -> int:
    """Slots since the last success or fail (`anchor`) that had closed by `at`; at most MOST.

    The slot that a run at `at` still belongs to is not missed. A schedule that raises has missed nothing that we know.
    """
    if anchor is None:
        return 0
    found, fire = 0, anchor
    while found < MOST:
        try:
            following = rules.next_after(fire, anchor)
        except Exception:  # noqa: BLE001 - told elsewhere: the check has a schedule error
            return found
        if following is None or following + rules.grace >= at:
            return found
        found, fire = found + 1, following
    return found
