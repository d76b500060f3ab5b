"""Carries what is in the outbox to people: claim, send outside of any transaction, record.

Nothing is marked as done before it was sent. Each channel has a lane of its own (lanes.py), so a slow one
delays no other. What is taken is decided in claim.py, when to try again in core/retry.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from heartfly.clock import Clock
from heartfly.config import Alerts
from heartfly.db.changes import Changes, Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.errors import OverloadedError, StoreError
from heartfly.logs import line, logger
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.base import Channel, ChannelContext
from heartfly.notify.claim import Claims, claim, take_over
from heartfly.notify.contents import payloads
from heartfly.notify.lanes import MAX_IN_FLIGHT, Lane
from heartfly.notify.record import Outcome, record
from heartfly.notify.sending import Sender
from heartfly.notify.waiting import Waiting, waiting
from heartfly.notify.work import Ask, Claimed
from heartfly.sealing import Sealer

POLL = timedelta(seconds=5)
"""How long the loop sleeps at most: another node may have left something behind."""
AGAIN_SOON = timedelta(milliseconds=100)
CHANNELS_AT_ONCE = 50
"""Channels in one claim, so that its transaction stays short."""
_GATHER_S = 0.03
"""A busy lane is refilled when some of its sends have ended, not after each one."""
_LANDING_S = 15.0
_RECORD_WAITS_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)

T = TypeVar("T")
Now = Callable[[], datetime]
log = logger("heartfly.notify")


@dataclass(frozen=True, slots=True)
class _Pass:
    started: bool
    next_at: datetime | None


class Dispatcher:
    """`run` in a server, or `round` by `round` where time is simulated; what they do is the same."""

    def __init__(
        self,
        database: Database,
        *,
        context: ChannelContext,
        sealer: Sealer,
        clock: Clock,
        ids: IdSource,
        settings: Alerts,
        base_url: str,
        node_id: int,
        kinds: Mapping[str, Channel] = CHANNELS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._rules = settings
        self._node_id = node_id
        self._kinds = kinds
        self._sender = Sender(kinds=kinds, context=context, sealer=sealer, base_url=base_url)
        self._lanes: dict[int, Lane] = {}
        self._flights: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._last_asked = 0
        self._took_over = False

    async def round(self, now: datetime) -> datetime | None:
        """Do all that is due now, to its end; return when the next thing is due."""
        while (passed := await self._pass(lambda: now)).started:
            await asyncio.gather(*self._flights)
        return passed.next_at

    async def run(self, stop: asyncio.Event) -> None:
        """Carry what comes until told to stop; then let the sends under way end."""
        self._database.listen(self._on_changes)
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                self._wake.clear()
                await self._sleep_until(await self._pass_or_log())
        finally:
            stopping.cancel()
            await self._land()

    # --- the loop

    def _on_changes(self, changes: Changes) -> None:
        if changes.outbox:
            self._wake.set()

    async def _pass_or_log(self) -> datetime | None:
        try:
            return (await self._pass(self._clock.now)).next_at
        except Exception as error:  # the loop must outlive a database that is away
            log.exception("dispatch", error=repr(error))
            return self._clock.now() + timedelta(seconds=1)

    async def _sleep_until(self, next_at: datetime | None) -> None:
        now = self._clock.now()
        wait = POLL if next_at is None else min(POLL, max(timedelta(), next_at - now))
        try:
            async with asyncio.timeout(wait.total_seconds()):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _land(self) -> None:
        """What does not end in time is left to its lease: it will be sent again, as a possible duplicate."""
        if self._flights:
            _, late = await asyncio.wait(self._flights, timeout=_LANDING_S)
            for flight in late:
                flight.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # --- one pass: look, claim, let fly

    async def _pass(self, now: Now) -> _Pass:
        if not self._took_over:
            await self._take_over(now())
        async with self._database.read() as conn:
            found = await waiting(conn)
        at = now()
        asks = self._asks(found, at)
        claims = Claims()
        if asks:
            claims = await self._write(
                lambda tx: claim(tx, asks, now=at, node_id=self._node_id, rules=self._rules, ids=self._ids)
            )
            self._let_fly(claims, at, now)
        more = len(asks) == CHANNELS_AT_ONCE
        if more:
            self._wake.set()
        next_at = at + AGAIN_SOON if claims.passed_by else self._next_at(found, at)
        return _Pass(started=more or bool(claims.work), next_at=next_at)

    async def _take_over(self, now: datetime) -> None:
        if not self._database.on_postgres:
            await self._write(lambda tx: take_over(tx, now=now, node_id=self._node_id))
        self._took_over = True

    async def _write(self, command: Callable[[Tx], T]) -> T:
        return await self._database.write(command, priority=Priority.EDITS)

    def _asks(self, found: Sequence[Waiting], now: datetime) -> list[Ask]:
        """Ask for each lane that has something to send and room for it, in turns."""
        self._lay_lanes(found, now)
        headroom = MAX_IN_FLIGHT - sum(len(lane.in_hand) for lane in self._lanes.values())
        asks: list[Ask] = []
        for one in _in_turns(found, after=self._last_asked):
            lane = self._lanes[one.channel_id]
            room = lane.room(headroom)
            if not one.is_due(now) or room <= 0 or lane.waits_until(now) is not None:
                continue
            asks.append(lane.ask(room))
            headroom -= room
            self._last_asked = one.channel_id
            if len(asks) == CHANNELS_AT_ONCE:
                break
        return asks

    def _lay_lanes(self, found: Sequence[Waiting], now: datetime) -> None:
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
            if ready_at is not None and one.is_due(now):
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
            flight = asyncio.create_task(self._fly(claims.work, now))
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    # --- in flight

    async def _fly(self, work: Sequence[Claimed], now: Now) -> None:
        loaded = await self._load(work)
        await asyncio.gather(*(self._deliver(one, loaded.get(one.id, []), now) for one in work))

    async def _load(self, work: Sequence[Claimed]) -> dict[str, list[str]]:
        try:
            async with self._database.read() as conn:
                return await payloads(conn, {one.id for one in work})
        except Exception as error:  # each of them becomes a failed try
            log.exception("dispatch", error=repr(error), n=len(work))
            return {}

    async def _deliver(self, claimed: Claimed, payloads: Sequence[str], now: Now) -> None:
        lane = self._lanes[claimed.channel.id]
        began = self._clock.monotonic()
        try:
            outcome = await self._sender.send(claimed, payloads, now=now)
            took_ms = round((self._clock.monotonic() - began) * 1000, 1)
            lane.learn(outcome)
            counted = await self._record(outcome)
            _log(outcome, counted=counted, took_ms=took_ms)
        finally:
            lane.put_down(claimed.id)
            self._refill(lane)

    def _refill(self, lane: Lane) -> None:
        if lane.is_half_empty:
            self._wake.set()
        else:
            asyncio.get_running_loop().call_later(_GATHER_S, self._wake.set)

    async def _record(self, outcome: Outcome) -> bool:
        """Insist for a while, for what is not recorded is sent again when its lease ends."""
        for wait_s in _RECORD_WAITS_S:
            try:
                counted: bool = await self._database.submit(self._record_all, outcome, priority=Priority.EDITS)
            except (OverloadedError, StoreError) as error:
                log.warning("delivery_unrecorded", delivery=outcome.claimed.id, error=str(error))
                await self._clock.sleep(wait_s)
            except Exception as error:  # the end of its lease decides
                log.exception("delivery_unrecorded", delivery=outcome.claimed.id, error=repr(error))
                return False
            else:
                return counted
        return False

    def _record_all(self, tx: Tx, outcomes: Sequence[Outcome]) -> list[bool]:
        return record(tx, outcomes, node_id=self._node_id, ids=self._ids)


def _in_turns(found: Sequence[Waiting], *, after: int) -> Iterable[Waiting]:
    """All of them, beginning behind the one that was served last."""
    first = next((index for index, one in enumerate(found) if one.channel_id > after), 0)
    return [*found[first:], *found[:first]]


def _log(outcome: Outcome, *, counted: bool, took_ms: float) -> None:
    claimed, failure = outcome.claimed, outcome.failure
    line(
        "delivery",
        delivery=claimed.id,
        channel=claimed.channel.uuid,
        kind=claimed.channel.kind,
        attempt=claimed.attempt,
        outcome=_word(outcome) if counted else "not counted",
        code=outcome.code,
        error=failure.error if failure is not None else None,
        took_ms=took_ms,
    )


def _word(outcome: Outcome) -> str:
    if outcome.failure is None:
        return "sent"
    return "failed" if outcome.retry_at is None else "again later"
