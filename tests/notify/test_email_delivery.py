"""Mail on its way: real servers, in all their moods."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from heartfly.core.values import replace
from heartfly.errors import DeliveryError
from heartfly.notify.channels.base import ChannelContext, MailSettings, Receipt
from heartfly.notify.channels.email import EmailChannel
from tests.notify import examples
from tests.notify.conftest import mail_settings
from tests.notify.examples import delivery
from tests.notify.receivers import SmtpScript

pytestmark = pytest.mark.anyio
EMAIL = EmailChannel()


class Mailbox:
    """Keeps what was delivered."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.sessions: list[Session] = []

    def content(self) -> bytes:
        content = self.envelopes[0].content
        assert isinstance(content, bytes)
        return content

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.envelopes.append(envelope)
        self.sessions.append(session)
        return "250 2.0.0 taken as 4711"


@asynccontextmanager
async def server(mailbox: Mailbox, *, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    running = await loop.create_server(lambda: SMTP(mailbox, loop=loop, **options), "127.0.0.1", 0, ssl=tls)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        await running.wait_closed()


@pytest.fixture
def server_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server's TLS for 127.0.0.1, whose authority this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def send(context: ChannelContext, settings: MailSettings | None, *, base_url: str = examples.BASE_URL) -> Receipt:
    made = delivery(examples.MISSED, base_url=base_url)
    return await EMAIL.send(made, {"to": "ops@example.com"}, dataclasses.replace(context, mail=settings))


async def failure(context: ChannelContext, settings: MailSettings | None) -> DeliveryError:
    with pytest.raises(DeliveryError) as failed:
        await send(context, settings)
    return failed.value


async def test_a_mail_arrives_with_exactly_its_envelope(context: ChannelContext) -> None:
    mailbox = Mailbox()
    async with server(mailbox) as port:
        receipt = await send(context, mail_settings(port))
    envelope = mailbox.envelopes[0]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("heartfly@example.com", ["ops@example.com"])
    assert b"Subject: DOWN: nightly-backup\r\n" in mailbox.content()
    assert (receipt.code, receipt.reply) == (250, "2.0.0 taken as 4711")
    assert mailbox.sessions[0].host_name == "heartfly.example.com"


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [("http://127.0.0.1:8000", "[127.0.0.1]"), ("http://[::1]:8000", "[IPv6:::1]")],
)
async def test_a_server_without_a_name_introduces_itself_by_its_address(
    context: ChannelContext, base_url: str, expected: str
) -> None:
    mailbox = Mailbox()
    async with server(mailbox) as port:
        await send(context, mail_settings(port), base_url=base_url)
    assert mailbox.sessions[0].host_name == expected


async def test_a_line_that_begins_with_a_dot_arrives_as_it_is(context: ChannelContext) -> None:
    mailbox = Mailbox()
    run = replace(examples.FAILED_RUN, body_tail="one\n.\n..two\nthree")
    made = delivery(replace(examples.FAIL, run=run))
    async with server(mailbox) as port:
        await EMAIL.send(made, {"to": "ops@example.com"}, dataclasses.replace(context, mail=mail_settings(port)))
    assert b"one\r\n.\r\n..two\r\nthree" in mailbox.content()


async def test_starttls_encrypts_before_anything_is_said(context: ChannelContext, server_tls: ssl.SSLContext) -> None:
    mailbox = Mailbox()
    async with server(mailbox, tls_context=server_tls, require_starttls=True) as port:
        await send(context, mail_settings(port, security="starttls"))
    assert mailbox.sessions[0].ssl is not None


async def test_tls_from_the_start(context: ChannelContext, server_tls: ssl.SSLContext) -> None:
    mailbox = Mailbox()
    async with server(mailbox, tls=server_tls) as port:
        await send(context, mail_settings(port, security="tls"))
    assert len(mailbox.envelopes) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(
    context: ChannelContext, server_tls: ssl.SSLContext, security: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    mailbox = Mailbox()
    options = {"tls": server_tls} if security == "tls" else {"tls_context": server_tls}
    async with server(mailbox, **options) as port:
        failed = await failure(context, mail_settings(port, security=security))
    assert (failed.permanent, failed.ambiguous) == (False, False)
    assert mailbox.envelopes == []


@pytest.mark.parametrize("username", ["", "heartfly"])
async def test_a_server_that_offers_no_starttls_gets_nothing(context: ChannelContext, username: str) -> None:
    """As when somebody on the way strips the offer: never fall back to plain text."""
    async with SmtpScript(ehlo="250-mx\r\n250 AUTH PLAIN", auth="235 welcome") as script:
        failed = await failure(context, mail_settings(script.port, security="starttls", username=username))
    assert "STARTTLS" in str(failed)
    assert (failed.permanent, failed.ambiguous) == (False, False)
    assert script.commands == ["EHLO heartfly.example.com"]


async def test_a_server_that_takes_back_its_offer_gets_nothing(context: ChannelContext) -> None:
    async with SmtpScript(ehlo="250-mx\r\n250 STARTTLS", star="454 not now") as script:
        failed = await failure(context, mail_settings(script.port, security="starttls"))
    assert (failed.code, failed.permanent) == (454, False)
    assert not any(command.startswith("MAIL") for command in script.commands)


async def test_a_password_is_used(context: ChannelContext, server_tls: ssl.SSLContext) -> None:
    given: list[LoginPassword] = []

    def check(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: LoginPassword
    ) -> AuthResult:
        given.append(data)
        return AuthResult(success=data.password == b"open sesame")

    mailbox = Mailbox()
    async with server(mailbox, tls_context=server_tls, auth_required=True, authenticator=check) as port:
        await send(context, mail_settings(port, security="starttls", username="heartfly"))
    assert ([data.login for data in given], len(mailbox.envelopes)) == ([b"heartfly"], 1)


async def test_a_wrong_password_is_not_tried_again_and_not_repeated_in_the_error(context: ChannelContext) -> None:
    async with SmtpScript(ehlo="250-mx\r\n250 AUTH PLAIN LOGIN", auth="535 5.7.8 no") as script:
        failed = await failure(context, mail_settings(script.port, username="heartfly"))
    assert (failed.code, failed.permanent) == (535, True)
    assert "sesame" not in str(failed) + failed.reply


async def test_a_password_is_never_sent_to_a_server_that_takes_none(context: ChannelContext) -> None:
    async with SmtpScript() as script:
        failed = await failure(context, mail_settings(script.port, username="heartfly"))
    assert (failed.permanent, failed.ambiguous) == (False, False)
    assert script.commands == ["EHLO heartfly.example.com"]


@pytest.mark.parametrize("settings", [None, dataclasses.replace(mail_settings(25), host="")])
async def test_without_a_mail_server_the_channel_says_so(
    context: ChannelContext, settings: MailSettings | None
) -> None:
    failed = await failure(context, settings)
    assert failed.permanent
    assert str(failed) == "no mail server is configured (mail.host)"


@pytest.mark.parametrize("step", ["greeting", "ehlo", "mail", "rcpt", "data", "end"])
@pytest.mark.parametrize(
    ("answer", "permanent"), [("451 4.7.1 greylisted, come back", False), ("550 5.1.1 no such user", True)]
)
async def test_4xx_is_tried_again_and_5xx_is_not(
    context: ChannelContext,
    step: str,
    answer: str,
    permanent: bool,  # noqa: FBT001 - a table of cases
) -> None:
    answers: dict[str, str] = {step: answer, "helo": answer}
    async with SmtpScript(**answers) as script:
        failed = await failure(context, mail_settings(script.port))
    assert (failed.code, failed.permanent, failed.ambiguous) == (int(answer[:3]), permanent, False)
    assert failed.reply == answer[4:]
    assert str(failed) == f"the mail server 127.0.0.1 answered {answer[:3]}: {answer[4:]}"


@pytest.mark.parametrize("step", ["ehlo", "mail", "rcpt"])
async def test_a_connection_lost_before_the_mail_was_sent_is_tried_again(context: ChannelContext, step: str) -> None:
    async with SmtpScript(**{step: None}) as script:
        failed = await failure(context, mail_settings(script.port))
    assert (failed.permanent, failed.ambiguous, failed.code) == (False, False, None)


@pytest.mark.parametrize("answer", [None, SmtpScript.WAIT, "gibberish"])
async def test_a_connection_lost_after_the_mail_was_sent_may_have_delivered_it(
    context: ChannelContext, answer: str | None
) -> None:
    async with SmtpScript(end=answer) as script:
        failed = await failure(context, mail_settings(script.port, timeout_s=0.5))
    assert (failed.permanent, failed.ambiguous, failed.code) == (False, True, None)


async def test_a_tarpit_is_left_when_the_time_is_up(context: ChannelContext) -> None:
    async with SmtpScript(rcpt=SmtpScript.WAIT) as script:
        failed = await failure(context, mail_settings(script.port, timeout_s=0.2))
    assert (failed.permanent, failed.ambiguous) == (False, False)
    assert str(failed) == "the mail server 127.0.0.1 cannot be used: no answer within 0.2 s"


@pytest.mark.parametrize("goodbye", [None, "421 busy", "gibberish"])
async def test_what_happens_after_it_was_taken_does_not_matter(context: ChannelContext, goodbye: str | None) -> None:
    async with SmtpScript(quit=goodbye) as script:
        receipt = await send(context, mail_settings(script.port))
    assert (receipt.code, receipt.reply) == (250, "taken")


async def test_nobody_there_is_tried_again(context: ChannelContext) -> None:
    async with SmtpScript() as script:
        port = script.port
    failed = await failure(context, mail_settings(port))
    assert (failed.permanent, failed.ambiguous) == (False, False)
