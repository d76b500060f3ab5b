"""What people come for, done with a pointer in real Chromium: every click is counted, half of it without any script.

From the setup to the first ping, several tabs, and a server that dies are in test_live_in_a_browser.py; the second
step in test_in_a_browser.py; what the shown programs do in test_snippets.py.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from heartfly.clock import SystemClock
from tests.server_process import Server
from tests.web.conftest import browser
from tests.web.full_house import EMAIL, OUTPUT, PASSWORD, House, ping
from tests.web.hook import Hook, listening

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
__all__ = ["browser"]

LIMIT_MS = 60_000
PHONE = {"width": 390, "height": 800}


@dataclass
class Place:
    house: House
    hook: Hook
    browser: Any
    cookies: Any

    def person(self, *, script: bool = True, size: dict[str, int] | None = None) -> Person:
        context = self.browser.new_context(
            storage_state=self.cookies, java_script_enabled=script, viewport=size or {"width": 1440, "height": 900}
        )
        page = context.new_page()
        page.set_default_timeout(LIMIT_MS)
        return Person(page, self.house.server.url)


@dataclass
class Person:
    page: Any
    origin: str
    clicks: int = 0

    def at(self, path: str) -> None:
        self.page.goto(f"{self.origin}{path}")

    def click(self, what: Any) -> None:
        (self.page.locator(what).first if isinstance(what, str) else what).click()
        self.clicks += 1

    @property
    def text(self) -> str:
        return str(self.page.inner_text("main"))


@pytest.fixture(scope="module")
def place(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with listening() as hook:
        server = Server(tmp_path_factory.mktemp("tasks"), {"OUTGOING__ALLOWED_PORTS": str(hook.port)})
        server.start()
        house = House(server)
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url + house.setup_link)
        for name, value in {"email": EMAIL, "password": PASSWORD, "again": PASSWORD}.items():
            page.fill(f"#{name}", value)
        page.click("button.main")
        page.wait_for_url("**/p/main/checks")
        house.furnish(hook)
        yield Place(house, hook, browser, context.storage_state())
        context.close()
        server.kill()


def test_a_pasted_line_of_a_crontab_is_a_check_after_two_clicks(place: Place) -> None:
    for script in (False, True):
        ada = place.person(script=script)
        ada.at("/p/main/checks/new")
        ada.page.fill("#line", "*/15 * * * * /opt/etl.sh")
        ada.click("text=Fill in")
        assert ("etl", "*/15 * * * *") == (ada.page.input_value("#name"), ada.page.input_value("#expression"))
        shown = [one.get_attribute("datetime") for one in ada.page.locator("#preview time:first-child").all()]
        ada.page.fill("#name", f"etl {script}")
        ada.click("text=Create")
        ada.page.wait_for_url("**/p/main/checks/*-*")

        assert 2 == ada.clicks
        api = place.house.api("GET", f"/checks/{ada.page.url.rpartition('/')[2]}/next?count=5")
        assert [instant(at) for at in api["items"]] == [instant(at) for at in shown]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_line_that_is_none_is_told_beside_its_field(place: Place) -> None:
    ada = place.person(script=False)
    ada.at("/p/main/checks/new")
    ada.page.fill("#line", "MAILTO=ops@example.com")
    ada.click("text=Fill in")

    assert "comment or a setting" in ada.page.inner_text("#line-wrong")
    assert "MAILTO=ops@example.com" == ada.page.input_value("#line")


def test_a_schedule_is_changed_from_the_list_by_two_clicks(place: Place) -> None:
    ada = place.person(script=False)
    check = place.house.checks["run"]["id"]
    ada.at("/p/main/checks")
    ada.click(ada.page.locator(f"#c-{check[:8]} .sched a"))
    ada.page.check('input[value="cron"]', force=True)
    for expression, said in (("0 25 * * *", "hour"), ("0 0 31 2 *", "")):
        ada.page.fill("#expression", expression)
        ada.page.click('button:has-text("Save")')
        assert said in ada.page.inner_text("#expression-wrong").lower()
        assert expression == ada.page.input_value("#expression").strip()
    ada.page.fill("#expression", "15 4 * * *")
    ada.click('button:has-text("Save")')

    assert 2 == ada.clicks
    schedule = place.house.api("GET", f"/checks/{check}")["schedule"]
    assert ("cron", "15 4 * * *") == (schedule["kind"], schedule["expression"])


def test_cron_and_systemd_tell_other_things_of_the_nights_of_clock_changes(place: Place) -> None:
    """Of a time that spring leaves out, and autumn has twice."""
    ada = place.person(script=False)
    asked = {"kind": "cron", "expression": "30 2 * * *", "zone": "Europe/Berlin"}
    said = {}
    for dialect in ("cron", "systemd"):
        kind = {"kind": "oncalendar", "expression": "02:30"} if dialect == "systemd" else {}
        schedule = asked | kind | {"dialect": dialect}
        made = place.house.api("POST", "/checks", {"name": f"Clock {dialect}", "schedule": schedule})
        ada.at(f"/p/main/checks/{made['id']}/schedule")
        said[dialect] = [one.inner_text() for one in ada.page.locator(".dst").all()]

    assert [2, 2] == [len(each) for each in said.values()], said
    assert all(mine != theirs for mine, theirs in zip(said["cron"], said["systemd"], strict=True)), said


def test_why_it_failed_is_one_click_away_with_its_output_and_who_was_told(place: Place) -> None:
    ada = place.person(script=False)
    check = place.house.checks["down"]["id"]
    ada.at("/p/main/checks")
    ada.click(ada.page.locator(f"#c-{check[:8]} .name a").first)
    why = ada.page.inner_text(".why")

    assert 1 == ada.clicks
    assert "exit status 3" in why
    assert OUTPUT.splitlines()[0] in why
    assert re.search(r"Pager: *\n?(Pending|Given up)", why), why
    assert "503" in why
    assert "Ops:" in why


def test_a_webhook_is_added_and_tested_by_three_clicks_and_its_reply_is_shown(place: Place) -> None:
    ada = place.person(script=False)
    for status, reply, said in ((200, b"thank you", "Delivered"), (503, b"closed for lunch", "503")):
        place.hook.will_answer(status, reply)
        ada.clicks = 0
        ada.at("/p/main/channels")
        ada.click('a.button:has-text("Webhook")')
        ada.page.fill("#name", f"Hook {status}")
        ada.page.fill("#value", place.hook.url)
        ada.click("text=Save and test")
        ada.click("text=See how the test went")
        ada.page.locator(".why", has_text=reply.decode()).wait_for()

        assert 3 == ada.clicks
        assert said in ada.page.inner_text(".why")
        assert ("Delivered" in ada.page.inner_text(".why")) == (status == 200)


def test_what_was_given_up_is_sent_again_by_one_click(place: Place) -> None:
    """The receiver refuses for good, so that it is given up at once; then it is back."""
    place.hook.will_answer(410, b"gone")
    made = place.house.api(
        "POST", "/channels", {"kind": "webhook", "name": "Old pager", "config": {"url": place.hook.url}}
    )
    check = place.house.api("POST", "/checks", {"name": "Told late", "channels": [made["id"]]})
    ping(check["ping_url"] + "/fail")
    ada = place.person(script=False)
    ada.at(f"/p/main/channels/{made['id']}")
    for _ in range(100):
        if "Given up" in ada.text:
            break
        ada.page.reload()
    assert "410" in ada.text
    place.hook.will_answer(200, b"here again")
    ada.click("text=Retry")
    ada.page.locator(".why", has_text="here again").wait_for()

    assert 1 == ada.clicks
    assert "Delivered" in ada.page.inner_text(".why")
    ada.page.reload()  # the log is read a moment before the answer above it
    log = ada.page.inner_text("table")
    assert "410" in log
    assert "200" in log


def test_one_of_many_is_found_by_three_letters_and_its_view_can_be_sent_on(place: Place) -> None:
    for size in (None, PHONE):
        ada = place.person(size=size)
        ada.at("/p/main/checks")
        ada.page.focus("#q")
        ada.page.keyboard.type("snap")
        ada.page.keyboard.press("Enter")
        ada.page.wait_for_url("**q=snap")
        names = ada.page.locator(".row:not(.first) .name > a:first-child").all_inner_texts()
        other = place.person(size=size)
        other.page.goto(ada.page.url)

        assert ["Snapshot"] == names
        # Its text, laid out or not: of a row that was not drawn yet people's text is empty.
        found = other.page.locator(".row:not(.first) .name > a:first-child")
        assert names == [text.strip() for text in found.all_text_contents()]


def test_an_incident_is_acknowledged_with_a_note_by_two_taps_on_a_phone(place: Place) -> None:
    for script in (False, True):
        check = place.house.api("POST", "/checks", {"name": f"Tapped {script}"})
        ping(check["ping_url"] + "/fail", "disk full")
        incident = place.house.api("GET", f"/incidents?check={check['id']}")["items"][0]["id"]
        ada = place.person(script=script, size=PHONE)
        ada.at(f"/p/main/incidents/{incident}")
        ada.click("#text")
        ada.page.keyboard.type("I empty it")
        ada.click("text=Acknowledge, and say so")
        ada.page.wait_for_load_state()
        other = place.person(script=False)
        other.at(f"/p/main/incidents/{incident}")

        assert 2 == ada.clicks
        assert "I empty it" in other.text
        assert "takes care of it" in other.text


def at_rest(page: Any, what: str) -> float:
    """Where it stands once the page lies still: rows that come into sight get their true height a frame later."""
    last, now = -1.0, -2.0
    while last != now:
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        last, now = now, page.locator(what).bounding_box()["y"]
    return now


def test_sixty_changes_at_once_move_neither_focus_nor_what_one_looks_at(place: Place) -> None:
    made = [place.house.api("POST", "/checks", {"name": f"Job {i:03}", "tags": ["many"]}) for i in range(60)]
    ada = place.person(size={"width": 1000, "height": 500})
    ada.at("/p/main/checks?tag=many")
    ada.page.locator("#as-of", has_text="live").wait_for()
    chosen = f"#c-{made[40]['id'][:8]}"
    ada.page.focus(f"{chosen} .name a")
    before = at_rest(ada.page, chosen)
    with ThreadPoolExecutor(10) as jobs:
        list(jobs.map(lambda check: ping(check["ping_url"]), made))
    ada.page.locator(".row.s-up").nth(59).wait_for()

    assert "Job 040" == ada.page.evaluate("document.activeElement.textContent")
    assert before == pytest.approx(at_rest(ada.page, chosen), abs=2)
    assert 60 == ada.page.locator(".row:not(.first)").count()
    assert SystemClock().now() > instant(ada.page.locator(f"{chosen} .last time").get_attribute("datetime"))


def test_a_red_day_of_usage_turns_final_by_three_clicks_after_a_look_at_what_would_change(place: Place) -> None:
    """What it had come to was changed in the file behind Heartfly's back, and it was told that it does not agree."""
    at = (SystemClock().now() - timedelta(days=3)).replace(hour=12)
    day = at.date().isoformat()
    event = {"customer_id": "red", "event_type": "red.request", "timestamp": at.isoformat()}
    sent = [event | {"transaction_id": f"red-{n}", "properties": {"bytes": n * 7}} for n in range(20)]
    place.house.api("POST", "/events", sent)
    place.house.api(
        "POST", "/meters", {"slug": "red", "event_types": ["red.request"], "aggregation": "sum", "value": "bytes"}
    )
    place.house.api("POST", "/usage/runs", {"day": day, "dry_run": False})
    with sqlite3.connect(place.house.server.folder / "heartfly-data" / "usage.db", timeout=60) as file:
        broken = file.execute("UPDATE rollups SET n = n + 7 WHERE tier = 'day' AND n = 20").rowcount
        told = "UPDATE usage_days SET state = 'provisional', mismatch = 'red does not add up' WHERE day = ?"
        assert (True, 1) == (broken > 0, file.execute(told, [day]).rowcount)
    file.close()
    ada = place.person(script=False)
    ada.at(f"/p/main/usage/jobs?month={day[:7]}")
    ada.click(f'a.c-untrusted[href$="/{day}"]')
    assert "red does not add up" in ada.text
    ada.click("text=What would change?")
    ada.page.locator("#difference").wait_for()
    assert re.search(r"figures? differs?", ada.page.inner_text("#difference")), ada.text
    rows = ada.page.locator("#difference tbody tr", has_text="red").all_inner_texts()
    ada.click('button:has-text("Close it anew")')
    ada.page.locator(".why", has_text="agree with its events").wait_for()

    assert 3 == ada.clicks
    assert rows
    assert re.search(r"Difference\s+0\b", ada.text), ada.text
    figures = place.house.api("GET", f"/meters/red/query?from={day}&to={(at + timedelta(days=1)).date()}")["items"]
    assert [sum(n * 7 for n in range(20))] == [int(one["value"]) for one in figures]
    # The entry is written with the day, and carried over from there: on a busy machine after the page has said so.
    until = time.perf_counter() + 60
    newest = place.house.api("GET", "/audit?action=usage.rerun")["items"][0]
    while not newest["actor"].startswith("user:") and time.perf_counter() < until:
        newest = place.house.api("GET", "/audit?action=usage.rerun")["items"][0]
    assert (f"usage_day:{day}", f"user:{EMAIL}") == (newest["object"], newest["actor"])
