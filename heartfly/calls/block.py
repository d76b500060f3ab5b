"""Calls that were read together, by columns: which of them are wanted, and what they come to by what was asked for.

Whoever reads them decides which those are: single.py one after the other, waiting.py those that are not folded yet.
A column is worked out when it is asked for first; what a question then costs a call is a look into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TypeVar

from heartfly.calls.asked import Wanted
from heartfly.core.calls import Dimension
from heartfly.core.lanes import Layout
from heartfly.usage.call_columns import Told
from heartfly.usage.call_fold import Cells
from heartfly.usage.call_values import name_of, provider_of
from heartfly.usage.calls import Row

One = TypeVar("One")
Value = str | int
"""Of a dimension. A number: the subject's whose call it is, or the status."""
Key = tuple[Value, ...]
"""A value for each dimension that was asked for."""


class Block:
    """A line a call. `subjects`: whose they are; `ats`: when they were, in microseconds; `layout`: of what they add."""

    __slots__ = ("_columns", "_unpriced", "ats", "layout", "subjects", "told")

    def __init__(self, told: Told, subjects: Sequence[int], ats: Sequence[int], layout: Layout) -> None:
        self.told = told
        self.subjects = subjects
        self.ats = ats
        self.layout = layout
        self._unpriced = frozenset(told.unpriced)
        self._columns: dict[Dimension, Sequence[Value]] = {
            Dimension.STATUS: told.statuses,
            Dimension.CUSTOMER: subjects,
        }

    def column(self, dimension: Dimension) -> Sequence[Value]:
        """Of all of which a call has one; so not of tags."""
        found = self._columns.get(dimension)
        if found is None:
            texts, clean = self._texts(dimension), provider_of if dimension is Dimension.PROVIDER else name_of
            names = {text: clean(text) for text in set(texts)}
            found = self._columns[dimension] = [names[text] for text in texts]
        return found

    def _texts(self, dimension: Dimension) -> Sequence[str | None]:
        told = self.told
        match dimension:
            case Dimension.PROVIDER:
                return told.providers
            case Dimension.MODEL:
                return told.models
            case Dimension.ENDPOINT:
                return told.endpoints
            case Dimension.USER:
                return told.users
            case Dimension.KEY:
                return told.keys
            case _:
                raise ValueError(f"a call has no one text of {dimension}")

    def wanted(self, wanted: Wanted, lines: Sequence[int]) -> Sequence[int]:
        """Which of these lines are."""
        if wanted.subjects is not None:
            subjects, column = wanted.subjects, self.subjects
            lines = [line for line in lines if column[line] in subjects]
        if wanted.statuses:
            statuses = self.told.statuses
            lines = [line for line in lines if wanted.takes_status(statuses[line])]
        for dimension, values in wanted.texts.items():
            if dimension is Dimension.TAG:
                tags = self.told.tags
                lines = [line for line in lines if not values.isdisjoint(tags[line])]
            elif dimension not in {Dimension.STATUS, Dimension.CUSTOMER}:
                texts = self.column(dimension)
                lines = [line for line in lines if texts[line] in values]
        return lines

    def unpriced(self, lines: Sequence[int]) -> Sequence[int]:
        """At which places of `lines` those are whose cost is not known."""
        if not self._unpriced:
            return ()
        return [place for place, line in enumerate(lines) if line in self._unpriced]


class Count:
    """What calls come to by window and key."""

    def __init__(self, by: Sequence[Dimension], wanted: Wanted) -> None:
        self._by = by
        self._tags = wanted.texts.get(Dimension.TAG)
        self._cells: dict[int, tuple[Layout, Cells]] = {}

    def add(self, block: Block, n: int, lines: Sequence[int]) -> None:
        """Into the window of that number."""
        if Dimension.TAG in self._by:
            lines, tags = self._by_tags(block, lines)
        else:
            tags = ()
        if not lines:
            return
        columns = [tags if one is Dimension.TAG else _of(block.column(one), lines) for one in self._by]
        keys: Iterable[Key] = zip(repeat(n), *columns, strict=False) if columns else repeat((n,), len(lines))
        told = block.told
        _, cells = self._cells.setdefault(id(block.layout), (block.layout, Cells()))
        places = cells.add(keys, _of(told.worth, lines), _of(told.us, lines), _of(told.buckets, lines))
        if unpriced := block.unpriced(lines):
            cells.note(places, unpriced, _of(block.ats, lines))

    def _by_tags(self, block: Block, lines: Sequence[int]) -> tuple[Sequence[int], Sequence[str]]:
        """A call of several tags, as far as they are asked for, stands there once for each."""
        asked, tags = self._tags, block.told.tags
        pairs = [(line, tag) for line in lines for tag in tags[line] if asked is None or tag in asked]
        return [line for line, _ in pairs], [tag for _, tag in pairs]

    def rows(self) -> Iterator[tuple[int, Key, Row]]:
        """A window and key may come several times."""
        for layout, cells in self._cells.values():
            for (n, *key), row in cells.rows(list(layout)):
                yield n, tuple(key), row


def _of(column: Sequence[One], lines: Sequence[int]) -> Sequence[One]:
    if isinstance(lines, range):
        return column[lines.start : lines.stop]
    return [column[line] for line in lines]
