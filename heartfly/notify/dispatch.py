"""Carries what is in the outbox to people: claim, send outside of any transaction, record.

Nothing is marked as done before it was sent. Each channel has a lane of its own (lanes.py), so a slow one
delays no other. What is taken is decided in claim.py, when to try again in core/retry.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from heartfly.clock import Clock
from heartfly.config import Alerts
from heartfly.db.changes import Tx
from heartfly.db.database import Access
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.logs import line, logger
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.base import Channel, ChannelContext
from heartfly.notify.claim import Claims, claim, take_over
from heartfly.notify.contents import large
from heartfly.notify.lanes import MAX_IN_FLIGHT, Lane
from heartfly.notify.record import Outcome, trouble_of
from heartfly.notify.recorder import Recorder
from heartfly.notify.sending import SEND_LIMIT_S, Sender
from heartfly.notify.set_back import NOTICED, bring_forward
from heartfly.notify.waiting import Waiting, waiting
from heartfly.notify.work import Ask, Claimed
from heartfly.sealing import Sealer

POLL = timedelta(seconds=5)
"""How long the loop sleeps at most: another node may have left something behind."""
POLL_OF_OTHERS = timedelta(seconds=0.25)
"""Where nobody but other nodes judges, which is how an alert is heard of."""
AGAIN_SOON = timedelta(milliseconds=100)
CHANNELS_AT_ONCE = 50
"""Channels in one claim, so that its transaction stays short."""
_STARTED_TOGETHER = 8
"""Sends begun without a break. To word one takes most of a millisecond, and pings come through the same loop."""
LANES_KEPT = 5_000
"""So many channels are remembered with what was learned of their receivers."""
_GATHER_S = 0.03
"""A busy lane is refilled when some of its sends have ended, not after each one."""
MEANWHILE = 8
_MEANWHILE_S = 0.05
"""So many sends, so often, while statuses wait to be written: some go out at once, the rest when all is known."""

T = TypeVar("T")
Now = Callable[[], datetime]
log = logger("heartfly.notify")


@dataclass(frozen=True, slots=True)
class _Pass:
    started: bool
    next_at: datetime | None


class Count(Protocol):
    def __call__(self, kind: str, outcome: str, took_s: float, *, cause: str, repeats: int) -> None:
        """`kind`: of the channel. `cause`: of a try that is made again. `repeats`: 1 if it arrived, flagged as one."""


class Dispatcher:
    """`run` in a server, or `round` by `round` where time is simulated; what they do is the same."""

    def __init__(
        self,
        database: Access,
        *,
        context: ChannelContext,
        sealer: Sealer,
        clock: Clock,
        ids: IdSource,
        settings: Alerts,
        base_url: str,
        node_id: int,
        kinds: Mapping[str, Channel] = CHANNELS,
        landing_s: float = 15.0,
        count: Count | None = None,
        gives_way: Callable[[], bool] = lambda: False,
        poll: timedelta = POLL,
    ) -> None:
        """`count` is told of each try.

        `gives_way`: whether others need the interpreter and the writer more just now.
        """
        self._database = database
        self._clock = clock
        self._ids = ids
        self._rules = settings
        self._node_id = node_id
        self._kinds = kinds
        self._landing_s = landing_s
        self._count = count
        self._gives_way = gives_way
        self._sender = Sender(kinds=kinds, context=context, sealer=sealer, base_url=base_url)
        self._recorder = Recorder(database, clock=clock, ids=ids, node_id=node_id)
        self._lanes: dict[int, Lane] = {}
        self._flights: set[asyncio.Task[None]] = set()
        self._n_flying = 0
        self._wake = asyncio.Event()
        self._poll = poll
        self._last_asked = 0
        self._looked: tuple[datetime, float] | None = None
        """When it last did: by the wall clock, and by the boot-time clock."""
        self._to_bring_forward = False
        """The wall clock was set back, and the database has not taken what follows of it."""
        self._repeats_through: int | None = None
        """Alerts up to this id may have been told before a restore; None: not looked yet."""

    async def round(self, now: datetime) -> datetime | None:
        """Do all that is due now, to its end; return when the next thing is due."""
        while (passed := await self._pass(lambda: now)).started:
            await self._landed_all()
        return passed.next_at

    async def run(self, stop: asyncio.Event) -> None:
        """Carry what comes until told to stop; then let the sends under way end."""
        self._database.listen(lambda _: self._wake.set(), about=lambda changes: changes.outbox)
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                self._wake.clear()
                await self._sleep_until(await self._pass_or_log())
                if self._gives_way():
                    await self._clock.sleep(_MEANWHILE_S)
        finally:
            stopping.cancel()
            await self._land()

    # --- the loop

    async def _pass_or_log(self) -> datetime | None:
        try:
            return (await self._pass(self._clock.now)).next_at
        except Exception as error:  # the loop must outlive a database that is away
            log.exception("dispatch", error=repr(error))
            return self._clock.now() + timedelta(seconds=1)

    async def _sleep_until(self, next_at: datetime | None) -> None:
        now = self._clock.now()
        wait = self._poll if next_at is None else min(self._poll, max(timedelta(), next_at - now))
        try:
            async with asyncio.timeout(wait.total_seconds()):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _land(self) -> None:
        """What does not end in time is left to its lease: it will be sent again, as a possible duplicate."""
        try:
            async with asyncio.timeout(self._landing_s):
                await self._landed_all()
        except TimeoutError:
            for flight in self._flights:
                flight.cancel()
            await self._landed_all()

    async def _landed_all(self) -> None:
        while self._flights:
            await asyncio.wait(self._flights)

    # --- one pass: look, claim, let fly

    async def _pass(self, now: Now) -> _Pass:
        if self._repeats_through is None:
            self._repeats_through = await self._write(lambda tx: take_over(tx, now=now(), node_id=self._node_id))
        repeats_through = self._repeats_through
        await self._notice_set_back(now())
        async with self._database.read() as conn:
            found = await waiting(conn)
        at = now()
        asks = self._asks(found, at)
        claims = Claims()
        if asks:
            claims = await self._write(
                lambda tx: claim(
                    tx,
                    asks,
                    now=at,
                    node_id=self._node_id,
                    rules=self._rules,
                    ids=self._ids,
                    repeats_through=repeats_through,
                )
            )
            self._let_fly(claims, at, now)
        more = claims.more or len(asks) == CHANNELS_AT_ONCE
        if more:
            self._wake.set()
        next_at = at + AGAIN_SOON if claims.passed_by else self._next_at(found, at)
        return _Pass(started=more or bool(claims.work), next_at=next_at)

    async def _notice_set_back(self, at: datetime) -> None:
        """Of the wall clock. Else a pace, or a try that is due in seconds, would wait for so much longer."""
        boottime, before = self._clock.boottime(), self._looked
        self._looked = (at, boottime)
        by = timedelta() if before is None else before[0] + timedelta(seconds=boottime - before[1]) - at
        if by > NOTICED:
            for lane in self._lanes.values():
                lane.set_back(by)
            self._to_bring_forward = True
        if self._to_bring_forward:
            await self._write(lambda tx: bring_forward(tx, now=at))
            self._to_bring_forward = False

    async def _write(self, command: Callable[[Tx], T]) -> T:
        return await self._database.write(command, priority=Priority.EDITS)

    def _asks(self, found: Sequence[Waiting], now: datetime) -> list[Ask]:
        """Ask for each lane that has something to send and room for it, in turns."""
        self._lay_lanes(found, now)
        headroom = (MEANWHILE if self._gives_way() else MAX_IN_FLIGHT) - self._n_flying
        asks: list[Ask] = []
        for one in _in_turns(found, after=self._last_asked):
            lane = self._lanes[one.channel_id]
            room = lane.room(headroom)
            due = one.is_due(now)
            if not (due or one.fresh) or room <= 0 or lane.waits_until(now) is not None:
                continue
            asks.append(lane.ask(room, due=due, fresh=one.fresh))
            headroom -= room
            self._last_asked = one.channel_id
            if len(asks) == CHANNELS_AT_ONCE:
                break
        return asks

    def _lay_lanes(self, found: Sequence[Waiting], now: datetime) -> None:
        if len(self._lanes) > LANES_KEPT:
            needed = {one.channel_id for one in found}
            for channel_id, lane in list(self._lanes.items()):
                if channel_id not in needed and not lane.in_hand and lane.waits_until(now) is None:
                    del self._lanes[channel_id]
        for one in found:
            if one.channel_id not in self._lanes:
                channel = self._kinds.get(one.kind or "")
                self._lanes[one.channel_id] = Lane(one.pid, one.channel_id, channel)

    def _next_at(self, found: Sequence[Waiting], now: datetime) -> datetime | None:
        """The next instant at which something falls due by itself. What waits for a send to end is not among them."""
        instants: list[datetime] = []
        for one in found:
            ready_at = self._lanes[one.channel_id].waits_until(now)
            if ready_at is not None and (one.fresh or one.is_due(now)):
                instants.append(ready_at)
            if one.due_at is not None and one.due_at > now:
                instants.append(max(one.due_at, ready_at or now))
        return min(instants, default=None)

    def _let_fly(self, claims: Claims, at: datetime, now: Now) -> None:
        for channel_id, until in claims.holds.items():
            self._lanes[channel_id].hold(until)
        for claimed in claims.work:
            self._lanes[claimed.channel.id].took(claimed.id, at)
        if claims.work:
            self._n_flying += len(claims.work)
            self._spawn(self._fly(claims, now))

    # --- in flight

    def _spawn(self, flight: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(flight)
        self._flights.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._flights.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dispatch", error=repr(error), exc_info=error)

    async def _fly(self, claims: Claims, now: Now) -> None:
        rest = [one.id for one in claims.work if one.id not in claims.payloads]
        payloads = claims.payloads | (await self._load(rest) if rest else {})
        for n, one in enumerate(claims.work, start=1):
            self._spawn(self._deliver(one, payloads.get(one.id, []), now))
            if n % _STARTED_TOGETHER == 0:
                await self._clock.sleep(0)

    async def _load(self, delivery_ids: Sequence[str]) -> dict[str, list[str]]:
        try:
            async with self._database.read() as conn:
                return await large(conn, delivery_ids)
        except Exception as error:  # each of them becomes a failed try
            log.exception("dispatch", error=repr(error), n=len(delivery_ids))
            return {}

    async def _deliver(self, claimed: Claimed, payloads: Sequence[str], now: Now) -> None:
        lane = self._lanes[claimed.channel.id]
        try:
            outcome, took_s = await self._send(lane, claimed, payloads, now)
            if outcome is not None:
                counted = await self._recorder.record(outcome, last=not self._n_flying)
                word = _word(outcome) if counted else "not counted"
                _log(outcome, word=word, took_s=took_s)
                if self._count is not None:
                    cause = (trouble_of(outcome) or "") if counted else ""
                    repeats = int(outcome.failure is None and claimed.possible_duplicate)
                    self._count(claimed.channel.kind, word.replace(" ", "_"), took_s, cause=cause, repeats=repeats)
        finally:
            lane.in_hand.discard(claimed.id)
            self._look_soon(lane)

    async def _send(
        self, lane: Lane, claimed: Claimed, payloads: Sequence[str], now: Now
    ) -> tuple[Outcome | None, float]:
        """The outcome and how long it took; no outcome if the lease was too old when the turn came."""
        claimed_s = self._clock.monotonic()
        try:
            await lane.turn()
            try:
                began_s = self._clock.monotonic()
                left_s = SEND_LIMIT_S - (began_s - claimed_s)
                if left_s <= 0:
                    return None, 0.0
                lane.begins(now())
                outcome = await self._sender.send(claimed, payloads, now=now, limit_s=left_s)
                took_s = self._clock.monotonic() - began_s
                lane.learn(outcome, took_s=took_s)
                return outcome, took_s
            finally:
                lane.ended()
        finally:
            lane.n_flying -= 1
            self._n_flying -= 1
            self._look_soon(lane)

    def _look_soon(self, lane: Lane) -> None:
        """A lane that runs empty is filled at once, a busy one when some more of its sends have ended."""
        if lane.is_half_empty:
            self._wake.set()
        else:
            asyncio.get_running_loop().call_later(_GATHER_S, self._wake.set)


def _in_turns(found: Sequence[Waiting], *, after: int) -> Iterable[Waiting]:
    """All of them, beginning behind the one that was served last."""
    first = next((index for index, one in enumerate(found) if one.channel_id > after), 0)
    return [*found[first:], *found[:first]]


def _log(outcome: Outcome, *, word: str, took_s: float) -> None:
    claimed, failure = outcome.claimed, outcome.failure
    line(
        "delivery",
        delivery=claimed.id,
        channel=claimed.channel.uuid,
        kind=claimed.channel.kind,
        attempt=claimed.attempt,
        outcome=word,
        code=outcome.code,
        error=failure.error if failure is not None else None,
        took_ms=round(took_s * 1000, 1),
    )


def _word(outcome: Outcome) -> str:
    if outcome.failure is None:
        return "sent"
    return "failed" if outcome.retry_at is None else "again later"
