"""What a check's runs covered, as a strip: a low bar is covered, a full one is missing, a dent was covered twice.

What is a gap is decided in core/coverage.py. The strip is stretched to its place, so words stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from heartfly.checks.covered import Covered
from heartfly.core.coverage import Span
from heartfly.web.lane_paths import Scale

SHOWN = timedelta(days=31)
MOST_LISTED = 20


def strip(found: Covered) -> dict[str, Any] | None:
    """What the template shows: of the last 31 days that are covered, or less. None: no run said anything of it."""
    until = found.coverage.until
    if until is None:
        return None
    begins = max(found.coverage.spans[0].from_at, until - SHOWN)
    scale = Scale(begins, until)
    drawn = [
        ("o", _bars(found.coverage.spans, scale, 12)),
        ("b", _bars(found.coverage.gaps, scale, 0)),
        ("r", _bars(found.coverage.overlaps, scale, 7)),
    ]
    return {
        "level": found.level,
        "begins": begins,
        "until": until,
        "paths": [(name, path) for name, path in drawn if path],
        "gaps": found.coverage.gaps[-MOST_LISTED:],
        "n_gaps": len(found.coverage.gaps),
        "overlaps": found.coverage.overlaps[-MOST_LISTED:],
        "n_overlaps": len(found.coverage.overlaps),
    }


def _bars(spans: Iterable[Span], scale: Scale, top: int) -> str:
    """Those on the picture; however short, one can be seen."""
    bars: dict[str, None] = {}
    for span in spans:
        if span.to_at > scale.from_at:
            left = min(scale.x(span.from_at), 478.0)
            bars[f"M{left:g} {top}H{max(scale.x(span.to_at), left + 2):g}V20H{left:g}z"] = None
    return "".join(bars)
