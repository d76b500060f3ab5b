"""How far the sources of events have come, and whether a day may be final without one of them.

A source is live that tells what happened within an hour; one that brings history is waited for by nobody. A watermark
is the newest time of an event that its source has sent: what it sends comes about in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_NAME = 128
LATENESS = timedelta(hours=1)
"""A day may be final when its sources have come so far past its end; what is told so late was not told live."""
LATELY = timedelta(days=2)
"""One that was not live for so long before a day's end is not waited for."""
PATIENCE = timedelta(hours=24)
"""So long after a day's end its sources are waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`first_at`: when it was first heard. `live_at`: when it last told what had just happened; None: never."""

    name: str
    first_at: datetime
    newest_at: datetime
    live_at: datetime | None
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a day. `waits_for`: who has not come far enough; `without`: of whom that was waited for in vain.

    `watermark`: up to when all of its sources have told; None: it has none.
    """

    waits_for: Sequence[str] = ()
    without: Sequence[str] = ()
    watermark: datetime | None = None


def is_name(text: object) -> bool:
    """Whether a source can be called so."""
    return isinstance(text, str) and 0 < len(text) <= MAX_NAME and text.isprintable() and text == text.strip()


def is_live(newest_at: datetime, received_at: datetime) -> bool:
    return received_at - newest_at <= LATENESS


def counts(source: Source, end_at: datetime) -> bool:
    """Whether a day that ends then is the source's, too."""
    return (
        source.retired_at is None
        and source.first_at < end_at
        and source.live_at is not None
        and source.live_at >= end_at - LATELY
    )


def standing(sources: Iterable[Source], end_at: datetime, now: datetime) -> Standing:
    """Names in order."""
    own = [source for source in sources if counts(source, end_at)]
    behind = sorted(source.name for source in own if source.newest_at < end_at + LATENESS)
    watermark = min((source.newest_at for source in own), default=None)
    if now < end_at + PATIENCE:
        return Standing(waits_for=behind, watermark=watermark)
    return Standing(without=behind, watermark=watermark)
