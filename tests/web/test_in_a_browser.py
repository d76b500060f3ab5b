"""The pages in real Chromium, of a real server: set up, a check, a ping by the shown command, and nothing that runs."""

from __future__ import annotations

import re
import subprocess
from base64 import b32decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heartfly.clock import SystemClock
from heartfly.core import totp
from tests.server_process import Server
from tests.web.hostile import HOSTILE

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

SIZES = [(390, "dark"), (1440, "light")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


@pytest.fixture
def chromium(browser: Any) -> Iterator[Any]:
    """With no page of a test before open in it."""
    yield browser
    for context in browser.contexts:
        context.close()


def watched(page: Any, troubles: list[str]) -> Any:
    page.on("console", lambda said: troubles.append(f"{page.url}: {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(f"{page.url}: {error}"))

    def dialog(shown: Any) -> None:
        troubles.append(f"{page.url}: a dialog")
        shown.dismiss()

    page.on("dialog", dialog)
    return page


def set_up(server: Server, page: Any) -> None:
    found = re.search(r"http\S+/setup\?token=\S+", (server.folder / "server.log").read_text())
    assert found is not None
    page.goto(found.group())
    page.fill("#email", "ada@example.com")
    page.fill("#password", "correct horse battery")
    page.fill("#again", "correct horse battery")
    page.click("button.main")
    page.wait_for_url(re.compile(r"/p/main/checks(\?.*)?$"))  # a passkey may be on offer


def test_from_the_setup_to_a_check_that_is_up_without_any_script(server: Server, chromium: Any) -> None:
    server.start()
    troubles: list[str] = []
    context = chromium.new_context(java_script_enabled=False)
    page = watched(context.new_page(), troubles)
    set_up(server, page)
    first = page.inner_text("pre.code")
    subprocess.run(["bash", "-c", first], check=True, capture_output=True, timeout=30)
    page.goto(f"{server.url}/p/main/checks")
    assert "my-job" in page.inner_text(".row.s-up")

    page.click("text=New check")
    page.fill("#name", "Nightly backup")
    page.check('input[value="cron"]')
    page.fill("#expression", "30 2 * * *")
    page.click("button.main")
    page.wait_for_url("**/p/main/checks/*-*")
    shown = page.inner_text("pre.code >> nth=0")
    subprocess.run(["bash", "-c", shown], check=True, capture_output=True, timeout=30)
    script = page.locator("details", has_text="bash").locator("pre").text_content()
    job = server.folder / "beat.sh"
    job.write_text(script)
    done = subprocess.run(
        ["bash", str(job), "bash", "-c", "echo said; exit 3"], capture_output=True, text=True, check=False
    )
    page.reload()

    assert (3, "said\n") == (done.returncode, done.stdout)
    assert "exit status 3" in page.inner_text(".why")
    assert [] == troubles
    server.kill()


PLACES = (
    "", "/events/1", "/edit", "/schedule", "/events", "/runs", "/snippets", "/events/1?ansi=strip&wrap=off&find=a",
    "/events/1?diff=1",
)  # fmt: skip


# What no page lets through (test_pages.py) is seen to do nothing: here with a ninth of the texts in each place.
@pytest.mark.parametrize("each", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_hostile_texts_do_nothing_and_no_page_is_wider_than_its_window(
    server: Server, chromium: Any, each: int
) -> None:
    server.start()
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    texts, paths = HOSTILE, ["/p/main/checks", "/p/main/incidents", "/p/main/channels", "/account/security"]
    paths += ["/p/main/settings/general", "/p/main/settings/team", "/p/main/settings/keys", "/p/main/audit"]
    paths += ["/account/security/2fa", "/sign-in/reset", "/p/main/checks?view=timeline", "/p/main/checks?view=next"]
    paths += ["/p/main/badges", "/p/main/go", "/account/keyboard"]
    for i, text in enumerate(texts):
        tag = text[:50].strip()
        made = server.api(
            "POST", "/v1/checks", key, {"name": text, "slug": f"c{i}", "description": text, "tags": [tag]}
        )
        server.api("POST", "/v1/keys", key, {"name": text[:90], "scopes": ["read"]})
        told = ["curl", "-fsS", "-A", text, "--data-binary", text, made["ping_url"] + "/fail"]
        subprocess.run(told, check=True, capture_output=True, timeout=30)
        paths += [f"/p/main/checks/c{i}{one}" for turn, one in enumerate(PLACES) if (i + turn) % each == 0]
    for i, incident in enumerate(server.api("GET", "/v1/incidents", key)["items"]):
        server.api("POST", f"/v1/incidents/{incident['id']}/comments", key, {"text": texts[i]})
        paths += [f"/p/main/incidents/{incident['id']}"] if i % each == 0 else []
    troubles: list[str] = []
    context = chromium.new_context()
    set_up(server, watched(context.new_page(), troubles))
    cookies = context.storage_state()
    for place, (width, scheme) in enumerate(SIZES):
        seen = chromium.new_context(
            storage_state=cookies, viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        page = watched(seen.new_page(), troubles)
        # What a width or a theme does to pages, a ninth of them tells.
        for path in paths if place == 0 else paths[::9]:
            page.goto(f"{server.url}{path}")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert 0 == wide, (path, width)
    assert [] == troubles
    server.kill()


def test_somebody_joins_by_a_link_and_signs_in_by_two_steps_without_any_script(server: Server, chromium: Any) -> None:
    server.start()
    troubles: list[str] = []
    owner = watched(chromium.new_context(java_script_enabled=False).new_page(), troubles)
    set_up(server, owner)
    owner.click("text=Settings")
    owner.fill("#email", "joan@example.com")
    owner.click("text=Invite >> nth=-1")
    link = owner.inner_text("pre.code")

    joan = watched(
        chromium.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800}).new_page(), troubles
    )
    joan.goto(link)
    joan.fill("#password", "a password of hers")
    joan.fill("#again", "a password of hers")
    joan.click("button.main")
    joan.wait_for_url("**/p/main/checks")
    joan.goto(f"{server.url}/account/security/2fa")
    assert joan.locator("svg.qr").bounding_box()["width"] > 150
    secret = b32decode(joan.inner_text("form p.mono").replace(" ", ""))
    joan.fill("#code", totp.code_of(secret, totp.step_of(SystemClock().now())))
    joan.fill("#password", "a password of hers")
    joan.click("button.main")
    codes = joan.inner_text("pre.code").split()
    joan.goto(f"{server.url}/p/main/checks")
    joan.click("text=Sign out")
    joan.fill("#email", "joan@example.com")
    joan.fill("#password", "a password of hers")
    joan.click("button.main")
    joan.fill("#code", codes[3])
    joan.click("button.main")
    joan.wait_for_url("**/p/main/checks")
    owner.goto(f"{server.url}/p/main/audit")

    assert 10 == len(codes)
    assert "member.second_step_on" in owner.inner_text("main")
    assert [] == troubles
    server.kill()


def test_on_a_phone_the_pages_are_at_the_thumb_and_hide_nothing(server: Server, chromium: Any) -> None:
    """Without any script. Four of them, and the rest behind one more."""
    server.start()
    page = chromium.new_context(java_script_enabled=False, viewport={"width": 320, "height": 600}).new_page()
    set_up(server, page)
    page.goto(f"{server.url}/p/main/settings/general")
    shown = page.locator("header nav > a:visible, header nav summary:visible")
    boxes = [one.bounding_box() for one in shown.all()]

    assert ["Checks", "Incidents", "Usage", "Channels", "More"] == shown.all_inner_texts()
    assert {600.0} == {round(box["y"] + box["height"]) for box in boxes}
    assert 320 == round(boxes[-1]["x"] + boxes[-1]["width"])
    assert all(box["height"] >= 48 and box["width"] >= 24 for box in boxes)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    end = page.locator("footer").bounding_box()
    assert end["y"] + end["height"] <= boxes[0]["y"]
    page.evaluate("scrollTo(0, 0)")
    for one in page.locator("main :is(a, button, input:not([type=hidden]), summary):visible").all():
        one.focus()
        box = one.bounding_box()
        assert box["y"] + box["height"] <= boxes[0]["y"]

    page.click("header nav summary")
    page.click("header nav li >> text=Status pages")
    page.wait_for_url("**/p/main/status-pages")
    assert "true" == page.locator("header nav summary").get_attribute("aria-current")
    page.set_viewport_size({"width": 1000, "height": 600})
    assert ["Maintenance", "Status pages", "Settings"] == page.locator("header nav > a:visible").all_inner_texts()[4:]
    page.emulate_media(media="print")
    assert not page.locator("header nav").is_visible()
