"""What a meter would come to, before it is saved: by customer and day, beside what it comes to now.

Worked out of the events themselves, the newest first, for as long as there is patience: what was not looked at is told.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.aggregate import Partial
from heartfly.core.amounts import Amount
from heartfly.core.meters import Counted, Uncounted, counted
from heartfly.core.tiles import cut
from heartfly.core.versions import Span, Version, in_force, spans
from heartfly.core.windows import Size, Window, windows
from heartfly.errors import InvalidValueError
from heartfly.usage.meters import demand_times
from heartfly.usage.question import EARLIEST, LATEST
from heartfly.usage.raw import Raw, events_between, type_ids
from heartfly.usage.whose import Subject, subjects_of

LONGEST = timedelta(days=100)
PATIENCE_S = 5.0
MOST_EVENTS = 200_000
MOST_ITEMS = 2_000


@dataclass(frozen=True, slots=True)
class Foretold:
    """A customer's day, or one of a subject by which nobody is known. `before`: what it comes to now.

    A value of None: there is none, or no such meter.
    """

    window: Window
    subject: Subject
    value: Amount | None
    n: int
    before: Amount | None
    n_before: int


@dataclass(frozen=True, slots=True)
class Preview:
    """[looked_from, to_at) was looked at: all that was asked for, unless time or `MOST_EVENTS` ran out.

    `matched`: events that count. `more`: customers' days left out of `items`, of which those that change come first.
    """

    looked_from: datetime
    to_at: datetime
    whole: bool
    looked_at: int
    matched: int
    missing: int
    no_amount: int
    items: Sequence[Foretold]
    more: int


async def preview(
    read: AsyncConnection,
    pid: int,
    proposed: Version,
    existing: Sequence[Version],
    *,
    from_at: datetime,
    to_at: datetime,
    zone: ZoneInfo,
    monotonic: Callable[[], float],
) -> Preview:
    """`proposed`: made later than `existing`, which are the versions of the meter that it would change."""
    demand_times(proposed.from_at, proposed.to_at)
    if not EARLIEST <= from_at <= LATEST:
        raise InvalidValueError("from", "must be within 1970 to 2200")
    if not from_at < to_at <= from_at + LONGEST:
        raise InvalidValueError("to", f"must be after `from`, by {LONGEST.days} days at most")
    after = [*existing, proposed]
    known_before, known_after = spans(existing, from_at, to_at), spans(after, from_at, to_at)
    table = _Table(existing, after, _parts(known_before, known_after, zone, from_at, to_at))
    types = await type_ids(read, pid, {name for version in after for name in version.meter.types})
    give_up_at, looked_at, looked_from = monotonic() + PATIENCE_S, 0, from_at
    whole = True
    async for found in events_between(read, pid, from_at, to_at, types=types, newest_first=True):
        looked_at += found.n
        for event in found.events:
            table.take(event)
        if monotonic() >= give_up_at or looked_at >= MOST_EVENTS:
            looked_from, whole = found.at, False
            break
    subjects = await subjects_of(read, pid, table.subject_ids)
    items = table.items(subjects, known_before, known_after)
    return Preview(
        looked_from, to_at, whole, looked_at, table.matched, table.missing, table.no_amount,
        items[:MOST_ITEMS], max(0, len(items) - MOST_ITEMS),
    )  # fmt: skip


def _parts(
    before: Sequence[Span], after: Sequence[Span], zone: ZoneInfo, from_at: datetime, to_at: datetime
) -> list[Window]:
    """Days, cut where either begins to add up differently."""
    found = []
    for day in windows(Size.DAY, zone, from_at, to_at):
        clipped = Window(max(day.from_at, from_at), min(day.to_at, to_at))
        found += [part for piece in cut(clipped, before) for part in cut(piece, after)]
    return found


_Place = tuple[int, int]
"""Which part, whose."""


class _Table:
    def __init__(self, before: Sequence[Version], after: Sequence[Version], parts: Sequence[Window]) -> None:
        self._before = before
        self._after = after
        self._parts = parts
        self._begins = [part.from_at for part in parts]
        self._sums: tuple[dict[_Place, Partial], dict[_Place, Partial]] = ({}, {})
        self.matched = self.missing = self.no_amount = 0

    @property
    def subject_ids(self) -> set[int]:
        return {subject_id for sums in self._sums for _, subject_id in sums}

    def take(self, event: Raw) -> None:
        place = (bisect.bisect_right(self._begins, event.at) - 1, event.subject_id)
        self._count(0, self._before, event, place)
        told = self._count(1, self._after, event, place)
        self.matched += isinstance(told, Counted)
        self.missing += told is Uncounted.MISSING
        self.no_amount += told is Uncounted.NO_AMOUNT

    def _count(self, which: int, versions: Sequence[Version], event: Raw, place: _Place) -> Counted | Uncounted | None:
        version = in_force(versions, event.at)
        told = None if version is None else counted(version.meter, event.type, event.properties)
        if version is not None and isinstance(told, Counted):
            self._sums[which].setdefault(place, Partial()).add(version.meter, told, (event.at, event.id))
        return told

    def items(self, subjects: Mapping[int, Subject], before: Sequence[Span], after: Sequence[Span]) -> list[Foretold]:
        """Those that change first; then by day and name."""
        wholes = [self._by_customer(sums, subjects) for sums in self._sums]
        found = []
        for number, who in sorted(wholes[0].keys() | wholes[1].keys()):
            part = self._parts[number]
            past, future = (one.get((number, who), Partial()) for one in wholes)
            found.append(
                Foretold(
                    part,
                    subjects[who[2]],
                    _result(future, after, part),
                    future.n,
                    _result(past, before, part),
                    past.n,
                )
            )
        return sorted(found, key=lambda one: one.value == one.before)

    @staticmethod
    def _by_customer(
        sums: Mapping[_Place, Partial], subjects: Mapping[int, Subject]
    ) -> dict[tuple[int, tuple[int, str, int]], Partial]:
        """One of a customer's subjects stands for him."""
        stand_in: dict[str, int] = {}
        for id_ in sorted(subjects):
            customer = subjects[id_].customer
            if customer is not None:
                stand_in.setdefault(customer.uuid, id_)
        found: dict[tuple[int, tuple[int, str, int]], Partial] = {}
        for (number, subject_id), partial in sums.items():
            subject = subjects[subject_id]
            customer = subject.customer
            who = (1, subject.text, subject_id) if customer is None else (0, customer.name, stand_in[customer.uuid])
            found.setdefault((number, who), Partial()).merge(partial)
        return found


def _result(partial: Partial, known: Iterable[Span], part: Window) -> Amount | None:
    meter = next((one.version.meter for one in known if one.from_at < part.to_at and part.from_at < one.to_at), None)
    return None if meter is None else partial.result(meter)
