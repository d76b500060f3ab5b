"""What requests come to, by window and by endpoint or customer: out of rollups, and at their edges out of events.

Windows have their figures in rows, and once more in sheets; which of both are read is said beside (rows.py, sheets.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import repeat
from operator import add
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core import sheets
from heartfly.core.amounts import ONE, Amount
from heartfly.core.tiles import state_of
from heartfly.core.traffic import Figures
from heartfly.core.windows import Window
from heartfly.traffic.asked import ByStatus, Trust
from heartfly.traffic.filters import Wanted
from heartfly.traffic.plan import Grain, Plan, plan_of, runs_of
from heartfly.traffic.rows import SUMMED, By, Rows, Sums, number_of
from heartfly.traffic.sheets import Sheets, sheets_for
from heartfly.traffic.single import Single, count_in, singles
from heartfly.usage.seal import has_sealed
from heartfly.usage.settled import settled_in

MOST_SINGLE = 50_000
"""Events that an answer looks at one by one, the newest first; half a second of computing."""
Key = int | str
"""The number of an endpoint or subject; 0 where it is by nothing; of a key, or an endpoint without number, its text."""
_INSTANT = timedelta(microseconds=1)
_P95 = 95
_MOST_WRONG = 102 * ONE // (100 * 1_000)
"""A microsecond in milliseconds, and more by what a histogram may be wrong by."""


@dataclass(slots=True)
class Gathered:
    """One question over some windows. `single`: what was counted event by event, by window and key. `looked_from`: of
    what is counted only so, all that came before was too much to be looked at; None: it was not.
    """

    read: AsyncConnection
    pid: int
    wanted: Wanted
    by: By
    plan: Plan
    trust: Trust
    single: dict[tuple[int, Key], ByStatus] = field(default_factory=dict)
    looked_from: datetime | None = None

    async def sums(self, names: Collection[str] = SUMMED) -> dict[Key, Sums]:
        """By key, of all windows together; of these sums, the others stay nothing: each takes its time."""
        rows, of = self._rows(), self._sheets()
        on_sheets, in_rows = sheets.Sums(_on_sheets(names)), dict[Key, Sums]()
        for grain, run in self.plan.summed:
            is_sheeted = of is not None and grain is not Grain.MINUTE
            if of is not None and is_sheeted:
                await of.sums(grain, run, on_sheets)
                if not of.lacks:
                    continue
            async for key, sums in rows.sums(grain, run, names, lacking=is_sheeted):
                in_rows[key] = in_rows[key].plus(sums) if key in in_rows else sums
        for (_, one), by_status in self.single.items():
            in_rows[one] = in_rows.get(one, Sums()).plus(_sums_of(by_status))
        found: dict[Key, Sums] = dict(_told(on_sheets, None if of is None else of.only))
        for one, sums in in_rows.items():
            bounded = sums._replace(p95_most=_most_p95(sums)) if "p95_most" in names else sums
            found[one] = found[one].plus(bounded) if one in found else bounded
        return found

    async def present(self) -> set[int]:
        """The numbers of those of which there was anything."""
        found = {int(key) for _, key in self.single}
        rows, of = self._rows(), self._sheets()
        for grain, run in self.plan.summed:
            is_sheeted = of is not None and grain is not Grain.MINUTE
            if of is not None and is_sheeted:
                on_sheets = sheets.Sums(())
                await of.sums(grain, run, on_sheets)
                found.update(on_sheets.keys() if of.only is None else set(of.only).intersection(on_sheets.keys()))
                if not of.lacks:
                    continue
            found |= await rows.present(grain, run, lacking=is_sheeted)
        return found

    async def figures(
        self, keys: Collection[Key] | None = None, *, places: Sequence[int] | None = None, apart: bool = False
    ) -> dict[tuple[int, Key], ByStatus]:
        """By window and key; of these keys, or of all. `places`: a number for each window, for which it counts.

        `apart`: also times and bytes by status, which takes longer.
        """
        only = None if keys is None else sorted(one for one in keys if isinstance(one, int))
        found: dict[tuple[int, Key], ByStatus] = {}
        rows, of = self._rows(), None if apart else self._sheets(only)

        def at(n: int, key: Key) -> ByStatus:
            place = n if places is None else places[n]
            by_status = found.get((place, key))
            if by_status is None:
                by_status = found[place, key] = ByStatus()
            return by_status

        for grain, run in self.plan.summed if only is None or only else ():
            is_sheeted = of is not None and grain is not Grain.MINUTE
            if of is not None and is_sheeted:
                async for n, lines in of.lines(grain, run):
                    for line in lines:
                        _take_line(at(n, self._key(line.key)), line)
                if not of.lacks:
                    continue
            for n, key, status, *values in await rows.told(grain, run, only, lacking=is_sheeted):
                _take(at(n, key).at(status), values)
        wanted = None if keys is None else set(keys)
        for (n, key), by_status in self.single.items():
            if wanted is None or key in wanted:
                at(n, key).merge(by_status)
        return found

    async def times(self, keys: Collection[Key]) -> dict[Key, Figures]:
        """How long those of each of these keys took, of all windows and statuses together, and nothing else of them."""
        wanted = set(keys)
        found: dict[Key, Figures] = {key: Figures() for key in wanted}
        only = sorted(one for one in wanted if isinstance(one, int))
        rows, of = self._rows(), self._sheets(only)
        for grain, run in self.plan.summed if only else ():
            is_sheeted = of is not None and grain is not Grain.MINUTE
            if of is not None and is_sheeted:
                async for one, blob in of.times(grain, run):
                    found[self._key(one)].add_packed(blob)
                if not of.lacks:
                    continue
            async for one, texts in rows.times(grain, run, only, lacking=is_sheeted):
                found[one].add_packed(texts)
        for (_, key), by_status in self.single.items():
            if key in wanted:
                found[key].merge(by_status.total())
        return found

    async def all(self, *, apart: bool = False) -> ByStatus:
        """All windows and keys together. `apart`: as of `figures`."""
        whole = Gathered(self.read, self.pid, self.wanted, By.NOTHING, self.plan, self.trust)
        found = ByStatus()
        for one in (await whole.figures(apart=apart)).values():
            found.merge(one)
        for one in self.single.values():
            found.merge(one)
        return found

    def _rows(self) -> Rows:
        return Rows(self.read, self.pid, self.wanted, self.by)

    def _sheets(self, keys: Collection[int] | None = None) -> Sheets | None:
        return sheets_for(self._rows(), keys)

    def _key(self, line: int) -> int:
        return 0 if self.by is By.NOTHING else line


async def gathered(
    read: AsyncConnection, pid: int, wanted: Wanted, parts: Sequence[Window], *, by: By, now: datetime
) -> Gathered:
    """`parts`: in order, without overlap, at least one. What is counted event by event is counted here."""
    span = Window(parts[0].from_at, parts[-1].to_at)
    known = wanted.asked.known.get(span)
    if known is None:
        settled = await settled_in(read, pid, span.from_at, span.to_at, now=now, meter_id=None)
    else:
        settled = known.settled
    plan = await plan_of(
        read,
        pid,
        parts,
        settled=settled,
        up_to=min(wanted.asked.to_at, now),
        total=by is By.NOTHING and wanted.endpoints is None and wanted.subjects is None,
        of_events=wanted.of_events or by is By.KEY,
        steady=None if known is None else known.steady,
    )
    state = state_of(span, now, settled.days, settled.unsettled)
    trust = Trust(state=state, complete_up_to=plan.complete_up_to, of_events=wanted.of_events or by is By.KEY)
    found = Gathered(read, pid, wanted, by, plan, trust)
    if wanted.is_nobody:
        plan.raw = []
    if wanted.is_nobody or wanted.endpoints == frozenset():
        plan.summed = []
    await _take_singles(found)
    return found


async def _take_singles(found: Gathered) -> None:
    left, is_partial = MOST_SINGLE, False
    earliest: datetime | None = None
    for run in reversed(list(runs_of(found.plan.raw))):  # one walk for all windows that follow one another
        if left <= 0:
            is_partial = True
            break
        begins = [piece.from_at for piece in run]
        earliest = run[0].from_at
        # Of a time that is sealed the events are gone: what it came to stays, but not by the minute.
        is_partial = is_partial or await has_sealed(found.read, found.pid, earliest, run[-1].to_at)
        async for some in singles(found.read, found.pid, found.wanted, earliest, run[-1].to_at):
            for one in some.singles:
                place = number_of(one.at, run, begins), _key_of(found, one)
                count_in(found.single.setdefault(place, ByStatus()), one.told)
            left -= some.n
            if left <= 0 and some.last is not None:
                is_partial, earliest = True, some.last[0] + _INSTANT
                break
    if is_partial:
        found.trust = replace(found.trust, partial=True)
        if found.trust.of_events:
            found.looked_from = earliest


def _key_of(found: Gathered, one: Single) -> Key:
    match found.by:
        case By.ENDPOINT:
            # One that is not folded yet has no number, and may get none.
            return found.wanted.numbers.get(one.told.endpoint, one.told.endpoint)
        case By.SUBJECT:
            return one.subject_id
        case By.KEY:
            return one.told.key
        case By.NOTHING:
            return 0


def _take(into: Figures, values: Sequence[Any]) -> None:
    n, n_timed, latency_us, largest, bytes_in, bytes_out, latencies = values
    into.n += n
    into.n_timed += n_timed
    into.latency_us += latency_us
    into.latency_max_us = max(into.latency_max_us, largest)
    into.bytes_in += bytes_in
    into.bytes_out += bytes_out
    if latencies is not None:
        into.add_packed(latencies)


def _sums_of(by_status: ByStatus) -> Sums:
    found = Sums()
    for status, one in by_status.of.items():
        n_400, n_500 = (one.n if status // 100 == of else 0 for of in (4, 5))
        n_bytes = one.bytes_in + one.bytes_out
        found = found.plus(Sums(one.n, n_400, n_500, one.n_timed, one.latency_us, one.latency_max_us, n_bytes))
    return found


def _take_line(into: ByStatus, line: sheets.Line) -> None:
    for status, n in line.ended:
        into.at(status).n += n
    rest = into.at_all()
    rest.n_timed += line.n_timed
    rest.latency_us += line.latency_us
    rest.latency_max_us = max(rest.latency_max_us, line.latency_max_us)
    rest.bytes_in += line.bytes_in
    rest.bytes_out += line.bytes_out
    rest.add_packed(line.times)


def _on_sheets(names: Collection[str]) -> Collection[str]:
    """The columns of a sheet that these sums are made of."""
    others = {"n_bytes": {"bytes_in", "bytes_out"}, "p95_most": {"p95_place"}}
    return set().union(*(others.get(name, {name}) for name in names))


def _told(found: sheets.Sums, only: Collection[int] | None) -> Iterator[tuple[int, Sums]]:
    wanted, of = None if only is None else set(only), found.columns()
    columns: dict[str, Iterable[int]] = dict.fromkeys(Sums._fields, repeat(0)) | dict(of)
    if "bytes_in" in of:
        columns["n_bytes"] = map(add, of["bytes_in"], of["bytes_out"])
    if "p95_place" in of:
        columns["p95_most"] = map(sheets.most_p95, of["p95_place"])
    lines = zip(*(columns[name] for name in Sums._fields), strict=False)  # what is nothing has no end
    for key, sums in zip(found.keys(), map(Sums._make, lines), strict=False):
        if wanted is None or key in wanted:
            yield key, sums


def _most_p95(sums: Sums) -> Amount:
    """A twentieth of all times are no less than p95: it is at most their sum by so many, and at most the greatest."""
    rank = max(1, -(-_P95 * sums.n_timed // 100))
    return min(sums.latency_max_us, sums.latency_us // max(1, sums.n_timed - rank + 1) + 1) * _MOST_WRONG
