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

from heartfly.calls.asked import Wanted
from heartfly.calls.block import Block
from heartfly.calls.known import known_by
from heartfly.core.calls import Dimension
from heartfly.core.columns import Amounts, Page
from heartfly.db.types import micros
from heartfly.traffic.single import SLICE, Place, walk
from heartfly.usage.call_books import Books
from heartfly.usage.call_columns import CallReader, Told
from heartfly.usage.call_values import name_of, provider_of


@dataclass(frozen=True, slots=True)
class Slice:
    """Of `n` events of any kind those calls that are wanted: `lines` of `block`, and the rows of these (`at`, `id`,
    `subject_id`, `transaction_id`, `properties`). `last`: the earliest that was looked at; None: there were none left.
    """

    rows: Sequence[Any]
    block: Block | None
    lines: Sequence[int]
    n: int
    last: Place | None

    @property
    def told(self) -> Told | None:
        return None if self.block is None else self.block.told


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
        type_id = await known_by(self._read, self._pid).type_id(self._read)
        if type_id is None or self._wanted.is_nobody:
            yield Slice((), None, (), 0, None)
            return
        while True:
            found = (await self._read.execute(walk(self._pid, self._wanted.subjects, from_at, to_at, before))).all()
            subjects = self._wanted.subjects
            rows = [row for row in found if row.type_id == type_id and (subjects is None or row.subject_id in subjects)]
            block = await self._read.run_sync(self._block, rows) if rows else None
            lines = () if block is None else block.wanted(self._wanted, range(len(rows)))
            before = (found[-1].at, found[-1].id) if len(found) == SLICE else None
            yield Slice(rows, block, lines, len(found), before)
            if before is None:
                return

    def _block(self, connection: sa.Connection, rows: Sequence[Any]) -> Block:
        if self._reader is None:
            self._reader = CallReader(Books(connection, self._pid))
        ats = [micros(row.at) for row in rows]
        told = self._reader.told(Page([row.properties for row in rows], self._known), ats)
        return Block(told, [row.subject_id for row in rows], ats, self._reader.layout)


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
