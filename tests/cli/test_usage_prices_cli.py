"""`heartfly usage prices …` against a real server."""

from __future__ import annotations

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

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "litellm-prices-sample.json"
GPT = ("openai", "gpt", "input_tokens")


def prices(run: Run, *arguments: str) -> Any:
    return json.loads(ok(run("usage", "prices", *arguments, "--json")))


def send(server: Server, *events: dict[str, Any]) -> None:
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    server.api("POST", "/v1/events", key, list(events))


def event(number: int, type_: str, **properties: str) -> dict[str, Any]:
    at = SystemClock().now() - timedelta(minutes=number)
    told = {"transaction_id": f"{type_}-{number}", "customer_id": "acme", "timestamp": at.isoformat()}
    return told | {"event_type": type_, "properties": properties}


def test_prices_are_set_foreseen_changed_ended_and_deleted(run: Run, server: Server) -> None:
    assert "There are no such prices" in ok(run("usage", "prices", "list"))
    call = {"provider": "openai", "model": "gpt", "units.input_tokens": "1000"}
    send(server, event(1, "api.call", **call), event(2, "api.call", **call))

    foreseen = ok(run("usage", "prices", "set", *GPT, "0.000002", "USD", "--dry-run"))
    assert "2 would cost otherwise; 2 would have a cost and have none now" in foreseen
    assert "USD: 0 now, 0.004 then." in foreseen
    assert [] == prices(run, "list")

    assert "costs 0.000002 USD (always)" in ok(run("usage", "prices", "set", *GPT, "0.000002", "USD"))
    refused = run("usage", "prices", "set", *GPT, "3", "USD")
    assert (1, True) == (refused.exit_code, "--from: overlaps" in refused.output)
    day = f"{SystemClock().now().date() + timedelta(days=1)}"
    dry = prices(run, "set", *GPT, "3", "USD", "--from", day, "--dry-run")
    assert (2, 0) == (dry["prices"], dry["calls"])
    changed = prices(run, "set", *GPT, "3", "USD", "--from", day)
    assert ("3", f"{day}T00:00:00Z") == (changed["amount"], changed["from_at"])
    first, second = prices(run, "list")
    assert first["to_at"] == second["from_at"]
    assert re.search(r"openai +gpt +input_tokens +- +- +3 USD +from", ok(run("usage", "prices", "list")))
    assert 1 == len(prices(run, "list", "--at", "0s"))

    assert 2 == prices(run, "end", first["id"], "--at", "1h", "--dry-run")["calls_unpriced"]
    assert "Nothing was changed" in ok(run("usage", "prices", "delete", first["id"]))
    assert "is deleted" in ok(run("usage", "prices", "delete", first["id"], "--yes"))
    assert "ends at" in ok(run("usage", "prices", "end", second["id"], "--at", f"{day}T01:00:00Z"))
    assert {"id": second["id"], "deleted": True} == prices(run, "delete", second["id"], "--yes")


def test_a_file_is_read_in(run: Run, tmp_path: Path) -> None:
    dry = ok(run("usage", "prices", "import", str(SAMPLE), "--from", "always", "--dry-run"))
    assert "would be new" in dry
    assert "are no prices:" in dry
    done = prices(run, "import", str(SAMPLE), "--from", "always")
    assert done["new"] > 100
    again = ok(run("usage", "prices", "import", "-", "--format", "litellm", input=SAMPLE.read_bytes()))
    assert f"0 are new, 0 are changed, {done['prices']} hold already." in again
    table = tmp_path / "prices.csv"
    table.write_text("provider,unit,amount,currency\nmaps,requests,0.005,EUR\nmaps,requests,x,EUR\n")
    told = ok(run("usage", "prices", "import", str(table)))
    assert "1 are new" in told
    assert "line 3: amount" in told

    for arguments in ((), (str(SAMPLE), "--litellm"), (str(SAMPLE.parent / "README.md"),)):
        assert 2 == run("usage", "prices", "import", *arguments).exit_code


def test_the_use_of_meters_has_a_price(run: Run, server: Server) -> None:
    ok(run("usage", "meters", "create", "served", "--type", "served", "--group-key", "region"))
    send(server, *(event(n, "served", region="eu") for n in range(1, 4)), event(9, "served", region="us"))
    of = ("usage", "prices", "meters")
    assert "has no price" in ok(run(*of, "list", "served"))
    assert "Nothing was used" in ok(run(*of, "costs"))
    assert "(region=eu) costs 0.1 EUR" in ok(run(*of, "set", "served", "0.1", "EUR", "--only", "region=eu"))
    assert {"region": None} == prices(run, "meters", "set", "served", "0.2", "EUR", "--only", "region")["only"]

    told = ok(run(*of, "costs", "--from", "1h", "--meter", "served"))
    assert "Total: 0.3 EUR" in told
    assert "1 without a cost" in told
    first, second = prices(run, "meters", "list", "served")
    assert "region=eu" in ok(run(*of, "list", "served"))
    assert {"id": first["id"], "deleted": True} == prices(run, "meters", "delete", "served", first["id"])
    ended = prices(run, "meters", "end", "served", second["id"], "2030-01-01T00:00:00Z")
    assert "2030-01-01T00:00:00Z" == ended["to_at"]
    assert 1 == run(*of, "end", "served", second["id"], "2030-01-01T00:00:01Z").exit_code
