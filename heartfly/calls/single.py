"""Calls one by one, out of the events, the newest first: for what is not folded yet, and what no rollup tells apart.

They are read by what folds them (usage/call_columns.py), so that no answer depends on whether an hour was folded. In
slices, between which the event loop has its turn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.calls.wanted import Wanted
from heartfly.core.calls import TYPE, Dimension
from heartfly.core.columns import Amounts, Page
from heartfly.db.types import micros
from heartfly.traffic.single import SLICE, Place, walk
from heartfly.usage.call_books import Books
from heartfly.usage.call_columns import CallReader, Told
from heartfly.usage.call_values import name_of, provider_of
from heartfly.usage.raw import type_ids


@dataclass(frozen=True, slots=True)
class Slice:
    """Of `n` events of any kind those calls that are wanted: `lines` of `told`, and the rows of these (`at`, `id`,
    `subject_id`, `transaction_id`, `properties`). `last`: the earliest that was looked at; None: there were none left.
    """

    rows: Sequence[Any]
    told: Told | None
    lines: Sequence[int]
    n: int
    last: Place | None


class Singles:
    """Reads calls of a project at the prices of now. `reader` has the lanes of what they add."""

    def __init__(self, read: AsyncConnection, pid: int, wanted: Wanted) -> None:
        self._read = read
        self._pid = pid
        self._wanted = wanted
        self._known = Amounts()
        self._reader: CallReader | None = None

    @property
    def measures(self) -> list[str]:
        """By lane."""
        return [] if self._reader is None else list(self._reader.layout)

    async def between(self, from_at: datetime, to_at: datetime, *, before: Place | None = None) -> AsyncIterator[Slice]:
        """Of [from_at, to_at), those behind `before`. The last slice has no `last`."""
        types = await type_ids(self._read, self._pid, {TYPE})
        if not types or self._wanted.is_nobody:
            yield Slice((), None, (), 0, None)
            return
        (type_id,) = types
        while True:
            found = (await self._read.execute(walk(self._pid, self._wanted.subjects, from_at, to_at, before))).all()
            subjects = self._wanted.subjects
            rows = [row for row in found if row.type_id == type_id and (subjects is None or row.subject_id in subjects)]
            told = await self._read.run_sync(self._told, rows) if rows else None
            lines = [] if told is None else [line for line in range(len(rows)) if self._is_wanted(told, line)]
            before = (found[-1].at, found[-1].id) if len(found) == SLICE else None
            yield Slice(rows, told, lines, len(found), before)
            if before is None:
                return

    def _told(self, connection: sa.Connection, rows: Sequence[Any]) -> Told:
        if self._reader is None:
            self._reader = CallReader(Books(connection, self._pid))
        return self._reader.told(Page([row.properties for row in rows], self._known), [micros(row.at) for row in rows])

    def _is_wanted(self, told: Told, line: int) -> bool:
        if not self._wanted.takes_status(told.statuses[line]):
            return False
        for dimension, values in self._wanted.texts.items():
            if dimension is Dimension.TAG:
                if values.isdisjoint(told.tags[line]):
                    return False
            elif (
                dimension not in {Dimension.STATUS, Dimension.CUSTOMER}
                and value_of(told, line, dimension) not in values
            ):
                return False
        return True


def value_of(told: Told, line: int, dimension: Dimension) -> str:
    """Of those that a call has one of, and which are texts."""
    match dimension:
        case Dimension.PROVIDER:
            return provider_of(told.providers[line])
        case Dimension.MODEL:
            return name_of(told.models[line])
        case Dimension.ENDPOINT:
            return name_of(told.endpoints[line])
        case Dimension.USER:
            return name_of(told.users[line])
        case Dimension.KEY:
            return name_of(told.keys[line])
        case _:
            raise ValueError(f"a call has no one text of {dimension}")
