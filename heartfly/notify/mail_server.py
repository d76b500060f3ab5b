"""The server that mails go through, as the settings name it."""

from __future__ import annotations

from heartfly.config import Settings
from heartfly.notify.channels.base import MailSettings


def mail_settings(settings: Settings) -> MailSettings | None:
    """None: there is none."""
    mail = settings.mail
    if not mail.host:
        return None
    return MailSettings(
        host=mail.host,
        port=mail.port,
        username=mail.username,
        password=mail.password,
        security=mail.security,
        from_address=mail.from_address,
        from_name=mail.from_name,
        timeout_s=mail.timeout_s,
    )
