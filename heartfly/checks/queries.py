"""Reads about checks, each bound to one project. Lists are read by key, never by offset.

Nothing is decided here; what of it people may see is the wire's (api/v1/wire.py).
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.text import SLUG
from heartfly.core.words import Status
from heartfly.db.models import (
    channels,
    check_channels,
    check_days,
    checks,
    flips,
    incidents,
    ping_bodies,
    pings,
    run_metrics,
    runs,
)
from heartfly.errors import AmbiguousSlugError, NotFoundError

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which checks are listed: of any of the statuses, with all of the tags, with `text` in name, slug or tags.

    Each of `words` stands in name, slug, tags or description, each of `channels` in the name of a channel of theirs, or
    is its kind. `shown`: of each set, the status as it is shown at `at` (one that is late is `late`) is one.
    `late_for`: it is late then, and has been for longer. `excused`: these are not late, as maintenance leaves them
    unjudged. `is_failing`: within what is tolerated.
    """

    statuses: Collection[Status] = ()
    tags: Sequence[str] = ()
    text: str = ""
    slug: str = ""
    words: Sequence[str] = ()
    channels: Sequence[str] = ()
    shown: Sequence[Collection[str]] = ()
    is_running: bool = False
    is_failing: bool = False
    late_for: timedelta | None = None
    at: datetime | None = None
    excused: Collection[int] = ()


def uuid_of(text: str) -> str:
    """A public id as it is stored. NotFoundError for what cannot be one: a NUL would offend the database."""
    uuid = text.lower()
    if not UUID.fullmatch(uuid):
        raise NotFoundError("there is no such check")
    return uuid


async def find(read: AsyncConnection, pid: int, uuid: str) -> Row[Any]:
    """The row of a check. NotFoundError, for one of another project too."""
    query = sa.select(checks).where(checks.c.pid == pid, checks.c.uuid == uuid_of(uuid))
    row = (await read.execute(query)).first()
    if row is None:
        raise NotFoundError("there is no such check")
    return row


async def names_of(read: AsyncConnection, pid: int) -> Sequence[Any]:
    """Id and name of each check of the project, by name."""
    query = sa.select(checks.c.uuid, checks.c.name).where(checks.c.pid == pid).order_by(checks.c.name, checks.c.id)
    return (await read.execute(query)).all()


# A row of SQLAlchemy's finds each column by its name anew, which is most of the work of a long list.
_Found = namedtuple("_Found", [column.name for column in checks.c])  # type: ignore[misc] # noqa: PYI024 - known at run time


async def find_many(read: AsyncConnection, pid: int, wanted: Wanted, *, after: int | None, limit: int) -> Sequence[Any]:
    """Checks in the order in which they were made, after the one with this id."""
    query = wanted_of(read, sa.select(checks), pid, wanted, after=after, limit=limit)
    return [_Found._make(row) for row in await read.execute(query)]


def wanted_of(
    read: AsyncConnection, query: Select[Any], pid: int, wanted: Wanted, *, after: int | None, limit: int
) -> Select[Any]:
    """Of a selection from checks those, in the order in which they were made, after the one with this id."""
    query = query.where(checks.c.pid == pid).order_by(checks.c.id).limit(limit)
    if after is not None:
        query = query.where(checks.c.id > after)
    if wanted.statuses:
        query = query.where(checks.c.status.in_([status.value for status in wanted.statuses]))
    if wanted.slug:
        query = query.where(checks.c.slug == wanted.slug)
    for tag in wanted.tags:
        query = query.where(_has_tag(read, tag))
    if wanted.text:
        query = query.where(_holds(wanted.text))
    for word in wanted.words:
        query = query.where(sa.or_(_holds(word), checks.c.description.icontains(word, autoescape=True)))
    for name in wanted.channels:
        query = query.where(_heard_on(name))
    if wanted.is_running:
        query = query.where(checks.c.n_open_runs > 0)
    if wanted.is_failing:
        query = query.where(_is_failing())
    if wanted.at is not None and wanted.late_for is not None:
        has_been = checks.c.expected_at < wanted.at - wanted.late_for
        query = query.where(is_late(wanted.at, wanted.excused), has_been)
    if wanted.at is not None:
        for words in wanted.shown:
            query = query.where(_shown(wanted.at, wanted.excused).in_(words))
    return query


async def find_these(read: AsyncConnection, pid: int, uuids: Collection[str]) -> Sequence[Any]:
    """Of these public ids the checks that there are, in the order in which they were made."""
    some = sorted(uuid for uuid in uuids if UUID.fullmatch(uuid))
    found: list[Any] = []
    for start in range(0, len(some), 500):
        query = sa.select(checks).where(checks.c.pid == pid, checks.c.uuid.in_(some[start : start + 500]))
        found += [_Found._make(row) for row in await read.execute(query)]
    return sorted(found, key=lambda row: row.id)


async def count_shown(
    read: AsyncConnection, pid: int, *, now: datetime, excused: Collection[int] = ()
) -> dict[str, int]:
    """How many checks have each status as it is shown: one that is late counts as `late`. `excused`: as in `Wanted`."""
    shown = _shown(now, excused).label("shown")
    query = sa.select(shown, sa.func.count().label("n")).where(checks.c.pid == pid).group_by(shown)
    return {row.shown: row.n for row in await read.execute(query)}


async def find_addressed(read: AsyncConnection, pid: int, text: str) -> Row[Any]:
    """The check of a page's address: by its id, or else by its slug. NotFoundError.

    AmbiguousSlugError: two checks have the slug, which a foreign API allows.
    """
    if UUID.fullmatch(text.lower()):
        query = sa.select(checks).where(checks.c.pid == pid, checks.c.uuid == text.lower())
        row: Row[Any] | None = (await read.execute(query)).first()
        if row is not None:
            return row
    if not SLUG.fullmatch(text):
        raise NotFoundError("there is no such check")
    of_slug = sa.select(checks).where(checks.c.pid == pid, checks.c.slug == text).limit(2)
    found = (await read.execute(of_slug)).all()
    if not found:
        raise NotFoundError("there is no such check")
    if len(found) > 1:
        raise AmbiguousSlugError(f"two checks have the slug {text}")
    return found[0]


def is_late(now: datetime, excused: Collection[int] = ()) -> sa.ColumnElement[bool]:
    """The rule of core/check.py: a run under way is not lateness. `excused`: as in `Wanted`."""
    late = sa.and_(
        checks.c.status.in_([Status.UP.value, Status.DEGRADED.value]),
        checks.c.n_open_runs == 0,
        checks.c.expected_at <= now,
    )
    if not excused:
        return late
    # Written out: there may be more of them than a statement takes parameters.
    those: sa.BindParameter[Any] = sa.bindparam("excused", sorted(excused), expanding=True, literal_execute=True)
    return sa.and_(late, checks.c.id.not_in(those))


def _is_failing() -> sa.ColumnElement[bool]:
    """As `shown.tolerated_of` says it: what is kept of a check names no failures while it has none."""
    watched = checks.c.status.in_([Status.UP.value, Status.DEGRADED.value])
    return sa.and_(watched, checks.c.tolerance != "", checks.c.memory.contains('"bad":'))


def _shown(now: datetime, excused: Collection[int]) -> sa.ColumnElement[str]:
    return sa.case((is_late(now, excused), "late"), else_=checks.c.status)


def _heard_on(name: str) -> sa.ColumnElement[bool]:
    its = (check_channels.c.pid == checks.c.pid, check_channels.c.check_id == checks.c.id)
    joined = sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id)
    is_it = sa.or_(channels.c.kind == name.lower(), channels.c.name.icontains(name, autoescape=True))
    return sa.exists(
        sa.select(sa.literal(1)).select_from(check_channels).join(channels, joined).where(*its, is_it).correlate(checks)
    )


def _has_tag(read: AsyncConnection, tag: str) -> sa.ColumnElement[bool]:
    function = "jsonb_array_elements_text" if read.dialect.name == "postgresql" else "json_each"
    each = getattr(sa.func, function)(checks.c.tags).table_valued("value", name="tag")
    return sa.exists(sa.select(sa.literal(1)).select_from(each).where(each.c.value == tag))


def _holds(text: str) -> sa.ColumnElement[bool]:
    """Case counts for nothing, in ASCII at least: SQLite knows no other letters."""
    columns = (checks.c.name, checks.c.slug, sa.cast(checks.c.tags, sa.Text))
    return sa.or_(*(column.icontains(text, autoescape=True) for column in columns))


async def channels_of(read: AsyncConnection, pid: int, check_ids: Collection[int]) -> dict[int, list[str]]:
    """Each check's channels by public id, in the order in which they were made."""
    joined = sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id)
    query = (
        sa.select(check_channels.c.check_id, channels.c.uuid)
        .join(channels, joined)
        .where(check_channels.c.pid == pid, check_channels.c.check_id.in_(check_ids))
        .order_by(check_channels.c.check_id, channels.c.id)
    )
    found: dict[int, list[str]] = {check_id: [] for check_id in check_ids}
    for row in await read.execute(query):
        found[row.check_id].append(row.uuid)
    return found


async def unheard(read: AsyncConnection, pid: int) -> frozenset[int]:
    """The checks of which a channel fails: what it should have been told of them was given up."""
    joined = sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id)
    query = (
        sa.select(check_channels.c.check_id)
        .join(channels, joined)
        .where(channels.c.pid == pid, channels.c.failing_since.is_not(None))
    )
    return frozenset((await read.execute(query)).scalars())


async def named_channels_of(read: AsyncConnection, pid: int, check_id: int) -> list[tuple[str, str]]:
    """Public id and name of each channel of one check, in the order in which they were made."""
    joined = sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id)
    query = (
        sa.select(channels.c.uuid, channels.c.name)
        .join(check_channels, joined)
        .where(check_channels.c.pid == pid, check_channels.c.check_id == check_id)
        .order_by(channels.c.id)
    )
    return [(row.uuid, row.name) for row in await read.execute(query)]


async def named_channels(read: AsyncConnection, pid: int) -> list[tuple[str, str]]:
    """Public id and name of each channel of the project, in the order in which they were made."""
    query = sa.select(channels.c.uuid, channels.c.name).where(channels.c.pid == pid).order_by(channels.c.id)
    return [(row.uuid, row.name) for row in await read.execute(query)]


# --- history, newest first ---------------------------------------------------------------------------


def pings_with_runs() -> Select[Any]:
    """Pings with duration and outcome of the run that each belongs to, and whether something of the body was kept."""
    run = sa.and_(runs.c.pid == pings.c.pid, runs.c.check_id == pings.c.check_id, runs.c.id == pings.c.run_id)
    body = sa.and_(
        ping_bodies.c.pid == pings.c.pid, ping_bodies.c.check_id == pings.c.check_id, ping_bodies.c.n == pings.c.n
    )
    return (
        sa.select(
            pings,
            runs.c.duration_us,
            runs.c.outcome.label("run_outcome"),
            ping_bodies.c.n.is_not(None).label("has_body"),
        )
        .outerjoin(runs, run)
        .outerjoin(ping_bodies, body)
    )


async def pings_of(
    read: AsyncConnection, pid: int, check_id: int, *, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """As `pings_with_runs`, newest first."""
    return await _newest(read, pings_with_runs(), pings, "n", pid=pid, check_id=check_id, before=before, limit=limit)


async def neighbours_of(read: AsyncConnection, pid: int, check_id: int, n: int) -> tuple[int | None, int | None]:
    """The numbers of the pings before and after this one, of those that are kept."""
    mine = (pings.c.pid == pid, pings.c.check_id == check_id)
    earlier = sa.select(sa.func.max(pings.c.n)).where(*mine, pings.c.n < n)
    later = sa.select(sa.func.min(pings.c.n)).where(*mine, pings.c.n > n)
    return (await read.execute(earlier)).scalar(), (await read.execute(later)).scalar()


async def ping_body(read: AsyncConnection, pid: int, check_id: int, n: int) -> bytes:
    query = sa.select(ping_bodies.c.body).where(
        ping_bodies.c.pid == pid, ping_bodies.c.check_id == check_id, ping_bodies.c.n == n
    )
    body: bytes | None = (await read.execute(query)).scalar()
    if body is None:
        raise NotFoundError("there is no such ping, or it had no body")
    return body


async def flips_of(
    read: AsyncConnection, pid: int, check_id: int, *, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """With the public id of the incident that each opened or closed."""
    opened_or_closed = sa.and_(incidents.c.pid == flips.c.pid, incidents.c.id == flips.c.incident_id)
    query = sa.select(flips, incidents.c.uuid.label("incident")).outerjoin(incidents, opened_or_closed)
    return await _newest(read, query, flips, "flip_no", pid=pid, check_id=check_id, before=before, limit=limit)


async def _newest(
    read: AsyncConnection,
    query: Select[Any],
    table: sa.Table,
    number: str,
    *,
    pid: int,
    check_id: int,
    before: int | None,
    limit: int,
) -> Sequence[Row[Any]]:
    column = table.c[number]
    query = query.where(table.c.pid == pid, table.c.check_id == check_id)
    if before is not None:
        query = query.where(column < before)
    found: Sequence[Row[Any]] = (await read.execute(query.order_by(column.desc()).limit(limit))).all()
    return found


async def runs_of(
    read: AsyncConnection, pid: int, check_id: int, *, before: tuple[datetime, int] | None, limit: int
) -> Sequence[Row[Any]]:
    query = sa.select(runs).where(runs.c.pid == pid, runs.c.check_id == check_id)
    if before is not None:
        at, run_id = before
        # The first condition follows from the second, but an index can be entered by it, however old the page is.
        query = query.where(runs.c.at <= at, sa.or_(runs.c.at < at, runs.c.id < run_id))
    return (await read.execute(query.order_by(runs.c.at.desc(), runs.c.id.desc()).limit(limit))).all()


async def days_of(
    read: AsyncConnection, pid: int, check_id: int, *, from_day: str | None, to_day: str | None, limit: int
) -> Sequence[Row[Any]]:
    """From the one day on, before the other; the newest first."""
    query = sa.select(check_days).where(check_days.c.pid == pid, check_days.c.check_id == check_id)
    if from_day is not None:
        query = query.where(check_days.c.day >= from_day)
    if to_day is not None:
        query = query.where(check_days.c.day < to_day)
    return (await read.execute(query.order_by(check_days.c.day.desc()).limit(limit))).all()


async def metrics_of(
    read: AsyncConnection, pid: int, check_id: int, run_ids: Collection[int]
) -> dict[int, dict[str, str]]:
    """Each run's figures: exact decimals, as text."""
    query = (
        sa.select(run_metrics.c.run_id, run_metrics.c.name, run_metrics.c.value)
        .where(
            run_metrics.c.pid == pid,
            run_metrics.c.check_id == check_id,
            run_metrics.c.run_id.in_(run_ids),
        )
        .order_by(run_metrics.c.run_id, run_metrics.c.name)
    )
    found: dict[int, dict[str, str]] = {run_id: {} for run_id in run_ids}
    for row in await read.execute(query):
        found[row.run_id][row.name] = f"{row.value:f}"
    return found
