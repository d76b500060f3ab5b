"""`heartfly usage meters …` against a real server."""

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


def test_a_meter_is_previewed_made_asked_and_archived(run: Run, server: Server, tmp_path: Path) -> None:
    assert "There are no meters" in ok(run("usage", "meters", "list"))
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    server.api("POST", "/v1/events", key, [_event(1, size="0.1", region="eu"), _event(2, region="us")])
    counting = ("--type", "api.call", "--aggregation", "sum", "--value", "size * 3", "--group-key", "region")

    foretold = ok(run("usage", "meters", "preview", *counting))
    made = ok(run("usage", "meters", "create", "traffic", "--unit", "MB", *counting, "--filter", "region!=xx"))
    asked = ok(run("usage", "meters", "query", "traffic", "--window", "minute", "--from", "2h", "--by", "subject"))
    shown = ok(run("usage", "meters", "show", "traffic"))

    assert "2 events looked at: 1 count, 1 lack a property, 0 hold no amount." in foretold
    assert re.search(r"acme \(unknown\) +1 +- +0\.3", foretold), foretold
    assert "traffic counts: sum of size * 3, api.call." in made
    assert re.search(r"acme +1 +0\.3 *$", asked, re.MULTILINE), asked
    assert re.search(r"^Grouped by +customer, subject, region$", shown, re.MULTILINE), shown
    version = json.loads(ok(run("usage", "meters", "list", "--json")))[0]["current"]
    assert [{"property": "region", "exists": None, "any_of": [], "none_of": ["xx"]}] == version["filters"]
    assert re.search(
        r"^traffic +traffic +sum of size \* 3, api\.call", ok(run("usage", "meters", "list")), re.MULTILINE
    )
    today, tomorrow = (SystemClock().now().date() + timedelta(days=n) for n in (0, 1))
    by_days = json.loads(
        ok(run("usage", "meters", "query", "traffic", "--from", f"{today}", "--to", f"{tomorrow}", "--json"))
    )
    assert (f"{today}T00:00:00Z", f"{tomorrow}T00:00:00Z") == (by_days["from_at"], by_days["to_at"])
    assert "from: must be a day" in run("usage", "meters", "query", "traffic", "--from", "2026-02-30").output
    ok(
        run(
            "usage",
            "meters",
            "create",
            "p50",
            "--type",
            "api.call",
            "--aggregation",
            "percentile",
            "--percentile",
            "50",
            "--value",
            "size",
        )
    )
    near = ok(run("usage", "meters", "query", "p50", "--window", "minute", "--from", "2h", "--by", "subject"))
    assert re.search(r"acme +1 +0\.100 ± 0\.002 *$", near, re.MULTILINE), near
    ok(run("usage", "meters", "archive", "p50"))
    assert "traffic is archived." in ok(run("usage", "meters", "archive", "traffic"))
    assert "There are no meters" in ok(run("usage", "meters", "list"))


def test_what_is_wrong_is_said_in_words(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "meter.json"
    file.write_text('{"event_types": ["a"], "filters": [{"property": ""}]}')

    for arguments, said in (
        (("create", "x", "--file", str(file)), "filters[0].property: is required"),
        (("create", "x", "--type", "a", "--filter", "size"), "size is not PROPERTY=VALUE"),
        (("show", "nothing"), "There is no such meter."),
    ):
        refused = run("usage", "meters", *arguments)
        assert (True, True) == (refused.exit_code > 0, said in refused.output), refused.output


def _event(number: int, **properties: Any) -> dict[str, Any]:
    named = {"transaction_id": f"t-{number}", "customer_id": "acme", "event_type": "api.call"}
    return named | {"timestamp": SystemClock().now().isoformat(), "properties": properties}
