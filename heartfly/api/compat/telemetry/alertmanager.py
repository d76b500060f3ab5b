"""Alertmanager's webhook as a signal of life: a ping address with `/alertmanager` at its end.

An alert that always fires (a watchdog) keeps the check up; that it is resolved means that it fires no more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from heartfly.api.compat.telemetry.signal import PING_KEY, UUID, Call, Room, Said, Signal, UnreadableError, as_text
from heartfly.core.nesting import too_deep
from heartfly.core.words import PingKind

_PATH = re.compile(r"/ping/(?P<address>[^/]+(?:/[^/]+)?)/alertmanager/?")
_KINDS = {"firing": PingKind.SUCCESS, "resolved": PingKind.FAIL}
_MOST_SAID = 10_000


class _Told(msgspec.Struct):
    status: str
    version: str = ""


def takes(path: str, _query: bytes) -> bool:
    return path.rstrip("/").endswith("/alertmanager") and _PATH.fullmatch(path) is not None


def read(call: Call) -> Sequence[Signal]:
    found = _PATH.fullmatch(call.path)
    address = found["address"] if found is not None else ""
    first, slash, slug = address.partition("/")
    if not (PING_KEY.fullmatch(first) and slug if slash else UUID.fullmatch(first)):
        raise UnreadableError(as_text("not found", 404))
    try:
        told = msgspec.json.decode(b"{}" if too_deep(call.body) else call.body, type=_Told)
    except (msgspec.DecodeError, ValueError):
        raise UnreadableError(as_text("the body must be what Alertmanager's webhook sends", 400)) from None
    if told.status not in _KINDS:
        raise UnreadableError(as_text("status must be firing or resolved", 400))
    return [Signal(address=address, kind=_KINDS[told.status], body=call.body[:_MOST_SAID])]


def answer(_call: Call, status: int, text: str) -> Said:
    return as_text("OK" if status < 300 else text, 200 if status < 300 else status)


ROOM = Room(name="alertmanager", takes=takes, read=read, answer=answer)
