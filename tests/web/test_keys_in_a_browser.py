"""Keys in real Chromium: each does what its link or button does, none is heard in a field, all can be switched off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server_process import Server
from tests.web.test_in_a_browser import chromium, server, set_up, watched
from tests.web.test_live_in_a_browser import LIMIT_MS, key_of, ping

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

__all__ = ["chromium", "server"]


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.textContent"))


def test_lists_are_walked_checks_found_and_paused_by_keys_alone(server: Server, chromium: Any) -> None:
    server.start()
    key = key_of(server)
    names = ("Alpha", "Beta", "Stripe reconciliation")
    made = {name: server.api("POST", "/v1/checks", key, {"name": name}) for name in names}
    troubles: list[str] = []
    page = watched(chromium.new_context(viewport={"width": 390, "height": 800}).new_page(), troubles)
    set_up(server, page)
    press = page.keyboard.press

    press("j")
    press("j")
    assert "Beta" == focused(page)
    press("k")
    press("x")
    assert page.is_checked('.row:has-text("Alpha") input')
    press("x")
    press("p")
    page.locator(".row.s-paused", has_text="Alpha").wait_for(timeout=LIMIT_MS)

    # "/", three letters and Enter: the check is found, and the address can be sent on.
    press("/")
    page.keyboard.type("rec")
    press("Enter")
    page.wait_for_url("**/checks?q=rec")
    assert 1 == page.locator(".row .name").count() - page.locator(".row.first .name").count()
    press("j")
    press("e")
    page.wait_for_url("**/schedule")
    press("g")
    press("c")
    page.wait_for_url("**/p/main/checks")
    press("g")
    press("n")
    page.wait_for_url("**/p/main/channels")
    press("g")
    press("u")
    page.wait_for_url("**/p/main/usage")
    press("g")
    press("m")
    page.wait_for_url("**/p/main/maintenance")
    press("g")
    press("i")
    page.wait_for_url("**/p/main/incidents")
    press("n")
    page.wait_for_url("**/checks/new")

    # In a field letters are letters.
    page.focus("#name")
    page.keyboard.type("j?gcnp/x")
    assert "j?gcnp/x" == page.input_value("#name")
    assert page.url.endswith("/checks/new")
    assert 0 == page.locator("dialog").count()

    press("Control+k")
    page.locator("dialog #go-q:focus").wait_for(timeout=LIMIT_MS)
    page.keyboard.type("stripe")
    page.locator("dialog #found li").nth(0).get_by_text("Stripe").wait_for(timeout=LIMIT_MS)
    page.locator("dialog #found li").nth(1).wait_for(state="detached", timeout=LIMIT_MS)
    press("ArrowDown")
    press("Enter")
    page.wait_for_url(f"**/checks/{made['Stripe reconciliation']['id']}")

    press("s")
    page.locator("details.snooze[open] >> text=2 hours").wait_for(timeout=LIMIT_MS)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press("c")
    page.locator("#live-said", has_text="copied").wait_for(state="attached", timeout=LIMIT_MS)
    assert made["Stripe reconciliation"]["ping_url"] == page.evaluate("navigator.clipboard.readText()")
    ping(made["Stripe reconciliation"]["ping_url"] + "/fail")
    page.locator("#why.s-down").wait_for(timeout=LIMIT_MS)
    press("a")
    page.locator("#why", has_text="takes care of it").wait_for(timeout=LIMIT_MS)
    page.reload()  # with its time, which a new check has none of
    press("]")
    page.wait_for_url("**range=7d")
    press("[")
    page.wait_for_url("**range=24h")
    assert [] == troubles
    server.kill()


def test_the_list_of_keys_is_a_dialog_that_gives_the_focus_back_and_switches_them_off(
    server: Server, chromium: Any
) -> None:
    server.start()
    server.api("POST", "/v1/checks", key_of(server), {"name": "Alpha"})
    troubles: list[str] = []
    page = watched(chromium.new_context().new_page(), troubles)
    set_up(server, page)
    page.keyboard.press("j")
    page.keyboard.press("?")
    page.locator("dialog[open] #keys").wait_for(timeout=LIMIT_MS)
    page.keyboard.press("j")
    page.keyboard.press("n")
    assert page.locator("dialog[open]").count()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached", timeout=LIMIT_MS)
    assert "Alpha" == focused(page)

    page.keyboard.press("?")
    page.click("dialog >> text=Switch single keys off")
    page.wait_for_url("**/account/keyboard")
    page.goto(f"{server.url}/p/main/checks")
    for key in ("j", "n", "?", "/"):
        page.keyboard.press(key)
    assert "/p/main/checks" == page.evaluate("location.pathname")
    assert "BODY" == page.evaluate("document.activeElement.tagName")
    page.keyboard.press("Control+k")
    page.locator("dialog #go-q:focus").wait_for(timeout=LIMIT_MS)
    assert [] == troubles
    server.kill()
