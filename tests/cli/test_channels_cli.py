"""`heartfly channels …` against a real server and a real receiver."""

from __future__ import annotations

import json
import re
import urllib.request

import pytest

from heartfly.cli.channels import KINDS
from heartfly.notify.channels import CHANNELS
from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(hooked_server: Server) -> Server:
    return hooked_server


def test_a_webhook_is_made_with_a_secret_and_its_test_arrives(run: Run, hook: str) -> None:
    assert "alerts reach nobody" in ok(run("channels", "list"))

    made = ok(run("channels", "create", "webhook", "--name", "ops", "--url", f"{hook}/ok"))
    tested = ok(run("channels", "test", "ops"))

    assert re.search(r"^    whsec_\S+$", made, re.MULTILINE)
    assert "ops took it (200)." in tested


def test_a_test_that_fails_says_why_and_exits_with_one(run: Run, hook: str) -> None:
    ok(run("channels", "create", "webhook", "--name", "gone", "--url", f"{hook}/gone"))

    tested = run("channels", "test", "gone")
    machine = run("channels", "test", "gone", "--json")

    assert (1, True) == (tested.exit_code, "gone did not take it: the receiver answered 410" in tested.output)
    assert (1, "failed") == (machine.exit_code, json.loads(machine.output)["state"])


def test_channels_are_listed_with_what_they_are_and_no_secret(run: Run, hook: str) -> None:
    ok(run("channels", "create", "email", "--name", "mail", "--to", "ada@example.com"))
    made = json.loads(ok(run("channels", "create", "webhook", "--name", "masked", "--url", f"{hook}/canary", "--json")))

    table, machine = ok(run("channels", "list")), ok(run("channels", "list", "--json"))

    assert re.search(r"^mail +email +ada@example.com +\d+ +ok", table, re.MULTILINE)
    assert re.search(rf"^masked +webhook +{re.escape(hook)}/… ", table, re.MULTILINE)
    for said in (table, machine):
        assert "canary" not in said
        assert made["secret"] not in said
    assert {"mail", "masked"} <= {channel["name"] for channel in json.loads(machine)}


def test_a_channel_can_be_for_some_checks_and_some_events(run: Run, hook: str) -> None:
    ok(run("checks", "create", "one"))
    ok(run("checks", "create", "two"))

    made = json.loads(
        ok(
            run(
                "channels", "create", "slack", "--name", "few", "--url", "https://hooks.example.com/x",
                "--check", "one", "--event", "check.late", "--json",
            )
        )
    )  # fmt: skip
    check = json.loads(ok(run("checks", "create", "three", "--channel", "few", "--json")))

    assert (1, ["check.late"]) == (made["n_checks"], made["events"])
    assert [made["id"]] == check["channels"]


def test_a_secret_is_rotated_and_shown_once(run: Run, hook: str) -> None:
    made = json.loads(ok(run("channels", "create", "webhook", "--name", "signed", "--url", f"{hook}/ok", "--json")))

    told = ok(run("channels", "rotate-secret", "signed"))
    at_once = ok(run("channels", "rotate-secret", "signed", "--overlap", "0s"))
    machine = json.loads(ok(run("channels", "rotate-secret", "signed", "--json")))

    assert re.search(r"^    whsec_\S+$", told, re.MULTILINE)
    assert made["secret"] not in told
    assert "The old one signs, too, until 20" in told
    assert "does not sign any more" in at_once
    assert machine["secret"].startswith("whsec_")
    assert 1 == run("channels", "rotate-secret", "nowhere").exit_code


def test_what_failed_is_sent_again_by_how_long_ago_it_was(run: Run, hook: str) -> None:
    ok(run("channels", "create", "webhook", "--name", "broken", "--url", f"{hook}/gone"))
    ok(run("checks", "create", "lost", "--channel", "broken"))
    check = json.loads(ok(run("checks", "show", "lost", "--json")))
    urllib.request.urlopen(f"{check['ping_url']}/fail").close()
    _until(run, "broken", "failing")

    # Of this channel alone: the notice of its failure goes to another one, and may fail there just now.
    nothing = ok(run("channels", "retry", "--since", "0s", "--channel", "broken"))
    told = ok(run("channels", "retry", "--since", "1h", "--channel", "broken"))
    again = json.loads(ok(run("channels", "retry", "--since", "2026-01-01T00:00:00Z", "--json")))

    assert "Nothing has failed since then." in nothing
    assert "1 message on the way again." in told
    assert "2026-01-01T00:00:00Z" == again["since"]
    assert "is not a duration" in run("channels", "retry", "--since", "yesterday").output


def test_what_later_news_has_overtaken_stays_and_is_counted(run: Run, hook: str) -> None:
    ok(run("channels", "create", "webhook", "--name", "mended", "--url", f"{hook}/good-news"))
    ok(run("checks", "create", "back", "--channel", "mended"))
    check = json.loads(ok(run("checks", "show", "back", "--json")))
    urllib.request.urlopen(f"{check['ping_url']}/fail").close()
    _until(run, "mended", "failing")
    urllib.request.urlopen(check["ping_url"]).close()
    _until(run, "mended", "ok")

    told = ok(run("channels", "retry", "--since", "1h", "--channel", "mended"))

    assert "Left as they are, for later news has arrived: 1 message.\n" == told


def _until(run: Run, name: str, state: str) -> None:
    """The channel says how a message ended as soon as the dispatcher has written it."""
    for _ in range(600):
        listed = json.loads(ok(run("channels", "list", "--json")))
        if any(one["name"] == name and one["state"] == state for one in listed):
            return
    raise AssertionError(f"{name} does not become {state}")


def test_a_channel_may_choose_a_digest(run: Run) -> None:
    chosen = ("--to", "lead@example.com", "--digest", "daily", "--json")

    made = json.loads(ok(run("channels", "create", "email", "--name", "each morning", *chosen)))

    assert {"to": "lead@example.com", "digest": "daily"} == made["config"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["create", "email", "--name", "x"], 2, "email needs --to"),
        (["create", "slack", "--name", "x", "--to", "a@example.com"], 2, "slack needs --url"),
        (
            ["create", "email", "--name", "x", "--to", "a@example.com", "--url", "https://x"],
            2,
            "--url is not for email",
        ),
        (
            ["create", "slack", "--name", "x", "--url", "https://x.example", "--method", "PUT"],
            2,
            "--method is not for slack",
        ),
        (
            ["create", "webhook", "--name", "x", "--url", "https://x.example", "--digest", "daily"],
            2,
            "--digest is not for webhook",
        ),
        (["create", "email", "--name", "x", "--to", "a@example.com", "--digest", "hourly"], 2, "hourly"),
        (["create", "email", "--name", "x", "--to", "nobody"], 1, "--to: must be"),
        (["create", "webhook", "--name", "x", "--url", "file:///etc/passwd"], 1, "config.url"),
        (["create", "pigeon", "--name", "x"], 2, "pigeon"),
        (["create", "slack", "--name", "x", "--url", "https://x.example", "--check", "nope"], 1, "There is no check"),
        (["test", "nowhere"], 1, "There is no channel nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(run: Run, arguments: list[str], status: int, words: str) -> None:
    result = run("channels", *arguments)

    assert (status, True) == (result.exit_code, words in result.output), result.output
    assert "Traceback" not in result.output


def test_every_kind_can_be_made_by_its_settings(run: Run, hook: str) -> None:
    told = ["--set", "topic=canary-ops", "--set", f"server={hook}/ok"]
    made = json.loads(ok(run("channels", "create", "ntfy", "--name", "pushes", *told, "--json")))
    tested = ok(run("channels", "test", "pushes"))
    listed = ok(run("channels", "list"))

    assert {"topic": "…", "server": f"{hook}/ok"} == made["config"]
    assert "pushes took it (200)." in tested
    assert re.search(r"pushes\s+ntfy\s+http", listed)
    assert list(KINDS) == list(CHANNELS)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["ntfy", "--set", "topic"], "topic is not NAME=VALUE"),
        (["ntfy", "--url", "https://example.com"], "it takes --set url=…"),
        (["ntfy", "--set", "topic=a b"], "config.topic"),
        (["ntfy", "--set", "colour=red", "--set", "topic=x"], "config.colour"),
        (["slack", "--url", "https://example.com/x", "--set", "a=b"], "--set is not for slack"),
    ],
)
def test_a_wrong_setting_is_told_in_words(run: Run, asked: list[str], words: str) -> None:
    told = run("channels", "create", asked[0], "--name", "wrong", *asked[1:])

    assert (True, True) == (told.exit_code in {1, 2}, words in " ".join(told.output.split()))
