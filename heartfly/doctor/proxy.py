"""Whether the forward proxy can be reached that outgoing requests go by. Nothing is asked of it, not even a login."""

from __future__ import annotations

import asyncio

from heartfly.config.outgoing import Outgoing
from heartfly.doctor.finding import Finding, error, ok
from heartfly.net.http import RequestFailed, reach_proxy

_LIMIT_S = 3.0


async def look(outgoing: Outgoing) -> Finding:
    proxy = outgoing.forward_proxy
    if proxy is None:
        return ok("proxy", "outgoing requests go straight to their receivers (outgoing.proxy)")
    place = f"{proxy.host}:{proxy.port}"
    try:
        async with asyncio.timeout(_LIMIT_S):
            await reach_proxy(proxy)
    except (RequestFailed, TimeoutError) as cause:
        said = str(cause).removeprefix(f"{proxy.host}: ") or f"no answer within {_LIMIT_S:g} s"
        advice = (
            "No webhook and no chat message leaves until then. See outgoing.proxy, and that this machine may connect."
        )
        return error("proxy", f"{place} cannot be reached: {said}", advice)
    return ok("proxy", f"{place} can be reached{', with TLS' if proxy.by_tls else ''}")
