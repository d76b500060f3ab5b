"""Many events at once, column by column: the same that core/meters.py and core/aggregate.py say of one after the other.

What an event costs is calls and values made for it alone. Here each property is looked at once for all meters, and a
meter adds up a whole column by what Python has in C. To be told in pages: all columns of a page are in memory.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from itertools import compress
from operator import and_
from typing import Any, NamedTuple, TypeVar

from heartfly.core.aggregate import Partial, Place, hash_of
from heartfly.core.amounts import MOST_DIGITS, ONE, Amount, amount
from heartfly.core.expressions import Expression
from heartfly.core.meters import Aggregation, Meter, Uncounted, cut, text_at

Key = TypeVar("Key", bound=Hashable)
Group = tuple[str | None, ...]
Value = Amount | str | Uncounted

_scan = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode
"""Of what `core.events.written` wrote: no white space around it. Numbers as texts, as meters look at them."""

_TEXT, _TEXT_OR_NOT = {str}, {str, type(None)}
_MOST_KNOWN, _LONG = 50_000, 64


class Amounts(dict[str | None, Amount | Uncounted]):
    """What texts come to: the same come again and again. Forgets all when there are many: some megabytes."""

    def __missing__(self, text: str | None) -> Amount | Uncounted:
        found = Uncounted.MISSING if text is None else amount(text)
        known = Uncounted.NO_AMOUNT if found is None else found
        if text is not None and len(text) > _LONG:
            return known
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[text] = known
        return known


class Told(NamedTuple):
    """What a meter counts of a page. `counts`: which events; None: all of them. Other columns hold those only.

    `groups` None: the meter has no group keys. `values`: amounts, or texts that are told apart; None: it counts.
    """

    counts: Sequence[bool] | None
    groups: Sequence[Group] | None
    values: Sequence[Any] | None
    n_missing: int
    n_no_amount: int

    def only(self, column: Sequence[Key]) -> Sequence[Key]:
        return column if self.counts is None else list(compress(column, self.counts))


class Page:
    """Events of one type. `properties`: as `core.events.written` wrote them. `told`: columns that are known already."""

    def __init__(
        self, properties: Sequence[str], known: Amounts, told: Mapping[str, Sequence[str | None]] | None = None
    ) -> None:
        self._properties = properties
        self._known = known
        self._columns: dict[str, Sequence[str | None]] = dict(told or {})

    @cached_property
    def rows(self) -> Sequence[dict[str, Any]]:
        """What each holds; numbers as texts."""
        found: Sequence[dict[str, Any]] = _scan(f"[{','.join(self._properties)}]")[0]
        return found

    def texts(self, path: str) -> Sequence[str | None]:
        """As `text_at`."""
        found = self._columns.get(path)
        if found is None:
            column = [row.get(path) for row in self.rows]
            kinds = set(map(type, column))
            if not (kinds <= _TEXT or ("." not in path and kinds <= _TEXT_OR_NOT)):
                column = [text_at(row, path) for row in self.rows]
            found = self._columns[path] = column
        return found

    def told(self, meter: Meter, among: Sequence[bool] | None = None) -> Told:
        """Of events `among` which it is in force (None: all). As `counted`, for a type that it looks at."""
        counts = among
        for one in meter.filters:
            holds = [one.passes(text) for text in self.texts(one.name)]
            counts = holds if counts is None else list(map(and_, counts, holds))
        values, n_missing, n_no_amount = self._values(meter), 0, 0
        if values is not None and Uncounted in set(map(type, values)):
            # Whatever does not concern the meter lacks nothing.
            lacking = Counter(one for one in (compress(values, counts) if counts else values) if _lacks(one))
            n_missing, n_no_amount = lacking[Uncounted.MISSING], lacking[Uncounted.NO_AMOUNT]
            has = [not _lacks(one) for one in values]
            counts = has if counts is None else list(map(and_, counts, has))
        groups: Sequence[Group] | None = None
        if meter.group_keys:
            groups = list(zip(*([cut(text) for text in self.texts(key)] for key in meter.group_keys), strict=True))
        if counts is not None and not all(counts):
            groups = None if groups is None else list(compress(groups, counts))
            values = None if values is None else list(compress(values, counts))
        else:
            counts = None
        return Told(counts, groups, values, n_missing, n_no_amount)

    def _values(self, meter: Meter) -> Sequence[Value] | None:
        if meter.of:
            return [Uncounted.MISSING if text is None else text for text in self.texts(meter.of)]
        if meter.value is None:
            return None
        columns = [self._amounts(name) for name in meter.value.names]
        return columns[0] if meter.value.is_name else _worked_out(meter.value, columns)

    def _amounts(self, path: str) -> Sequence[Amount | Uncounted]:
        texts = self.texts(path)
        if all(texts):
            # Whole numbers, of which each is another one, need no look at each: it is the most that amounts cost.
            joined = "".join(texts)  # type: ignore[arg-type]
            if joined.isdecimal() and joined.isascii() and max(map(len, texts)) <= MOST_DIGITS:  # type: ignore[arg-type]
                return [int(text) * ONE for text in texts]  # type: ignore[arg-type]
        known = self._known
        return [known[text] for text in texts]


def _lacks(value: Value) -> bool:
    return value.__class__ is Uncounted


def _worked_out(expression: Expression, columns: Sequence[Sequence[Amount | Uncounted]]) -> list[Value]:
    found: list[Value] = []
    for amounts in zip(*columns, strict=True):
        lacking = [one for one in amounts if isinstance(one, Uncounted)]
        if lacking:
            found.append(lacking[0])
            continue
        result = expression.of(dict(zip(expression.names, amounts, strict=True)))
        found.append(Uncounted.NO_AMOUNT if result is None else result)
    return found


def add(
    partials: dict[Key, Partial],
    meter: Meter,
    keys: Sequence[Key],
    values: Sequence[Any] | None,
    places: Sequence[Place],
) -> None:
    """To the partial of each key, made if there is none, what the event in that line adds.

    `values`: of `Told`. `places`: asked of meters of what is the latest only.
    """
    if values is None or meter.of:
        for key, n in Counter(keys).items():
            _of(partials, key).n += n
        if values is not None:
            for key, text in set(zip(keys, values, strict=True)):
                partials[key].uniques.add(hash_of(text))
        return
    by_key: defaultdict[Key, list[Amount]] = defaultdict(list)
    for key, value in zip(keys, values, strict=True):
        by_key[key].append(value)
    for key, amounts in by_key.items():
        _of(partials, key).add_all(meter, amounts)
    if meter.aggregation is Aggregation.LATEST:
        for key, value, place in zip(keys, values, places, strict=True):
            partials[key].later(value, place)


def _of(partials: dict[Key, Partial], key: Key) -> Partial:
    found = partials.get(key)
    if found is None:
        found = partials[key] = Partial()
    return found
