"""Whether mails that are pings would be taken: the extra, the address, and somebody who listens there."""

from __future__ import annotations

import asyncio
import importlib.util

from heartfly.config.smtp import Smtp
from heartfly.doctor.finding import Finding, error, ok, warning

_LIMIT_S = 3.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


async def look(smtp: Smtp) -> Finding:
    if not smtp.listen:
        return ok("smtp", "no mails are taken as pings (smtp.listen)")
    if importlib.util.find_spec("aiosmtpd") is None:
        return error("smtp", "the extra smtp is not installed", "pip install 'heartfly[smtp]'")
    host, port = smtp.address
    try:
        async with asyncio.timeout(_LIMIT_S):
            reading, writing = await asyncio.open_connection(_ANY.get(host, host), port)
            greeting = (await reading.readline()).decode("utf-8", "replace").strip()
            writing.close()
    except (OSError, TimeoutError) as cause:
        said = str(cause) or "no answer"
        return warning("smtp", f"nobody takes mails at {smtp.listen}: {said}", "Is heartfly serve running?")
    if not greeting.startswith("220"):
        return error("smtp", f"at {smtp.listen} answers something else: {greeting[:80]}", "See smtp.listen.")
    return ok("smtp", f"mails to @{smtp.domain} are taken at {smtp.listen}")
