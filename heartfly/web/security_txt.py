"""Whom to tell of a weakness, where programs and people look for it: /.well-known/security.txt (RFC 9116).

Who that is, the operator's settings say; where they say nothing, there is no such file.
"""

from __future__ import annotations

from datetime import timedelta

from litestar import Response, get

from heartfly.errors import NotFoundError
from heartfly.web.request import FOR_ALL, PageRequest

_HOLDS = timedelta(days=180)
"""Less than a year, as 2.5.5 recommends; each answer begins it anew."""
_KEPT = "public, max-age=3600"


@get("/.well-known/security.txt", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[str]:
    contact = request.api.settings.server.security_contact
    if not contact:
        raise NotFoundError("there is nothing at this address")
    until = (request.api.clock.now() + _HOLDS).replace(microsecond=0)
    lines = (
        f"Contact: {contact}",
        f"Expires: {until.strftime('%Y-%m-%dT%H:%M:%SZ')}",
        "Preferred-Languages: en",
        f"Canonical: {request.api.base_url}/.well-known/security.txt",
    )
    return Response("\n".join(lines) + "\n", media_type="text/plain", headers={"Cache-Control": _KEPT})
