"""Who takes mails as pings, if the settings want it: what it needs is an extra, and imported only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from heartfly.config import Settings
from heartfly.errors import SettingsError
from heartfly.pings.ingest import Ingest

if TYPE_CHECKING:
    from heartfly.server.smtp import SmtpListener


def mail_listener(settings: Settings, ingest: Ingest, *, count: Callable[[str], None]) -> SmtpListener | None:
    """None: no mails are taken. SettingsError: they are wanted, and the extra that it needs is not installed."""
    if not settings.smtp.listen:
        return None
    try:
        from heartfly.server.smtp import SmtpListener  # noqa: PLC0415 - an extra
    except ImportError:
        raise SettingsError("smtp.listen: needs the extra smtp: pip install 'heartfly[smtp]'") from None
    return SmtpListener(settings.smtp, ingest, max_body=settings.pings.max_body_bytes, count=count)
