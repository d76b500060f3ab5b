"""What a call of another service's client says, as pings of ours; and how that service would have answered.

A room reads a call (`Call`) and returns signals; nothing of it touches the database. What a client says of the time is
only kept: a ping is of the time at which it is received.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

import msgspec

from heartfly.core import metrics
from heartfly.core.words import PingKind
from heartfly.db.types import EPOCH
from heartfly.pings.request import OLDEST

PING_KEY = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
API_KEY = re.compile(r"hf_[A-Za-z0-9]{43}", re.ASCII)
"""In the place of a ping key: a client that knows one key only, with which it also sets its monitors."""
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_NOT_OF_SLUGS = re.compile(r"[^a-z0-9_-]+")
_MOST_SLUG = 100
_MOST_SECONDS = 100_000_000_000
_OURS = uuid.UUID("2c1f4a52-4f0f-5b0a-9d0a-6a1c7f7f3b10")
"""Names of runs of other services have ids in this space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`headers`: by small letters. `body`: unpacked, at most what the door takes."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: bytes

    def first(self, *names: str) -> str:
        """Of the query, the first of these that is there."""
        return next((self.query[name][0] for name in names if self.query.get(name)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a client says of its job, for a check that is not there yet. Seconds; one of `expression` and `period_s`."""

    expression: str = ""
    period_s: int | None = None
    zone: str = "UTC"
    grace_s: int | None = None
    max_run_s: int | None = None
    failures: int | None = None
    """So many in a row, misses among them, are an alarm."""
    recover: int | None = None
    """So many successes in a row end it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """`address`: of the check, below `/ping/`. `rid`: of the run, as the client calls it; empty: it does not.

    `stamp`: seconds since 1970 by the client's clock; what comes again with the same one is the same signal.
    """

    address: str
    kind: PingKind
    exit_status: int | None = None
    rid: str = ""
    stamp: str = ""
    create: bool = False
    metrics: Mapping[str, Decimal] | None = None
    body: bytes = b""
    schedule: Schedule | None = None

    @property
    def path(self) -> str:
        action = {PingKind.SUCCESS: "", PingKind.START: "/start", PingKind.FAIL: "/fail", PingKind.LOG: "/log"}[
            self.kind
        ]
        return f"/ping/{self.address}" + (action if self.exit_status is None else f"/{self.exit_status}")

    @property
    def query(self) -> Sequence[tuple[str, str]]:
        told = [("create", "1")] if self.create else []
        if self.rid:
            told.append(("rid", str(run_id(self.rid))))
        return [*told, *(("metric", f"{name}:{value:f}") for name, value in (self.metrics or {}).items())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a service answers: to all signals of a call together. `text`: what the ping door said, if it refused one."""

    status: int
    body: bytes
    media_type: str = "application/json"


class UnreadableError(Exception):
    """The call is none that we take; `said`: how its service says so."""

    def __init__(self, said: Said) -> None:
        super().__init__(said.body.decode(errors="replace"))
        self.said = said


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """`takes`: by path and query alone, asked at each request that is not known otherwise."""

    name: str
    takes: Callable[[str, bytes], bool]
    read: Callable[[Call], Sequence[Signal]]
    answer: Callable[[Call, int, str], Said]
    """Of the worst that the ping door said: its status and text; 200 if all was well."""


def run_id(name: str) -> uuid.UUID:
    """A run's own id where it is one, else the same for the same name."""
    try:
        return uuid.UUID(name)
    except ValueError:
        return uuid.uuid5(_OURS, name[:500])


def client_time(stamp: str, now: datetime) -> datetime | None:
    """None: it is no time, or too far from ours to be of any use."""
    value = figure(stamp[:40])
    if value is None or abs(value) > _MOST_SECONDS:
        return None
    at = EPOCH + timedelta(microseconds=int(value * 1_000_000))
    return at if abs(at - now) <= OLDEST else None


def slug_of(name: str) -> str:
    """Small letters, digits, `-` and `_`, as a check's slug has them; empty: nothing is left."""
    return _NOT_OF_SLUGS.sub("-", name.lower()).strip("-")[:_MOST_SLUG]


def figure(text: str) -> Decimal | None:
    """An exact decimal of what floating-point programs print, too (7.8e-05); None: it is none that we keep."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > 18:
        return None
    plain = f"{value:f}"
    whole, _, places = plain.partition(".")
    return metrics.quantity(f"{whole}.{places[:18]}" if places else whole)


def figures(pairs: Sequence[tuple[str, str]]) -> Mapping[str, Decimal]:
    """Of names and texts those that are figures: what is none is no reason to lose a signal."""
    found: dict[str, Decimal] = {}
    for name, text in pairs:
        value = figure(text)
        if value is not None and metrics.NAME.fullmatch(name) and len(found) < metrics.MAX_METRICS:
            found[name] = value
    return found


def as_json(value: object, status: int = 200) -> Said:
    return Said(status=status, body=msgspec.json.encode(value))


def as_text(text: str, status: int = 200) -> Said:
    return Said(status=status, body=text.encode(), media_type="text/plain; charset=utf-8")
