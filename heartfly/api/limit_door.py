"""Checks of limits past the framework, whose part is more than all else that a check costs. As the routes do it.

What has a query that is not `status` goes to the route (v1/limit_checks.py), which the schema is made from.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from heartfly.accounts.guards import Bearer
from heartfly.api import problems
from heartfly.api.body import decode
from heartfly.api.event_door import JSON_FIELDS, answer, as_bytes, body_of
from heartfly.api.ping import WHOLE, Receive, Scope, Send, written
from heartfly.api.state import ApiState
from heartfly.api.v1.limit_checks import check, commit, demand_status, release, status_of
from heartfly.api.v1.wire_limit_checks import EndIn, EndOut, LimitCheckIn, LimitCheckOut

_CHECK, _RESERVATIONS = "/v1/limits/check", "/v1/limits/reservations/"
_TEMPLATE = _RESERVATIONS + "{reservation:str}/"
_QUERIES: Mapping[bytes, str] = {b"": "", b"status=200": "200", b"status=429": "429"}
_JSON = "application/json"
_AUTHORIZATION, _LENGTH = b"authorization", b"content-length"


class LimitDoor:
    def __init__(self, state: ApiState, guard: Bearer) -> None:
        self._state = state
        self._guard = guard

    def takes(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if not path.startswith("/v1/limits/") or scope["method"] != "POST":
            return False
        if path == _CHECK:
            return scope["query_string"] in _QUERIES
        return not scope["query_string"] and _ending(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 200
        more: Mapping[str, str] = {}
        content: LimitCheckOut | EndOut | problems.Problem
        try:
            if scope["path"] == _CHECK:
                scope["path_template"] = _CHECK
                content, status, more = await self._check(scope, receive)
            else:
                content = await self._end(scope, receive)
        except Exception as error:  # noqa: BLE001 - answered, and logged if nobody expected it, as the framework does
            content, more = problems.of_error(error)
            await answer(send, content.status, problems.MEDIA_TYPE, more, msgspec.json.encode(content))
            return
        body = msgspec.json.encode(content)
        if WHOLE in scope.get("extensions", ()):
            # Nothing in it is anybody's word: a number at most. Each field checked anew is a tenth of such an answer.
            fields = JSON_FIELDS % len(body) + (written(as_bytes(more).items()) if more else b"")
            await send({"type": WHOLE, "status": status, "fields": fields, "body": body})
        else:
            await answer(send, status, _JSON, more, body)

    async def _check(self, scope: Scope, receive: Receive) -> tuple[LimitCheckOut, int, Mapping[str, str]]:
        asked = _QUERIES[scope["query_string"]]
        raw = await self._body(scope, receive)
        demand_status(asked)
        told = await check(self._state, scope["auth"].pid, decode(raw, LimitCheckIn))
        return told, *status_of(told, asked)

    async def _end(self, scope: Scope, receive: Receive) -> EndOut:
        ending = _ending(scope["path"])
        assert ending is not None
        reservation, how = ending
        scope["path_template"] = _TEMPLATE + how
        raw = await self._body(scope, receive)
        if how == "release":
            return await release(self._state, scope["auth"].pid, reservation)
        return await commit(self._state, scope["auth"].pid, reservation, decode(raw, EndIn))

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        given: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name in {_AUTHORIZATION, _LENGTH} and name not in given:  # the first one counts
                given[name] = value.decode("latin-1")
        return await self._guard.ingests(scope, given.get(_AUTHORIZATION, ""), lambda: body_of(given, receive))


def _ending(path: str) -> tuple[str, str] | None:
    """Of which reservation, and how; None: that is no such path."""
    rest = path.removeprefix(_RESERVATIONS)
    if rest == path:
        return None
    name, _, how = rest.partition("/")
    return (name, how) if name and how in {"commit", "release"} else None
