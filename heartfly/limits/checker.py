"""May this call be made? From a door to the group commit, and what is said where the database does not answer.

A limit says itself what holds then: let calls through, which is counted and told, or refuse them. What a body means is
the doors'.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from heartfly.clock import Clock
from heartfly.core.limits.scope import Call
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.types import EPOCH
from heartfly.errors import HeartflyError, NotFoundError, OverloadedError, StoreError
from heartfly.limits import rows
from heartfly.limits.apply import LimitApplier
from heartfly.limits.batch import Ask, Checked, End, Ended, Units
from heartfly.limits.book import Book
from heartfly.limits.names import number_of
from heartfly.logs import logger

log = logger("heartfly.limits")

PATIENCE_S = 2.0
"""A caller waits with his call. After so long he is told what holds when nothing can be looked up."""
TTL = timedelta(seconds=60)
LONGEST_TTL = timedelta(days=1)


class Checker:
    def __init__(
        self,
        usage: Database,
        book: Book,
        applier: LimitApplier,
        clock: Clock,
        *,
        count: Callable[[str], None] = lambda _: None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`count` is told what became of each: allowed, denied, opened (let through unseen) or refused."""
        self._usage = usage
        self._book = book
        self._applier = applier
        self._clock = clock
        self._count = count
        self._patience_s = patience_s
        self._opened: dict[int, dict[int, int]] = {}
        """By project and limit: calls that were let through unseen, and are not written yet."""
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    async def check(
        self, pid: int, call: Call, units: Units, *, reserve: bool, ttl: timedelta = TTL, key: str = ""
    ) -> Checked:
        """After the commit that holds what it reserves. `key`: the caller's own name for this check.

        OverloadedError, StoreError: nothing was looked up, and not all limits let calls through then.
        """
        key_hash = _hashed(key).hex() if key and reserve else None
        asked = b"" if key_hash is None else _hashed([call, sorted(units.items()), ttl.total_seconds()])
        ask = Ask(
            pid=pid, at=self._clock.now(), call=call, units=units, reserve=reserve, ttl=ttl, key_hash=key_hash,
            asked=asked,
        )  # fmt: skip
        try:
            told = await self._submitted(ask)
        except (OverloadedError, StoreError) as error:
            return self._unseen(pid, call, error)
        assert isinstance(told, Checked)
        self._count("allowed" if told.denied_by is None else "denied")
        if self._opened:
            await self.tell_opened()
        return told

    async def end(self, pid: int, reservation: str, units: Units | None) -> Ended:
        """`units`: what was really used; None: the call was not made.

        NotFoundError; ConflictError: it has ended otherwise.
        """
        number = number_of(reservation)
        if number is None:
            raise NotFoundError("there is no such reservation")
        told = b"" if units is None else _hashed(sorted(units.items()))
        ended = await self._submitted(End(pid=pid, at=self._clock.now(), number=number, units=units, told=told))
        assert isinstance(ended, Ended)
        return ended

    async def tell_opened(self) -> None:
        """Write down what was let through unseen, now that somebody can be reached."""
        waiting, self._opened = self._opened, {}
        now = self._clock.now()
        try:
            await self._usage.write(lambda tx: _put_opened(tx, waiting, now - (now - EPOCH) % HOUR))
        except (OverloadedError, StoreError):
            for pid, counts in waiting.items():
                for limit_id, n in counts.items():
                    self._note_opened(pid, limit_id, n)

    async def _submitted(self, item: Ask | End) -> Checked | Ended:
        future = self._usage.enter(self._applier.apply, item, priority=Priority.PINGS)
        self._waiting.append((self._clock.monotonic() + self._patience_s, future))
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._patience_s, self._sweep)
        try:
            found: Checked | Ended = await future
        finally:
            # They end in their order. Kept until the sweep, what was answered in two seconds would be looked through by
            # the collector of cycles again and again, some 20 ms each time.
            while self._waiting and self._waiting[0][1].done():
                self._waiting.popleft()
        return found

    def _sweep(self) -> None:
        """Whose patience is at an end. One timer for all: one for each took a tenth of what a check costs."""
        now = self._clock.monotonic()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            future = self._waiting.popleft()[1]
            if not future.done():  # and so it is not stored, unless the commit is under way
                future.set_exception(OverloadedError("the database did not answer in time"))
        self._sweeper = None
        if self._waiting:
            in_s = max(0.0, self._waiting[0][0] - now)
            self._sweeper = asyncio.get_running_loop().call_later(in_s, self._sweep)

    def _unseen(self, pid: int, call: Call, error: HeartflyError) -> Checked:
        rules = self._book.remembered(pid)
        holding = () if rules is None else rules.holding(call)
        if rules is None or not all(one.limit.opens for one in holding):
            self._count("refused")
            raise error
        self._count("opened")
        log.warning("opened", pid=pid, error=str(error), n=len(holding))
        for limit_id in {one.limit.id for one in holding}:
            self._note_opened(pid, limit_id, 1)
        return Checked(rules=rules, opened=True)

    def _note_opened(self, pid: int, limit_id: int, n: int) -> None:
        of_project = self._opened.setdefault(pid, {})
        of_project[limit_id] = of_project.get(limit_id, 0) + n


def _put_opened(tx: Tx, waiting: Mapping[int, Mapping[int, int]], hour: datetime) -> None:
    for pid, counts in sorted(waiting.items()):
        rows.put_hours(tx, pid, hour, {limit_id: (0, 0, n) for limit_id, n in counts.items()})


def _hashed(value: object) -> bytes:
    content = value.encode() if isinstance(value, str) else repr(value).encode()
    return hashlib.blake2b(content, digest_size=16).digest()
