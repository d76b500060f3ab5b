"""Maintenance windows that nobody has made, to try on a check's past: read, checked, and as core/silence.py knows them.

Once, or again and again; within them nothing is judged. What they may be is what real ones may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from heartfly.core.schedule import Dialect, Kind, parse
from heartfly.core.silence import (
    LONGEST,
    LONGEST_ONCE,
    MOST_BEGINNINGS,
    Effect,
    Recurrence,
    Scope,
    Silence,
    SilenceKind,
)
from heartfly.errors import InvalidValueError

MOST = 10
_SHORTEST = timedelta(minutes=1)
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class WindowIn(msgspec.Struct, forbid_unknown_fields=True, rename={"from_at": "from", "to_at": "to"}):
    """Once: `from` and `to`. Again and again: `cron`, `zone` and `lasts` in seconds."""

    from_at: _Instant | None = None
    to_at: _Instant | None = None
    cron: str | None = None
    zone: str = "UTC"
    lasts: int | None = None


def silences_of(windows: Sequence[WindowIn], *, since: datetime) -> list[Silence]:
    """InvalidValueError names the field."""
    if len(windows) > MOST:
        raise InvalidValueError("windows", f"must be at most {MOST}")
    return [_silence(one, f"windows[{n}]", since) for n, one in enumerate(windows)]


def _silence(asked: WindowIn, field: str, since: datetime) -> Silence:
    if asked.cron is not None:
        recurs = _recurrence(asked, asked.cron, field, since)
        from_at, to_at = since, None
    else:
        recurs = None
        from_at, to_at = _once(asked, field)
    return Silence(
        id=0, uuid="", kind=SilenceKind.MAINTENANCE, effect=Effect.IGNORE, scope=Scope.PROJECT, targets=frozenset(),
        from_at=from_at, to_at=to_at, recurs=recurs,
    )  # fmt: skip


def _once(asked: WindowIn, field: str) -> tuple[datetime, datetime]:
    if asked.from_at is None or asked.to_at is None:
        missing = "from" if asked.from_at is None else "to"
        raise InvalidValueError(f"{field}.{missing}", "is required, or a cron")
    if not _SHORTEST <= asked.to_at - asked.from_at <= LONGEST_ONCE:
        raise InvalidValueError(f"{field}.to", "must be a minute to a year after from")
    return asked.from_at, asked.to_at


def _recurrence(asked: WindowIn, cron: str, field: str, since: datetime) -> Recurrence:
    if asked.from_at is not None or asked.to_at is not None:
        raise InvalidValueError(f"{field}.from", "goes with a window that is once, and not with cron")
    if asked.lasts is None or not _SHORTEST.total_seconds() <= asked.lasts <= LONGEST.total_seconds():
        raise InvalidValueError(f"{field}.lasts", f"must be 60 to {LONGEST.total_seconds():.0f} seconds")
    try:
        parse(Kind.CRON, expression=cron, zone=asked.zone, dialect=Dialect.CRON, after=since)
    except InvalidValueError as error:
        name = "zone" if "zone" in error.field else "cron"
        raise InvalidValueError(f"{field}.{name}", error.message) from None
    recurs = Recurrence(cron, asked.zone, timedelta(seconds=asked.lasts))
    if recurs.begins_too_often(since):
        raise InvalidValueError(f"{field}.cron", f"must begin at most {MOST_BEGINNINGS} times a day")
    return recurs
