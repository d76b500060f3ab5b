"""Virtual time, and processes that stand in the middle of what they do: one thread, and an order made by a seed.

The production code under test calls the database synchronously. A process runs it in greenlets, so that it can
stand between any two statements while time goes on for the others. Nothing here reads a real clock.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet  # type: ignore[import-untyped]
from typing_extensions import override

from heartfly.clock import Clock
from heartfly.db.types import instant

Result = TypeVar("Result")

MS = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
MOST_AT_ONCE = 100_000
"""Calls in one instant: of more, one makes the next for ever."""


class Hub:
    """`now` is real time: whole microseconds since 1970 that only go forward."""

    def __init__(self, start: int) -> None:
        self.now = start
        self.main = getcurrent()
        self._heap: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._n = itertools.count()

    def at(self, when: int, call: Callable[..., object], *args: Any) -> None:
        heapq.heappush(self._heap, (max(when, self.now), next(self._n), call, args))

    def run(self, until: int) -> None:
        n_now = 0
        while self._heap and self._heap[0][0] <= until:
            when, _, call, args = heapq.heappop(self._heap)
            n_now = n_now + 1 if when == self.now else 0
            if n_now > MOST_AT_ONCE:
                raise AssertionError(f"time stands still at {self.now}: {call}")
            self.now = when
            call(*args)
        self.now = until


@dataclass(slots=True, eq=False)
class Seat:
    """Where somebody waits. He is woken once, by whoever comes first."""

    who: Any
    left: bool = False


class Process:
    """What runs in it stands while it is `paused`, and never goes on once it is `dead`."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.paused = False
        self.dead = False
        self._held: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._all: list[Any] = []

    # --- from outside

    def spawn(self, work: Callable[[], object]) -> None:
        one = greenlet(work, self.hub.main)
        self._all = [known for known in self._all if not known.dead]
        self._all.append(one)
        self.at(self.hub.now, one.switch)

    def at(self, when: int, call: Callable[..., object], *args: Any) -> None:
        self.hub.at(when, self._do, call, args)

    def _do(self, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self.dead:
            return
        if self.paused:
            self._held.append((call, args))
        else:
            call(*args)

    def go_on(self) -> None:
        self.paused = False
        held, self._held = self._held, []
        for call, args in held:
            self.at(self.hub.now, call, *args)

    def kill(self) -> None:
        """To be called by nobody who runs in it."""
        self.dead = True
        for one in self._all:
            if not one.dead:
                one.throw(GreenletExit)

    # --- from inside

    def seat(self) -> Seat:
        return Seat(getcurrent())

    def wake(self, seat: Seat) -> None:
        self.at(self.hub.now, self._wake, seat)

    def _wake(self, seat: Seat) -> None:
        if not seat.left:
            seat.left = True
            seat.who.switch()

    def stand(self, seat: Seat, *, until: int | None = None) -> None:
        """Wait to be woken, or until then."""
        if until is not None:
            self.at(until, self._wake, seat)
        self.hub.main.switch()
        self.must_live()

    def sleep(self, for_us: int) -> None:
        self.stand(self.seat(), until=self.hub.now + for_us)

    def must_live(self) -> None:
        """Who is dead does nothing more, whatever he was about to do."""
        if self.dead:
            raise GreenletExit

    def drive(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run it here, as an event loop would."""
        try:
            while True:
                waited = coroutine.send(None)
                seat = self.seat()
                waited.add_done_callback(lambda _, seat=seat: self.wake(seat))
                self.stand(seat)
        except StopIteration as stopped:
            result: Result = stopped.value
            return result
        except BaseException:
            coroutine.close()
            raise


class Later:
    """As the handle of a timer."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """As much of an event loop as the production writer asks for."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A result that nobody came for: who waited for it has gone."""

    def create_future(self) -> Any:
        import asyncio  # noqa: PLC0415 - its futures only: no loop of it runs

        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def call_soon(self, call: Callable[..., object], *args: Any, context: Any = None) -> Later:
        del context
        return self.call_later(0.0, call, *args)

    def call_later(self, seconds: float, call: Callable[..., object], *args: Any) -> Later:
        later = Later()

        def unless_cancelled() -> None:
            if not later.cancelled:
                call(*args)

        # Never a little too early, or who looks at his float would come back for ever.
        self._process.at(self._process.hub.now + (int(seconds * SECOND) + 1 if seconds > 0 else 0), unless_cancelled)
        return later


class NodeClock(Clock):
    """`skew`: so far its wall clock is ahead of real time, in microseconds."""

    def __init__(self, hub: Hub, skew: int) -> None:
        self._hub = hub
        self._begun = hub.now
        self.skew = skew

    @override
    def now(self) -> Any:
        return instant(self._hub.now + self.skew)

    @override
    def monotonic(self) -> float:
        return (self._hub.now - self._begun) / SECOND

    @override
    def boottime(self) -> float:
        return self.monotonic()

    @override
    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError("who sleeps in a process asks the process")

    @override
    def rest(self, seconds: float) -> None:
        raise NotImplementedError("nobody rests here")
