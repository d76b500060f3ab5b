"""More of what people come for, clicks counted: the first ping, ways in, and what a second reader sees at once."""

from __future__ import annotations

import re
import subprocess
import time
from base64 import b32decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from heartfly.clock import SystemClock
from heartfly.core import totp
from tests.web.conftest import browser
from tests.web.full_house import STATUSES, ping
from tests.web.test_tasks import PHONE, Person, Place, at_rest, place

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
__all__ = ["browser", "place"]


def bash(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", script, "bash", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("script", [True, False])
def test_a_first_check_hears_its_ping_after_two_clicks_and_without_script_one_more(
    place: Place, *, script: bool
) -> None:
    ada = place.person(script=script)
    ada.at("/p/main/checks")
    began = time.perf_counter()
    ada.click("text=New check")
    ada.page.fill("#name", f"First of {script}")
    ada.click("text=Create")
    ada.page.wait_for_url("**/p/main/checks/*-*")
    assert "Waiting for the first ping" in ada.page.inner_text("#first")
    if script:
        ada.page.evaluate("window.stays = true")
        ada.page.locator("#as-of", has_text="live").wait_for()
    assert 0 == bash(ada.page.inner_text("#first pre.code")).returncode
    pinged = time.perf_counter()
    if not script:
        ada.click("text=look again")
    ada.page.locator("#first.came", has_text="The first ping came").wait_for()
    print(f"first ping: {pinged - began:.1f} s to the ping, seen {time.perf_counter() - pinged:.2f} s after it")

    assert (2 if script else 3) == ada.clicks
    assert not script or ada.page.evaluate("window.stays")


def test_the_shown_bash_wrapper_tells_the_exit_status_and_the_output_of_a_job(place: Place, tmp_path: Path) -> None:
    made = place.house.api("POST", "/checks", {"name": "Wrapped"})
    ada = place.person(script=False)
    ada.at(f"/p/main/checks/{made['id']}")
    ada.click('summary:has-text("bash")')
    block = ada.page.locator("pre.code", has_text="#!/usr/bin/env bash").first
    script = tmp_path / "beat.sh"
    script.write_text(block.inner_text())
    for status in (0, 3, 127):
        job = ["no-such-program"] if status == 127 else ["bash", "-c", f"echo said {status}; exit {status}"]
        done = subprocess.run(["bash", str(script), *job], capture_output=True, timeout=60, check=False)
        assert status == done.returncode
    job = ["bash", str(script), "bash", "-c", "kill -TERM $PPID; exec sleep 30"]
    assert 143 == subprocess.run(job, capture_output=True, timeout=60, check=False).returncode
    ada.at(f"/p/main/checks/{made['id']}/runs")
    rows = ada.page.locator("main tbody tr").all_inner_texts()

    assert 1 == ada.clicks
    assert 4 == len(rows)
    for status, row in zip((143, 127, 3), rows, strict=False):
        assert str(status) in row, rows
    ada.at(f"/p/main/checks/{made['id']}/events/4")
    assert "said 3" in ada.text


def shown_next(secret: bytes) -> str:
    """A code that counts after the one that is shown now. It does for half a minute at least, however busy we are."""
    return totp.code_of(secret, totp.step_of(SystemClock().now()) + 1)


def joined(place: Place, email: str, *, script: bool) -> tuple[Person, bytes, list[str]]:
    """Somebody new who has set up a second step: the secret of the app, and the backup codes."""
    link = place.house.api("POST", "/invites", {"email": email, "role": "member"})["link"]
    context = place.browser.new_context(java_script_enabled=script)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(place.house.server.url + link[link.index("/invite") :])
    for name in ("password", "again"):
        page.fill(f"#{name}", "a password of hers")
    page.click("button.main")
    page.wait_for_url("**/p/main/checks")
    page.goto(f"{place.house.server.url}/account/security/2fa")
    secret = b32decode(page.inner_text("form p.mono").replace(" ", ""))
    page.fill("#code", totp.code_of(secret, totp.step_of(SystemClock().now())))
    page.fill("#password", "a password of hers")
    page.click("button.main")
    codes = page.inner_text("pre.code").split()
    page.goto(f"{place.house.server.url}/p/main/incidents")
    page.click("text=Sign out")
    return Person(page, place.house.server.url), secret, codes


@pytest.mark.parametrize("script", [True, False])
def test_signing_in_by_password_and_code_takes_two_clicks_and_what_was_typed_is_kept(
    place: Place, *, script: bool
) -> None:
    email = f"joan-{script}@example.com".lower()
    joan, secret, codes = joined(place, email, script=script)
    page = joan.page
    joan.at("/p/main/incidents")
    page.fill("#email", email)
    page.fill("#password", "not her password")
    page.click("button.main")
    assert email == page.input_value("#email")

    page.fill("#password", "a password of hers")
    joan.click("button.main")
    page.fill("#code", "000000")
    page.click("button.main")
    assert "is wrong" in page.inner_text("[role=alert]")
    assert 0 == page.locator("#password").count()  # the first step is not asked for again
    code = shown_next(secret)
    if script:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.evaluate("(code) => navigator.clipboard.writeText(code)", f" {code[:3]} {code[3:]} ")
        page.focus("#code")
        page.keyboard.press("Control+v")
    else:
        page.fill("#code", codes[0])
    joan.click("button.main")
    page.wait_for_url("**/p/main/incidents")

    assert 2 == joan.clicks


def test_what_is_sent_again_is_seen_by_a_second_reader_as_it_goes(place: Place) -> None:
    place.hook.will_answer(410, b"gone")
    made = place.house.api(
        "POST", "/channels", {"kind": "webhook", "name": "Watched pager", "config": {"url": place.hook.url}}
    )
    check = place.house.api("POST", "/checks", {"name": "Told later", "channels": [made["id"]]})
    ada, other = place.person(), place.person()
    other.at(f"/p/main/channels/{made['id']}")
    other.page.evaluate("window.stays = true")
    other.page.locator("#as-of", has_text="live").wait_for()
    ping(check["ping_url"] + "/fail")
    other.page.locator("#carried", has_text="410").wait_for()
    other.page.locator("#state", has_text="Failing").wait_for()
    place.hook.will_answer(200, b"here again")
    ada.at("/p/main/channels")
    ada.click("text=Watched pager")
    ada.click("text=Retry")
    began = time.perf_counter()
    other.page.locator("#carried", has_text="here again").wait_for()
    print(f"another try: seen by somebody else after {time.perf_counter() - began:.2f} s")
    log = other.page.inner_text("#carried")

    assert 2 == ada.clicks
    assert other.page.evaluate("window.stays")
    assert ("410" in log, "200" in log) == (True, True)


def test_an_acknowledgement_on_a_phone_is_seen_by_a_second_reader_who_types(place: Place) -> None:
    check = place.house.api("POST", "/checks", {"name": "Seen by two"})
    ada, other = place.person(size=PHONE), place.person()
    other.at("/p/main/incidents")
    other.page.evaluate("window.stays = true")
    other.page.locator("#as-of", has_text="live").wait_for()
    ping(check["ping_url"] + "/fail", "disk full")
    other.page.locator("#incidents tr", has_text="Seen by two").wait_for()
    assert other.page.evaluate("window.stays")

    incident = place.house.api("GET", f"/incidents?check={check['id']}")["items"][0]["id"]
    other.at(f"/p/main/incidents/{incident}")
    other.page.evaluate("window.stays = true")
    other.page.locator("#as-of", has_text="live").wait_for()
    other.page.click("#text")
    other.page.keyboard.type("I was about to")
    ada.at(f"/p/main/incidents/{incident}")
    ada.click("#text")
    ada.page.keyboard.type("I empty it")
    ada.click("text=Acknowledge, and say so")
    began = time.perf_counter()
    other.page.locator("#comments article", has_text="I empty it").wait_for()
    print(f"an acknowledgement: seen by somebody else after {time.perf_counter() - began:.2f} s")

    assert 2 == ada.clicks
    assert "takes care of it" in other.page.inner_text("#facts")
    assert 0 == other.page.locator("text=Acknowledge").count()
    assert other.page.evaluate("window.stays")
    assert ("text", "I was about to") == (
        other.page.evaluate("document.activeElement.id"),
        other.page.input_value("#text"),
    )


@pytest.mark.parametrize("view", ["timeline", "next"])
def test_the_other_views_of_the_checks_follow_what_happens(place: Place, view: str) -> None:
    check = place.house.api(
        "POST", "/checks", {"name": f"Viewed {view}", "schedule": {"kind": "period", "period": 36_000}}
    )
    ada = place.person()
    ada.at(f"/p/main/checks?view={view}&tz=utc&q=Viewed")
    ada.page.evaluate("window.stays = true")
    ada.page.locator("#as-of", has_text="live").wait_for()
    if view == "timeline":
        ping(check["ping_url"] + "/fail")
        ada.page.locator(".lane-row svg.down").wait_for()
    else:
        ping(check["ping_url"])
        ada.page.locator("table.hours", has_text="Viewed next").wait_for()

    assert ada.page.evaluate("window.stays")
    assert 0 == ada.page.locator('main a[href*="/p/main/"]:not([href*="tz="])').count()


@pytest.mark.slow
def test_three_hundred_changes_in_a_second_move_neither_focus_nor_what_one_looks_at(place: Place) -> None:
    def make(i: int) -> Any:
        return place.house.api("POST", "/checks", {"name": f"Bulk {i:03}", "tags": ["bulk"]})

    with ThreadPoolExecutor(10) as jobs:
        made = list(jobs.map(make, range(300)))
    ada = place.person(size={"width": 1000, "height": 500})
    ada.at("/p/main/checks?tag=bulk")
    ada.page.locator("#as-of", has_text="live").wait_for()
    ada.page.evaluate(
        "() => { window.longest = 0; new PerformanceObserver((list) => { for (const task of list.getEntries())"
        " window.longest = Math.max(window.longest, task.duration); }).observe({ entryTypes: ['longtask'] }); }"
    )
    chosen = f"#c-{made[150]['id'][:8]}"
    ada.page.focus(f"{chosen} .name a")
    before = at_rest(ada.page, chosen)
    began = time.perf_counter()
    with ThreadPoolExecutor(20) as jobs:
        list(jobs.map(lambda check: ping(check["ping_url"]), made))
    took = time.perf_counter() - began
    ada.page.locator(".row.s-up").nth(299).wait_for()
    longest = ada.page.evaluate("window.longest")
    print(f"300 changes: sent in {took:.1f} s, the longest task {longest:.0f} ms")

    assert re.fullmatch("Bulk 150", ada.page.evaluate("document.activeElement.textContent"))
    assert before == pytest.approx(at_rest(ada.page, chosen), abs=2)
    assert 300 == ada.page.locator(".row:not(.first)").count()


# Which pixels of a picture of 16 by 16 stand out from its corner, which no shape fills, whatever their colour.
OUTLINE = """async (pictures) => Promise.all(pictures.map(async (picture) => {
  const bytes = Uint8Array.from(atob(picture), (one) => one.charCodeAt(0));
  const shown = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const context = new OffscreenCanvas(16, 16).getContext("2d");
  context.drawImage(shown, 0, 0, 16, 16);
  const { data } = context.getImageData(0, 0, 16, 16);
  const grey = (at) => 0.3 * data[at] + 0.59 * data[at + 1] + 0.11 * data[at + 2];
  return Array.from({ length: 256 }, (_, n) => (Math.abs(grey(4 * n) - grey(0)) > 40 ? "1" : "0")).join("");
}))"""


def test_statuses_are_told_apart_by_who_sees_no_colours(place: Place) -> None:
    """Each two by a twelfth of their pixels: without any colour, and to an eye that takes red for green."""
    ada = place.person()
    devices = ada.page.context.new_cdp_session(ada.page)
    for sight in ("achromatopsia", "deuteranopia"):
        for theme in ("light", "dark"):
            ada.page.emulate_media(color_scheme=theme)
            devices.send("Emulation.setEmulatedVisionDeficiency", {"type": sight})
            ada.at("/p/main/checks")
            shots = [ada.page.locator(f".row.s-{word} .st.{word} svg").first.screenshot() for word in STATUSES]
            shapes = ada.page.evaluate(OUTLINE, [b64encode(shot).decode() for shot in shots])
            apart = {
                (one, other): sum(a != b for a, b in zip(first, second, strict=True))
                for (one, first), (other, second) in combinations(zip(STATUSES, shapes, strict=True), 2)
            }
            nearest = min(apart, key=apart.__getitem__)
            print(f"{sight}, {theme}: the nearest are {nearest}, {apart[nearest]} pixels apart")
            assert min(apart.values()) > 20, apart
            words = [ada.page.locator(f".row.s-{word} .st.{word}").first.text_content().strip() for word in STATUSES]
            assert list(STATUSES) == [word.lower() for word in words]
