"""What a status page shows: how each item is now, its last 90 days, and the incidents of two weeks.

Of an item that stands for many checks the worst counts. Days are those of the daily sums, in the project's zone; of the
day that is under way only the present tells. Alarms that proved wrong are no incidents here.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.shown import shown_status
from heartfly.checks.unjudged import excused
from heartfly.core.days import last_whole
from heartfly.core.zones import zone as find_zone
from heartfly.db.models import check_days, checks, incidents, projects, status_pages
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.incidents.spans import OF_CHECK
from heartfly.public.status_pages import BUT_LOGO, Group, Item, groups_of

DAYS = 90
RECENT = timedelta(days=14)
MOST_INCIDENTS = 30

_WORST = ("down", "degraded", "late", "up")
_IDS = uuids.UUID("5be1c6f3-1c0b-4b53-9d4e-4a1e6d0f2a77")


@dataclass(frozen=True, slots=True)
class Bar:
    """`down_s` None: nothing is known of that day."""

    day: date
    down_s: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """`state`: down, degraded, late, up, or none, where nothing is watched. `uptime`: a share; None: nothing known."""

    name: str
    state: str
    bars: Sequence[Bar]
    uptime: float | None

    @property
    def bad_days(self) -> list[Bar]:
        return [bar for bar in self.bars if bar.down_s]


@dataclass(frozen=True, slots=True)
class Trouble:
    """`id` tells it from others, and is no id of ours. `closed_at` None: it goes on."""

    id: str
    name: str
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    title: str
    slug: str
    noindex: bool
    zone: str
    at: datetime
    groups: Sequence[tuple[str, Sequence[Line]]]
    troubles: Sequence[Trouble]
    accent: str
    accent_dark: str
    logo_name: str

    @property
    def look(self) -> str:
        """Names the colours that were chosen; empty: none were."""
        return (
            "-".join(one[1:] or "x" for one in (self.accent, self.accent_dark))
            if self.accent or self.accent_dark
            else ""
        )

    @property
    def state(self) -> str:
        return _worst([line.state for _, lines in self.groups for line in lines])


async def published(read: AsyncConnection, slug: str) -> Any:
    """The page of that address. NotFoundError: there is none, or it is not published."""
    query = sa.select(*BUT_LOGO).where(status_pages.c.slug == slug, status_pages.c.published.is_(True))
    row = (await read.execute(query)).first()
    if row is None:
        raise NotFoundError("there is nothing at this address")
    return row


async def published_logo(read: AsyncConnection, slug: str, name: str) -> bytes:
    """Of the page of that address. NotFoundError: it has no logo of that name, or is not published."""
    its = (status_pages.c.slug == slug, status_pages.c.published.is_(True), status_pages.c.logo_name == name)
    content: bytes | None = (await read.execute(sa.select(status_pages.c.logo).where(*its))).scalar_one_or_none()
    if content is None:
        raise NotFoundError("there is nothing at this address")
    return content


async def overview(read: AsyncConnection, page: Any, *, now: datetime) -> Overview:
    """`page`: a row of `status_pages`."""
    groups = groups_of(page)
    zone = await _zone(read, page.pid)
    shown = await _checks(read, page.pid, groups)
    days = await _days(read, page.pid, [row.id for row in shown], last_whole(zone, now))
    late_not = (await excused(read, page.pid, now=now)).ids
    states = {row.id: shown_status(row, now, late_not) for row in shown}
    lines = [(group.name, [_line(item, shown, days, states) for item in group.items]) for group in groups]
    troubles = await _troubles(read, page.pid, _names(groups, shown), now)
    return Overview(
        page.title, page.slug, page.noindex, zone.key, now, lines, troubles,
        page.accent, page.accent_dark, page.logo_name,
    )  # fmt: skip


async def _zone(read: AsyncConnection, pid: int) -> Any:
    name = (await read.execute(sa.select(projects.c.zone).where(projects.c.id == pid))).scalar_one()
    try:
        return find_zone(name)
    except InvalidValueError:
        return find_zone("UTC")  # it left the list of zones since it was chosen


async def _checks(read: AsyncConnection, pid: int, groups: Sequence[Group]) -> Sequence[Any]:
    items = [item for group in groups for item in group.items]
    columns = (checks.c.id, checks.c.uuid, checks.c.tags, checks.c.status, checks.c.n_open_runs, checks.c.expected_at)
    query = sa.select(*columns).where(checks.c.pid == pid).order_by(checks.c.id)
    if not any(item.tag for item in items):
        query = query.where(checks.c.uuid.in_([item.check for item in items]))
    rows = (await read.execute(query)).all()
    return [row for row in rows if any(_is_of(row, item) for item in items)]


def _is_of(row: Any, item: Item) -> bool:
    return row.uuid == item.check if item.tag is None else item.tag in row.tags


def _names(groups: Sequence[Group], shown: Sequence[Any]) -> dict[int, str]:
    """By which name each check is known to readers: that of the first item that it is of."""
    items = [item for group in groups for item in group.items]
    return {row.id: next(item.name for item in items if _is_of(row, item)) for row in shown}


_Days = Mapping[date, Mapping[int, tuple[int, int]]]
"""Of each day, for each check, the seconds that it was up and down."""


async def _days(read: AsyncConnection, pid: int, check_ids: Sequence[int], last: date) -> _Days:
    found: dict[date, dict[int, tuple[int, int]]] = {last - timedelta(days=n): {} for n in reversed(range(DAYS))}
    first = min(found).isoformat()
    for start in range(0, len(check_ids), 500):
        query = sa.select(check_days.c.check_id, check_days.c.day, check_days.c.up_s, check_days.c.down_s).where(
            check_days.c.pid == pid,
            check_days.c.check_id.in_(check_ids[start : start + 500]),
            check_days.c.day >= first,
        )
        for check_id, day, up_s, down_s in await read.execute(query):
            its = found.get(date.fromisoformat(day))
            if its is not None:
                its[check_id] = (up_s, down_s)
    return found


def _line(item: Item, shown: Sequence[Any], days: _Days, states: Mapping[int, str]) -> Line:
    """`states`: by the id of the check, as they are shown."""
    mine = [row for row in shown if _is_of(row, item)]
    ids = [row.id for row in mine]
    up_s = down_s = 0
    bars = []
    for day, its in days.items():
        sums = [its[check_id] for check_id in ids if check_id in its]
        watched = [(up, down) for up, down in sums if up + down]
        up_s, down_s = up_s + sum(up for up, _ in watched), down_s + sum(down for _, down in watched)
        bars.append(Bar(day, max(down for _, down in watched) if watched else None))
    uptime = up_s / (up_s + down_s) if up_s + down_s else None
    return Line(item.name, _worst([states[row.id] for row in mine]), bars, uptime)


def _worst(states: Sequence[str]) -> str:
    return next((state for state in _WORST if state in states), "none")


async def _troubles(read: AsyncConnection, pid: int, names: Mapping[int, str], now: datetime) -> Sequence[Trouble]:
    query = (
        sa.select(incidents.c.uuid, incidents.c.source_id, incidents.c.opened_at, incidents.c.closed_at)
        .where(incidents.c.pid == pid, incidents.c.source_kind == OF_CHECK, incidents.c.disproved.is_(False))
        .order_by(incidents.c.opened_at.desc(), incidents.c.id.desc())
    )
    still_open = await _first_of(read, query.where(incidents.c.closed_at.is_(None)), names)
    ended = query.where(incidents.c.closed_at.is_not(None), incidents.c.opened_at > now - RECENT)
    return [*still_open, *await _first_of(read, ended, names)][:MOST_INCIDENTS]


async def _first_of(read: AsyncConnection, query: sa.Select[Any], names: Mapping[int, str]) -> list[Trouble]:
    return list(_told((await read.execute(query.limit(1_000))).all(), names))


def _told(rows: Sequence[Any], names: Mapping[int, str]) -> Iterator[Trouble]:
    for row in rows:
        if row.source_id in names:
            yield Trouble(str(uuids.uuid5(_IDS, row.uuid)), names[row.source_id], row.opened_at, row.closed_at)
