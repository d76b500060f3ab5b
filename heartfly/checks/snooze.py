"""A check is snoozed: for so long, until an instant, or until its next run; what that holds is decided elsewhere.

Until its next run is until the end of the first slot that is still to open, so that a run that comes is seen to be
well by then.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from heartfly.audit.record import Actor
from heartfly.checks.queries import uuid_of
from heartfly.checks.rows import load, select_locked
from heartfly.core.values import Check
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import checks
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.notify import peace_commands
from heartfly.notify.peace_commands import Asked

USUAL = timedelta(hours=2)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=31)


def snooze(
    tx: Tx,
    pid: int,
    uuid: str,
    *,
    lasts: timedelta | None = None,
    until: datetime | None = None,
    next_run: bool = False,
    note: str = "",
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> Any:
    """The silence. One of the three must be said. NotFoundError, InvalidValueError."""
    found = load(tx, select_locked().where(checks.c.pid == pid, checks.c.uuid == uuid_of(uuid)))
    if not found:
        raise NotFoundError("there is no such check")
    if (lasts is not None) + (until is not None) + next_run != 1:
        raise InvalidValueError("lasts", "one of lasts, until and next_run must be said")
    if lasts is not None and not SHORTEST <= lasts <= LONGEST:
        raise InvalidValueError("lasts", f"must be a minute to {LONGEST.days} days")
    if until is not None and not at + SHORTEST <= until <= at + LONGEST:
        raise InvalidValueError("until", f"must be a minute to {LONGEST.days} days from now")
    to_at = _next_run(found[0].check, at) if next_run else until or at + (lasts or USUAL)
    asked = Asked(kind="snooze", scope="check", targets=[found[0].row.uuid], to_at=to_at, note=note)
    return peace_commands.make(tx, pid, asked, at=at, actor=actor, ids=ids)


def _next_run(check: Check, at: datetime) -> datetime:
    """The end of the first slot that opens after now."""
    expected = check.expected_at
    if expected is None or expected <= at:
        try:
            expected = check.rules.next_after(at, check.anchor_at or at)
        except Exception as error:
            raise InvalidValueError("next_run", f"cannot be worked out: {error}") from error
    if expected is None:
        raise InvalidValueError("next_run", "there is none any more by its schedule")
    end = expected + check.rules.grace
    if end > at + LONGEST:
        raise InvalidValueError("next_run", f"is more than {LONGEST.days} days away; say until when instead")
    return max(end, at + SHORTEST)
