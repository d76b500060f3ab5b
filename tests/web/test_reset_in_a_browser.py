"""A new password in real Chromium: the link is clicked on another site, as in a mail that is read in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import quote

import pytest
from aiosmtpd.controller import Controller

from tests.server_process import Server, free_port
from tests.web.gates import DESKTOP, LONG_MS, PHONE, Gates
from tests.web.test_gates import Walk
from tests.web.test_in_a_browser import chromium, set_up, watched
from tests.web.test_live_in_a_browser import LIMIT_MS

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
__all__ = ["chromium"]

EMAIL, PASSWORD, NEW = "ada@example.com", "correct horse battery", "another staple entirely"


class Box:
    """Takes every mail."""

    def __init__(self) -> None:
        self._texts: Queue[str] = Queue()

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        text = message_from_bytes(envelope.content, policy=policy.default).get_body(("plain",))
        assert text is not None
        self._texts.put(str(text.get_content()))
        return "250 OK"

    def link(self) -> str:
        """Of the next mail."""
        found = re.search(r"http\S+/sign-in/new-password\?token=[\w-]{43}", self._texts.get(timeout=LONG_MS / 1000))
        assert found is not None
        return found[0]


@pytest.fixture
def box() -> Iterator[tuple[Box, int]]:
    made = Box()
    post = Controller(made, hostname="127.0.0.1", port=free_port())
    post.start()
    yield made, post.port
    post.stop()


@pytest.fixture
def server(tmp_path: Path, box: tuple[Box, int], browser: Any) -> Iterator[Server]:
    """Somebody can sign in there, who does so in no browser now."""
    mail = {"MAIL__HOST": "127.0.0.1", "MAIL__PORT": str(box[1]), "MAIL__SECURITY": "none"}
    made = Server(tmp_path, mail | {"MAIL__FROM_ADDRESS": "heartfly@example.com"})
    made.start()
    first = browser.new_context()
    set_up(made, first.new_page())
    first.close()
    yield made
    made.kill()


def read_elsewhere(page: Any, link: str) -> None:
    """Of another site's: what a browser sends along from there is what it sends from a mail."""
    page.goto("data:text/html," + quote(f'<a href="{link}">Choose a new password</a>'))
    page.click("a")


def asked(page: Any, server: Server, box: Box) -> str:
    page.goto(f"{server.url}/sign-in/reset")
    page.fill("#email", EMAIL)
    page.click("button.main")
    page.locator("[role=status]", has_text="only in this browser").wait_for(timeout=LIMIT_MS)
    return box.link()


def test_a_link_in_a_mail_opens_where_it_was_asked_for_and_says_elsewhere_what_to_do(
    server: Server, chromium: Any, box: tuple[Box, int]
) -> None:
    troubles: list[str] = []
    page = watched(chromium.new_context(viewport={"width": PHONE, "height": 800}).new_page(), troubles)
    other = chromium.new_context().new_page()
    link = asked(page, server, box[0])

    read_elsewhere(other, link)
    other.locator("h1", has_text="This link is of another browser").wait_for(timeout=LIMIT_MS)
    other.click("text=Ask from this browser")
    other.locator("h1", has_text="Forgotten password").wait_for(timeout=LIMIT_MS)

    read_elsewhere(page, link)
    page.fill("#password", NEW)
    page.fill("#again", NEW)
    page.click("button.main")
    page.locator("h1", has_text="Your password is changed").wait_for(timeout=LIMIT_MS)
    page.click("main >> text=Sign in")
    page.fill("#email", EMAIL)
    page.fill("#password", NEW)
    page.click("button.main")
    page.wait_for_url("**/p/main/checks")
    assert [] == troubles
    assert [] == [one["name"] for one in page.context.cookies() if one["name"].endswith("reset")]


def test_the_pages_of_a_password_that_is_lost_hold_what_all_pages_hold(
    server: Server, chromium: Any, box: tuple[Box, int]
) -> None:
    """Those that a house without mail, in test_gates.py, cannot show."""
    page = chromium.new_context(viewport={"width": DESKTOP, "height": 900}, locale="en").new_page()
    page.set_default_timeout(LONG_MS)
    walk = Walk(Gates(page, server.url), all_looks=True)
    walk.at("/sign-in/reset")
    walk.sent("/sign-in/reset", {"email": EMAIL}, 200)
    link = box[0].link()
    walk.at(link.removeprefix(server.url), name="/sign-in/new-password")
    page.context.clear_cookies()
    walk.at(link.removeprefix(server.url), status=403, name="/sign-in/new-password, of another browser")
    walk.sent("/sign-in", {"email": EMAIL, "password": "wrong"}, 422)
    assert not walk.wrong, "\n".join(walk.wrong)
