"""Sentry's check-ins: by HTTP, and in envelopes, of which all other items are left alone.

The public key of the DSN is the project's ping key, the monitor's slug a check's slug. What an SDK says of the schedule
makes a check that is not there; of one that is, it changes nothing.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from heartfly.api.compat.telemetry.signal import (
    PING_KEY,
    Call,
    Room,
    Said,
    Schedule,
    Signal,
    UnreadableError,
    as_json,
    figures,
    slug_of,
)
from heartfly.core.nesting import too_deep, too_many
from heartfly.core.tolerance import MOST_FAILURES, MOST_RECOVER
from heartfly.core.words import PingKind

_STATES = {"in_progress": PingKind.START, "ok": PingKind.SUCCESS, "error": PingKind.FAIL}
_PROJECT = r"(?!v[0-9]/|monitors/)[^/]{1,100}"
_ENVELOPE = re.compile(rf"/api/{_PROJECT}/envelope/?")
_BY_HTTP = re.compile(rf"/api/{_PROJECT}/cron/(?P<slug>[^/]+)(?:/(?P<key>[^/]+))?/?")
_KEY = re.compile(r"sentry_key=([A-Za-z0-9_-]+)")
_IN_DSN = re.compile(r"^https?://([A-Za-z0-9_-]+)[:@]")
_UNITS = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400, "year": 365 * 86_400}
MOST_ITEMS = 100
MOST_VALUES = 50_000
"""In one object: it is read before anybody knows whose it is. A check-in has some twenty."""


def takes(path: str, _query: bytes) -> bool:
    return path.startswith("/api/") and (_ENVELOPE.fullmatch(path) or _BY_HTTP.fullmatch(path)) is not None


def read(call: Call) -> Sequence[Signal]:
    by_http = _BY_HTTP.fullmatch(call.path)
    if by_http is None:
        first, _, rest = call.body.partition(b"\n")
        key = _key(call, _object(first))
        _demand_ping_key(key)  # before anything is read for it
        return [_signal(key, item) for item in _check_ins(rest)]
    told = dict(_object(call.body)) if call.method == "POST" and call.body.lstrip()[:1] == b"{" else {}
    told |= {name: values[0] for name, values in call.query.items()}
    return [_signal(by_http["key"] or _key(call, {}), told | {"monitor_slug": by_http["slug"]})]


def _signal(key: str, item: Mapping[str, Any]) -> Signal:
    _demand_ping_key(key)
    slug, status = slug_of(str(item.get("monitor_slug", ""))), item.get("status")
    if not slug:
        raise UnreadableError(as_json({"detail": "monitor_slug: must be there"}, 400))
    if status not in _STATES:
        raise UnreadableError(as_json({"detail": "status: must be in_progress, ok or error"}, 400))
    name = str(item.get("check_in_id") or "")
    return Signal(
        address=f"{key}/{slug}",
        kind=_STATES[status],
        rid=name if name.strip("0-") else "",  # of zeros alone: the newest
        create=True,
        metrics=figures([("duration", str(item["duration"]))]) if item.get("duration") is not None else None,
        schedule=_schedule(item.get("monitor_config")),
    )


def _demand_ping_key(key: str) -> None:
    if not PING_KEY.fullmatch(key):
        raise UnreadableError(as_json({"detail": "the key must be the project's ping key"}, 401))


def _schedule(config: object) -> Schedule | None:
    """What of it cannot be understood is left out: the check-in itself counts."""
    told = config if isinstance(config, dict) else {}
    schedule = told.get("schedule")
    if not isinstance(schedule, dict):
        return None
    zone = str(told.get("timezone") or "UTC")
    more = {
        "zone": zone,
        "grace_s": _minutes(told.get("checkin_margin")),
        "max_run_s": _minutes(told.get("max_runtime")),
        "failures": _count(told.get("failure_issue_threshold"), MOST_FAILURES),
        "recover": _count(told.get("recovery_threshold"), MOST_RECOVER),
    }
    if schedule.get("type") == "crontab":
        return Schedule(expression=str(schedule.get("value", ""))[:200], **more)  # type: ignore[arg-type] # as built
    number, unit = schedule.get("value"), _UNITS.get(str(schedule.get("unit")))
    if schedule.get("type") == "interval" and isinstance(number, int) and unit and 0 < number < 10_000:
        return Schedule(period_s=number * unit, **more)  # type: ignore[arg-type] # as built
    return None


def _minutes(value: object) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 600_000
    return int(value) * 60 if is_number else None  # type: ignore[call-overload] # is a number


def _count(value: object, most: int) -> int | None:
    """One that is larger than ours may be is the largest: the alarm comes sooner, and not never."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return min(int(value), most) if is_number else None  # type: ignore[call-overload] # is a number


def _key(call: Call, header: Mapping[str, Any]) -> str:
    for text in (call.headers.get("x-sentry-auth", ""), call.headers.get("authorization", "")):
        if found := _KEY.search(text):
            return found[1]
    if told := call.first("sentry_key"):
        return told
    of_dsn = _IN_DSN.match(str(header.get("dsn", "")))
    return of_dsn[1] if of_dsn else ""


def _check_ins(items: bytes) -> Iterator[Mapping[str, Any]]:
    """By places, so that each byte is looked at once, whatever stands in it. An empty line is as much as an item."""
    at, n = 0, 0
    while at < len(items):
        n += 1
        if n > MOST_ITEMS:
            raise UnreadableError(as_json({"detail": f"more than {MOST_ITEMS} items"}, 413))
        end = _line_end(items, at)
        line, at = items[at:end].strip(), end + 1
        if not line:
            continue
        header = _object(line)
        length = header.get("length")
        if isinstance(length, int) and not isinstance(length, bool) and 0 <= length <= len(items) - at:
            end = at + length
            payload, at = items[at:end], end + (items[end : end + 1] == b"\n")
        else:
            end = _line_end(items, at)
            payload, at = items[at:end], end + 1
        if header.get("type") == "check_in":
            yield _object(payload)


def _line_end(items: bytes, at: int) -> int:
    end = items.find(b"\n", at)
    return len(items) if end < 0 else end


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = None if too_deep(raw) or too_many(raw, MOST_VALUES) else msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise UnreadableError(as_json({"detail": "invalid event envelope"}, 400))
    return found


def answer(call: Call, status: int, text: str) -> Said:
    if status >= 300:
        return as_json({"detail": text}, status)
    is_envelope = _ENVELOPE.fullmatch(call.path) is not None
    return as_json({"id": call.first("check_in_id") or uuid.uuid4().hex}, 200 if is_envelope else 202)


ROOM = Room(name="sentry", takes=takes, read=read, answer=answer)
