"""Somebody new, from `heartfly serve` in an empty directory to an incident that is over, on a desktop and on a phone.

He reads what is on the page and clicks on it: no address is typed but the one that the terminal shows and the link in
the mail that comes. The mail server is a real one, on loopback.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as email_policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.server_process import Server, free_port
from tests.web.conftest import browser
from tests.web.test_in_a_browser import set_up, watched

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
__all__ = ["browser"]

LIMIT_S = 180


@dataclass
class MailBox:
    messages: list[EmailMessage] = field(default_factory=list)
    more: threading.Condition = field(default_factory=threading.Condition)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        message = message_from_bytes(envelope.content, policy=email_policy)
        assert isinstance(message, EmailMessage)
        with self.more:
            self.messages.append(message)
            self.more.notify_all()
        return "250 OK"

    def wait_for(self, subject: str) -> EmailMessage:
        def found() -> EmailMessage | None:
            return next((one for one in self.messages if subject in one["subject"]), None)

        with self.more:
            assert self.more.wait_for(lambda: found() is not None, LIMIT_S), [one["subject"] for one in self.messages]
        message = found()
        assert message is not None
        return message


@pytest.fixture
def mailed() -> Iterator[tuple[MailBox, int]]:
    box, port = MailBox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_from_an_empty_directory_to_an_incident_that_is_over(
    mailed: tuple[MailBox, int], browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    box, port = mailed
    mail = {"MAIL__HOST": "127.0.0.1", "MAIL__PORT": str(port), "MAIL__SECURITY": "none"}
    server = Server(tmp_path, mail | {"MAIL__FROM_ADDRESS": "heartfly@example.com"})
    troubles: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = watched(context.new_page(), troubles)
    page.set_default_timeout(LIMIT_S * 1_000)
    server.start()
    try:
        set_up(server, page)
        if page.get_by_text("Not now").count():  # a passkey is on offer
            page.click("text=Not now")
        page.click("text=New check")
        page.fill("#line", "15 4 * * * /usr/local/bin/nightly-backup")
        page.click("text=Fill in")
        assert "nightly-backup" == page.input_value("#name")
        page.fill("#name", "Nightly backup")
        page.click("text=Create")
        page.locator("#first", has_text="Waiting for the first ping").wait_for()
        page.locator("#as-of", has_text="live").wait_for()
        ping = page.inner_text("#first pre.code")
        _run(ping)
        page.locator("#first.came").wait_for()

        # Nobody hears of an alarm yet, and the page says so and leads on.
        page.click("text=Add a channel")
        page.click('a.button:has-text("Email")')
        page.fill("#name", "Me")
        page.fill("#value", "ada@example.com")
        page.click("text=Save and test")
        assert "Me" in page.inner_text("main")
        box.wait_for("TEST: ")

        page.click("nav >> text=Checks")
        page.click("text=Nightly backup")
        page.locator("#as-of", has_text="live").wait_for()
        _run(f"{ping.rstrip()}/fail --data-raw 'disk full'")
        page.locator("#why.s-down").wait_for()
        told = box.wait_for("DOWN: ")
        body = told.get_body(("plain",))
        assert body is not None
        (link,) = set(re.findall(rf"{server.url}/p/main/incidents/\S+", body.get_content()))
        assert "disk full" in body.get_content()

        page.goto(link)
        page.click("text=What the run said")
        assert "disk full" in page.inner_text("main")
        page.go_back()
        page.locator("#as-of", has_text="live").wait_for()
        page.click("#text")
        page.keyboard.type("I empty it")
        page.click("text=Acknowledge, and say so")
        page.locator("#facts", has_text="takes care of it").wait_for()
        _run(ping)
        page.locator("#why.s-up", has_text="Closed").wait_for()
        box.wait_for("UP: ")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    finally:
        context.close()
        server.leave()

    assert 0 == wide
    assert [] == troubles


def _run(command: str) -> None:
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=LIMIT_S)
