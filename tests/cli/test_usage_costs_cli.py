"""`heartfly usage costs`, `forecast`, `unpriced` and `calls` against a real server."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from heartfly.clock import SystemClock
from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def call(number: int, **more: Any) -> dict[str, Any]:
    told = {"provider": "openai", "model": "gpt", "status": "200", "cost": "0.25", "currency": "USD"}
    return {
        "transaction_id": f"cost-{number}",
        "customer_id": "acme",
        "timestamp": (SystemClock().now() - timedelta(minutes=1)).isoformat(),
        "event_type": "api.call",
        "properties": told | {"units.input_tokens": "1000"} | more,
    }


def test_what_calls_cost_is_told_in_the_terminal(run: Run, server: Server) -> None:
    for command, said in (
        ("costs", "No calls in that time."),
        ("calls", "No calls in that time."),
        ("unpriced", "The cost of all calls is known."),
        ("forecast", "Nothing has cost anything yet."),
    ):
        assert said in ok(run("usage", command))
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    calls = [call(n) for n in range(4)]
    calls += [call(4, model="=mini", status="500"), call(5, provider="deepl", cost=None, currency=None)]
    server.api("POST", "/v1/events", key, calls)

    by_model = ok(run("usage", "costs", "--by", "model", "--since", "30d", "--compare"))
    assert re.search(r"^MODEL +CALLS +ERRORS +COST +BEFORE +SHARE +UNPRICED +UNITS", by_model, re.MULTILINE), by_model
    assert re.search(r"^gpt +5 +- +1\.00 USD +- +80\.0 % +1 +5,000 input_tokens", by_model, re.MULTILINE), by_model
    assert "6 calls, 16.7 % errors, 1.25 USD" in by_model
    assert "The cost of 1 of them is not known" in by_model
    per_day = ok(run("usage", "costs", "--per", "month", "--provider", "openai"))
    assert re.search(r"5 +20\.0 % +1\.25 USD +-", per_day), per_day
    table = list(csv.DictReader(io.StringIO(ok(run("usage", "costs", "--by", "model", "--csv")))))
    assert {"gpt": "1", "'=mini": "0.25"} == {row["key.model"]: row["cost.USD"] for row in table}
    told = json.loads(ok(run("usage", "costs", "--by", "provider", "--status", "5xx", "--json")))
    assert [("openai", 1)] == [(one["key"]["provider"], one["calls"]) for one in told["items"]]
    assert re.search(r"^deepl +gpt +1 of 1 +input_tokens, requests", ok(run("usage", "unpriced")), re.MULTILINE)
    assert "Not enough data: 0 whole days, and it takes 14." in ok(run("usage", "forecast"))
    shown = ok(run("usage", "calls", "--provider", "deepl"))
    assert re.search(r"deepl +gpt +200 +- +unknown +acme +cost-5", shown), shown

    server.api("POST", "/v1/events", key, [call(6, provider="maps", cost="0.10", currency="EUR")])
    mixed = ok(run("usage", "costs", "--currency", "EUR"))
    assert re.search(r"^PROVIDER +CALLS +ERRORS +COST +SHARE OF EUR", mixed, re.MULTILINE), mixed
    assert re.search(r"^openai +.*1\.25 USD +0\.0 %", mixed, re.MULTILINE), mixed


def test_what_is_wrong_is_said_in_words(run: Run) -> None:
    for arguments, said in (
        (("costs", "--since", "soon"), "is not a duration"),
        (("costs", "--by", "colour"), "by: must be"),
        (("calls", "--status", "9xx"), "status: must be"),
        (("costs", "--order", "luck"), "luck"),
    ):
        refused = run("usage", *arguments)
        assert (True, True) == (refused.exit_code > 0, said in refused.output), refused.output


def test_a_dry_run_of_an_import_foretells_what_the_import_does(run: Run, tmp_path: Path) -> None:
    now = SystemClock().now()
    rows = [(now, "import-1"), (now - timedelta(days=800), "import-2"), (now - timedelta(days=399), "import-3")]
    table = tmp_path / "calls.csv"
    table.write_text("time,provider,id\n" + "".join(f"{at.isoformat()},openai,{name}\n" for at, name in rows))

    foretold = run("usage", "import-calls", str(table), "--dry-run")
    done = run("usage", "import-calls", str(table))
    again = run("usage", "import-calls", str(table), "--dry-run")

    for said in (foretold, done, again):
        assert "passed over: 1 call from before events are kept." in ok(said)
    assert "2 events would be accepted, 0 known already." in foretold.output
    assert "2 events accepted, 0 known already." in done.output
    assert "0 events would be accepted, 2 known already." in again.output
