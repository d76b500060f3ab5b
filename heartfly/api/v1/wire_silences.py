"""The shapes of silences: snoozes, maintenance windows, mutes and quiet hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.core.silence import Scope, Silence
from heartfly.notify.peace_commands import Asked
from heartfly.notify.silences import silence_of

AHEAD = timedelta(days=366)
"""So far it is looked when a silence is in force next."""


class SnoozeIn(msgspec.Struct, forbid_unknown_fields=True):
    """One of the three: for so many seconds, until an instant, or until its next run."""

    lasts: int | None = None
    until: Instant | None = None
    next_run: bool = False
    note: str = ""


class SilenceIn(msgspec.Struct, forbid_unknown_fields=True, rename={"from_at": "from", "to_at": "to"}):
    """Once: `from` (now, if left out) and `to`, or `lasts` in seconds. Again and again: `cron`, `zone` and `lasts`.

    `targets`: ids of checks or channels, or tags, as `scope` says; of the whole project there are none.
    """

    kind: Literal["snooze", "maintenance", "mute", "quiet"]
    scope: Literal["project", "check", "tag", "channel"]
    targets: list[str] = []
    effect: Literal["hold", "ignore"] = "hold"
    """`ignore`: what is missed or hangs meanwhile is not judged, either; of maintenance only."""
    below: Literal["low", "medium", "high", "critical"] | None = None
    """Of quiet hours: what is at least as severe is told all the same; `critical` if left out."""
    note: str = ""
    from_at: Instant | None = None
    to_at: Instant | None = None
    cron: str | None = None
    zone: str = "UTC"
    lasts: int | None = None


class SilenceEdit(msgspec.Struct, forbid_unknown_fields=True, rename={"from_at": "from", "to_at": "to"}):
    """What is left out stays. `cron` null: once from now on, which needs a `to` or `lasts`. Its kind stays."""

    scope: Literal["project", "check", "tag", "channel"] | msgspec.UnsetType = msgspec.UNSET
    targets: list[str] | msgspec.UnsetType = msgspec.UNSET
    effect: Literal["hold", "ignore"] | msgspec.UnsetType = msgspec.UNSET
    below: Literal["low", "medium", "high", "critical"] | msgspec.UnsetType = msgspec.UNSET
    note: str | msgspec.UnsetType = msgspec.UNSET
    from_at: Instant | msgspec.UnsetType = msgspec.UNSET
    to_at: Instant | msgspec.UnsetType | None = msgspec.UNSET
    cron: str | msgspec.UnsetType | None = msgspec.UNSET
    zone: str | msgspec.UnsetType = msgspec.UNSET
    lasts: int | msgspec.UnsetType = msgspec.UNSET


class SilenceOut(msgspec.Struct, kw_only=True, rename={"from_at": "from", "to_at": "to"}):
    """`state`: it is in force, its time is still to come, or it has ended."""

    id: str
    kind: str
    scope: str
    targets: list[str]
    names: list[str]
    """What each target is called, in their order; a tag is called as it is, and what is deleted has no name."""
    effect: str
    below: str | None
    note: str
    from_at: Instant
    to_at: Instant | None
    """Null: again and again, until somebody ends it."""
    cron: str | None
    zone: str | None
    lasts: int | None
    state: Literal["in_force", "to_come", "ended"]
    until: Instant | None
    """While it is in force: the end of this time."""
    next_from: Instant | None
    """When it begins next, within a year."""
    made_by: str
    created_at: Instant
    ended_by: str | None
    """Who ended it before its time."""


class SilencePage(msgspec.Struct):
    items: list[SilenceOut]
    next: str | None


def asked_of(data: SilenceIn) -> Asked:
    return Asked(
        kind=data.kind,
        scope=data.scope,
        targets=data.targets,
        effect=data.effect,
        below=data.below,
        note=data.note,
        from_at=data.from_at,
        to_at=data.to_at,
        cron=data.cron,
        zone=data.zone,
        lasts=seconds(data.lasts),
    )


def edited(data: SilenceEdit, was: Asked) -> Asked:
    """`was`: as it is stored."""
    given = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not msgspec.UNSET}
    if "lasts" in given:
        given["lasts"] = seconds(given["lasts"])
    if given.get("scope", was.scope) != was.scope:
        given.setdefault("targets", ())
    asked = replace(was, **given)
    if asked.cron is None and was.cron is not None:  # of a time that comes once `lasts` counts if no end is said
        asked = replace(asked, lasts=given.get("lasts"), to_at=given.get("to_at"))
    if asked.cron is None and "lasts" in given and "to_at" not in given:
        asked = replace(asked, to_at=None)
    if asked.cron is not None and was.cron is None and "to_at" not in given:  # the end of its one time is none of all
        asked = replace(asked, to_at=None)
    return asked


def seconds(given: int | None) -> timedelta | None:
    """What no duration can be reads as one that is too long."""
    return None if given is None else timedelta(seconds=max(-1, min(given, _MOST_S)))


_MOST_S = 10**9


def silence_out(row: Any, names: Mapping[str, str], *, now: datetime) -> SilenceOut:
    """`names`: of checks and channels by their ids."""
    silence = silence_of(row)
    span = silence.span_at(now)
    following = None if span is not None else next_of(silence, now)
    ended = row.to_at is not None and row.to_at <= now
    return SilenceOut(
        id=row.uuid,
        kind=row.kind,
        scope=row.scope,
        targets=list(row.targets),
        names=[one if row.scope == Scope.TAG else names.get(one, "") for one in row.targets],
        effect=row.effect,
        below=row.below,
        note=row.note,
        from_at=row.from_at,
        to_at=row.to_at,
        cron=row.cron,
        zone=row.zone,
        lasts=row.lasts_s,
        state="ended" if ended else "to_come" if span is None else "in_force",
        until=None if span is None else span.to_at,
        next_from=following,
        made_by=row.made_by,
        created_at=row.created_at,
        ended_by=row.ended_by,
    )


def next_of(silence: Silence, now: datetime) -> datetime | None:
    """The beginning of the first span that is still to come."""
    span = silence.first_after(now)
    return None if span is None else span.from_at


SHAPES = (SnoozeIn, SilenceIn, SilenceEdit, SilencePage)
