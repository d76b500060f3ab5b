"""Passkeys in real Chromium, with an authenticator that it plays: made, used to come in, refused, renamed, removed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server_process import Server, free_port
from tests.web.test_in_a_browser import chromium, server, set_up, watched
from tests.web.test_live_in_a_browser import LIMIT_MS

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

__all__ = ["chromium", "server"]

AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


def named(server: Server) -> str:
    """Started, and known by a name, as browsers want it."""
    server.port = free_port()
    server.settings["SERVER__BASE_URL"] = f"http://localhost:{server.port}"
    server.start()
    return server.settings["SERVER__BASE_URL"]


def test_a_passkey_is_made_and_is_the_way_in_from_then_on(server: Server, chromium: Any) -> None:
    url, troubles = named(server), list[str]()
    page = watched(chromium.new_context(viewport={"width": 390, "height": 800}).new_page(), troubles)
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    device = devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})["authenticatorId"]
    set_up(server, page)

    page.goto(f"{url}/account/security")
    page.click("text=Your passkeys")
    page.fill("#name", "Blue phone")
    page.fill("#password", "correct horse battery")
    page.click("text=Make a passkey")
    page.locator('[value="Blue phone"]').wait_for(timeout=LIMIT_MS)
    assert 1 == len(devices.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"])

    # One that this device has already is not made twice.
    page.fill("#name", "Again")
    page.fill("#password", "correct horse battery")
    page.click("text=Make a passkey")
    page.locator("#passkey-told", has_text="has a passkey for you already").wait_for(timeout=LIMIT_MS)

    # Two clicks from being signed out to being in, where he wanted to go.
    page.click("text=Sign out")
    page.wait_for_url("**/sign-in")
    page.goto(f"{url}/p/main/incidents")
    page.click("text=Sign in with a passkey")
    page.wait_for_url("**/p/main/incidents")

    # Somebody else's finger.
    page.click("text=Sign out")
    page.wait_for_url("**/sign-in")
    devices.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    page.click("text=Sign in with a passkey")
    page.locator("#passkey-told", has_text="No passkey came").wait_for(timeout=LIMIT_MS)
    devices.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": True})
    page.click("text=Sign in with a passkey")
    page.wait_for_url("**/p/main/checks")

    page.goto(f"{url}/account/security/passkeys")
    page.fill("[id^=name-]", "Red phone")
    page.click("text=Rename")
    page.locator('[value="Red phone"]').wait_for(timeout=LIMIT_MS)
    assert [] == troubles
    page.click("text=Remove")
    page.locator("text=You have none yet").wait_for(timeout=LIMIT_MS)
    page.click("text=Sign out")
    page.wait_for_url("**/sign-in")
    page.click("text=Sign in with a passkey")
    page.locator("text=opens nothing here").wait_for(timeout=LIMIT_MS)


def test_where_browsers_know_none_no_page_offers_it(server: Server, chromium: Any) -> None:
    url = named(server)
    page = chromium.new_context(java_script_enabled=False).new_page()
    set_up(server, page)
    page.goto(f"{url}/account/security/passkeys")
    assert page.is_visible("text=this page needs JavaScript")
    assert not page.is_visible("text=Make a passkey")
    page.click("text=Sign out")
    assert not page.is_visible("text=Sign in with a passkey")
    assert page.is_visible("text=Forgotten password?")
