"""Letters to one person: what he reads, and what becomes of one that the mail server does not take."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy

import pytest
from typing_extensions import override

from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.notify.letters import Letter, Letters, html_of, text_of
from tests.notify.conftest import mail_settings
from tests.notify.receivers import SmtpScript, StillClock
from tests.notify.test_email_delivery import Mailbox, server

pytestmark = pytest.mark.anyio

BASE_URL = "https://beat.example.org"
LETTER = Letter(
    kind="invite",
    to="joan@example.com",
    subject="Join <b>Höhle</b> & Söhne",
    before=("Ada <script>alert(1)</script> invites you.",),
    link=f"{BASE_URL}/invite?token=x&y=1",
    link_text="Join the project",
    after=("It works once.",),
)


class Hurried(StillClock):
    """Waits no time, and tells how long it would have been."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    @override
    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


def letters(port: int, clock: StillClock | None = None) -> Letters:
    return Letters(mail_settings(port), BASE_URL, clock or Hurried())


async def test_a_letter_arrives_as_text_and_as_html() -> None:
    box = Mailbox()
    async with server(box) as port:
        await letters(port).send(LETTER)
    mail = message_from_bytes(box.content(), policy=policy.default)

    assert ("joan@example.com", LETTER.subject, "Heartfly <heartfly@example.com>", "auto-generated") == (
        mail["To"], mail["Subject"], mail["From"], mail["Auto-Submitted"],
    )  # fmt: skip
    assert mail["Message-ID"].endswith("@beat.example.org>")
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text_of(LETTER) == text.get_content().replace("\r\n", "\n")
    assert html_of(LETTER).strip() == html.get_content().strip().replace("\r\n", "\n")
    assert LETTER.link in text_of(LETTER)


def test_what_people_named_is_only_text_in_a_letter() -> None:
    html = html_of(LETTER)

    assert "<script>" not in html
    assert "<b>" not in html
    assert 'href="https://beat.example.org/invite?token=x&amp;y=1"' in html


async def test_what_the_server_refuses_for_good_is_not_tried_again() -> None:
    async with SmtpScript(rcpt="550 no such user") as script:
        await letters(script.port).send_patiently(LETTER)

    assert 1 == sum(command.upper().startswith("RCPT") for command in script.commands)


async def test_what_may_get_better_is_tried_three_times() -> None:
    clock = Hurried()
    async with SmtpScript(rcpt="451 later") as script:
        await letters(script.port, clock).send_patiently(LETTER)

    assert [5.0, 60.0] == clock.waited
    assert 3 == sum(command.upper().startswith("RCPT") for command in script.commands)


async def test_who_waits_for_the_answer_hears_why() -> None:
    async with SmtpScript(rcpt="550 no such user") as script:
        with pytest.raises(DeliveryError, match="no such user"):
            await letters(script.port).send(LETTER)
    with pytest.raises(DeliveryError, match="no mail server"):
        await Letters(None, BASE_URL, StillClock()).send(LETTER)


async def test_an_address_that_is_none_reaches_no_command_of_the_server() -> None:
    async with SmtpScript() as script:
        hostile = replace(LETTER, to="a@b.c>\r\nRCPT TO:<x@y.z")
        with pytest.raises(InvalidValueError):
            await letters(script.port).send(hostile)

    assert [] == script.commands


async def test_work_behind_the_answer_is_waited_for_but_not_for_ever() -> None:
    made = letters(1)
    done: list[str] = []

    async def quick() -> None:
        done.append("quick")

    made.behind(quick())
    await made.settle(limit_s=5)
    assert ["quick"] == done
    async with SmtpScript(greeting=SmtpScript.WAIT) as silent:
        slow = letters(silent.port)
        slow.behind(slow.send_patiently(LETTER))
        await slow.settle(limit_s=0.2)
    await slow.settle(limit_s=5)
