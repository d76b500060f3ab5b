"""The connections of one page: its questions take them by turns, so what one has found out is known to the next.

A question that fails takes its connection along; one that goes on while nobody waits for it keeps its own. Whatever is
asked through one connection is of one state of the data, so none is used for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Self

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.database import Access
from heartfly.errors import HeartflyError
from heartfly.logs import logger

log = logger("heartfly.web")

LASTS_S = 1.0
"""After that no other question takes it: a read that was held for long is broken off (db/sqlite.py), and whoever takes
it then has the rest of that time.
"""


@dataclass(slots=True)
class _Lane:
    holds: AbstractAsyncContextManager[AsyncConnection]
    read: AsyncConnection
    since_s: float


class Lanes:
    """To be entered by the page. `begun`: is told of each connection before anything is asked through it. `n`: how
    many questions will ask; when the last of them has begun, connections are given back.
    """

    def __init__(self, usage: Access, *, n: int, begun: Callable[[AsyncConnection], None]) -> None:
        self._usage = usage
        self._begun = begun
        self._left = n
        self._free: list[_Lane] = []
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        lanes, self._free = self._free, []
        if lanes:  # all of them, also if whoever looked has gone
            await asyncio.shield(asyncio.gather(*map(_given_back, lanes)))

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """As of a database. A question that is handed a connection which has just died fails by it, and is a part."""
        lane = await self._taken()
        try:
            yield lane.read
        except BaseException as error:
            # What it failed by is said by whoever opened it, in its words.
            await lane.holds.__aexit__(type(error), error, error.__traceback__)
            raise
        if self._is_open and self._left > 0 and _now_s() - lane.since_s < LASTS_S:
            self._free.append(lane)
        else:
            await _given_back(lane)

    async def _taken(self) -> _Lane:
        self._left -= 1
        while self._free:
            lane = self._free.pop()
            if _now_s() - lane.since_s < LASTS_S:
                return lane
            await _given_back(lane)
        holds = self._usage.read()
        lane = _Lane(holds, await holds.__aenter__(), _now_s())
        self._begun(lane.read)
        return lane


async def _given_back(lane: _Lane) -> None:
    """What was asked through it is answered: that it cannot end well is nobody's answer."""
    try:
        await lane.holds.__aexit__(None, None, None)
    except (HeartflyError, SQLAlchemyError) as error:
        log.warning("lane", error=str(error.__cause__ or error))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
