"""Cronitor's telemetry: `/p/KEY/MONITOR` and `/ping/KEY/MONITOR` with a state, and the older `/CODE/run`.

KEY is the project's ping key, or an API key that may write; MONITOR a check's slug, CODE a check's ping UUID.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from heartfly.api.compat.telemetry.signal import (
    API_KEY,
    PING_KEY,
    UUID,
    Call,
    Room,
    Said,
    Signal,
    UnreadableError,
    as_text,
    figures,
    slug_of,
)
from heartfly.core.words import PingKind

_STATES = {
    "run": PingKind.START, "complete": PingKind.SUCCESS, "ok": PingKind.SUCCESS, "": PingKind.SUCCESS,
    "fail": PingKind.FAIL,
}  # fmt: skip
_BY_KEY = re.compile(r"/(?P<door>p|ping)/(?P<key>[^/]+)/(?P<monitor>[^/]+)/?")
_BY_CODE = re.compile(r"/(?P<code>[0-9a-fA-F-]{36})/(?P<state>run|complete)/?", re.ASCII)
_ITS_OWN = re.compile(rb"(?:^|&)(?:state|stamp|series|metric|host|env|msg|message|status_code|duration|try)=", re.ASCII)
_STATE = re.compile(rb"(?:^|&)state=", re.ASCII)


def takes(path: str, query: bytes) -> bool:
    """Of a ping without a state, and of a page below `/p/`, nothing is theirs."""
    if path.startswith("/ping/"):
        return _STATE.search(query) is not None and _BY_KEY.fullmatch(path) is not None
    if path.startswith("/p/"):
        found = _BY_KEY.fullmatch(path)
        if found is not None and API_KEY.fullmatch(found["key"]):
            return True
        # A project's slug has no capitals, and of a ping key's 22 characters one nearly always is.
        is_key = (
            found is not None and PING_KEY.fullmatch(found["key"]) is not None and found["key"] != found["key"].lower()
        )
        return is_key and _ITS_OWN.search(query) is not None
    return _BY_CODE.fullmatch(path) is not None and UUID.fullmatch(path[1:37]) is not None


def read(call: Call) -> Sequence[Signal]:
    if (of_code := _BY_CODE.fullmatch(call.path)) is not None:
        return [Signal(address=of_code["code"], kind=_STATES[of_code["state"]], body=_said(call))]
    found = _BY_KEY.fullmatch(call.path)
    state = call.first("state")
    if found is None or state not in _STATES:
        raise UnreadableError(as_text("state must be run, complete, ok or fail", 400))
    slug = slug_of(unquote(found["monitor"]))
    if not (PING_KEY.fullmatch(found["key"]) or API_KEY.fullmatch(found["key"])) or not slug:
        raise UnreadableError(as_text("not found", 404))
    kind, status = _STATES[state], call.first("status_code")
    is_status = status.isascii() and status.isdigit() and len(status) < 4 and int(status) < 256
    exit_status = int(status) if is_status and kind in {PingKind.SUCCESS, PingKind.FAIL} else None
    if exit_status is not None and (exit_status == 0) != (kind is PingKind.SUCCESS):
        exit_status = None  # what it says of its state counts
    pairs = [_pair(text) for text in call.query.get("metric", ())]
    if duration := call.first("duration"):
        pairs.append(("duration", duration))
    return [
        Signal(
            address=f"{found['key']}/{slug}",
            kind=kind,
            exit_status=exit_status,
            rid=f"cronitor:{call.first('series')}" if call.first("series") else "",
            stamp=call.first("stamp"),
            create=True,
            metrics=figures(pairs),
            body=_said(call),
        )
    ]


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name, value


def _said(call: Call) -> bytes:
    return call.body or call.first("message", "msg").encode()


def answer(_call: Call, status: int, text: str) -> Said:
    return as_text("OK" if status < 300 else text, 200 if status < 300 else status)


ROOM = Room(name="cronitor", takes=takes, read=read, answer=answer)
