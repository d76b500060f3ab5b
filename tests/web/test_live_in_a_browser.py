"""Open pages in real Chromium, of a real server that pings, dies, comes back and stops."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import Server
from tests.web.test_in_a_browser import chromium, server, set_up, watched

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

__all__ = ["chromium", "server"]

LIMIT_MS = 60_000
FINISH_S = 100
"""How long a server that stops waits for what is under way: far longer than a busy machine takes to stop."""


def ping(url: str) -> None:
    subprocess.run(["curl", "-fsS", "-m", "20", "-o", "/dev/null", url], check=True, capture_output=True, timeout=30)


def key_of(server: Server) -> str:
    return (server.folder / "heartfly-data" / "cli-key").read_text().strip()


def test_rows_follow_without_a_reload_and_a_server_that_is_gone_is_said_to_be(server: Server, chromium: Any) -> None:
    server.start()
    key = key_of(server)
    made = [server.api("POST", "/v1/checks", key, {"name": name}) for name in ("Backup", "Report")]
    troubles: list[str] = []
    page = watched(chromium.new_context().new_page(), troubles)
    set_up(server, page)
    page.evaluate("window.stays = true")
    page.locator("#as-of", has_text="live").wait_for(timeout=LIMIT_MS)
    page.focus('.row a:has-text("Backup")')

    ping(made[0]["ping_url"] + "/fail")
    page.locator(".row.s-down", has_text="Backup").wait_for(timeout=LIMIT_MS)
    assert page.title().startswith("(1 down) ")
    assert "/icon-down." in page.get_attribute("#icon", "href")
    assert "1" == page.locator('[data-n="down"] a > span').last.inner_text()
    assert "Backup" == page.evaluate("document.activeElement.textContent")
    assert "Backup is down" == page.text_content("#live-said")
    assert page.is_hidden("#live-lost")

    server.kill()
    page.locator("#live-lost", has_text="as of").wait_for(timeout=LIMIT_MS)
    assert [] == [said for said in troubles if "/live" not in said and "ERR_" not in said]
    troubles.clear()
    server.start()
    ping(made[0]["ping_url"])
    page.locator("#live-lost").wait_for(state="hidden", timeout=LIMIT_MS)
    page.locator(".row.s-up", has_text="Backup").wait_for(timeout=LIMIT_MS)
    assert not page.title().startswith("(")
    assert "/icon." in page.get_attribute("#icon", "href")

    page.fill("#q", "half typed")
    third = server.api("POST", "/v1/checks", key, {"name": "Third"})
    page.locator("#live-note button").click(timeout=LIMIT_MS)
    page.locator(".row", has_text="Third").wait_for(timeout=LIMIT_MS)
    assert "half typed" == page.input_value("#q")
    server.api("DELETE", f"/v1/checks/{third['id']}", key)
    page.locator(".row", has_text="Third").wait_for(state="detached", timeout=LIMIT_MS)
    assert page.evaluate("window.stays")
    assert [] == [said for said in troubles if "ERR_" not in said]
    server.kill()


def test_the_first_ping_of_a_new_check_is_seen_as_it_comes(server: Server, chromium: Any) -> None:
    server.start()
    troubles: list[str] = []
    page = watched(chromium.new_context().new_page(), troubles)
    set_up(server, page)
    page.click("text=New check")
    page.fill("#name", "Nightly backup")
    page.click("button.main")
    page.wait_for_url("**/p/main/checks/*-*")
    page.evaluate("window.stays = true")
    assert "Waiting for the first ping" in page.inner_text("#first")
    page.locator("#as-of", has_text="live").wait_for(timeout=LIMIT_MS)

    shown = page.inner_text("#first pre.code")
    subprocess.run(["bash", "-c", shown], check=True, capture_output=True, timeout=30)
    page.locator("#first.came", has_text="The first ping came at").wait_for(timeout=LIMIT_MS)
    page.locator("#why.s-up").wait_for(timeout=LIMIT_MS)
    assert "#1" in page.inner_text("#pings")
    assert "The first ping has come" == page.text_content("#live-said")
    assert page.evaluate("window.stays")
    assert [] == troubles
    server.kill()


def test_two_tabs_share_a_stream_and_when_the_one_is_closed_the_other_has_it(server: Server, chromium: Any) -> None:
    server.start()
    check = server.api("POST", "/v1/checks", key_of(server), {"name": "Backup"})
    context = chromium.new_context()
    streams: list[str] = []
    context.on("request", lambda asked: streams.append(asked.url) if "/live?" in asked.url else None)
    first = context.new_page()
    set_up(server, first)
    first.locator("#as-of", has_text="live").wait_for(timeout=LIMIT_MS)
    second = context.new_page()
    second.goto(f"{server.url}/p/main/checks")

    ping(check["ping_url"])
    for page in (first, second):
        page.locator(".row.s-up", has_text="Backup").wait_for(timeout=LIMIT_MS)
    assert 1 == len(streams)
    first.close()
    ping(check["ping_url"] + "/fail")
    second.locator(".row.s-down", has_text="Backup").wait_for(timeout=LIMIT_MS)
    assert 2 == len(streams)
    server.kill()


def test_who_is_signed_out_elsewhere_is_told_and_hears_no_more(server: Server, chromium: Any) -> None:
    server.start()
    server.api("POST", "/v1/checks", key_of(server), {"name": "Backup"})
    page = chromium.new_context().new_page()
    set_up(server, page)
    page.locator("#as-of", has_text="live").wait_for(timeout=LIMIT_MS)
    other = chromium.new_context().new_page()
    other.goto(f"{server.url}/sign-in")
    other.fill("#email", "ada@example.com")
    other.fill("#password", "correct horse battery")
    other.click("button.main")
    other.goto(f"{server.url}/account/security")
    other.locator('form[action$="revoke-others"] button').click()

    page.locator("#live-lost", has_text="signed out").wait_for(timeout=LIMIT_MS)
    server.kill()


@pytest.fixture
def polite(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, {"SERVER__DRAIN_S": "5", "SERVER__FINISH_S": str(FINISH_S)})
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def stopped_after(server: Server) -> float:
    """Seconds. The log of a first start holds what only its owner reads, so it is not looked through."""
    assert server.process is not None
    begun = time.perf_counter()
    server.process.send_signal(signal.SIGTERM)
    assert 0 == server.process.wait(2 * FINISH_S)
    return time.perf_counter() - begun


def test_open_streams_do_not_hold_up_a_server_that_stops(polite: Server, chromium: Any) -> None:
    """They would for as long as requests under way may take. A page that asks again is answered."""
    polite.start()
    polite.api("POST", "/v1/checks", key_of(polite), {"name": "Backup"})
    context = chromium.new_context()
    page = context.new_page()
    set_up(polite, page)
    page.locator("#as-of", has_text="live").wait_for(timeout=LIMIT_MS)
    cookies = context.storage_state()
    others = [chromium.new_context(storage_state=cookies).new_page() for _ in range(4)]
    for other in others:
        other.goto(f"{polite.url}/p/main/checks")
        other.locator("#as-of", has_text="live").wait_for(timeout=LIMIT_MS)

    assert stopped_after(polite) < FINISH_S
