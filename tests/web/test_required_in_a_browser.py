"""Where more than a password is demanded, in real Chromium: from it to a passkey, and on to where one wanted."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.server_process import Server
from tests.web.gates import DESKTOP, LONG_MS, Gates
from tests.web.test_gates import Walk
from tests.web.test_in_a_browser import chromium, server, watched
from tests.web.test_live_in_a_browser import LIMIT_MS
from tests.web.test_passkeys_in_a_browser import AUTHENTICATOR, named

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

__all__ = ["chromium", "server"]

PASSWORD = "correct horse battery"


def test_the_pages_of_who_has_only_a_password_hold_what_all_pages_hold(server: Server, chromium: Any) -> None:
    server.settings["ACCOUNTS__SECOND_STEP"] = "required"
    url = named(server)
    page = chromium.new_context(viewport={"width": DESKTOP, "height": 900}, locale="en").new_page()
    page.set_default_timeout(LONG_MS)
    come_first(server, page)
    walk = Walk(Gates(page, url), all_looks=True)
    for path in ("/required", "/required?next=/p/main/incidents", "/2fa", "/passkeys"):
        walk.at(f"/account/security{path}")
    walk.sent("/account/security/passkeys", {"name": "Phone", "password": "wrong"}, 422)
    assert not walk.wrong, "\n".join(walk.wrong)


def come_first(server: Server, page: Any) -> None:
    (setup,) = re.findall(r"http\S+/setup\?token=\S+", (server.folder / "server.log").read_text())
    page.goto(setup)
    for field, value in (("email", "ada@example.com"), ("password", PASSWORD), ("again", PASSWORD)):
        page.fill(f"#{field}", value)
    page.click("button.main")
    page.wait_for_url("**/account/security/required?*")


def test_the_first_administrator_makes_a_passkey_before_anything_else_opens(server: Server, chromium: Any) -> None:
    server.settings["ACCOUNTS__SECOND_STEP"] = "required"
    url, troubles = named(server), list[str]()
    page = watched(chromium.new_context(viewport={"width": 390, "height": 800}).new_page(), troubles)
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    come_first(server, page)
    assert page.is_visible("text=wants more than a password of everybody")
    page.goto(f"{url}/p/main/incidents")
    page.wait_for_url("**/account/security/required?next=*incidents")

    page.click("text=Make a passkey")
    page.fill("#name", "Blue phone")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.locator("h1", has_text="Incidents").wait_for(timeout=LIMIT_MS)
    assert page.url.endswith("/p/main/incidents")
    page.goto(f"{url}/account/security/passkeys")
    page.click("text=Remove")
    page.locator("[role=alert]", has_text="a password alone is not enough here").wait_for(timeout=LIMIT_MS)

    # A password alone opens nothing any more, and says what does.
    page.click("text=Sign out")
    page.wait_for_url("**/sign-in")
    page.fill("#email", "ada@example.com")
    page.fill("#password", PASSWORD)
    troubles.clear()
    page.click("button.main")
    page.locator("[role=alert]", has_text="sign in with your passkey").wait_for(timeout=LIMIT_MS)
    page.click("text=Sign in with a passkey")
    page.wait_for_url("**/p/main/checks")
