"""Mail, through the one server of the configuration.

An encrypted connection that was asked for is never given up: a server that does not offer STARTTLS
(or a network that strips it) is an error. The words are message.py's, their HTML email_html.py's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import aiosmtplib
from typing_extensions import override

from heartfly.core.alerts import Alert
from heartfly.core.words import AlertKind
from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.notify.channels.base import (
    Channel,
    ChannelContext,
    MailSettings,
    Reach,
    Receipt,
    digest_in,
    refuse_unknown,
    text_of,
)
from heartfly.notify.email_parts import html_part, text_part
from heartfly.notify.message import MOST_NAMED, Delivery, Message, word
from heartfly.notify.text import one_line

_UNFOLDED = frozenset({"message-id", "references", "in-reply-to", "list-unsubscribe"})
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_QUIT_LIMIT_S = 2.0
_NO_NAME = "localhost"
MAX_BYTES = 100_000


class _Policy(EmailPolicy):
    @override
    def fold_binary(self, name: str, value: Any) -> bytes:
        # Python would put a long ID or address on a line of its own, behind an empty one, and some readers
        # of these headers look at the first line only.
        if name.lower() in _UNFOLDED:
            return f"{name}: {value}{self.linesep}".encode("ascii")
        return super().fold_binary(name, value)


# 7 bit: not every server takes 8BITMIME, and none may rewrite what we sent.
POLICY = _Policy(linesep="\r\n", cte_type="7bit")


class EmailChannel(Channel):
    kind: ClassVar[str] = "email"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MOST_NAMED
    concurrency: ClassVar[int] = 4

    @override
    def parse_config(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        refuse_unknown(raw, {"to", "digest", "unsubscribe_token"})
        config = {"to": parse_address(text_of(raw, "to", limit=320), field="config.to"), **digest_in(raw)}
        if raw.get("unsubscribe_token") is not None:
            config["unsubscribe_token"] = text_of(raw, "unsubscribe_token", limit=200)
        return config

    @override
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        return {config["unsubscribe_token"]} if "unsubscribe_token" in config else set()

    @override
    def public_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {name: config[name] for name in ("to", "digest") if name in config}

    @override
    def hindrance(self, config: Mapping[str, Any], reach: Reach) -> str | None:
        return None if reach.mail else "nothing is sent: no mail server is set (mail.host)"

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        if context.mail is None or not context.mail.host:
            raise DeliveryError("no mail server is configured (mail.host)", permanent=True)
        content = compose(delivery, config, context.mail)
        return await submit(content, to=config["to"], settings=context.mail, helo=helo_name(delivery.base_url))


def parse_address(text: str, *, field: str) -> str:
    """Return one plain address, `name@host`, with an international host in its ASCII form."""
    local, at, domain = text.strip().rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local) or len(local) > 64:
        raise InvalidValueError(field, "must be one e-mail address, such as ops@example.com")
    if len(domain) > 253:  # before it is put into ASCII, which takes the square of a label's length
        raise InvalidValueError(field, "has a host that is not a name")
    try:
        domain = domain.encode("idna").decode().lower()
    except UnicodeError as error:
        raise InvalidValueError(field, "has a host that is not a name") from error
    if not domain or len(domain) > 253 or not all(map(_LABEL.fullmatch, domain.split("."))):
        raise InvalidValueError(field, "has a host that is not a name")
    return f"{local}@{domain}"


def compose(delivery: Delivery, config: Mapping[str, Any], settings: MailSettings) -> bytes:
    message = word(delivery)
    headers = _headers(delivery, message, config, settings)
    share = 1
    # How long it becomes is known only when it is encoded: 1 to 4 bytes a character, and a third for base64.
    while len(content := _encoded(message, headers, share=share)) > MAX_BYTES and share < 8:
        share *= 2
    return content


def _encoded(message: Message, headers: Mapping[str, object], *, share: int) -> bytes:
    mail = EmailMessage(policy=POLICY)
    for name, value in headers.items():
        mail[name] = value
    mail.set_content(text_part(message, share=share))
    mail.add_alternative(html_part(message, share=share), subtype="html")
    return bytes(mail)


def _headers(
    delivery: Delivery, message: Message, config: Mapping[str, Any], settings: MailSettings
) -> dict[str, object]:
    headers: dict[str, object] = {}
    headers["Subject"] = message.title
    headers["From"] = Address(display_name=one_line(settings.from_name), addr_spec=sender(settings))
    headers["To"] = Address(addr_spec=config["to"])
    headers["Date"] = format_datetime(delivery.created_at)
    host = mail_host(delivery.base_url)
    headers["Message-ID"] = f"<{delivery.id}@{host}>"
    if thread := _thread(delivery.alerts[-1], host):
        headers["In-Reply-To"] = headers["References"] = thread
    headers["Auto-Submitted"] = "auto-generated"
    headers["X-Auto-Response-Suppress"] = "All"
    headers["X-Heartfly-Kind"] = delivery.alerts[-1].kind.value
    if token := config.get("unsubscribe_token"):
        base_url = quote(delivery.base_url.rstrip("/"), safe=":/[]%~")
        headers["List-Unsubscribe"] = f"<{base_url}/channels/unsubscribe?token={quote(token, safe='')}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _thread(alert: Alert, host: str) -> str | None:
    """Return the same ID for a down and its up: mail clients then show them as one conversation."""
    if alert.concern is not None and alert.incident is not None:
        return f"<{alert.concern.source}.{alert.incident}@{host}>"
    if alert.together is not None and alert.incident is not None:
        return f"<cause.{alert.incident}@{host}>"
    if alert.check is None or alert.kind not in {AlertKind.DOWN, AlertKind.UP}:
        return None
    began_at = alert.down_since or alert.at
    return f"<down.{alert.check.uuid}.{int(began_at.timestamp())}@{host}>"


async def submit(content: bytes, *, to: str, settings: MailSettings, helo: str) -> Receipt:
    """DeliveryError: the server did not take it, or may not have."""
    client = _client(settings, helo)
    under_way = of_recipient = False
    try:
        # One limit over all steps: a tarpit answers each of them just in time.
        async with asyncio.timeout(settings.timeout_s):
            await client.connect()
            await client.mail(sender(settings))
            of_recipient = True
            await client.rcpt(to)
            under_way = True
            accepted = await client.data(content)
        await _leave(client)
    except aiosmtplib.SMTPResponseException as error:
        raise _refused(error, settings.host, under_way=under_way, of_recipient=of_recipient) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _broken(error, settings, under_way=under_way, of_recipient=of_recipient) from error
    finally:
        client.close()
    return Receipt(code=accepted.code, reply=one_line(accepted.message, limit=500))


def _client(settings: MailSettings, helo: str) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        username=settings.username or None,
        password=settings.password or None,
        local_hostname=helo,
        timeout=settings.timeout_s,
        use_tls=settings.security == "tls",
        start_tls=settings.security == "starttls",
    )


async def reach(settings: MailSettings, *, base_url: str) -> None:
    """Connect, greet, encrypt and log in as for a mail, and leave without one. DeliveryError: a mail would fail so."""
    client = _client(settings, helo_name(base_url))
    try:
        async with asyncio.timeout(settings.timeout_s):
            await client.connect()
            await client.ehlo()
        await _leave(client)
    except aiosmtplib.SMTPResponseException as error:
        raise _refused(error, settings.host, under_way=False, of_recipient=False) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _broken(error, settings, under_way=False, of_recipient=False) from error
    finally:
        client.close()


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Say goodbye. The mail is accepted already, so nothing that happens here matters."""
    with suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(_QUIT_LIMIT_S):
            await client.quit()


def _refused(
    error: aiosmtplib.SMTPResponseException, host: str, *, under_way: bool, of_recipient: bool
) -> DeliveryError:
    said = one_line(error.message, limit=500)
    understood = 400 <= error.code < 600
    return DeliveryError(
        f"the mail server {host} answered {error.code}: {said}",
        permanent=500 <= error.code < 600,
        ambiguous=under_way and not understood,
        of_recipient=of_recipient,
        code=error.code if understood else None,
        reply=said,
    )


def _broken(error: Exception, settings: MailSettings, *, under_way: bool, of_recipient: bool) -> DeliveryError:
    said = one_line(str(error), limit=300) or f"no answer within {settings.timeout_s:g} s"
    # The server may have taken the mail before the connection broke.
    return DeliveryError(
        f"the mail server {settings.host} cannot be used: {said}", ambiguous=under_way, of_recipient=of_recipient
    )


def sender(settings: MailSettings) -> str:
    """The address that mail comes from. DeliveryError: it is none."""
    try:
        return parse_address(settings.from_address, field="mail.from_address")
    except InvalidValueError as error:
        raise DeliveryError(str(error), permanent=True) from error


def mail_host(base_url: str) -> str:
    """Return the host of the base URL as the right side of a Message-ID."""
    host = _ascii_host(base_url)
    return f"[{host}]" if ":" in host else host


def helo_name(base_url: str) -> str:
    """Return how we introduce ourselves: our name, or our address in brackets (RFC 5321, 4.1.3)."""
    host = _ascii_host(base_url)
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def _ascii_host(base_url: str) -> str:
    host = urlsplit(base_url).hostname or ""
    try:
        return host.encode("idna").decode() or _NO_NAME
    except UnicodeError:  # a name that the network does not know either; it must not keep a mail from going
        return _NO_NAME
