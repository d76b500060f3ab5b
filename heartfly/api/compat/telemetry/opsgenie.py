"""Opsgenie's heartbeat ping: `/v2/heartbeats/NAME/ping`. Its key is the project's ping key, NAME a check's slug."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from urllib.parse import unquote

from heartfly.api.compat.telemetry.signal import PING_KEY, Call, Room, Said, Signal, UnreadableError, as_json, slug_of
from heartfly.core.words import PingKind

_PATH = re.compile(r"/v2/heartbeats/(?P<name>[^/]+)/ping/?")


def takes(path: str, _query: bytes) -> bool:
    return _PATH.fullmatch(path) is not None


def read(call: Call) -> Sequence[Signal]:
    found = _PATH.fullmatch(call.path)
    kind, _, told = call.headers.get("authorization", "").partition(" ")
    key = told.strip() if kind.lower() == "geniekey" else call.first("apiKey")
    if not PING_KEY.fullmatch(key):
        raise UnreadableError(as_json({"message": "Could not authenticate", "took": 0.0}, 401))
    slug = slug_of(unquote(found["name"])) if found is not None else ""
    if not slug:
        raise UnreadableError(as_json({"message": "Heartbeat with that name does not exist", "took": 0.0}, 404))
    return [Signal(address=f"{key}/{slug}", kind=PingKind.SUCCESS)]


def answer(_call: Call, status: int, text: str) -> Said:
    if status < 300:
        told = {"result": "PONG - Heartbeat received", "took": 0.0, "requestId": str(uuid.uuid4())}
        return as_json(told, 202)
    return as_json({"message": text, "took": 0.0}, status)


ROOM = Room(name="opsgenie", takes=takes, read=read, answer=answer)
