"""Uptime Kuma's push monitors: `/api/push/TOKEN`, where TOKEN is a check's ping UUID, with its dashes or without."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

from heartfly.api.compat.telemetry.signal import Call, Room, Said, Signal, UnreadableError, as_json, figures
from heartfly.core.words import PingKind

_PATH = re.compile(r"/api/push/(?P<token>[^/]+)/?")
_TOKEN = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_NOBODY = as_json({"ok": False, "msg": "Monitor not found or not active."}, 404)


def takes(path: str, _query: bytes) -> bool:
    return _PATH.fullmatch(path) is not None


def read(call: Call) -> Sequence[Signal]:
    found = _PATH.fullmatch(call.path)
    if found is None or not _TOKEN.fullmatch(found["token"]):
        raise UnreadableError(_NOBODY)
    status, said = call.first("status") or "up", call.first("msg")
    if status not in {"up", "down"}:
        raise UnreadableError(as_json({"ok": False, "msg": "status must be up or down"}, 400))
    kind = PingKind.SUCCESS if status == "up" else PingKind.FAIL
    if status == "up" and said == "start":
        kind = PingKind.START  # borgmatic says so as it begins: nothing has succeeded yet
    return [
        Signal(
            address=str(uuid.UUID(found["token"])),
            kind=kind,
            metrics=figures([("ping", call.first("ping"))]),
            body=said.encode(),
        )
    ]


def answer(_call: Call, status: int, text: str) -> Said:
    if status < 300:
        return as_json({"ok": True})
    return _NOBODY if status == 404 else as_json({"ok": False, "msg": text}, status)


ROOM = Room(name="kuma", takes=takes, read=read, answer=answer)
