"""Closing a day of a project: fold what is dirty, make the day of its hours, reconcile it, and say what it is then.

    open         it is not over, or nobody has looked at it since
    provisional  it is over, and does not agree with its events, or one of its hours was folded since
    final        it agrees with its events, to the last digit
    amended      the same, and it had been final with other figures before

Each meter has a state of its own on a day (proofs.py): one that is new, or whose figures have changed, leaves the
others' as they were proved. The day is amended if any meter's figures are others, or its events are.

Whoever begins to close a day fences off whoever began before. Killed at any point, what the day was stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.clock import Clock
from heartfly.core.days import Day, day_in, day_of
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.models import dirty_hours, intake, proofs, usage_days, windows
from heartfly.usage.dirty import mark_folded
from heartfly.usage.fold import TIER_DAY, Folded
from heartfly.usage.folder import Folder
from heartfly.usage.generations import Generation, OvertakenError
from heartfly.usage.hands import Hands
from heartfly.usage.reconcile import Reconciled, reconcile

_ATTEMPTS = 5
"""Events that come while a day is closed dirty it again."""
MOST_MISMATCHES = 5


@dataclass(frozen=True, slots=True)
class Closed:
    """`changed`: it was final before, with other figures."""

    day: date
    state: str
    figures: Mapping[str, int]
    fingerprint: str
    mismatch: str
    changed: bool


class Closer:
    def __init__(self, usage: Database, folder: Folder, clock: Clock, ids: IdSource) -> None:
        self._usage = usage
        self._folder = folder
        self._clock = clock
        self._ids = ids

    @property
    def hands(self) -> Hands:
        return self._folder.hands

    async def close(self, pid: int, day: date, zone: ZoneInfo) -> Closed:
        """OvertakenError: somebody else closes it by now."""
        span = day_in(zone, day)
        run = self._ids.next(self._clock.now())
        await self._usage.write(lambda tx: _begin(tx, pid, span, zone=zone, run=run), priority=Priority.BULK)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                for hour in await self._folder.dirty_within(pid, span.from_at, span.to_at):
                    await self._folder.fold_hour(pid, hour)
                await self._folder.fold_day(pid, span.from_at, span.to_at)
                found = await self._folder.hands.run(reconcile, self._usage.place, pid, span.from_at, span.to_at)
            except OvertakenError:
                found = Reconciled(dirty=1)
            if attempt < _ATTEMPTS and (found.dirty or not found.fingerprint):
                continue
            closed = await self._usage.write(
                lambda tx, found=found, last=attempt == _ATTEMPTS: _end(  # type: ignore[misc]
                    tx, pid, span, found, run=run, now=self._clock.now(), last=last
                ),
                priority=Priority.BULK,
            )
            if closed is not None:
                await self._forget_former(pid, span, found)
                return closed
        raise AssertionError("unreachable")

    async def _forget_former(self, pid: int, span: Day, found: Reconciled) -> None:
        """The rows that the day was proved with before; cut off here, whoever folds next removes them."""
        if found.former_versions is not None:
            it = Generation(pid, TIER_DAY, Folded(span.from_at, span.to_at), found.gen or 0)
            await self._folder.sweep(it, found.former_versions)


def _begin(tx: Tx, pid: int, span: Day, *, zone: ZoneInfo, run: int) -> None:
    """A day that did not add up is made from its events anew, hour by hour: it may add up then, or be told again."""
    query = sa.select(usage_days.c.mismatch).where(usage_days.c.pid == pid, usage_days.c.day == span.date)
    if tx.conn.execute(query).scalar():
        mark_folded(tx, pid, from_at=span.from_at, to_at=span.to_at, seq=run)
    values: dict[str, Any] = {"zone": zone.key, "from_at": span.from_at, "to_at": span.to_at, "run": run}
    new = values | {"pid": pid, "day": span.date, "state": "open", "figures": {}, "mismatch": ""}
    insert = tx.insert(usage_days).values(new)
    same = sa.and_(usage_days.c.from_at == span.from_at, usage_days.c.to_at == span.to_at)
    # In another zone the day is another span, which nobody has proved.
    others = sa.select(usage_days.c.day).where(usage_days.c.pid == pid, usage_days.c.day == span.date, ~same)
    tx.conn.execute(sa.update(proofs).where(proofs.c.pid == pid, proofs.c.day.in_(others)).values(moved=True))
    state = sa.case((same, usage_days.c.state), else_="provisional")
    tx.conn.execute(insert.on_conflict_do_update(index_elements=["pid", "day"], set_=values | {"state": state}))


def _end(tx: Tx, pid: int, span: Day, found: Reconciled, *, run: int, now: datetime, last: bool) -> Closed | None:
    """None: what was compared is not what counts any more, and it is not the `last` time that it is tried."""
    is_it = (usage_days.c.pid == pid, usage_days.c.day == span.date)
    query = sa.select(usage_days).where(*is_it)
    before = tx.conn.execute(query.with_for_update() if tx.on_postgres else query).first()
    if before is None or before.run != run:
        raise OvertakenError("another process closes this day")
    mismatches = list(found.mismatches)
    if found.dirty or _moved(tx, pid, span, found):
        if not last:
            return None
        mismatches.append("events came in all the time while it was closed")
    figures = _figures(tx, pid, span, found, reconciled=not mismatches)
    values: dict[str, Any] = {"mismatch": _told(mismatches)}
    if mismatches:
        changed, amended = False, bool(before.figures.get("amended"))
        values["state"] = "provisional"
        tx.conn.execute(sa.update(proofs).where(proofs.c.pid == pid, proofs.c.day == span.date).values(moved=True))
    else:
        changed = _prove(tx, pid, span, found, before)
        amended = changed or bool(before.figures.get("amended"))
        values |= {"state": "amended" if amended else "final", "fingerprint": found.fingerprint}
        values |= {"events_digest": found.events, "reconciled_at": now, "verified_at": now}
    values["figures"] = figures | {"amended": int(amended)}
    tx.conn.execute(sa.update(usage_days).where(*is_it).values(values))
    return Closed(span.date, values["state"], figures, found.fingerprint.hex(), values["mismatch"], changed)


def _prove(tx: Tx, pid: int, span: Day, found: Reconciled, before: Any) -> bool:
    """Write what each meter's figures were proved to be; whether any were proved otherwise before, or the events."""
    query = sa.select(proofs).where(proofs.c.pid == pid, proofs.c.day == span.date)
    former = {row.meter_id: row for row in tx.conn.execute(query)}
    all_before = bytes(before.fingerprint or b"")
    differs = all_before not in {b"", found.fingerprint}

    def changed(kept: Any, now: bytes) -> bool:
        """Of days that were proved before fingerprints were kept by meter, there is one of all."""
        return differs if not kept else bytes(kept) != now

    any_changed = changed(before.events_digest, found.events) if all_before else False
    rows = []
    for meter_id, fingerprint in sorted(found.by_meter.items()):
        one = former.get(meter_id)
        moved = one is not None and changed(one.fingerprint, fingerprint)
        any_changed |= moved
        n_missing, n_no_amount = found.uncounted.get(meter_id, (0, 0))
        rows.append(
            {
                "pid": pid,
                "meter_id": meter_id,
                "day": span.date,
                "fingerprint": fingerprint,
                "amended": moved or (one is not None and one.amended),
                "moved": False,
                "n_missing": n_missing,
                "n_no_amount": n_no_amount,
            }
        )
    if rows:
        insert = tx.insert(proofs)
        names = ("fingerprint", "amended", "moved", "n_missing", "n_no_amount")
        upsert = insert.on_conflict_do_update(
            index_elements=["pid", "meter_id", "day"], set_={name: insert.excluded[name] for name in names}
        )
        tx.conn.execute(upsert, rows)
    of_day = (windows.c.pid == pid, windows.c.tier == TIER_DAY, windows.c.start_at == span.from_at)
    if tx.conn.execute(sa.select(windows.c.proved_gen).where(*of_day)).scalar() not in {None, found.gen}:
        found.former_versions = tuple(found.versions)
        tx.conn.execute(sa.update(windows).where(*of_day).values(unswept=True))
    tx.conn.execute(sa.update(windows).where(*of_day).values(proved_gen=found.gen))
    return any_changed


def _moved(tx: Tx, pid: int, span: Day, found: Reconciled) -> bool:
    """What was compared is not what counts any more."""
    of_day = (windows.c.pid == pid, windows.c.tier == TIER_DAY, windows.c.start_at == span.from_at)
    hours = (dirty_hours.c.pid == pid, dirty_hours.c.hour > span.from_at - HOUR, dirty_hours.c.hour < span.to_at)
    # The marks first: whoever takes one away while we look has made the day stale with it.
    dirty = tx.conn.execute(sa.select(dirty_hours.c.hour).where(*hours).limit(1)).first()
    window = tx.conn.execute(sa.select(windows.c.stale, windows.c.gen).where(*of_day)).first()
    return window is None or window.stale or dirty is not None or window.gen != found.gen


def _figures(tx: Tx, pid: int, span: Day, found: Reconciled, *, reconciled: bool) -> dict[str, int]:
    return {
        "events_raw": found.n_raw,
        "events_rolled": found.n_rolled,
        **came_in(tx.conn.execute(intake_of(pid, span)).one()),
        "late": found.n_late,
        "customers": found.n_subjects,
        "uncounted": found.n_uncounted,
        "reconciled": int(reconciled),
    }


def intake_of(pid: int, span: Day) -> sa.Select[Any]:
    """What came in on a day, by the whole hours of UTC that begin in it: one row, for `came_in`."""
    sums = (sa.func.coalesce(sa.func.sum(intake.c[name]), 0).label(name) for name in _OUTCOMES)
    return sa.select(*sums).where(intake.c.pid == pid, intake.c.hour >= span.from_at, intake.c.hour < span.to_at)


def came_in(row: Any) -> dict[str, int]:
    counts = {name: int(getattr(row, name)) for name in _OUTCOMES}
    return {"events_received": sum(counts.values())} | {name: counts[name] for name in _OUTCOMES[1:]}


_OUTCOMES = ("accepted", "duplicates", "conflicts", "rejected")


def _told(mismatches: list[str]) -> str:
    more = f"; and {len(mismatches) - MOST_MISMATCHES} more" if len(mismatches) > MOST_MISMATCHES else ""
    return "; ".join(mismatches[:MOST_MISMATCHES]) + more


ONE_DAY = timedelta(days=1)


async def days_to_close(usage: Database, pid: int, zone: ZoneInfo, *, since: date, today: date) -> list[date]:
    """Days that are over and not closed as they are, the oldest first.

    From `since` on every day, whether or not anything happened; before, those with events: history that came in.
    """
    end = day_in(zone, today).from_at
    async with usage.read() as read:
        closed = sa.select(usage_days.c.day).where(
            usage_days.c.pid == pid, usage_days.c.state.in_(("final", "amended")), usage_days.c.zone == zone.key
        )
        done = set((await read.execute(closed)).scalars())
        folded = sa.select(windows.c.start_at).where(
            windows.c.pid == pid,
            windows.c.tier == "hour",
            windows.c.start_at < end,
            windows.c.n_events > 0,
            windows.c.sealed_at.is_(None),  # what is sealed was closed
        )
        hours = list((await read.execute(folded)).scalars())
        marked = sa.select(dirty_hours.c.hour).where(dirty_hours.c.pid == pid, dirty_hours.c.hour < end)
        marks = list((await read.execute(marked)).scalars())
        hours += marks
        sealed = sa.select(windows.c.start_at, windows.c.end_at).where(
            windows.c.pid == pid, windows.c.tier == TIER_DAY, windows.c.sealed_at.is_not(None)
        )
        # Whatever is marked was not proved with all of its events.
        done -= {day for hour in marks for day in _days_of(zone, hour, hour + HOUR)}
        # Also when the project has moved to another zone since: their events are gone, so nothing could be proved.
        for row in await read.execute(sealed):
            done |= _days_of(zone, row.start_at, row.end_at)
        # One that was closed, and of which nothing is left since, has no hours with events any more.
        reopened = sa.select(usage_days.c.day).where(usage_days.c.pid == pid, usage_days.c.state == "provisional")
        found = set((await read.execute(reopened)).scalars())
    found |= {
        edge.astimezone(zone).date() for hour in hours for edge in (hour, hour + HOUR - timedelta(microseconds=1))
    }
    day = since
    while day < today:
        found.add(day)
        day += ONE_DAY
    return sorted(day for day in found - done if day < today and has_length(zone, day))


def _days_of(zone: ZoneInfo, from_at: datetime, to_at: datetime) -> set[date]:
    """That have a part in [from_at, to_at)."""
    first, last = day_of(zone, from_at), day_of(zone, to_at - timedelta(microseconds=1))
    return {first + n * ONE_DAY for n in range((last - first).days + 1)}


def has_length(zone: ZoneInfo, day: date) -> bool:
    """A day that its zone skipped, as Samoa did when it crossed the date line, has none."""
    span = day_in(zone, day)
    return span.from_at < span.to_at


async def projects_with_usage(usage: Database) -> list[int]:
    """Also those of which everything was rejected. By a walk down the keys: many windows, and few projects."""
    found: list[int] = []
    async with usage.read() as read:
        for table in (windows, dirty_hours, intake):
            last = -1
            while pid := (await read.execute(sa.select(sa.func.min(table.c.pid)).where(table.c.pid > last))).scalar():
                found.append(pid)
                last = pid
    return sorted(set(found))
