"""`POST /v1/events` past the framework, whose part is a tenth of what an event costs, and `/v1/events/columns`. They do
what the routes do.

What has a query goes to the routes (v1/events.py), which the schema is made from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from heartfly.accounts.guards import PACE, Bearer
from heartfly.api import problems
from heartfly.api.column_bodies import Found, columns_of
from heartfly.api.event_bodies import MAX_BYTES, demand_few_values, events_of, is_large, unpacked
from heartfly.api.ping import WHOLE, Receive, Scope, Send
from heartfly.api.state import ApiState
from heartfly.api.v1.events import WIRE
from heartfly.api.v1.wire_events import PREFER, encoded_out, is_brief
from heartfly.usage.sources import HEADER

_PATH, _COLUMNS = "/v1/events", "/v1/events/columns"
_PATHS = frozenset((_PATH, _COLUMNS))
_JSON = "application/json"
_SOURCE, _PREFER = HEADER.lower().encode(), PREFER.lower().encode()
JSON_FIELDS = b"content-type: application/json\r\ncontent-length: %d\r\n"


class EventDoor:
    def __init__(self, state: ApiState, guard: Bearer) -> None:
        self._state = state
        self._guard = guard

    def takes(self, scope: Scope) -> bool:
        return scope["path"] in _PATHS and scope["method"] == "POST" and not scope["query_string"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            scope["path_template"] = scope["path"]
            body = await self._take(scope, receive)
        except Exception as error:  # noqa: BLE001 - answered, and logged if nobody expected it, as the framework does
            problem, more = problems.of_error(error)
            await answer(send, problem.status, problems.MEDIA_TYPE, more, msgspec.json.encode(problem))
            return
        if WHOLE in scope.get("extensions", ()):
            # Nothing in it is anybody's word; each field of an answer checked anew costs as much as its JSON.
            await send({"type": WHOLE, "status": 200, "fields": JSON_FIELDS % len(body), "body": body})
        else:
            await answer(send, 200, _JSON, {}, body)

    async def _take(self, scope: Scope, receive: Receive) -> bytes:
        given = {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}  # the first one counts
        raw = await self._guard.ingests(scope, given.get(b"authorization", ""), lambda: body_of(given, receive))
        encoding, media_type = given.get(b"content-encoding", ""), given.get(b"content-type", "")
        events = self._state.events
        if scope["path"] == _COLUMNS:
            found = await columns_of(raw, encoding=encoding, now=events.now(), oldest=events.oldest())
        else:
            found = await self._found(raw, encoding, media_type)
        scope[PACE](len(found))
        told = await events.take(
            scope["auth"].pid,
            found,
            wire=WIRE,
            source=given.get(_SOURCE, ""),
            beside=is_large(raw, encoding),
        )
        return encoded_out(told, brief=is_brief(given.get(_PREFER, "")))

    async def _found(self, raw: bytes, encoding: str, media_type: str) -> Found:
        plain: Sequence[Any] | None = None
        if media_type == _JSON:
            large = is_large(raw, encoding)
            plain = await asyncio.to_thread(self._plain, raw, encoding) if large else self._plain(raw, encoding)
        return await events_of(raw, media_type=media_type, encoding=encoding) if plain is None else plain

    def _plain(self, raw: bytes, encoding: str) -> Sequence[Any] | None:
        content = unpacked(raw, encoding)
        demand_few_values(content)
        return self._state.events.plain(content)


async def body_of(given: Mapping[bytes, str], receive: Receive) -> bytes:
    announced = given.get(b"content-length", "")
    if announced.isdecimal() and int(announced) > MAX_BYTES:
        raise RequestEntityTooLarge
    parts: list[bytes] = []
    size = 0
    while True:
        message: dict[str, Any] = await receive()
        if message["type"] == "http.disconnect":
            raise InternalServerException("client disconnected prematurely")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BYTES:
            raise RequestEntityTooLarge
        if not message.get("more_body"):
            return b"".join(parts)


async def answer(send: Send, status: int, media_type: str, more: Mapping[str, str], body: bytes) -> None:
    own = {b"content-type": media_type.encode(), b"content-length": b"%d" % len(body)} | as_bytes(more)
    await send({"type": "http.response.start", "status": status, "headers": list(own.items())})
    await send({"type": "http.response.body", "body": body})


def as_bytes(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in headers.items()}
