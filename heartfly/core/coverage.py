"""What runs say they processed, from when to when, and what is wrong with it: gaps, overlaps, stalls.

A job may succeed in time each night and still leave out a day. A run says `from` and `to` (query, or figures of its
body); the spans of runs that went well are laid beside one another. Spans are half-open, [from, to). Whether a breach
raises is decided by a check's gate `coverage unbroken` (gates.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec

from heartfly.core.events import instant_of

MOST = 1_000
"""Spans that are laid beside one another: the newest of a check."""
AHEAD = timedelta(minutes=5)
"""So far beyond now a span may end, for clocks differ."""
SCANNED = 32 * 1024

_INSTANT = rb"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)|\d{10})(?![\d.:])"
_ENDS = {
    end: re.compile(rb"(?:^|(?<=[\s,;{\"]))(?:covers_)?" + end + rb"\"?[ \t]{0,4}[=:][ \t]{0,4}\"?" + _INSTANT)
    for end in (b"from", b"to")
}


class Span(msgspec.Struct, frozen=True, order=True):
    """[from_at, to_at)."""

    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class Coverage:
    """`spans`: what is covered, joined where they touch. `gaps`: between them. `overlaps`: covered more than once."""

    spans: Sequence[Span]
    gaps: Sequence[Span]
    overlaps: Sequence[Span]

    @property
    def until(self) -> datetime | None:
        return self.spans[-1].to_at if self.spans else None


def coverage(found: Iterable[Span]) -> Coverage:
    spans: list[Span] = []
    twice: list[Span] = []
    for one in sorted(found):
        if not spans or one.from_at > spans[-1].to_at:
            spans.append(one)
            continue
        last = spans[-1]
        if one.from_at < last.to_at:
            again = Span(one.from_at, min(one.to_at, last.to_at))
            if twice and again.from_at <= twice[-1].to_at:
                again = Span(twice[-1].from_at, max(twice[-1].to_at, again.to_at))
                twice.pop()
            twice.append(again)
        spans[-1] = Span(last.from_at, max(last.to_at, one.to_at))
    gaps = [Span(one.to_at, other.from_at) for one, other in pairwise(spans)]
    return Coverage(spans, gaps, twice)


def breaches(covers: Span | None, known: Sequence[Span], *, at: datetime) -> list[str]:
    """What is wrong after a run that says this, each in words that follow "coverage". `known`: of the runs before.

    A run that fills a gap, or does once more what was covered before, breaks nothing. A gap that is still open does,
    whichever run is judged.
    """
    if covers is None:
        return ["was not reported: no from and to"]
    if reaches_ahead(covers, at):
        return [f"ends at {_utc(covers.to_at)}, which is still to come"]
    before = coverage(known)
    said = []
    if before.until is not None:
        if covers.from_at < before.until < covers.to_at and not _fills(covers, before.gaps):
            said.append(f"overlaps: {_span(Span(covers.from_at, before.until))} was covered before")
        if covers.to_at == before.until and not _fills(covers, before.gaps):
            said.append(f"stands still: it was covered until {_utc(before.until)} before")
    gaps = coverage([*known, covers]).gaps
    if gaps:
        more = f", and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        said.append(f"has a gap: {_span(gaps[0])} is missing{more}")
    return said


def reaches_ahead(covers: Span, at: datetime) -> bool:
    """It speaks of time that is not over, so it cannot have processed it."""
    return covers.to_at > at + AHEAD


def of_query(query: Mapping[str, Sequence[str]]) -> Span | None:
    """`?from=…&to=…`. What is no span says nothing: a ping is never refused for it."""
    if "from" not in query or "to" not in query:
        return None
    return _span_of(*(_with_its_plus(query[name][0]) for name in ("from", "to")))


def of_body(body: bytes, *, end: bytes = b"") -> Span | None:
    """`from=… to=…`, `covers_from`, `covers_to`, or as texts of a JSON object; the last of each counts.

    `end`: the last bytes of what was sent, if that went on after `body`.
    """
    if b"from" not in body and b"from" not in end:
        return None
    half = SCANNED // 2
    part = body if not end and len(body) <= SCANNED else body[:half] + b"\n" + (end or body)[-half:]
    found = [pattern.findall(part) for pattern in _ENDS.values()]
    if not all(found):
        return None
    return _span_of(*(each[-1].decode() for each in found))


def _with_its_plus(text: str) -> str:
    """In a query a plus that was not escaped means a space: the one before an offset is given back."""
    return f"{text[:-6]}+{text[-5:]}" if text[-6:-5] == " " else text


def _span_of(from_text: str, to_text: str) -> Span | None:
    from_at, to_at = _instant(from_text), _instant(to_text)
    if from_at is None or to_at is None or from_at >= to_at:
        return None
    return Span(from_at, to_at)


def _instant(text: str) -> datetime | None:
    if len(text) == 10 and text.isascii() and text.isdigit():
        return datetime.fromtimestamp(int(text), UTC)
    return instant_of(text)


def _fills(covers: Span, gaps: Sequence[Span]) -> bool:
    return any(gap.from_at < covers.to_at and covers.from_at < gap.to_at for gap in gaps)


def _span(span: Span) -> str:
    return f"{_utc(span.from_at, named=False)} to {_utc(span.to_at)}"


def _utc(at: datetime, *, named: bool = True) -> str:
    text = f"{at:%Y-%m-%d %H:%M}" if not (at.second or at.microsecond) else f"{at:%Y-%m-%d %H:%M:%S}"
    return f"{text} UTC" if named else text
