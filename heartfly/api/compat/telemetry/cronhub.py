"""Cronhub's addresses: `/start/UUID`, `/finish/UUID`, `/fail/UUID`, `/ping/UUID` being ours already."""

from __future__ import annotations

import re
from collections.abc import Sequence

from heartfly.api.compat.telemetry.signal import Call, Room, Said, Signal, UnreadableError, as_text
from heartfly.core.words import PingKind

_PATH = re.compile(
    r"/(?P<state>start|finish|fail)/(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/?", re.ASCII
)
_STATES = {"start": PingKind.START, "finish": PingKind.SUCCESS, "fail": PingKind.FAIL}


def takes(path: str, _query: bytes) -> bool:
    return _PATH.fullmatch(path) is not None


def read(call: Call) -> Sequence[Signal]:
    found = _PATH.fullmatch(call.path)
    if found is None:
        raise UnreadableError(as_text("not found", 404))
    return [Signal(address=found["uuid"], kind=_STATES[found["state"]], body=call.body)]


def answer(_call: Call, status: int, text: str) -> Said:
    return as_text("OK" if status < 300 else text, 200 if status < 300 else status)


ROOM = Room(name="cronhub", takes=takes, read=read, answer=answer)
