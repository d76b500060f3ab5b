"""`heartfly budgets …` against a real server."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from typing import Any

import pytest

from heartfly.clock import SystemClock
from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def call(n: int, cost: str) -> dict[str, Any]:
    return {
        "transaction_id": f"call-{n}",
        "customer_id": "acme",
        "event_type": "api.call",
        "timestamp": (SystemClock().now() - timedelta(seconds=n)).isoformat(),
        "properties": {"provider": "openai", "model": "gpt-5", "cost": cost, "currency": "USD"},
    }


def test_a_budget_is_made_looked_at_edited_and_ended(run: Run, server: Server) -> None:
    assert "There are no budgets" in ok(run("budgets", "list"))
    assert [] == json.loads(ok(run("budgets", "list", "--json")))
    assert "No budget is active" in ok(run("budgets", "summary"))
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    server.api("POST", "/v1/events", key, [call(1, "40"), call(2, "15.005000000000000001")])
    today = SystemClock().now().date()
    asked = ("Models", "--currency", "usd", "--amount", "100", "--period", "custom", "--every", "30")
    parts = ("--scope", "provider=openai", "--part", "model:gpt-5=50", "--at", "50", "--at", "90", "--spike", "200:10")

    said = ok(run("budgets", "create", *asked, "--from", str(today - timedelta(days=1)), *parts, "--low-days", "3"))
    (listed,) = json.loads(ok(run("budgets", "list", "--json")))
    budget = listed["id"]

    assert f"{budget}: Models, 100.00 USD custom." in said
    assert ({"provider": ["openai"]}, [50, 90]) == (listed["scope"], listed["thresholds"])
    assert ({"percent": 200, "least": "10"}, 3) == (listed["spike"], listed["low_days"])
    assert re.search(r"Models +active +custom +100\.00 USD +50 %, 90 %", ok(run("budgets", "list")))
    assert "part model" in ok(run("budgets", "show", budget))
    _until_said(
        run, "status", budget,
        r"spent +55\.01 USD \(55 %\)", r"left +44\.99 of 100\.00 USD", r"part model +gpt-5: 55\.01 of 50\.00",
        r"told \S+ +50 % spent", r"told \S+ +the part of model gpt-5 is spent",
    )  # fmt: skip
    assert "55.005000000000000001" == json.loads(ok(run("budgets", "status", budget, "--json")))["spent"]
    assert re.search(r"55\.01 +100\.00 +55 % +50 % spent; the part of", ok(run("budgets", "history", budget)))
    assert re.search(r"USD +1 +100\.00 +50\.00 +55\.01 +44\.99", ok(run("budgets", "summary")))
    assert "Models, 200.00 USD" in ok(run("budgets", "edit", budget, "--amount", "200"))
    for verb, state in (("pause", "paused"), ("resume", "active"), ("cancel", "cancelled")):
        assert f"Models is {state}." in ok(run("budgets", verb, budget))
    assert "cannot be resumed" in run("budgets", "resume", budget).output
    assert {"id": budget, "deleted": True} == json.loads(ok(run("budgets", "delete", budget, "--yes", "--json")))
    assert 1 == run("budgets", "status", budget).exit_code


def _until_said(run: Run, verb: str, budget: str, *lines: str, limit_s: float = 150) -> None:
    """What calls come to is folded as they are taken, and what a look at that moment missed the next minute's tells."""
    clock, waiting = SystemClock(), threading.Event()
    end = clock.monotonic() + limit_s
    while missing := [line for line in lines if not re.search(line, said := ok(run("budgets", verb, budget)))]:
        assert clock.monotonic() < end, (missing, said)
        waiting.wait(0.2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--scope", "openai"), "is not such as provider=openai"),
        (("--part", "openai=5"), "is not such as provider:openai=200"),
        (("--spike", "much"), "is not such as 200:10"),
        (("--amount", "x"), "amount: must be an amount above 0"),
        (("--period", "project"), "--to: is needed for a project"),
    ],
)
def test_what_is_no_budget_is_said_in_a_line(run: Run, wrong: tuple[str, ...], said: str) -> None:
    result = run("budgets", "create", "x", "--currency", "USD", "--amount", "5", *wrong)

    assert 0 != result.exit_code
    assert said in result.output


def test_a_budget_that_has_not_begun_says_so(run: Run) -> None:
    later = SystemClock().now().date() + timedelta(days=40)
    days = ("--period", "project", "--from", str(later), "--to", str(later))
    made = json.loads(ok(run("budgets", "create", "Later", "--currency", "EUR", "--amount", "0.5", *days, "--json")))

    assert "Later has not begun." in ok(run("budgets", "status", made["id"]))
    assert "None of its periods has begun" in ok(run("budgets", "history", made["id"]))
    assert "0.50 EUR" in ok(run("budgets", "list", "--state", "active"))
