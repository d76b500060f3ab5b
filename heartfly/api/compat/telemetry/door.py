"""Reads a call of another service's client, makes the check that it describes if there is none, and pings it.

The ping itself goes through the ping door, so that everything that holds for a ping holds for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

import sqlalchemy as sa

from heartfly.accounts.guards import Bearer
from heartfly.accounts.keys import Scope as KeyScope
from heartfly.api.compat.telemetry import brotli_bodies
from heartfly.api.compat.telemetry.signal import (
    API_KEY,
    Call,
    Room,
    Said,
    Schedule,
    Signal,
    UnreadableError,
    as_text,
    client_time,
)
from heartfly.api.event_bodies import unpacked
from heartfly.api.ping import CLIENT_AT, PingDoor, Receive, Scope, Send
from heartfly.api.state import ApiState
from heartfly.checks.described import describe
from heartfly.checks.turn import NotJudgedYetError
from heartfly.db.models import projects
from heartfly.errors import (
    ConflictError,
    HeartflyError,
    InvalidValueError,
    LimitError,
    NotFoundError,
    TooManyRequestsError,
    UnauthenticatedError,
)
from heartfly.logs import line
from heartfly.sealing import digest

MOST_BYTES = 1024 * 1024
"""Of a call, packed."""
_REMEMBERED = 10_000
"""Signals that are known when they come again."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH"})


class TelemetryDoor:
    def __init__(self, state: ApiState, ping: PingDoor, guard: Bearer) -> None:
        self._state = state
        self._ping = ping
        self._guard = guard
        self._before: OrderedDict[str, asyncio.Future[tuple[int, str]]] = OrderedDict()

    async def __call__(self, room: Room, scope: Scope, receive: Receive, send: Send) -> None:
        said = await self._answer(room, scope, receive)
        fields = [
            (b"content-type", said.media_type.encode()),
            (b"content-length", str(len(said.body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if said.status == 503:
            fields.append((b"retry-after", b"30"))
        await send({"type": "http.response.start", "status": said.status, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else said.body})

    async def _answer(self, room: Room, scope: Scope, receive: Receive) -> Said:
        if scope["method"] not in _METHODS:
            return as_text("method not allowed", 405)
        try:
            call = await _call(scope, receive)
            worst, text = 200, ""
            for told in room.read(call):
                signal = await self._by_ping_key(told)
                if signal.schedule is not None:
                    await self._described(signal, signal.schedule, scope)
                status, answered = await self._once(signal, scope)
                if status >= worst:
                    worst, text = status, answered
        except UnreadableError as refused:
            line("telemetry", room=room.name, outcome="refused", code=refused.said.status)
            return refused.said
        except InvalidValueError as error:
            line("telemetry", room=room.name, outcome="refused", code=400)
            return as_text(str(error), 400)
        line("telemetry", room=room.name, outcome="ok" if worst < 300 else "refused", code=worst)
        return room.answer(call, worst, text)

    async def _once(self, signal: Signal, scope: Scope) -> tuple[int, str]:
        """What was sent again, as its answer was lost, is told what it was told before. This process's memory only."""
        if not signal.stamp:
            return await self._pinged(signal, scope)
        key = digest(f"{signal.path} {signal.rid} {signal.stamp}")
        before = self._before.get(key)
        if before is not None:
            return await asyncio.shield(before)
        done: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._before[key] = done
        if len(self._before) > _REMEMBERED:
            self._before.popitem(last=False)
        told = (503, "try again later")
        try:
            told = await self._pinged(signal, scope)
        finally:
            if told[0] >= 300:
                self._before.pop(key, None)  # so that it may come again
            done.set_result(told)
        return told

    async def _by_ping_key(self, signal: Signal) -> Signal:
        """As it is, unless it came by an API key: whoever may write checks may ping them. UnreadableError."""
        key, slash, slug = signal.address.partition("/")
        if not slash or not API_KEY.fullmatch(key):
            return signal
        try:
            caller = await self._guard.recognise(key)
        except UnauthenticatedError:
            raise UnreadableError(as_text("not found", 404)) from None
        except TooManyRequestsError as error:
            raise UnreadableError(as_text(str(error), 429)) from None
        if KeyScope.WRITE not in caller.scopes:
            raise UnreadableError(as_text("this key lacks the scope write", 403))
        query = sa.select(projects.c.ping_key_enc).where(projects.c.id == caller.pid)
        async with self._state.database.read() as read:
            sealed = (await read.execute(query)).scalar_one()
        return replace(signal, address=f"{self._state.sealer.open(sealed).decode()}/{slug}")

    async def _described(self, signal: Signal, schedule: Schedule, scope: Scope) -> None:
        """A check as its client describes it, as only Sentry's does. What cannot be made so is made by the ping as any
        other, or refused; what cannot be set now (it is just being judged) is set with the next signal.
        """
        key, _, slug = signal.address.partition("/")
        state = self._state
        at, remote = state.clock.now(), state.client_address(scope)[0]
        try:
            await state.database.write(
                lambda tx: describe(
                    tx, digest(key), slug, schedule, by="Sentry", remote=remote, at=at, ids=state.ids,
                    most=state.settings.limits.checks,
                )
            )  # fmt: skip
        except (InvalidValueError, ConflictError, LimitError, NotFoundError, NotJudgedYetError) as error:
            line("telemetry", outcome="not_described", reason=type(error).__name__)

    async def _pinged(self, signal: Signal, scope: Scope) -> tuple[int, str]:
        heard = _Heard()
        method = "POST" if signal.body else "GET"
        asked = scope | {
            "method": method,
            "path": signal.path,
            "raw_path": signal.path.encode(),
            "query_string": urlencode(signal.query).encode(),
            "extensions": {},
            CLIENT_AT: client_time(signal.stamp, self._state.clock.now()) if signal.stamp else None,
            # Of the body that came, not of the one that is told.
            "headers": [pair for pair in scope["headers"] if pair[0] not in {b"content-length", b"content-encoding"}]
            + ([(b"content-length", str(len(signal.body)).encode())] if signal.body else []),
        }
        await self._ping(asked, _told_once(signal.body), heard)
        return heard.status, heard.body.decode(errors="replace")


@dataclass(slots=True)
class _Heard:
    """What the ping door answers."""

    status: int = 500
    body: bytes = b""
    headers: list[Any] = field(default_factory=list)

    async def __call__(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")


def _told_once(body: bytes) -> Receive:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _call(scope: Scope, receive: Receive) -> Call:
    """InvalidValueError: its body is too large, or not what its encoding says."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise UnreadableError(as_text("the body did not arrive", 400))
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise UnreadableError(as_text("the body is larger than 1 MiB", 413))
        if not message.get("more_body"):
            break
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
    raw, encoding = b"".join(parts), headers.get("content-encoding", "").strip().lower()
    try:
        body = brotli_bodies.unpacked(raw, most=MOST_BYTES) if encoding == "br" else unpacked(raw, encoding)
    except HeartflyError as error:
        raise UnreadableError(as_text(str(error), 400)) from error
    if len(body) > MOST_BYTES:
        raise UnreadableError(as_text("the body is larger than 1 MiB", 413))
    return Call(
        method=scope["method"],
        path=scope["path"],
        query=parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True),
        headers=headers,
        body=body,
    )
