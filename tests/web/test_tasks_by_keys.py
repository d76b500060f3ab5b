"""What people come for, done without a pointer: with the keys alone, and mostly without any script as well.

Each control is reached by pressing Tab until the browser itself says that it has the focus, so one that cannot be
reached fails here. With a pointer, and clicks counted: test_tasks.py and test_tasks_live.py. Each single key by itself:
test_keys_in_a_browser.py.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import Server
from tests.web.conftest import browser
from tests.web.full_house import EMAIL, OUTPUT, PASSWORD, House, ping
from tests.web.hook import listening
from tests.web.test_tasks import PHONE, Place, instant
from tests.web.test_tasks_live import bash, joined, shown_next

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
__all__ = ["browser"]

MOST_TABS = 300
both = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


@dataclass
class Hands:
    """On a keyboard: there is nothing here that clicks."""

    page: Any
    origin: str

    def at(self, path: str) -> None:
        self.page.goto(f"{self.origin}{path}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, what: str) -> None:
        wanted = self.page.locator(what).first  # found anew each time, for an open page replaces what has changed
        for _ in range(MOST_TABS):
            if wanted.evaluate("(one) => document.activeElement === one"):
                return
            self.press("Tab")
        raise AssertionError(f"Tab does not lead to {what} on {self.page.url}")

    def write(self, what: str, text: str) -> None:
        """In the place of what is in it."""
        self.tab_to(what)
        self.press("Control+a")
        self.page.keyboard.type(text)

    def go_by(self, what: str) -> None:
        """A link or button that leads to another page, or to this one anew."""
        self.tab_to(what)
        with self.page.expect_navigation():
            self.press("Enter")

    @property
    def text(self) -> str:
        return str(self.page.inner_text("main"))


def hands(place: Place, *, script: bool = True, size: dict[str, int] | None = None) -> Hands:
    person = place.person(script=script, size=size)
    return Hands(person.page, person.origin)


@pytest.fixture(scope="module")
def place(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Set up by keys, too, and without a script."""
    with listening() as hook:
        server = Server(tmp_path_factory.mktemp("keys"), {"OUTGOING__ALLOWED_PORTS": str(hook.port)})
        server.start()
        house = House(server)
        context = browser.new_context(java_script_enabled=False)
        ada = Hands(context.new_page(), server.url)
        ada.at(house.setup_link)
        for name, value in {"email": EMAIL, "password": PASSWORD, "again": PASSWORD}.items():
            ada.write(f"#{name}", value)
        ada.go_by("button.main")
        ada.page.wait_for_url("**/p/main/checks")
        house.furnish(hook)
        # Made now, for six seconds pass until its run is missed.
        soon = {"name": "Missed", "schedule": {"kind": "period", "period": 5}, "grace": 1}
        house.checks["missed"] = house.api("POST", "/checks", soon)
        ping(house.checks["missed"]["ping_url"])
        yield Place(house, hook, browser, context.storage_state())
        context.close()
        server.leave()


@both
def test_the_first_ping_of_a_new_check_is_seen(place: Place, *, script: bool) -> None:
    ada = hands(place, script=script)
    ada.at("/p/main/checks")
    if script:
        ada.press("n")
        ada.page.wait_for_url("**/checks/new")
    else:
        ada.go_by("text=New check")
    ada.write("#name", f"Keyed {script}")
    ada.go_by("text=Create")
    ada.page.wait_for_url("**/p/main/checks/*-*")
    if script:
        ada.page.locator("#as-of", has_text="live").wait_for()
        ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        ada.tab_to("#first .copy")
        ada.press("Enter")
        ada.page.locator("#first .copy", has_text="Copied").wait_for()
        shown = ada.page.evaluate("navigator.clipboard.readText()")
    else:
        shown = ada.page.inner_text("#first pre.code")
    assert 0 == bash(shown).returncode
    if not script:
        ada.go_by("text=look again")
    ada.page.locator("#first.came", has_text="The first ping came").wait_for()

    assert ada.page.locator("#head .count, #why.s-up").count()


@both
def test_a_pasted_line_of_a_crontab_becomes_a_check(place: Place, *, script: bool) -> None:
    ada = hands(place, script=script)
    ada.at("/p/main/checks/new")
    ada.write("#line", "15 3 * * * /opt/etl.sh")
    ada.go_by("text=Fill in")
    assert ("etl", "15 3 * * *") == (ada.page.input_value("#name"), ada.page.input_value("#expression"))
    shown = [one.get_attribute("datetime") for one in ada.page.locator("#preview time:first-child").all()]
    ada.write("#name", f"etl by keys {script}")
    ada.go_by("text=Create")
    ada.page.wait_for_url("**/p/main/checks/*-*")

    api = place.house.api("GET", f"/checks/{ada.page.url.rpartition('/')[2]}/next?count=5")
    assert [instant(at) for at in api["items"]] == [instant(at) for at in shown]


@both
def test_a_schedule_is_changed_from_the_list_after_it_was_tried(place: Place, *, script: bool) -> None:
    made = place.house.api("POST", "/checks", {"name": f"Changed {script}", "tags": [f"changed-{script}"]})
    ping(made["ping_url"])
    ada = hands(place, script=script)
    ada.at(f"/p/main/checks?tag=changed-{script}")
    if script:
        ada.press("j", "e")
        ada.page.wait_for_url("**/schedule")
    else:
        ada.go_by(f"#c-{made['id'][:8]} .sched a")
    ada.tab_to("[name=kind]:checked")
    ada.press("ArrowDown")
    for expression, said in (("0 25 * * *", "hour"), ("0 0 31 2 *", "never")):
        ada.write("#expression", expression)
        ada.go_by('button:has-text("Save")')
        assert said in ada.page.inner_text("#expression-wrong").lower()
    ada.write("#expression", "15 4 * * *")
    ada.go_by('button:has-text("Preview")')
    asked = {"schedule": {"kind": "cron", "expression": "15 4 * * *"}}
    figures = place.house.api("POST", f"/checks/{made['id']}/backtest", asked)
    told = [f"{word} {len(figures[word.lower()])}" for word in ("Kept", "Lost")] + [f"New {len(figures['added'])}"]
    assert told == ada.page.locator("#backtest h3").all_inner_texts()
    assert f"{figures['n_pings']} ping" in ada.page.inner_text("#backtest")
    ada.go_by('button:has-text("Save")')

    schedule = place.house.api("GET", f"/checks/{made['id']}")["schedule"]
    assert ("cron", "15 4 * * *") == (schedule["kind"], schedule["expression"])


@both
def test_who_runs_it_is_chosen_and_its_nights_of_clock_changes_are_told(place: Place, *, script: bool) -> None:
    asked = {"kind": "cron", "expression": "30 2 * * *", "zone": "Europe/Berlin"}
    made = place.house.api("POST", "/checks", {"name": f"Clocks {script}", "schedule": asked})
    ada = hands(place, script=script)
    ada.at(f"/p/main/checks/{made['id']}/schedule")
    cron = ada.page.locator(".dst").all_inner_texts()
    ada.tab_to("[name=kind]:checked")
    ada.press("ArrowDown")
    ada.write("#expression", "02:30")
    ada.tab_to("#dialect")
    ada.page.keyboard.type("systemd")
    ada.go_by('button:has-text("Preview")')
    systemd = ada.page.locator("#preview .dst").all_inner_texts()

    assert (2, 2) == (len(cron), len(systemd)), (cron, systemd)
    assert all(mine != theirs for mine, theirs in zip(cron, systemd, strict=True)), (cron, systemd)


@both
def test_why_it_failed_is_read_with_its_output_and_who_was_told(place: Place, *, script: bool) -> None:
    ada = hands(place, script=script)
    check = place.house.checks["down"]["id"]
    ada.at("/p/main/checks?q=Nightly+backup")
    if script:
        ada.press("j", "Enter")
        ada.page.wait_for_url(f"**/checks/{check}")
    else:
        ada.go_by(f"#c-{check[:8]} .name a")
    why = ada.page.inner_text(".why")

    assert "exit status 3" in why
    assert OUTPUT.splitlines()[0] in why
    assert "503" in why
    ada.go_by("text=All that it said")
    assert OUTPUT.splitlines()[-1] in ada.text


@both
def test_a_missed_run_is_a_row_and_stands_in_the_timeline(place: Place, *, script: bool) -> None:
    ada = hands(place, script=script)
    ada.at(f"/p/main/checks/{place.house.checks['missed']['id']}")
    while not script and "Down" not in ada.page.inner_text("#why"):
        ada.page.reload()
    ada.page.locator("#why.s-down").wait_for()
    ada.page.locator("#runs tbody tr", has_text="Missed").wait_for()

    assert "1 was missed" in ada.page.inner_text("#time")
    assert ada.page.locator("#time svg.past path.b").count()
    ada.go_by('.tabs a[href$="/events"]')
    assert "missed" in ada.text.lower()


@both
def test_a_longer_time_and_the_ping_before_are_looked_at(place: Place, *, script: bool) -> None:
    made = place.house.api("POST", "/checks", {"name": f"Looked at {script}"})
    ping(made["ping_url"])
    ping(made["ping_url"] + "/fail", "the second")
    ada = hands(place, script=script)
    ada.at(f"/p/main/checks/{made['id']}")
    if script:
        ada.press("]")
        ada.page.wait_for_url("**range=7d")
    else:
        ada.go_by('nav[aria-label="Range"] a:has-text("7 d")')
    assert "The last 7 days" in ada.text
    ada.at(f"/p/main/checks/{made['id']}/events/2")
    if script:
        ada.press("[")
        ada.page.wait_for_url("**/events/1")
    else:
        ada.go_by("[rel=prev]")

    assert "Ping #1" in ada.text


@both
def test_a_webhook_is_added_and_tested_and_its_reply_is_shown(place: Place, *, script: bool) -> None:
    ada = hands(place, script=script)
    for status, reply in ((200, b"thank you"), (503, b"closed for lunch")):
        place.hook.will_answer(status, reply)
        ada.at("/p/main/channels")
        ada.go_by('a.button:has-text("Webhook")')
        ada.write("#name", f"Keyed {status} {script}")
        ada.write("#value", place.hook.url)
        ada.go_by("text=Save and test")
        ada.go_by("text=See how the test went")
        ada.page.locator(".why", has_text=reply.decode()).wait_for()

        assert ("Delivered" in ada.page.inner_text(".why")) == (status == 200)


@both
def test_what_was_given_up_is_sent_again(place: Place, *, script: bool) -> None:
    place.hook.will_answer(410, b"gone")
    asked = {"kind": "webhook", "name": f"Old pager {script}", "config": {"url": place.hook.url}}
    made = place.house.api("POST", "/channels", asked)
    check = place.house.api("POST", "/checks", {"name": f"Told {script}", "channels": [made["id"]]})
    ping(check["ping_url"] + "/fail")
    ada = hands(place, script=script)
    ada.at(f"/p/main/channels/{made['id']}")
    while not script and "Given up" not in ada.text:
        ada.page.reload()
    ada.page.locator("#carried", has_text="410").wait_for()
    place.hook.will_answer(200, b"here again")
    ada.go_by("text=Retry")
    ada.page.locator(".why, #carried", has_text="here again").first.wait_for()
    ada.page.reload()

    assert ["410", "200"] == [code for code in ("410", "200") if code in ada.page.inner_text("#carried")]


@both
def test_an_incident_is_acknowledged_with_a_note_on_a_narrow_page(place: Place, *, script: bool) -> None:
    check = place.house.api("POST", "/checks", {"name": f"Noted {script}"})
    ping(check["ping_url"] + "/fail", "disk full")
    incident = place.house.api("GET", f"/incidents?check={check['id']}")["items"][0]["id"]
    other = hands(place)
    other.at(f"/p/main/incidents/{incident}")
    other.page.locator("#as-of", has_text="live").wait_for()
    ada = hands(place, script=script, size=PHONE)
    ada.at(f"/p/main/incidents/{incident}")
    ada.write("#text", "I empty it")
    ada.go_by("text=Acknowledge, and say so")
    began = time.perf_counter()
    other.page.locator("#comments article", has_text="I empty it").wait_for()
    print(f"an acknowledgement by keys: seen by somebody else after {time.perf_counter() - began:.2f} s")

    assert "takes care of it" in other.text


@both
def test_somebody_signs_in_by_password_and_code(place: Place, *, script: bool) -> None:
    email = f"mary-{script}@example.com".lower()
    person, secret, codes = joined(place, email, script=script)
    mary = Hands(person.page, person.origin)
    mary.at("/p/main/incidents")
    mary.write("#email", email)
    mary.write("#password", "a password of hers")
    with mary.page.expect_navigation():
        mary.press("Enter")
    mary.write("#code", "000000")
    with mary.page.expect_navigation():
        mary.press("Enter")
    assert "is wrong" in mary.page.inner_text("[role=alert]")
    mary.write("#code", shown_next(secret) if script else codes[0])
    mary.go_by("button.main")

    mary.page.wait_for_url("**/p/main/incidents")


@both
def test_the_bash_wrapper_is_opened_copied_and_tells_how_a_job_ended(
    place: Place, tmp_path: Path, *, script: bool
) -> None:
    made = place.house.api("POST", "/checks", {"name": f"Wrapped {script}"})
    ada = hands(place, script=script)
    ada.at(f"/p/main/checks/{made['id']}")
    ada.tab_to('summary:has-text("bash")')
    ada.press("Enter")
    block = 'pre.code:has-text("#!/usr/bin/env bash")'
    ada.tab_to(block)
    if script:
        ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        ada.press("Tab", "Enter")
        ada.page.locator(f"{block} + .copy", has_text="Copied").wait_for()
    text = ada.page.evaluate("navigator.clipboard.readText()") if script else ada.page.inner_text(block)
    wrapper = tmp_path / "beat.sh"
    wrapper.write_text(text)
    for status, job in {
        0: "echo said 0", 3: "echo said 3; exit 3", 127: "no-such-program", 143: "kill -TERM $PPID; exec sleep 30",
    }.items():  # fmt: skip
        done = subprocess.run(["bash", str(wrapper), "bash", "-c", job], capture_output=True, timeout=60, check=False)
        assert status == done.returncode
    ada.go_by('.tabs a[href$="/runs"]')
    rows = ada.page.locator("main tbody tr").all_inner_texts()

    assert 4 == len(rows)
    for status, row in zip((143, 127, 3, 0), rows, strict=True):
        assert str(status) in row, rows


def test_a_server_that_is_gone_is_said_to_be_and_asked_again_by_keys(place: Place) -> None:
    """Beside that: what the page shows once it is back stands there once."""
    made = place.house.api("POST", "/checks", {"name": "Outlived", "tags": ["outlived"]})
    ada = hands(place)
    ada.at("/p/main/checks?tag=outlived")
    ada.page.locator("#as-of", has_text="live").wait_for()
    ada.page.evaluate("window.stays = true")
    place.house.server.kill()
    gone = time.perf_counter()
    ada.page.locator("#live-lost button").wait_for()
    print(f"a server that is gone: said after {time.perf_counter() - gone:.1f} s")
    place.house.server.start()
    ping(made["ping_url"])
    ada.tab_to("#live-lost button")
    ada.press("Enter")
    ada.page.locator(".row.s-up", has_text="Outlived").wait_for()
    ada.page.locator("#live-lost").wait_for(state="hidden")

    assert ada.page.evaluate("window.stays")
    assert 1 == ada.page.locator(".row", has_text="Outlived").count()


def test_one_of_two_hundred_is_found_by_five_keys_and_its_view_can_be_sent_on(place: Place) -> None:
    """The last of this file: nobody tabs through its list."""
    with ThreadPoolExecutor(8) as jobs:
        names = [f"Job {n:03}" for n in range(200)] + ["Stripe reconciliation"]
        list(jobs.map(lambda name: place.house.api("POST", "/checks", {"name": name}), names))
    for size in (None, PHONE):
        ada = hands(place, size=size)
        ada.at("/p/main/checks")
        ada.press("/", "r", "e", "c", "Enter")
        ada.page.wait_for_url("**q=rec")
        other = hands(place, size=size)
        other.page.goto(ada.page.url)

        for one in (ada, other):
            assert ["Stripe reconciliation"] == one.page.locator(
                ".row:not(.first) .name > a:first-child"
            ).all_inner_texts()
