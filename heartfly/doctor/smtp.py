"""Whether mails that are pings would be taken: the extra, the address, and somebody who listens there."""

from __future__ import annotations

import asyncio
import importlib.util
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from heartfly.config.certificate import Certificate
from heartfly.config.smtp import Smtp
from heartfly.doctor.finding import Finding, error, ok, warning
from heartfly.errors import SettingsError

_LIMIT_S = 3.0
_RENEWED_BEFORE = timedelta(days=14)
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


async def look(smtp: Smtp, now: datetime) -> Finding:
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
    if smtp.certificate and (wrong := _certificate(smtp, now)) is not None:
        return wrong
    return ok("smtp", f"mails to @{smtp.domain} are taken at {smtp.listen}{', with TLS' if smtp.certificate else ''}")


def _certificate(smtp: Smtp, now: datetime) -> Finding | None:
    """None: it is well."""
    try:
        its = Certificate(smtp.certificate, smtp.key, named="smtp.certificate, smtp.key")
        its.open()
        ends = x509.load_pem_x509_certificate(Path(smtp.certificate).read_bytes()).not_valid_after_utc
    except (SettingsError, ValueError) as cause:
        return error("smtp", str(cause), "Senders are shown the one that was read last, until the next start.")
    if ends - now < _RENEWED_BEFORE:
        said = f"its certificate {'ended' if ends <= now else 'ends'} on {ends:%F}"
        return warning("smtp", said, "Renew it; Heartfly reads the new files by itself.")
    return None
