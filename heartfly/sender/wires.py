"""What a server is sent and what its answer means for the events in it: accepted, to be sent again, bad, or not for us.

Two wires: Heartfly's own, which says what became of each event, and Metronome's, which says yes or no to all.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .errors import SenderError
from .exchange import Answer

TURNED_AWAY = frozenset({401, 402, 403, 404, 405, 406, 407, 410, 415, 421, 426, 451})
"""Not for what an event holds: another event would be answered the same."""
AGAIN = frozenset({408, 425, 429})
_WORTH_PACKING = 1024


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one event. `status`: accepted, duplicate, conflict or rejected."""

    status: str
    field: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """One result for each event, in order."""

    results: Sequence[Result]


@dataclass(frozen=True, slots=True)
class Again:
    why: str


@dataclass(frozen=True, slots=True)
class Bad:
    """Something in it is: which, a smaller request will tell. One event alone is to be set aside."""

    why: str


@dataclass(frozen=True, slots=True)
class TurnedAway:
    why: str


Meaning = Settled | Again | Bad | TurnedAway


@dataclass(frozen=True, slots=True)
class Wire:
    """`most`: events of one request. `packed`: by gzip. `results`: what an answer says; None: nothing."""

    path: str
    most: int
    packed: bool
    results: Callable[[Answer, int], Sequence[Result] | None]

    def request(self, texts: Sequence[bytes]) -> tuple[bytes, Mapping[str, str]]:
        """The body, events to the letter, and its headers."""
        body = b"[" + b",".join(texts) + b"]"
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.packed and len(body) > _WORTH_PACKING:
            return gzip.compress(body, compresslevel=6, mtime=0), headers | {"Content-Encoding": "gzip"}
        return body, headers

    def meaning(self, answer: Answer, n: int) -> Meaning:
        status = answer.status
        if status >= 500 or status in AGAIN:
            return Again(_words(answer))
        if status in TURNED_AWAY or not (200 <= status < 300 or status >= 400):
            return TurnedAway(_words(answer))
        results = self.results(answer, n)
        if results is not None:
            return Settled(results)
        if status >= 400:
            return Bad(_words(answer))
        return Again(f"answered {status}, but not in words that say what became of the events")


def _each(answer: Answer, n: int) -> Sequence[Result] | None:
    """Heartfly's: a result for each, also where it refuses some."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    told = found.get("results") if isinstance(found, dict) else found
    if not isinstance(told, list) or len(told) != n or not all(isinstance(one, dict) for one in told):
        return None
    results = [Result(*(str(one.get(name) or "") for name in ("outcome", "field", "reason"))) for one in told]
    return results if all(one.status in _OUTCOMES for one in results) else None


_OUTCOMES = frozenset({"accepted", "duplicate", "conflict", "rejected"})


def _all(answer: Answer, n: int) -> Sequence[Result] | None:
    """Metronome's: yes to all, whatever it says."""
    return [Result("accepted")] * n if answer.status < 300 else None


NATIVE = Wire("/v1/events", most=1_000, packed=True, results=_each)
METRONOME = Wire("/v1/ingest", most=100, packed=False, results=_all)
"""Behind Heartfly's address with `/metronome`, or Metronome's own."""


@dataclass(frozen=True, slots=True)
class Target:
    """`url`: without the wire's path. `key`: what it knows us by; shown nowhere."""

    url: str
    key: str = field(repr=False)
    wire: Wire = NATIVE

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SenderError(f"the address must be http(s)://host[:port], not {self.url}")

    @property
    def address(self) -> str:
        return self.url.rstrip("/") + self.wire.path


def _words(answer: Answer) -> str:
    """What it said, short: people read it in a dead letter and in an alarm."""
    try:
        found: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    said = ""
    if isinstance(found, dict):
        errors = found.get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            said = f"{errors[0].get('field') or ''} {errors[0].get('message') or ''}".strip()
        said = said or str(found.get("detail") or found.get("message") or found.get("title") or "")
    return f"answered {answer.status}" + (f": {said[:300]}" if said else "")
