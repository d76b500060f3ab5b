"""`heartfly limits`: made, shown, changed, checked, tried on the last week, deleted; for people and for machines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Run, ok


def made(run: Run, *arguments: str) -> Any:
    return json.loads(ok(run("limits", "create", *arguments, "--json")))


def test_without_limits_it_is_said_how_one_is_made(run: Run) -> None:
    assert "There are no limits" in ok(run("limits", "list"))
    assert [] == json.loads(ok(run("limits", "list", "--json")))
    assert "Allowed: no limit holds for it." in ok(run("limits", "check", "--for", "provider=openai"))


def test_limits_are_made_in_one_line_or_by_options(run: Run) -> None:
    assert "1,000 requests in any hour for each user" in ok(run("limits", "create", "1000;w=3600;u=request;s=user"))
    rate = made(run, "--amount", "60", "--rate", "1m", "--burst", "5", "--for", "provider=openai", "--always")
    assert ("rate", 60, "5", True, {"provider": "openai"}) == tuple(
        rate[name] for name in ("kind", "period_s", "burst", "always", "scope")
    )
    month = made(run, "--amount", "2.50", "--unit", "cost:USD", "--window", "month", "--deny-on-failure", "--name", "M")
    assert ("calendar", "month", "2.5", "deny", "M") == tuple(
        month[name] for name in ("kind", "window", "amount", "on_failure", "name")
    )
    assert "1,000 requests in any hour for each user" in ok(run("limits", "list"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--amount", "1", "--per", "1h", "--window", "day"), "one of --per, --rate and --window"),
        (("--amount", "1", "--per", "soon"), "soon is no duration"),
        (("--amount", "1", "--per", "1h", "--for", "openai"), "is as provider=openai"),
        (("--amount", "x", "--per", "1h"), "amount"),
        (("nonsense",), "policy"),
    ],
)
def test_what_is_no_limit_is_told(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run("limits", "create", *arguments)

    assert result.exit_code != 0
    assert said in result.output + result.stderr


def test_a_check_tells_what_is_left_and_ends_otherwise_when_it_is_denied(run: Run) -> None:
    limit = made(run, "--amount", "2", "--per", "1h", "--for", "tag=each")
    whose = ("--for", "provider=openai", "--for", "tag=batch")

    looked = ok(run("limits", "check", *whose, "--unit", "requests=2"))
    assert "Allowed.\n" in looked
    assert "0 of 2 used, 2 left" in looked
    held = json.loads(ok(run("limits", "check", *whose, "--reserve", "--cost", "USD=0.1", "--json")))
    assert held["reservation"].startswith("lr_")
    assert "Reserved as lr_" in ok(run("limits", "check", *whose, "--reserve"))
    denied = run("limits", "check", *whose, "--reserve")
    assert (3, True) == (denied.exit_code, "Denied by 2 requests in any hour for each tag; room in" in denied.output)
    assert "room never for so much" in run("limits", "check", *whose, "--unit", "requests=3").output
    assert 3 == run("limits", "check", *whose, "--json").exit_code
    assert 2 == run("limits", "check", "--unit", "requests").exit_code

    shown = ok(run("limits", "show", limit["id"]))
    assert "batch" in shown
    assert "100 %" in shown
    told = json.loads(ok(run("limits", "show", limit["id"], "--json")))
    assert (1, 1) == (len(told["counters_fullest"]), len(told["denials"]))
    assert "2 (100 %)" in ok(run("limits", "list"))


def test_a_limit_is_tried_and_deleted(run: Run) -> None:
    tried = ok(run("limits", "simulate", "1;w=3600;s=customer"))
    assert "It would have denied 0 of 0 calls, out of 0." in tried
    assert 0 == json.loads(ok(run("limits", "simulate", "1;w=60", "--json")))["denied"]
    one, other = made(run, "1;w=60"), made(run, "1;w=61")

    assert "is deleted." in ok(run("limits", "delete", one["id"]))
    assert {"id": other["id"], "deleted": True} == json.loads(ok(run("limits", "delete", other["id"], "--json")))
    assert 1 == run("limits", "show", one["id"]).exit_code


def test_a_limit_is_changed_and_what_is_not_said_stays(run: Run) -> None:
    rate = made(run, "--amount", "60", "--rate", "1m", "--burst", "5", "--for", "provider=mistral", "--always")
    options = ("--amount", "90", "--rate", "2m", "--not-always", "--deny-on-failure", "--name", "Slow")

    now = json.loads(ok(run("limits", "edit", rate["id"], *options, "--json")))

    told = ("amount", "period_s", "burst", "always", "on_failure", "name", "scope")
    assert ("90", 120, "5", False, "deny", "Slow", {"provider": "mistral"}) == tuple(now[name] for name in told)
    assert "Slow, paused." in ok(run("limits", "edit", rate["id"], "--pause"))
    assert "Slow, active." in ok(run("limits", "edit", rate["id"], "--resume", "--allow-on-failure"))
    assert 2 == run("limits", "edit", rate["id"]).exit_code
    assert 1 == run("limits", "edit", rate["id"], "--amount", "some").exit_code
    assert 1 == run("limits", "edit", "none", "--name", "x").exit_code
