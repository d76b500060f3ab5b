"""Code of the documents is copied by one click, also where the clipboard is not to be had."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server_process import Server
from tests.web.test_in_a_browser import chromium, server, watched
from tests.web.test_live_in_a_browser import LIMIT_MS

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
__all__ = ["chromium", "server"]  # fixtures


def test_a_click_copies_the_code(server: Server, chromium: Any) -> None:
    server.start()
    troubles: list[str] = []
    context = chromium.new_context(viewport={"width": 390, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    page = watched(context.new_page(), troubles)

    page.goto(f"{server.url}/docs/api-tour")
    code = page.locator("pre.code").nth(1)
    page.locator(".copied button").nth(1).click()

    # The browser has copied before the button says so.
    page.locator(".copied button", has_text="Copied").wait_for(timeout=LIMIT_MS)
    assert code.text_content() == page.evaluate("navigator.clipboard.readText()")
    page.evaluate("navigator.clipboard.writeText('')")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    other = page.locator(".copied button").nth(2)
    other.click()
    page.wait_for_function("!getSelection().isCollapsed")
    assert page.locator("pre.code").nth(2).text_content() == page.evaluate("getSelection().toString() + '\\n'")
    assert [] == troubles, json.dumps(troubles)
    context.close()
