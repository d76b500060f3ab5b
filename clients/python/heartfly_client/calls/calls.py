"""Tells a Heartfly of each call that a program makes to somebody else's API: with a block, a decorator, or by itself
through hooks of an HTTP client.

No call waits for it: what it leaves is put into a bounded list, and a thread makes events of it, which go to the
durable sender's queue on disk. Nothing here is raised into a call but LimitReached, which is asked for.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

from heartfly_client.background import Background, warn
from heartfly_client.calls.bodies import MOST as MOST_OF_BODY
from heartfly_client.calls.call import Call
from heartfly_client.calls.context import current, who
from heartfly_client.calls.httpx_hooks import Hooks, hooks
from heartfly_client.calls.limits import Limits, Reservation, Said, Unreachable
from heartfly_client.calls.providers import place_of
from heartfly_client.calls.readers import plain, run_cost, run_units
from heartfly_client.calls.record import Made, Number, Unchecked, dropped_event, event_of, unchecked_event
from heartfly_client.calls.requests_session import Session, listening
from heartfly_client.paths import Rules
from heartfly_client.sender import Target

Function = TypeVar("Function", bound=Callable[..., Any])

FOLDER = "heartfly-calls"
_MOST_HELD = 32 * MOST_OF_BODY
"""Bytes of answers that wait to be read in the thread; past it they are read at once."""


class Calls:
    """One for each program, made at its start. Threads begin with the first call, so it may be made before a fork."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        folder: str | Path | None = None,
        providers: Mapping[str, str] | None = None,
        rules: Rules | None = None,
        source: str = "",
        messages: bool = False,
        unreachable: Unreachable | str = Unreachable.OPEN,
        check_timeout_s: float = 1.0,
        most_waiting: int = 10_000,
        every_s: float = 1.0,
        tell: Callable[[str], None] = warn,
    ) -> None:
        """`folder`: of the queue, on a local disk; else HEARTFLY_CALLS_QUEUE, else `heartfly-calls` here.

        `providers`: whose API a host is, before those that are known. `messages`: tell also what exceptions say, not
        only what they are called. `unreachable`: whether a call is made if its limits cannot be asked.
        """
        target = Target(url, key)
        self._providers = {host.lower(): name for host, name in (providers or {}).items()}
        self._rules = rules or Rules()
        self._source = source
        self._messages = messages
        self._tell = tell
        self._held = 0
        self._lock = threading.Lock()
        self._limits = Limits(target, unreachable=Unreachable(unreachable), timeout_s=check_timeout_s, tell=tell)
        self._background: Background[Call | Made | Unchecked] = Background(
            folder if folder is not None else os.environ.get("HEARTFLY_CALLS_QUEUE") or FOLDER,
            target,
            event=self._event,
            of_lost=lambda n, id_, at_ns: dropped_event(n, id_, at_ns, source),
            name="call",
            most_waiting=most_waiting,
            every_s=every_s,
            tell=tell,
        )
        self.lost = self._background.lost
        self.flush = self._background.flush
        self.failed_open = 0
        """Calls that were made although their limits could not be asked."""

    @property
    def recorded(self) -> int:
        """Events that are in the queue, or were."""
        return self._background.done

    @property
    def dropped(self) -> int:
        """Calls that nothing is told of: the list was full, the queue, or the disk."""
        return self._background.dropped

    @property
    def unsettled(self) -> int:
        """Reservations of which the server was not told how they ended."""
        return self._limits.unsettled

    # --- one call

    def track(
        self,
        *,
        provider: str,
        model: str = "",
        endpoint: str = "",
        customer: str | None = None,
        user: str | None = None,
        tags: Sequence[str] = (),
        key: str = "",
        tier: str = "",
        reserve: Mapping[str, Number] | None = None,
        reserve_cost: Mapping[str, Number] | None = None,
    ) -> Track:
        """For `with` and `async with`, and as a decorator of functions of both kinds.

        `reserve`, `reserve_cost`: as much is asked for before, by kind and by currency; what it was is committed
        afterwards. LimitReached then ends the block before it begins. `key`: a name for it, never the key itself.
        """

        def begin() -> Call:
            return self._begin(
                provider, model=model, endpoint=endpoint, customer=customer, user=user, tags=tags, key=key, tier=tier
            )

        def checked(call: Call) -> None:
            if reserve is not None or reserve_cost is not None:
                call.reservation = self._reserved(call.made, reserve or {}, reserve_cost or {}, ttl_s=None)

        return Track(begin, checked)

    def _begin(
        self,
        provider: str,
        *,
        model: str = "",
        endpoint: str = "",
        customer: str | None = None,
        user: str | None = None,
        tags: Sequence[str] = (),
        key: str = "",
        tier: str = "",
    ) -> Call:
        around = who()
        made = Made(
            provider,
            time.time_ns(),
            model=model,
            endpoint=endpoint,
            tier=tier,
            customer=customer or around.customer,
            user=user or around.user,
            key=key,
            tags=(*around.tags, *tags),
        )
        if self._source:
            made.more["source"] = self._source
        return Call(made, self._ended, messages=self._messages)

    def call(self) -> Call | None:
        """The one under way: in a function that is tracked, say."""
        return current.get()

    def asked(self, host: str, path: str, *, key: str) -> tuple[Call, bool]:
        """For hooks: the call that a request is part of, and whether it is one that the program has begun."""
        place = place_of(host, path, self._providers, self._rules)
        around = current.get()
        if around is not None and not around.is_told:
            around.opened()
            around.asked_for(place.model)
            around.made.endpoint = around.made.endpoint or place.endpoint
            return around, True
        call = self._begin(place.provider, endpoint=place.endpoint, key=key)
        call.asked_for(place.model)
        call.opened()
        return call, False

    # --- clients

    def httpx_hooks(self, *, key: str = "") -> Hooks:
        """`httpx.Client(event_hooks=calls.httpx_hooks())`, and the same for `AsyncClient` and for httpx2.

        `key`: a name for the key that the client uses.
        """
        return hooks(self, key=key)

    def requests(self, session: Session, *, key: str = "") -> Session:
        """The session of `requests`, which tells of its requests from now on."""
        return listening(self, session, key=key)

    # --- limits

    def check(
        self,
        *,
        provider: str,
        model: str = "",
        key: str = "",
        customer: str | None = None,
        user: str | None = None,
        tags: Sequence[str] = (),
        units: Mapping[str, Number] | None = None,
        cost: Mapping[str, Number] | None = None,
        ttl_s: float | None = None,
    ) -> Reservation:
        """Whether a call of this size may be made. For `with`: committed at its end, released if it raises.

        `requests` is 1 if it is not said. LimitReached. Of a loop of events it takes a thread: `asyncio.to_thread`.
        """
        around = who()
        made = Made(
            provider, time.time_ns(), model=model, customer=customer or around.customer,
            user=user or around.user, key=key, tags=(*around.tags, *tags),
        )  # fmt: skip
        return self._reserved(made, units or {}, cost or {}, ttl_s=ttl_s)

    def _reserved(
        self, made: Made, units: Mapping[str, Number], cost: Mapping[str, Number], *, ttl_s: float | None
    ) -> Reservation:
        scope = {
            "provider": made.provider, "model": made.model, "key": made.key, "customer": made.customer,
            "user": made.user, "tags": sorted(set(made.tags)),
        }  # fmt: skip
        said: Said = self._limits.check(scope, units, cost, ttl_s=ttl_s)
        if said.unchecked:
            with self._lock:
                self.failed_open += 1
            self._background.put(Unchecked(made.provider, made.at_ns, made.model, made.customer, said.unchecked))
            made.more["unchecked"] = said.unchecked
        elif said.reservation:
            made.more["reservation"] = said.reservation
        return Reservation(self._limits, said)

    # --- what is told

    def apify_run(self, run: Any, *, customer: str | None = None, user: str | None = None) -> None:
        """A run of Apify that has ended, as its API tells of it: once, however often it is told of."""
        try:
            found = plain(run)
            inner = found.get("data")
            self._background.put(
                self._of_run(inner if isinstance(inner, Mapping) else found, customer or who().customer, user)
            )
        except Exception as error:  # noqa: BLE001 - the program is not to know of it
            self.lost(error)

    def _of_run(self, run: Mapping[str, Any], customer: str | None, user: str | None) -> Made:
        id_ = str(run.get("id") or "")
        made = Made(
            "apify", time.time_ns(), model=str(run.get("actId") or ""), endpoint="run", request_id=id_,
            customer=customer, user=user or who().user, tags=who().tags, name=f"apify:run:{id_}"[:128] if id_ else "",
        )  # fmt: skip
        made.at_ns = _instant_ns(run.get("startedAt")) or made.at_ns
        for kind, amount in run_units(run).items():
            made.add(kind, amount)
        if "seconds" in made.units:
            made.latency_ns = int(float(made.units["seconds"]) * 1e9)
        if (cost := run_cost(run)) is not None:
            made.costs(cost, "USD")
        if run.get("status") != "SUCCEEDED":
            made.error = str(run.get("status") or "")
        return made

    def _ended(self, call: Call) -> None:
        """In the program: what takes time is left to the thread, unless too much waits for it."""
        size = call.size
        with self._lock:
            self._held += size
            is_much = self._held > _MOST_HELD
        if is_much:
            self._read(call, size)
        if not call.bodies:
            self._settle(call)
        self._background.put(call)

    def _read(self, call: Call, size: int) -> None:
        reading = call.read_bodies()
        with self._lock:
            self._held -= size
        if reading.run is not None:
            self._background.also(self._of_run(reading.run, call.made.customer, call.made.user))

    def _settle(self, call: Call) -> None:
        if (reservation := call.reservation) is None:
            return
        made, call.reservation = call.made, None
        if made.error and not made.units and made.cost is None:
            # Its event counts by itself then: one that names the reservation would end it otherwise than this does.
            made.more.pop("reservation", None)
            reservation.release()
        else:
            reservation.commit(made.units or None, None if made.cost is None else {made.currency: made.cost})

    def _event(self, item: Call | Made | Unchecked, id_: str) -> bytes:
        """In the thread."""
        if isinstance(item, Unchecked):
            return unchecked_event(item, id_)
        if isinstance(item, Made):
            return event_of(item, id_)
        if item.bodies or item.later:
            self._read(item, item.size)
        self._settle(item)
        return event_of(item.made, id_)

    def close(self, *, patience_s: float = 5.0) -> None:
        """All calls are on the disk, and sent if the server answers in time; what is not waits for the next start."""
        self._background.close(patience_s=patience_s)
        self._limits.close(patience_s)


class Track:
    """See `Calls.track`. A block has a call of its own, and so has each call of a function that it decorates."""

    def __init__(self, begin: Callable[[], Call], checked: Callable[[Call], None]) -> None:
        self._begin = begin
        self._checked = checked
        self._under_way: list[tuple[Call, Any]] = []

    def __call__(self, function: Function) -> Function:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator is over when it is read: put `with calls.track(...)` inside of it")
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def tracked_async(*args: Any, **more: Any) -> Any:
                async with Track(self._begin, self._checked):
                    return await function(*args, **more)

            return cast("Function", tracked_async)

        @wraps(function)
        def tracked(*args: Any, **more: Any) -> Any:
            with Track(self._begin, self._checked):
                return function(*args, **more)

        return cast("Function", tracked)

    def __enter__(self) -> Call:
        call = self._begin()
        self._checked(call)
        return self._entered(call)

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        call, token = self._under_way.pop()
        current.reset(token)
        call.over(error)

    async def __aenter__(self) -> Call:
        call = self._begin()
        await asyncio.to_thread(self._checked, call)
        return self._entered(call)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def _entered(self, call: Call) -> Call:
        call.restart()
        self._under_way.append((call, current.set(call)))
        return call


def _instant_ns(told: object) -> int | None:
    try:
        return int(datetime.fromisoformat(str(told)).timestamp() * 1_000_000) * 1_000
    except ValueError:
        return None
