"""What every page says while silence is judged late, and how an open one learns that it no longer is.

Pages with a stream are told by it (live.py); others ask here, as long as they show it. When it is late is
vitals/late.py's.
"""

from __future__ import annotations

from litestar import Response, get

from heartfly.vitals.late import judged_until
from heartfly.web.request import PageRequest
from heartfly.web.times import Times


def until(request: PageRequest, zone: str) -> str:
    """Up to when silence is judged, in words for people. Empty: it is judged in time."""
    facts = request.web.facts()
    at = judged_until(facts)
    return "" if at is None else Times(facts.now, zone).stamp(at)


@get("/judging", media_type="text/plain")
async def show(request: PageRequest) -> Response[str]:
    """Asked by open pages: it is no use of the session that they say so themselves."""
    return Response(until(request, request.who.zone), media_type="text/plain")
