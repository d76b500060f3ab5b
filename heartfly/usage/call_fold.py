"""What the calls of a window come to: by product and endpoint and status, and by each of whom they are told apart.

The five finest cubes, and each minute, are added up from events, a number a call (call_columns.py); what is coarser is
added up from these at the end. The same calls make the same rows, to the byte, in whatever order they are read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import chain, compress, repeat
from operator import itemgetter, lshift, or_
from typing import Any

from heartfly.core.calls import COARSER, KEYS, OTHER, Cube, Named
from heartfly.core.columns import Page
from heartfly.core.lanes import sums_in, with_lanes
from heartfly.core.packed import packed
from heartfly.db.types import instant, micros
from heartfly.usage.call_books import Sheets
from heartfly.usage.call_columns import BUCKET_BITS, BUCKET_MASK, NO_TIME, CallReader, Told, bucket_in
from heartfly.usage.call_values import name_of, provider_of
from heartfly.usage.calls import Calls, Cell, Row, in_order
from heartfly.usage.requests import MOST, Limits

_MOST_KNOWN = 50_000
_MOST_UNNAMED = 5_000
"""Names of a kind, of one window, that have no number; of more, those that come first by the alphabet."""
_BITS = repeat(BUCKET_BITS)
_PER_MINUTE = 60_000_000
_MINUTE = timedelta(minutes=1)
Known = Mapping[Named, Mapping[str, int]]
"""The numbers of names, by kind."""
NAMED = (Named.PRODUCT, Named.ENDPOINT, Named.USER, Named.KEY, Named.TAG)


def product_text(provider: str, model: str) -> str:
    """What a product is called."""
    return json.dumps([provider, model], ensure_ascii=False, separators=(",", ":"))


def product_of(text: str) -> tuple[str, str]:
    """Its provider and model."""
    provider, model = json.loads(text)
    return provider, model


class _Numbers(dict[Hashable, int]):
    """The number of a name, by what events tell.

    `bar`: names without a number that stand behind it are none of ours. It only sinks, so in whatever order they come,
    the first by the alphabet are left at the end.
    """

    def __init__(self, kind: Named, known: Mapping[str, int]) -> None:
        super().__init__()
        self.unnamed: list[str] = []
        self._kind = kind
        self._numbers = dict(known)
        self._bar: str | None = None

    def __missing__(self, told: Any) -> int:
        text = product_text(provider_of(told[0]), name_of(told[1])) if self._kind is Named.PRODUCT else name_of(told)
        number = self._numbers.get(text)
        if number is None:
            if self._bar is not None and text > self._bar:
                number = OTHER
            else:
                self.unnamed.append(text)
                number = self._numbers[text] = -len(self.unnamed)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[told] = number
        return number

    def shrink(self) -> Mapping[int, int]:
        """Forget those that are too many: by their numbers until now, those that they have from now on."""
        self.clear()
        numbers, self.unnamed = {text: self._numbers.pop(text) for text in self.unnamed}, []
        now: dict[int, int] = {}
        for text in sorted(numbers):
            if len(self.unnamed) < _MOST_UNNAMED:
                self.unnamed.append(text)
                self._bar = text
                now[numbers[text]] = self._numbers[text] = -len(self.unnamed)
            else:
                now[numbers[text]] = OTHER
        return now


class Cells(dict[Any, int]):
    """By any key: what its calls add up to. Each has a place in the lists; `times`: place and bucket as one number.

    `seen`: of calls whose cost is not known, when the first and the last one was, in microseconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sums: list[int] = []
        self.longest: list[int] = []
        self.times: Counter[int] = Counter()
        self.seen: dict[int, tuple[int, int]] = {}

    def __missing__(self, key: Any) -> int:
        place = self[key] = len(self.sums)
        self.sums.append(0)
        self.longest.append(0)
        return place

    def add(self, keys: Iterable[Any], worth: Iterable[int], us: Sequence[int], buckets: Sequence[int]) -> list[int]:
        """A line a call; the places of their cells."""
        places = [self[key] for key in keys]
        sums, longest = self.sums, self.longest
        for place, value, took in zip(places, worth, us, strict=True):
            sums[place] += value
            if took > longest[place]:  # noqa: PLR1730 - a call for each event costs more
                longest[place] = took
        if NO_TIME in us:
            timed = [took != NO_TIME for took in us]
            self.times.update(map(or_, map(lshift, compress(places, timed), _BITS), compress(buckets, timed)))
        else:
            self.times.update(map(or_, map(lshift, places, _BITS), buckets))
        return places

    def note(self, places: Sequence[int], unpriced: Sequence[int], ats: Sequence[int]) -> None:
        """Of a page: where its calls are, and which of them have no cost."""
        for line in unpriced:
            place, at = places[line], ats[line]
            first, last = self.seen.get(place, (at, at))
            self.seen[place] = min(first, at), max(last, at)

    def rows(self, measures: Sequence[str]) -> Iterator[tuple[Any, Row]]:
        """`measures`: by lane."""
        lies: dict[int, dict[int, int]] = {}
        for told, n in self.times.items():
            place = told >> BUCKET_BITS
            if place in lies:
                lies[place][told & BUCKET_MASK] = n
            else:
                lies[place] = {told & BUCKET_MASK: n}
        in_order = _Orders(measures)
        for key, place in self.items():
            sums = sums_in(self.sums[place])
            told_of, order = in_order[sums.lanes]
            amounts = sums.amounts
            first, last = self.seen.get(place, (None, None))
            yield (
                key,
                Row(
                    sums.n,
                    sums.n_errors,
                    sums.n_timed,
                    sums.n_unpriced,
                    sums.n_odd,
                    min(MOST, sums.latency_us),
                    self.longest[place],
                    _packed(lies[place]) if place in lies else None,
                    told_of,
                    tuple([amounts[one] for one in order]),
                    None if first is None else instant(first),
                    None if last is None else instant(last),
                ),
            )

    def coarser(self, key_of: Callable[[Any], Any]) -> Cells:
        """The same calls, by keys that some of these keys have in common."""
        found = Cells()
        places = {}
        for key, place in self.items():
            mine = places[place] = found[key_of(key)]
            found.sums[mine] += self.sums[place]
            found.longest[mine] = max(found.longest[mine], self.longest[place])
            if place in self.seen:
                first, last = self.seen[place]
                before = found.seen.get(mine, (first, last))
                found.seen[mine] = min(before[0], first), max(before[1], last)
        times = found.times
        for told, n in self.times.items():
            times[places[told >> BUCKET_BITS] << BUCKET_BITS | told & BUCKET_MASK] += n
        return found


class _Orders(dict[tuple[int, ...], tuple[tuple[str, ...], Sequence[int]]]):
    """Of lanes: the measures that they hold by the alphabet, and in which place of the lanes each is."""

    def __init__(self, measures: Sequence[str]) -> None:
        super().__init__()
        self._measures = measures

    def __missing__(self, lanes: tuple[int, ...]) -> tuple[tuple[str, ...], Sequence[int]]:
        by_name = sorted((self._measures[lane], place) for place, lane in enumerate(lanes))
        found = tuple(map(_first, by_name)), list(map(_second, by_name))
        self[lanes] = found
        return found


_first, _second = itemgetter(0), itemgetter(1)


def _packed(lies: dict[int, int]) -> bytes:
    if len(lies) == 1:  # most cells: a call, or a few that took as long
        return _single(*lies.popitem())
    zero = lies.pop(0, 0)
    return packed(zero, {bucket_in(bucket): n for bucket, n in lies.items()})


_OF_WHOM = (Cube.CUSTOMER_PRODUCT, Cube.USER_PRODUCT, Cube.KEY_PRODUCT)


@lru_cache(maxsize=8_192)
def _single(bucket: int, n: int) -> bytes:
    return packed(0, {bucket_in(bucket): n}) if bucket else packed(n, {})


class CallTally:
    """Calls of [from_at, …), page after page. `known`: the numbers of names."""

    def __init__(self, limits: Limits, sheets: Sheets, known: Known, from_at: datetime) -> None:
        self._limits = limits
        self._sheets = sheets
        self._reader = CallReader(sheets)
        self._numbers = {kind: _Numbers(kind, known.get(kind, {})) for kind in NAMED}
        self._from_us = micros(from_at)
        self._cells = {cube: Cells() for cube in (Cube.ENDPOINT, *_OF_WHOM, Cube.TAG_PRODUCT)}
        self._minutes = Cells()

    def take(self, page: Page, rows: Sequence[Any]) -> None:
        """`rows`: of `events`, at, number, type, subject and id, as the driver or the column has them."""
        is_number = isinstance(rows[0][0], int)
        ats = list(map(_first, rows)) if is_number else [micros(row[0]) for row in rows]
        told = self._reader.told(page, ats)
        numbers = self._numbers
        of_product = numbers[Named.PRODUCT]
        products = [of_product[one] for one in zip(told.providers, told.models, strict=True)]
        endpoints = [numbers[Named.ENDPOINT][text] for text in told.endpoints]
        subjects = [row[3] for row in rows]
        users = [numbers[Named.USER][text] for text in told.users]
        keys = [numbers[Named.KEY][text] for text in told.keys]
        each = (told.worth, told.us, told.buckets)
        places = self._cells[Cube.ENDPOINT].add(zip(products, endpoints, told.statuses, strict=True), *each)
        self._cells[Cube.ENDPOINT].note(places, told.unpriced, ats)
        for cube, whom in zip(_OF_WHOM, (subjects, users, keys), strict=True):
            self._cells[cube].add(zip(whom, products, strict=True), *each)
        self._add_tags(told, products)
        minutes = [(at - self._from_us) // _PER_MINUTE for at in ats]
        places = self._minutes.add(zip(minutes, told.statuses, strict=True), *each)
        self._minutes.note(places, told.unpriced, ats)
        self._keep_bounds()

    def _add_tags(self, told: Told, products: Sequence[int]) -> None:
        number = self._numbers[Named.TAG]
        cells = self._cells[Cube.TAG_PRODUCT]
        if max(map(len, told.tags)) == 1:
            tags: Iterable[int] = [number[some[0]] for some in told.tags]
            cells.add(zip(tags, products, strict=True), told.worth, told.us, told.buckets)
            return
        often = list(map(len, told.tags))
        several = (
            list(chain.from_iterable(map(repeat, column, often)))
            for column in (products, told.worth, told.us, told.buckets)
        )
        own, *each = several
        tags = [number[tag] for tag in chain.from_iterable(told.tags)]
        cells.add(zip(tags, own, strict=True), *each)

    def _keep_bounds(self) -> None:
        if self._reader.layout.is_wide:
            self._narrow()
        for kind in NAMED:
            if len(self._numbers[kind].unnamed) > 2 * _MOST_UNNAMED:
                self._shrink(kind)

    def _narrow(self) -> None:
        lanes = self._reader.narrow()
        for cells in (*self._cells.values(), self._minutes):
            cells.sums = [with_lanes(value, lanes) for value in cells.sums]

    def _shrink(self, kind: Named) -> None:
        now = self._numbers[kind].shrink()
        for cube, cells in self._cells.items():
            columns = [place for place, one in enumerate(KEYS[cube]) if one is kind]
            for column in columns:
                self._cells[cube] = cells.coarser(partial(_renumbered, column=column, now=now))

    def found(self) -> Calls:
        """Once, at the end."""
        if self._reader.layout.is_over:
            self._narrow()
        for kind in NAMED:
            if len(self._numbers[kind].unnamed) > _MOST_UNNAMED:
                self._shrink(kind)
        by_cube = self._cells
        for cube, finer in COARSER.items():
            by_cube[cube] = by_cube[finer].coarser(_COARSE[cube])
        measures = list(self._reader.layout)
        cells: dict[Cell, Row] = {}
        for cube, of_cube in by_cube.items():
            cells |= {(int(cube), *_cell(cube, key)): row for key, row in of_cube.rows(measures)}
        first = instant(self._from_us)
        minutes = {(first + n * _MINUTE, status): row for (n, status), row in self._minutes.rows(measures)}
        unnamed = {kind: self._numbers[kind].unnamed for kind in NAMED}
        return Calls(self._limits, self._sheets.version, unnamed, in_order(cells), dict(sorted(minutes.items())))


def _renumbered(key: tuple[int, ...], *, column: int, now: Mapping[int, int]) -> tuple[int, ...]:
    changed = list(key)
    changed[column] = now.get(changed[column], changed[column])
    return tuple(changed)


_COARSE: Mapping[Cube, Callable[[tuple[int, ...]], tuple[int, ...]]] = {
    Cube.PRODUCT: itemgetter(0, 2),
    Cube.TOTAL: itemgetter(slice(1, 2)),
} | dict.fromkeys((Cube.CUSTOMER, Cube.USER, Cube.KEY, Cube.TAG), itemgetter(slice(0, 1)))
"""Which part of a finer cube's key is that of a coarser one."""


def _cell(cube: Cube, key: tuple[int, ...]) -> tuple[int, int, int]:
    """Both keys and the status."""
    match cube:
        case Cube.ENDPOINT:
            return key[0], key[1], key[2]
        case Cube.PRODUCT:
            return key[0], 0, key[1]
        case Cube.TOTAL:
            return 0, 0, key[0]
        case Cube.CUSTOMER | Cube.USER | Cube.KEY | Cube.TAG:
            return key[0], 0, 0
        case _:
            return key[0], key[1], 0
