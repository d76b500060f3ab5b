"""Who asks, and may they? The bearer key of a request becomes a Caller, once, before anything is read of it.

The only file of this room that knows the web framework. Without a word to the contrary a handler that
reads needs the scope `read`, and every other one `write`: nobody can forget to say so. `opt=ADMINISTERS` is that
word, and `opt=INGESTS` for what only takes events in.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, cast

from litestar.connection import ASGIConnection, Request
from litestar.handlers.base import BaseRouteHandler

from heartfly.accounts.keys import Caller, Scope
from heartfly.accounts.known_keys import KnownKeys
from heartfly.accounts.last_use import LastUse
from heartfly.clock import Clock
from heartfly.db.database import Database
from heartfly.errors import ForbiddenError, TooManyRequestsError, UnauthenticatedError

ADMINISTERS = {"scope": Scope.ADMIN}
INGESTS = {"scope": Scope.INGEST}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_KEY = 200
EVENTS_PER_MINUTE = 2_400_000


PACE = "heartfly.pace"
"""In the scope of a request that brings events: demands room for so many more, `Callable[[int], None]`."""
_BYTES_OF_AN_EVENT = 1024


class Bearer:
    """A guard that leaves the Caller in `scope["auth"]`, or raises what is wrong.

    What brings events is not counted by requests but by events, of which the body says how many there are once it is
    read: before, it counts by its size.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        last_use: LastUse,
        per_minute: int,
        events_per_minute: int = EVENTS_PER_MINUTE,
    ) -> None:
        self._clock = clock
        self._last_use = last_use
        self._pace = Pace(per_minute)
        self._of_events = Pace(events_per_minute, words="events a minute, which is limits.events_per_minute")
        self._keys = KnownKeys(database, clock)

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        header, basic = connection.headers.get("authorization", ""), bool(handler.opt.get("basic"))
        reads = connection.scope.get("method") in _READING
        scope = handler.opt.get("scope", Scope.READ if reads else Scope.WRITE)
        if scope is Scope.INGEST and isinstance(connection, Request):
            await self.ingests(cast("dict[str, Any]", connection.scope), header, connection.body, basic=basic)
            return
        secret = _secret(header, basic=basic)
        if not reads and isinstance(connection, Request):
            # Who sends slowly may what his key may at the end: it could be revoked meanwhile.
            await self._keys.demand(secret)
            await connection.body()
        caller, now = await self._keys.caller(secret)
        connection.scope["auth"] = caller
        self._last_use.note(caller, now)
        self._pace.demand(caller, self._clock.monotonic())
        _demand(caller, scope)

    async def recognise(self, secret: str) -> Caller:
        """Whose key it is, for a door with words of its own about what is wrong: UnauthenticatedError.

        It counts as a request of the key: TooManyRequestsError.
        """
        if not secret or len(secret) > _LONGEST_KEY or not secret.isascii():
            raise UnauthenticatedError("an API key is needed")
        caller, now = await self._keys.caller(secret)
        self._last_use.note(caller, now)
        self._pace.demand(caller, self._clock.monotonic())
        return caller

    async def ingests(
        self, scope: dict[str, Any], header: str, body: Callable[[], Awaitable[bytes]], *, basic: bool = False
    ) -> bytes:
        """The same of a request that brings events; its body. Leaves `scope[PACE]` as well."""
        secret = _secret(header, basic=basic)
        hashed = await self._keys.demand(secret)
        raw = await body()
        caller, now = await self._keys.caller(secret, hashed)
        scope["auth"] = caller
        self._last_use.note(caller, now)
        counted = 1 + len(raw) // _BYTES_OF_AN_EVENT
        self._of_events.demand(caller, self._clock.monotonic(), counted)
        scope[PACE] = lambda n: self._of_events.demand(caller, self._clock.monotonic(), max(n, counted), held=counted)
        _demand(caller, Scope.INGEST)
        return raw


def _secret(header: str, *, basic: bool) -> str:
    """`basic`: the key may also be the name of basic authentication, without a password."""
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    if basic and scheme.lower() == "basic":
        scheme, secret = "bearer", _name(secret)
    if scheme.lower() != "bearer" or not secret or len(secret) > _LONGEST_KEY or not secret.isascii():
        raise UnauthenticatedError("an API key is needed: Authorization: Bearer hf_…")
    return secret


def _name(packed: str) -> str:
    """Empty if it is not what the scheme asks for."""
    try:
        name, _, password = base64.b64decode(packed, validate=True).decode("ascii").partition(":")
    except ValueError:
        return ""
    return "" if password else name


def _demand(caller: Caller, scope: Scope) -> None:
    if scope not in caller.scopes:
        raise ForbiddenError(f"this key lacks the scope {scope}")


class Pace:
    """How often each key may ask: a bucket that holds a minute's worth, in this process's memory."""

    def __init__(self, per_minute: int, *, remembered: int = 10_000, words: str = "requests a minute") -> None:
        self._per_minute = per_minute
        self._words = words
        self._remembered = remembered
        self._buckets: OrderedDict[tuple[int, int], tuple[float, float]] = OrderedDict()

    def demand(self, caller: Caller, now: float, cost: int = 1, *, held: int = 0) -> None:
        """`now`: monotonic seconds. `cost`: more than a minute's worth costs that. `held`: so much of it this request
        has taken before. TooManyRequestsError: so much is not in the bucket, and nothing is taken from it.
        """
        held = min(held, self._per_minute)
        cost = min(cost, self._per_minute)
        key = (caller.pid, caller.key_id)
        left, last = self._buckets.pop(key, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + held + (now - last) * self._per_minute / 60)
        self._buckets[key] = (left - cost if left >= cost else left, now)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        if left < cost:
            raise TooManyRequestsError(
                f"more than {self._per_minute} {self._words}",
                retry_after=max(1, round((cost - left) * 60 / self._per_minute)),
            )
