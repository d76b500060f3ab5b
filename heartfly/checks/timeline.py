"""All that happened to one check, in one list, newest first: pings, changes of status, who was told, and edits.

Each kind has an order of its own (a ping's number, a flip's, an edit's time), which holds whatever the clock did. They
are merged by their times, a flip above the ping that made it, and a place in the list is a place in each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.queries import entries_about
from heartfly.checks.queries import pings_with_runs
from heartfly.core.alerts import flip_key
from heartfly.core.words import PingKind
from heartfly.db.models import alerts, flips, incidents, notifications, pings
from heartfly.db.types import instant, micros
from heartfly.notify.queries import notifications_of

KINDS = ("ping", "fail", "flip", "notification", "edit")
_NEWEST = 2**63 - 1
MOST_TOLD = 1_000
"""Notifications on one page, but for those of its first flip: with many channels a page has fewer flips."""
LOOKED_AT = 5_000
"""Flips that are looked at for one page when only those that were told are wanted."""


class Place(NamedTuple):
    """What the next page begins behind: a ping, a flip, and an edit by its time in microseconds and its id."""

    ping: int = _NEWEST
    flip: int = _NEWEST
    edit_us: int = _NEWEST
    edit: int = _NEWEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`kind` empty: all. `since` and `until` are inclusive."""

    kind: str = ""
    since: datetime | None = None
    until: datetime | None = None
    with_edits: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`found`: a row of pings, flips or audit, or a notification's view."""

    kind: str
    at: datetime
    found: Any


async def timeline(
    read: AsyncConnection, row: Row[Any], wanted: Wanted, place: Place, limit: int
) -> tuple[list[Entry], Place | None]:
    """Up to `limit` of them, with the notifications of each flip, and the next page's place; None: there is none."""
    edits = wanted.with_edits and wanted.kind in {"", "edit"}
    if wanted.kind == "notification":
        return await _only_told(read, row, wanted, place, limit)
    streams = {
        "ping": await _pings(read, row, wanted, place, limit) if wanted.kind in {"", "ping", "fail"} else [],
        "flip": await _flips(read, row, wanted, place, limit) if wanted.kind in {"", "flip"} else [],
        "edit": await _edits(read, row, wanted, place, limit) if edits else [],
    }
    page = list(_merged(streams, limit))
    is_last = len(page) == sum(len(found) for found in streams.values())
    told: dict[int, list[Entry]] = {}
    if not wanted.kind:
        flips_here = [entry.found.flip_no for entry in page if entry.kind == "flip"]
        fitting, told = await _told(read, row, flips_here)
        if len(fitting) < len(flips_here):
            first_left_out = next(n for n, entry in enumerate(page) if _is_flip(entry, flips_here[len(fitting)]))
            page, is_last = page[:first_left_out], False
    entries: list[Entry] = []
    for entry in page:
        if entry.kind == "flip":
            entries += told.get(entry.found.flip_no, ())
        entries.append(entry)
    return entries, None if is_last else _behind(page, place)


async def _only_told(
    read: AsyncConnection, row: Row[Any], wanted: Wanted, place: Place, limit: int
) -> tuple[list[Entry], Place | None]:
    """The notifications alone, of up to `limit` flips that have some, out of a bounded number that is looked at.

    A page may be short though more follows, but ends where no alert is as old.
    """
    looked_at = _between(
        sa.select(flips.c.flip_no, flips.c.at, flips.c.decided_at)
        .where(flips.c.pid == row.pid, flips.c.check_id == row.id, flips.c.flip_no < place.flip)
        .order_by(flips.c.flip_no.desc())
        .limit(LOOKED_AT),
        flips.c.at,
        wanted,
    ).subquery()
    key = sa.literal(flip_key(row.id, 0)[:-1]) + sa.cast(looked_at.c.flip_no, sa.Text)
    its = sa.and_(notifications.c.pid == alerts.c.pid, notifications.c.alert_id == alerts.c.id)
    was_told = sa.exists().where(alerts.c.pid == row.pid, alerts.c.key == key, its)
    query = sa.select(looked_at.c.flip_no).where(was_told).order_by(looked_at.c.flip_no.desc())
    found = list((await read.execute(query.limit(limit + 1))).scalars())
    fitting, told = await _told(read, row, found[:limit])
    entries = [entry for flip_no in fitting for entry in told[flip_no]]
    if len(fitting) < len(found):
        return entries, place._replace(flip=fitting[-1])
    last = (
        await read.execute(
            sa.select(sa.func.min(looked_at.c.flip_no), sa.func.count(), sa.func.min(looked_at.c.decided_at))
        )
    ).one()
    oldest = sa.select(alerts.c.decided_at).where(alerts.c.pid == row.pid).order_by(alerts.c.id).limit(1)
    kept_from = (await read.execute(oldest)).scalar()
    if last[1] < LOOKED_AT or kept_from is None or last[2] < kept_from:
        return entries, None
    return entries, place._replace(flip=last[0])


def _is_flip(entry: Entry, flip_no: int) -> bool:
    return entry.kind == "flip" and entry.found.flip_no == flip_no


def _merged(streams: dict[str, Sequence[Row[Any]]], limit: int) -> Iterator[Entry]:
    heads = {kind: 0 for kind, found in streams.items() if found}
    for _ in range(limit):
        if not heads:
            return
        kind = max(heads, key=lambda one: (_at(one, streams[one][heads[one]]), one != "ping"))
        found = streams[kind][heads[kind]]
        yield Entry(kind=kind, at=_at(kind, found), found=found)
        heads[kind] += 1
        if heads[kind] == len(streams[kind]):
            del heads[kind]


def _at(kind: str, found: Row[Any]) -> datetime:
    at: datetime = found.received_at if kind == "ping" else found.at
    return at


def _behind(page: Sequence[Entry], place: Place) -> Place:
    for entry in page:
        if entry.kind == "ping":
            place = place._replace(ping=entry.found.n)
        elif entry.kind == "flip":
            place = place._replace(flip=entry.found.flip_no)
        else:
            place = place._replace(edit_us=micros(entry.at), edit=entry.found.id)
    return place


async def _pings(read: AsyncConnection, row: Row[Any], wanted: Wanted, place: Place, limit: int) -> Sequence[Row[Any]]:
    of_check = pings.c.pid == row.pid, pings.c.check_id == row.id
    query = pings_with_runs().where(*of_check, pings.c.n < place.ping)
    if wanted.kind == "fail":
        query = query.where(pings.c.kind == PingKind.FAIL.value)
    query = _between(query, pings.c.received_at, wanted)
    found: Sequence[Row[Any]] = (await read.execute(query.order_by(pings.c.n.desc()).limit(limit + 1))).all()
    return found


async def _flips(read: AsyncConnection, row: Row[Any], wanted: Wanted, place: Place, limit: int) -> Sequence[Row[Any]]:
    its = sa.and_(incidents.c.pid == flips.c.pid, incidents.c.id == flips.c.incident_id)
    query = (
        sa.select(flips, incidents.c.uuid.label("incident"))
        .outerjoin(incidents, its)
        .where(flips.c.pid == row.pid, flips.c.check_id == row.id, flips.c.flip_no < place.flip)
    )
    query = _between(query, flips.c.at, wanted)
    return (await read.execute(query.order_by(flips.c.flip_no.desc()).limit(limit + 1))).all()


async def _edits(read: AsyncConnection, row: Row[Any], wanted: Wanted, place: Place, limit: int) -> Sequence[Row[Any]]:
    before = None if place.edit_us == _NEWEST else (instant(place.edit_us), place.edit)
    return await entries_about(
        read, row.pid, f"check:{row.uuid}", since=wanted.since, until=wanted.until, before=before, limit=limit + 1
    )


def _between(query: sa.Select[Any], column: sa.Column[Any], wanted: Wanted) -> sa.Select[Any]:
    if wanted.since is not None:
        query = query.where(column >= wanted.since)
    if wanted.until is not None:
        query = query.where(column <= wanted.until)
    return query


async def _told(
    read: AsyncConnection, row: Row[Any], flip_nos: Sequence[int]
) -> tuple[list[int], dict[int, list[Entry]]]:
    """As many of these flips, newest first, as fit on a page with all their notifications; and those of each."""
    of_key = {flip_key(row.id, flip_no): flip_no for flip_no in flip_nos}
    if not of_key:
        return [], {}
    its = sa.and_(notifications.c.pid == alerts.c.pid, notifications.c.alert_id == alerts.c.id)
    query = (
        sa.select(alerts.c.key, sa.func.count().label("n"))
        .join(notifications, its)
        .where(alerts.c.pid == row.pid, alerts.c.key.in_(of_key))
        .group_by(alerts.c.key)
    )
    n_told = {of_key[one.key]: one.n for one in await read.execute(query)}
    fitting: list[int] = []
    room = MOST_TOLD
    for flip_no in flip_nos:
        room -= n_told.get(flip_no, 0)
        if room < 0 and fitting:
            break
        fitting.append(flip_no)
    keys = [flip_key(row.id, flip_no) for flip_no in fitting]
    n_all = sum(n_told.get(flip_no, 0) for flip_no in fitting)
    found: dict[int, list[Entry]] = {flip_no: [] for flip_no in fitting}
    # What is written since the count belongs to flips of the next look: a flip's notifications come with it.
    for view in await notifications_of(read, row.pid, keys, limit=n_all):
        found[of_key[view.alert.key]].append(Entry(kind="notification", at=view.created_at, found=view))
    return fitting, found
