"""What people come for when something is wrong, done with a pointer in real Chromium, every click counted: many checks
silenced at once, and a host that dies at 3 a.m., from the message on a phone to its cause, acknowledged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from heartfly.clock import SystemClock
from tests.web.conftest import browser
from tests.web.full_house import ping
from tests.web.gates import NARROWEST, Gates
from tests.web.test_tasks import PHONE, Place, place

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
__all__ = ["browser", "place"]

TRIES = 400


def wait_for(found: Callable[[], Any], *, place: Place) -> Any:
    """Each try asks the server, which takes as long as it takes."""
    for _ in range(TRIES):
        if result := found():
            return result
        place.house.api("GET", "/incidents?limit=1")
    raise AssertionError("it did not come")


def found_wrong(page: Any, place: Place, check: str) -> list[str]:
    """On the page of a cause, on its row of the list, and on the pages and forms of a member, in both themes."""
    gates, wrong = Gates(page, place.house.server.url), []
    mine = f"/p/main/checks/{check}"
    cause = page.url.removeprefix(place.house.server.url)
    for path in (cause, "/p/main/incidents", mine, f"{mine}/edit", "/p/main/checks/new"):
        gates.go(path)
        gates.open_all()
        for scheme in ("light", "dark"):
            gates.see(PHONE["width"], scheme)
            wrong += [f"{path} {scheme}: {one}" for one in (*gates.axe(), *gates.rules())]
        wrong += gates.fits(NARROWEST)
    return wrong + gates.troubles


@pytest.mark.parametrize("script", [False, True])
def test_all_that_a_filter_shows_is_silenced_for_two_hours_by_three_clicks(place: Place, *, script: bool) -> None:
    tag = f"etl-{script}".lower()
    mine = [place.house.api("POST", "/checks", {"name": f"{tag}-{n}", "tags": [tag]}) for n in range(3)]
    other = place.house.api("POST", "/checks", {"name": f"other of {tag}"})
    for check in (*mine, other):
        ping(check["ping_url"])
    ada = place.person(script=script)
    ada.at("/p/main/checks")
    ada.page.fill("#q", f"tag:{tag}")
    ada.page.keyboard.press("Enter")
    ada.page.wait_for_url("**q=tag*")
    ada.click("#bulk input[name=all]")
    ada.click("button:has-text('Silence 2 h')")
    ada.page.locator("text=silenced until").first.wait_for()

    assert ada.clicks <= 3
    now = SystemClock().now()
    for check in mine:
        until = place.house.api("GET", f"/checks/{check['id']}")["silenced_until"]
        # It ends by itself.
        assert timedelta(hours=1, minutes=50) < datetime.fromisoformat(until) - now <= timedelta(hours=2)
    assert place.house.api("GET", f"/checks/{other['id']}")["silenced_until"] is None
    # Alerts are held meanwhile, with the reason.
    ping(mine[0]["ping_url"] + "/fail")
    held = wait_for(
        lambda: place.house.api("GET", f"/notifications?check={mine[0]['id']}&state=held")["items"], place=place
    )
    assert all("snoozed until" in one["why"] for one in held)
    assert "silence.create" in [one["action"] for one in place.house.api("GET", "/audit?limit=20")["items"]]


@pytest.mark.parametrize("script", [False, True])
def test_from_the_message_on_a_phone_to_the_cause_acknowledged_are_three_taps(place: Place, *, script: bool) -> None:
    place.hook.will_answer(200, b"ok")
    name = f"People {script}"
    made = place.house.api("POST", "/channels", {"kind": "slack", "name": name, "config": {"url": place.hook.url}})
    host = f"db-{script}".lower()
    jobs = [place.house.api("POST", "/checks", {"name": f"{host} job {n}", "channels": [made["id"]]}) for n in range(3)]
    before = len(place.hook.heard)
    for check in jobs:
        ping(f"{check['ping_url']}/fail?host={host}", "disk full")

    def message() -> str:
        mine = [json.loads(one)["text"] for one in place.hook.heard[before:] if host.encode() in one]
        return mine[0] if mine else ""

    said = wait_for(message, place=place)
    link = re.search(r"<(http[^|>]+/incidents/[^|>]+)\|", said)
    assert link is not None, said
    ada = place.person(script=script, size=PHONE)
    ada.at(re.sub(r"^https?://[^/]+", "", link[1]))  # the first tap: the message's own link
    ada.clicks += 1
    ada.click(f"a:has-text('host {host}')")
    ada.page.locator(f"h1:has-text('host {host}')").wait_for()
    ada.click("text=Acknowledge")
    ada.page.locator("text=takes care of it").first.wait_for()

    assert 3 == ada.clicks
    assert ada.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert all(check["name"] in ada.text for check in jobs)
    if script:
        assert [] == found_wrong(ada.page, place, jobs[0]["id"])
    for check in jobs:
        (incident,) = place.house.api("GET", f"/incidents?check={check['id']}")["items"]
        assert "ada@example.com" in str(incident["acknowledged_by"])
