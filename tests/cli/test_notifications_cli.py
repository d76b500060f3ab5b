"""`heartfly notifications …` against a real server and a real receiver: listed, read, sent again."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest

from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(hooked_server: Server) -> Server:
    return hooked_server


def told(run: Run, *options: str) -> list[Any]:
    return list(json.loads(ok(run("notifications", "list", *options, "--json"))))


def done(run: Run, *options: str) -> Any:
    """The one notification, as soon as nothing more will be tried of it."""
    for _ in range(600):
        (one,) = told(run, *options)
        if one["state"] in {"sent", "failed"}:
            return one
    raise AssertionError(f"it is still {one['state']}")


def test_what_was_told_is_listed_with_its_end_and_what_failed_is_sent_again(run: Run, hook: str) -> None:
    assert "Nothing was told." in ok(run("notifications", "list"))
    ok(run("channels", "create", "webhook", "--name", "fine", "--url", f"{hook}/ok"))
    ok(run("channels", "create", "webhook", "--name", "gone", "--url", f"{hook}/gone", "--event", "check.down"))
    check = json.loads(ok(run("checks", "create", "job", "--json")))
    urllib.request.urlopen(f"{check['ping_url']}/fail").close()
    sent, failed = done(run, "--channel", "fine", "--check", "job"), done(run, "--channel", "gone", "--check", "job")

    table = ok(run("notifications", "list", "--check", check["id"], "--since", "1h"))
    shown = ok(run("notifications", "show", failed["id"]))

    assert ("sent", "failed") == (sent["state"], failed["state"])
    assert re.search(rf"^sent +check.down +job +fine .* 1 +{sent['id']}$", table, re.MULTILINE), table
    assert re.search(
        rf"^failed: the receiver answered 410 +check.down +job +gone .* {failed['id']}$", table, re.MULTILINE
    )
    assert re.search(rf"^delivery +{failed['delivery']['id']}$", shown, re.MULTILINE), shown
    assert re.search(r"^1 +\S+Z +410 +the receiver answered 410 ", shown, re.MULTILINE), shown
    assert "No notification is like that." in ok(run("notifications", "list", "--since", "0s"))

    assert "on the way again" in ok(run("notifications", "resend", failed["id"]))
    again = done(run, "--channel", "gone", "--check", "job")
    by_delivery = json.loads(ok(run("notifications", "resend", again["delivery"]["id"], "--json")))

    assert (failed["id"], 2) == (again["id"], len(again["delivery"]["attempts"]))
    assert (again["delivery"]["id"], True) == (by_delivery["id"], by_delivery["possible_duplicate"])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["show", "1-1"], 1, "There is no notification 1-1"),
        (["resend", "1-1"], 1, "There is no notification 1-1"),
        (["resend", "3f0f8f9e-6a1c-4a55-8d4c-111111111111"], 1, "no such delivery"),
        (["list", "--channel", "nowhere"], 1, "There is no channel nowhere"),
        (["list", "--check", "nowhere"], 1, "There is no check"),
        (["list", "--state", "lost"], 2, "lost"),
        (["list", "--since", "yesterday"], 2, "is not a duration"),
        (["list", "--since", "2026-13-01T00:00:00Z"], 1, "since:"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(run: Run, arguments: list[str], status: int, words: str) -> None:
    result = run("notifications", *arguments)

    assert (status, True) == (result.exit_code, words in result.output), result.output
    assert "Traceback" not in result.output


def test_what_has_arrived_is_not_sent_again(run: Run, hook: str) -> None:
    ok(run("channels", "create", "webhook", "--name", "once", "--url", f"{hook}/ok"))
    ok(run("channels", "test", "once"))
    sent = done(run, "--channel", "once")

    refused = run("notifications", "resend", sent["id"])

    assert 1 == refused.exit_code, refused.output
    assert 1 == len(done(run, "--channel", "once")["delivery"]["attempts"])
