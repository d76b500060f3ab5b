"""Mail to one person that is no alert: a link that he needs. Its words are the sender's, how it looks is decided here.

A letter is not kept: who waits for one that did not come asks for another. So none stands in the outbox, where the
secret in its link would have to be stored.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from heartfly.clock import Clock
from heartfly.errors import DeliveryError
from heartfly.logs import line, logger
from heartfly.notify.channels.base import MailSettings
from heartfly.notify.channels.email import POLICY, helo_name, mail_host, parse_address, sender, submit
from heartfly.notify.mail_templates import template
from heartfly.notify.text import one_line

AGAIN_AFTER_S = (5.0, 60.0)
"""How long after a try that failed the next one comes, where nobody waits for the answer."""

STOP = "To get no more of these"

log = logger("heartfly.letters")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file; `kind` and `form` are the two halves of its media type."""

    name: str
    kind: str
    form: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """`kind`: for the log. `before` and `after`: paragraphs around the link. `named`: what its message id is made of,
    so that one that is sent again is known as the same; empty: it is another one each time. `stop`: where its reader
    ends it, of one that comes again and again.
    """

    kind: str
    to: str
    subject: str
    before: tuple[str, ...]
    link: str
    link_text: str
    after: tuple[str, ...]
    attachments: tuple[Attachment, ...] = ()
    named: str = ""
    stop: str = ""


class Letters:
    """Sends them, by the one mail server of the configuration. `mail` None: there is none."""

    def __init__(self, mail: MailSettings | None, base_url: str, clock: Clock) -> None:
        self._mail = mail
        self._base_url = base_url
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def can_send(self) -> bool:
        return self._mail is not None

    async def send(self, letter: Letter) -> None:
        """DeliveryError: it did not go, or nobody knows."""
        if self._mail is None:
            raise DeliveryError("no mail server is configured (mail.host)", permanent=True)
        outcome = "failed"
        try:
            # By the same rules as a channel's address: nothing else reaches the mail server's commands.
            to = parse_address(letter.to, field="to")
            content = self._composed(letter, to, self._mail)
            await submit(content, to=to, settings=self._mail, helo=helo_name(self._base_url))
            outcome = "sent"
        finally:
            line("letter", kind=letter.kind, outcome=outcome)

    async def send_patiently(self, letter: Letter) -> None:
        """Try again what may get better. What does not go at last is a warning in the log: nobody waits for it."""
        for wait in (*AGAIN_AFTER_S, None):
            try:
                return await self.send(letter)
            except DeliveryError as error:
                if error.permanent or wait is None:
                    log.warning("letter", kind=letter.kind, error=str(error))
                    return None
            await self._clock.sleep(wait)
        return None

    def behind(self, work: Coroutine[None, None, None]) -> None:
        """Do it behind the answer, so that the answer's time tells nothing of it."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("letter", error=repr(error), exc_info=error)

    async def settle(self, *, limit_s: float) -> None:
        """Wait for all that is under way, and give up what takes longer."""
        tasks = set(self._under_way)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit_s)
            for task in late:
                task.cancel()

    def _composed(self, letter: Letter, to: str, mail: MailSettings) -> bytes:
        content = EmailMessage(policy=POLICY)
        content["Subject"] = one_line(letter.subject)
        content["From"] = Address(display_name=one_line(mail.from_name), addr_spec=sender(mail))
        content["To"] = Address(addr_spec=to)
        content["Date"] = format_datetime(self._clock.now())
        content["Message-ID"] = f"<{letter.named or secrets.token_hex(16)}@{mail_host(self._base_url)}>"
        content["Auto-Submitted"] = "auto-generated"
        content["X-Auto-Response-Suppress"] = "All"
        if letter.stop:
            content["List-Unsubscribe"] = f"<{letter.stop}>"
            content["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        content.set_content(text_of(letter))
        content.add_alternative(html_of(letter), subtype="html")
        for one in letter.attachments:
            content.add_attachment(one.content, maintype=one.kind, subtype=one.form, filename=one.name)
        return bytes(content)


def text_of(letter: Letter) -> str:
    paragraphs = [letter.subject, *letter.before, f"{letter.link_text}:\n{letter.link}", *letter.after]
    if letter.stop:
        paragraphs.append(f"{STOP}:\n{letter.stop}")
    return "\n\n".join([*paragraphs, "--\u0020\nHeartfly. All times are UTC."]) + "\n"


def html_of(letter: Letter) -> str:
    return template("letter.html").render(letter=letter, stop_text=STOP)
