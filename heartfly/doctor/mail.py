"""Whether the mail server would take a mail: as far as that can be known without sending one."""

from __future__ import annotations

from heartfly.doctor.finding import Finding, error, ok
from heartfly.errors import DeliveryError
from heartfly.notify.channels.base import MailSettings
from heartfly.notify.channels.email import reach


async def look(mail: MailSettings | None, *, base_url: str) -> Finding:
    if mail is None:
        return ok("mail", "no mail server is set (mail.host): mail channels cannot send")
    try:
        await reach(mail, base_url=base_url)
    except DeliveryError as cause:
        return error("mail", str(cause), "See the settings [mail], and that this machine may connect there.")
    spoken = {"none": "in clear", "starttls": "with STARTTLS", "tls": "with TLS"}[mail.security]
    login = f", as {mail.username}" if mail.username else ""
    return ok("mail", f"{mail.host}:{mail.port} answers {spoken}{login}")
