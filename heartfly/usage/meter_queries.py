"""Meters as they are read: one, many, with their versions, and what of their events could not be counted lately."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.definitions import meter_from
from heartfly.core.versions import Version
from heartfly.core.windows import HOUR
from heartfly.db.models import meter_versions, meters, proofs, rollups, uncounted, windows
from heartfly.errors import NotFoundError
from heartfly.usage.uncountable import Example, example_of

UUID_SHAPE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SLUG = re.compile(r"[a-z0-9_-]{1,60}", re.ASCII)
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_MONTH = timedelta(days=31)

Found = Any
"""A row of `meters`."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A meter with its versions, in the order in which they were made."""

    row: Found
    versions: Sequence[Version]
    made_at: Sequence[datetime]

    @property
    def newest(self) -> Version:
        return self.versions[-1]


@dataclass(frozen=True, slots=True)
class Lately:
    """Of a meter's events within [from_at, to_at): how many counted, and how many lacked something.

    `counted_before`: how many counted in the week before. `example`: the newest that lacked something; `earlier`: the
    newest closed day before, of the last month, on which some did, and how many.
    """

    from_at: datetime
    to_at: datetime
    counted: int
    missing: int
    no_amount: int
    counted_before: int
    example: Example | None = None
    earlier: tuple[date, int] | None = None

    @property
    def warning(self) -> str | None:
        """What somebody should look at, as a sentence; None: nothing."""
        looked_at = self.counted + self.missing + self.no_amount
        such = f": {self.example.words}" if self.example is not None else ""
        if self.missing and self.no_amount:
            what = f"{self.missing} lacked a property, {self.no_amount} held no amount"
            return f"{self.missing + self.no_amount} of {looked_at} events could not be counted ({what}){such}"
        if self.missing:
            return f"{self.missing} of {looked_at} events lacked a property that the meter needs{such}"
        if self.no_amount:
            return f"{self.no_amount} of {looked_at} events held no amount where the meter needs one{such}"
        told = []
        if not looked_at and self.counted_before:
            n = self.counted_before
            told.append(f"no event came that the meter counts; in the seven days before there were {n}")
        if self.earlier is not None:
            day, n = self.earlier
            but = "" if told else "nothing was wrong, but "
            told.append(f"{but}of {day} {n} event{'s' if n != 1 else ''} could not be counted")
        return "; ".join(told) or None


def one_of(pid: int, name_or_id: str) -> sa.Select[Any]:
    """By its slug or its public id. NotFoundError: it is neither."""
    given = name_or_id.lower() if UUID_SHAPE.fullmatch(name_or_id.lower()) else name_or_id
    if UUID_SHAPE.fullmatch(given):
        return sa.select(meters).where(meters.c.pid == pid, meters.c.uuid == given)
    if not _SLUG.fullmatch(given):
        raise NotFoundError("there is no such meter")
    return sa.select(meters).where(meters.c.pid == pid, meters.c.slug == given)


def found_one(row: Found | None) -> Found:
    if row is None:
        raise NotFoundError("there is no such meter")
    return row


async def find_meter(read: AsyncConnection, pid: int, name_or_id: str) -> Stored:
    """NotFoundError, for one of another project too."""
    row = found_one((await read.execute(one_of(pid, name_or_id))).first())
    return (await _with_versions(read, pid, [row]))[0]


async def list_meters(
    read: AsyncConnection, pid: int, *, after: int | None = None, limit: int, archived: bool | None = None
) -> Sequence[Stored]:
    """In the order in which they were made. `archived`: None, whether or not."""
    query = sa.select(meters).where(meters.c.pid == pid, meters.c.id > (after or 0))
    if archived is not None:
        query = query.where(meters.c.archived_at.is_not(None) if archived else meters.c.archived_at.is_(None))
    return await _with_versions(read, pid, (await read.execute(query.order_by(meters.c.id).limit(limit))).all())


async def _with_versions(read: AsyncConnection, pid: int, rows: Sequence[Found]) -> list[Stored]:
    query = sa.select(meter_versions).where(
        meter_versions.c.pid == pid, meter_versions.c.meter_id.in_([row.id for row in rows])
    )
    archived_at = {row.id: row.archived_at for row in rows}
    versions: dict[int, list[Version]] = {row.id: [] for row in rows}
    made_at: dict[int, list[datetime]] = {row.id: [] for row in rows}
    for found in (await read.execute(query.order_by(meter_versions.c.id))).all() if rows else ():
        versions[found.meter_id].append(version_of(found, archived_at[found.meter_id]))
        made_at[found.meter_id].append(found.created_at)
    return [Stored(row, versions[row.id], made_at[row.id]) for row in rows]


def version_of(row: Any, archived_at: datetime | None) -> Version:
    return Version(
        id=row.id,
        meter_id=row.meter_id,
        meter=meter_from(row.definition),
        from_at=row.from_at,
        to_at=row.to_at,
        archived_at=archived_at,
    )


async def lately(read: AsyncConnection, pid: int, stored: Stored, *, now: datetime) -> Lately:
    """The last 24 hours, as far as they have been folded: whole hours of UTC."""
    to_at = now - (now - datetime.min.replace(tzinfo=now.tzinfo)) % HOUR + HOUR
    from_at = to_at - _DAY
    ids = [version.id for version in stored.versions]
    counted = await _counted(read, pid, ids, from_at, to_at)
    before = await _counted(read, pid, ids, from_at - _WEEK, from_at)
    lacking = (
        sa.select(
            sa.func.coalesce(sa.func.sum(uncounted.c.n_missing), 0).label("missing"),
            sa.func.coalesce(sa.func.sum(uncounted.c.n_no_amount), 0).label("no_amount"),
        )
        .join(windows, _whole(uncounted))
        .where(*_hours(pid, from_at, to_at), uncounted.c.version_id.in_(ids))
    )
    row = (await read.execute(lacking)).one()
    missing, no_amount = int(row.missing), int(row.no_amount)
    example = None
    if missing or no_amount:
        example = await example_of(read, pid, stored.versions, from_at, to_at)
    earlier = await _earlier(read, pid, stored, since=(now - _MONTH).date())
    return Lately(from_at, to_at, counted, missing, no_amount, before, example, earlier)


async def _earlier(read: AsyncConnection, pid: int, stored: Stored, *, since: date) -> tuple[date, int] | None:
    n = proofs.c.n_missing + proofs.c.n_no_amount
    query = sa.select(proofs.c.day, n).where(
        proofs.c.pid == pid, proofs.c.meter_id == stored.row.id, proofs.c.day >= since, n > 0
    )
    row = (await read.execute(query.order_by(proofs.c.day.desc()).limit(1))).first()
    return None if row is None else (row[0], int(row[1]))


async def _counted(read: AsyncConnection, pid: int, ids: Sequence[int], from_at: datetime, to_at: datetime) -> int:
    query = (
        sa.select(sa.func.coalesce(sa.func.sum(rollups.c.n), 0))
        .join(windows, sa.and_(_whole(rollups), rollups.c.tier == windows.c.tier))
        .where(*_hours(pid, from_at, to_at), rollups.c.version_id.in_(ids), rollups.c.cube == 0)
    )
    return int((await read.execute(query)).scalar_one())


def _whole(table: sa.Table) -> sa.ColumnElement[bool]:
    """The generation that counts."""
    return sa.and_(table.c.pid == windows.c.pid, table.c.start_at == windows.c.start_at, table.c.gen == windows.c.gen)


def _hours(pid: int, from_at: datetime, to_at: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (windows.c.pid == pid, windows.c.tier == "hour", windows.c.start_at >= from_at, windows.c.start_at < to_at)
