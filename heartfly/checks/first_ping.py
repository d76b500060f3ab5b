"""By when somebody wants the first ping of a new check: what may be asked for, and how it is written.

What comes of it is decided in core/check.py. It is no part of a check's configuration: the first ping ends it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from heartfly.checks.config import CheckIn
from heartfly.checks.flips import Taken, record
from heartfly.checks.rows import Stored, one
from heartfly.core.check import first_ping_by, waits_for_first_ping
from heartfly.core.values import Check
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.errors import ConflictError, InvalidValueError

FIELD = "first_ping_by"
_MOST = timedelta(days=366)


class HasPingedError(ConflictError):
    """The check is not waiting for its first ping any more."""

    field = FIELD


def asked_for(asked: CheckIn, *, at: datetime) -> datetime | None:
    """None: it may wait for ever. InvalidValueError: not within a year from now."""
    by = _wanted(asked)
    if by is not None and not at < by <= at + _MOST:
        raise InvalidValueError(FIELD, "must lie ahead, within a year from now")
    return by


def is_past(asked: CheckIn, *, at: datetime) -> bool:
    by = _wanted(asked)
    return by is not None and by <= at


def is_changed(check: Check, asked: CheckIn) -> bool:
    """Whether something else is asked for than holds. HasPingedError: it is, and it is too late for that."""
    if isinstance(asked.first_ping_by, msgspec.UnsetType):
        return False
    by = _wanted(asked)
    if waits_for_first_ping(check):
        return by != check.expected_at
    if by is not None:
        raise HasPingedError("the check does not wait for its first ping any more")
    return False


def want(tx: Tx, stored: Stored, by: datetime | None, *, at: datetime, ids: IdSource) -> None:
    """Of the check as it is stored now, whatever else the same command has written. It waits for its first ping."""
    fresh = one(tx, stored.pid, stored.id)
    assert fresh is not None
    if by == fresh.check.expected_at:
        return
    step = first_ping_by(fresh.check, by, at)
    assert step is not None
    before, fresh.check = fresh.check, step.check
    record(tx, [Taken(fresh, before, step)], ids=ids, now=at)


def _wanted(asked: CheckIn) -> datetime | None:
    if asked.first_ping_by is None or isinstance(asked.first_ping_by, msgspec.UnsetType):
        return None
    try:
        return asked.first_ping_by.astimezone(UTC)
    except OverflowError:
        raise InvalidValueError(FIELD, "must be an instant such as 2026-03-02T01:30:00Z") from None
