"""What every page says while silence is judged late.

An open page with a stream is told by it (live.py) when that begins and ends; another says what it said until it is
loaded anew. When it is late is vitals/late.py's.
"""

from __future__ import annotations

from heartfly.vitals.late import judged_until
from heartfly.web.request import PageRequest
from heartfly.web.times import Times


def until(request: PageRequest, zone: str) -> str:
    """Up to when silence is judged, in words for people. Empty: it is judged in time."""
    facts = request.web.facts()
    at = judged_until(facts)
    return "" if at is None else Times(facts.now, zone).stamp(at)
