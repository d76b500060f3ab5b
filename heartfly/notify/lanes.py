"""A lane for each channel: how much it may send now, so that a dead or slow one never delays another.

A lane begins with a few sends at a time, grows to what its channel allows while they arrive, and shrinks
to one while nobody answers. A quick one claims ahead, so that no send waits for the database. In memory
only: after a restart each lane finds its width again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from heartfly.core.retry import RETRY_AFTER_CAP_S
from heartfly.notify.channels.base import Channel
from heartfly.notify.record import Outcome
from heartfly.notify.work import Ask

FIRST_WIDTH = 8
MAX_IN_FLIGHT = 200
"""Sends at a time over all lanes; beyond it each lane still has one."""
QUICK_S = 1.0
_LONGEST_HOLD = timedelta(seconds=RETRY_AFTER_CAP_S)


@dataclass(slots=True)
class Lane:
    """`channel` None: of a kind that this version does not know."""

    pid: int
    channel_id: int
    channel: Channel | None
    width: int = 1
    ready_at: datetime | None = None
    quick: bool = False
    """Its last send was answered soon."""
    n_flying: int = 0
    """Deliveries claimed whose send has not ended: those that are sent, and those claimed ahead."""
    n_sending: int = 0
    _queue: deque[asyncio.Future[None]] = field(default_factory=deque)
    in_hand: set[str] = field(default_factory=set)
    """Deliveries claimed and not yet recorded."""

    def __post_init__(self) -> None:
        self.width = min(FIRST_WIDTH, self._widest)

    @property
    def _widest(self) -> int:
        return self.channel.concurrency if self.channel is not None else 1

    @property
    def spacing(self) -> timedelta:
        return timedelta(seconds=self.channel.min_interval_s if self.channel is not None else 0)

    def waits_until(self, now: datetime) -> datetime | None:
        """When it may send again, or None: now. A wait beyond any real one is the work of a clock that stepped back."""
        if self.ready_at is None or not now < self.ready_at <= now + _LONGEST_HOLD:
            return None
        return self.ready_at

    def room(self, headroom: int) -> int:
        """How many more deliveries may be claimed; a lane with a pace gets one at a time."""
        free = self._capacity - self.n_flying
        if self.spacing:
            free = min(free, 1)
        return min(free, max(headroom, 0 if self.n_flying else 1))

    @property
    def _capacity(self) -> int:
        # People's messages are not claimed ahead: what waits in the outbox may still become one with others.
        ahead = self.quick and self.channel is not None and not self.channel.folds_storms
        return 2 * self.width if ahead else self.width

    def ask(self, room: int, *, due: bool, fresh: bool) -> Ask:
        channel = self.channel
        return Ask(
            pid=self.pid,
            channel_id=self.channel_id,
            room=room,
            due=due,
            fresh=fresh,
            folds=channel is not None and channel.folds_storms,
            most_named=channel.fold_limit if channel is not None else 1,
            spacing=self.spacing,
            in_hand=frozenset(self.in_hand),
        )

    def took(self, delivery_id: str, now: datetime) -> None:
        self.in_hand.add(delivery_id)
        self.n_flying += 1
        self.begins(now)

    def begins(self, now: datetime) -> None:
        """A message goes out: the next one keeps its distance."""
        if self.spacing:
            self.hold(now + self.spacing)

    def hold(self, until: datetime) -> None:
        self.ready_at = until if self.ready_at is None else max(self.ready_at, until)

    def set_back(self, by: timedelta) -> None:
        """The wall clock was: what was to be waited for is as far away as it was."""
        if self.ready_at is not None:
            self.ready_at -= by

    async def turn(self) -> None:
        """Wait until a send may begin."""
        while self.n_sending >= self.width:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append(place)
            await place
        self.n_sending += 1

    def ended(self) -> None:
        """A send has ended, however."""
        self.n_sending -= 1
        self._call()

    def _call(self) -> None:
        for _ in range(min(self.width - self.n_sending, len(self._queue))):
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)

    def learn(self, outcome: Outcome, *, took_s: float) -> None:
        """Widen while the receiver answers, narrow when it does not; wait as long as it asks for."""
        failure = outcome.failure
        answered = failure is None or outcome.code is not None
        self.quick = answered and took_s < QUICK_S
        self.width = min(2 * self.width, self._widest) if answered else 1
        self._call()
        if failure is not None and failure.wish_s is not None:
            self.hold(outcome.ended_at + min(timedelta(seconds=failure.wish_s), _LONGEST_HOLD))

    @property
    def is_half_empty(self) -> bool:
        return 2 * self.n_flying <= self._capacity
