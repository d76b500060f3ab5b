"""Which call goes where, and what holds for all of them: the key, the body, how errors are told.

The key is an API key, as the name of basic authentication (as Cronitor's clients send it) or as a bearer token. A body
is JSON whatever its content type says, unless the address or the content type is of YAML.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from heartfly.accounts.guards import Bearer
from heartfly.accounts.keys import Scope as KeyScope
from heartfly.api import problems
from heartfly.api.compat.cronitor import documents, monitors
from heartfly.api.compat.cronitor.monitors import Call, WrongMonitorsError
from heartfly.api.compat.cronitor.paths import PATH
from heartfly.api.compat.cronitor.spec import SETTABLE
from heartfly.api.event_bodies import unpacked
from heartfly.api.ping import Receive, Scope, Send
from heartfly.api.state import ApiState
from heartfly.audit.record import Actor
from heartfly.errors import ForbiddenError, InvalidValueError, UnauthenticatedError

_JSON, _YAML = "application/json", "application/yaml; charset=utf-8"
_MOST_PACKED = 1024 * 1024
Answer = tuple[int, bytes, str]


class CronitorDoor:
    def __init__(self, state: ApiState, guard: Bearer) -> None:
        self._state = state
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = PATH.fullmatch(scope["path"])
        assert found is not None  # whoever asks has looked
        scope["path_template"] = _template(found.groupdict())
        more: Mapping[str, str] = {}
        try:
            status, body, media_type = await self._answer(scope, receive, found.groupdict())
        except WrongMonitorsError as error:
            told = [{"monitor": place, "field": field, "message": why} for place, field, why in error.wrong]
            status, body, media_type = 400, msgspec.json.encode({"message": str(error), "errors": told}), _JSON
        except Exception as error:  # noqa: BLE001 - answered, and logged if nobody expected it, as the framework does
            problem, more = problems.of_error(error)
            status = 400 if problem.status == 422 else problem.status
            said = [{"field": one.field, "message": one.message} for one in problem.errors]
            body, media_type = msgspec.json.encode({"message": problem.detail, "errors": said}), _JSON
        await _tell(send, status, body, media_type, more)

    async def _answer(self, scope: Scope, receive: Receive, parts: Mapping[str, str | None]) -> Answer:
        method, key, action = scope["method"], parts["key"], parts["action"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        call = await self._call(scope, headers, writes=method not in {"GET", "HEAD"} or action is not None)
        key = None if key is None else unquote(key)
        if action is not None and key is not None:
            if method not in {"GET", "HEAD", "PUT", "POST"}:
                return _no_method("GET, PUT")
            await monitors.pause(call, key, parts["hours"])
            return _told(200, await monitors.show(call, key))
        if method in {"GET", "HEAD"}:
            return await _read(call, key, scope, is_yaml=parts["yaml"] is not None)
        if method == "DELETE" and key is not None:
            await monitors.remove(call, key)
            return 204, b"", ""
        if method == "PUT" and key is None:
            return await _put(call, await _body(receive, headers), headers, is_yaml=parts["yaml"] is not None)
        return _no_method("GET, PUT" if key is None else "GET, DELETE")

    async def _call(self, scope: Scope, headers: Mapping[str, str], *, writes: bool) -> Call:
        caller = await self._guard.recognise(_secret(headers.get("authorization", "")))
        scope["auth"] = caller
        needed = KeyScope.WRITE if writes else KeyScope.READ
        if needed not in caller.scopes:
            raise ForbiddenError(f"this key lacks the scope {needed}")
        return Call(api=self._state, caller=caller, actor=Actor(caller.actor, self._state.client_address(scope)[0]))


async def _read(call: Call, key: str | None, scope: Scope, *, is_yaml: bool) -> Answer:
    if key is not None:
        return _told(200, await monitors.show(call, key))
    if is_yaml:
        forms = await monitors.all_forms(call)
        return 200, await asyncio.to_thread(documents.configuration, forms, SETTABLE), _YAML
    query = parse_qs(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
    return _told(200, await monitors.list_page(call, query))


async def _put(call: Call, raw: bytes, headers: Mapping[str, str], *, is_yaml: bool) -> Answer:
    is_yaml = is_yaml or "yaml" in headers.get("content-type", "").partition(";")[0]
    # In a thread: to read YAML takes a second for what its bound lets in.
    document = await asyncio.to_thread(documents.read, raw, as_yaml=is_yaml)
    forms = await monitors.put(call, document)
    if is_yaml:
        return 200, await asyncio.to_thread(documents.written, documents.grouped(forms)), _YAML
    return _told(200, {"monitors": documents.grouped(forms) if document.nested else forms})


def _told(status: int, value: Any) -> Answer:
    return status, msgspec.json.encode(value), _JSON


def _no_method(allowed: str) -> Answer:
    return _told(405, {"message": f"this address takes {allowed}", "errors": []})


def _secret(header: str) -> str:
    """UnauthenticatedError. A password beside the name is none of ours, and is left alone when it is empty."""
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    if scheme.lower() == "bearer" and secret:
        return secret
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(secret, validate=True).decode("ascii").partition(":")
        except ValueError:
            name, password = "", ""
        if name and not password:
            return name
    raise UnauthenticatedError("an API key is needed, as the name of basic authentication")


async def _body(receive: Receive, headers: Mapping[str, str]) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidValueError("", "the body did not arrive")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _MOST_PACKED:
            raise InvalidValueError("", "the body is larger than 1 MiB")
        if not message.get("more_body"):
            return unpacked(b"".join(parts), headers.get("content-encoding", ""))


def _template(parts: Mapping[str, str | None]) -> str:
    """The path as the log tells it."""
    rest = "/{key}" if parts["key"] else ""
    return f"/api/monitors{parts['yaml'] or ''}{rest}" + ("/pause" if parts["action"] else "")


async def _tell(send: Send, status: int, body: bytes, media_type: str, more: Mapping[str, str]) -> None:
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in more.items()]
    if status != 204:
        fields += [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
