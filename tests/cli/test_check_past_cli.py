"""`heartfly checks suggest`, `backtest` and `diff` against a real server: what people read, what scripts read."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests.cli.conftest import Run, ok

pytestmark = pytest.mark.e2e


def ping(run: Run, slug: str, kind: str = "", said: str = "") -> None:
    url = json.loads(ok(run("checks", "show", slug, "--json")))["ping_url"] + kind
    with urllib.request.urlopen(urllib.request.Request(url, data=said.encode()), timeout=10) as reply:
        assert 200 == reply.status


def test_a_check_without_a_past_is_suggested_nothing(run: Run) -> None:
    ok(run("checks", "create", "Fresh", "--period", "1h"))
    said = ok(run("checks", "suggest", "fresh", "--take"))
    told = json.loads(ok(run("checks", "suggest", "fresh", "--json")))

    assert "0 runs to learn from are known, and 10 are the least." in said
    assert "edited" not in said
    assert (0, False, None) == (told["n_runs"], told["taken"], told["schedule"])


def test_another_rule_is_tried_and_what_cannot_be_tried_is_said(run: Run) -> None:
    ok(run("checks", "create", "Tried", "--period", "1h"))
    none = ok(run("checks", "backtest", "tried", "--grace", "5m"))
    ping(run, "tried")
    ping(run, "tried", "/fail")
    said = ok(run("checks", "backtest", "tried", "--grace", "5m", "--window", "0 2 * * 0 2h"))
    calm = json.loads(ok(run("checks", "backtest", "tried", "--tolerate", "3 in a row", "--json")))

    assert "No ping of it is kept" in none
    assert "On 2 pings since" in said
    assert "1 alarm as it is, 1 as it would be." in said
    assert "kept" in said
    assert (1, 0, ["fail"]) == (calm["n_old"], calm["n_new"], [one["reason"] for one in calm["lost"]])
    assert "Say what to try" in run("checks", "backtest", "tried").output
    assert "must look like" in run("checks", "backtest", "tried", "--window", "daily").output


def test_what_a_failure_printed_is_told_beside_the_last_success(run: Run) -> None:
    ok(run("checks", "create", "Prints", "--period", "1h"))
    without = run("checks", "diff", "prints")
    ping(run, "prints", said="begin\n10 rows\ndone in 3 s\n")
    ping(run, "prints", "/fail", said="begin\ndisk full\ndone in 9 s\n")
    told = run("checks", "diff", "prints")
    machine = run("checks", "diff", "prints", "--ping", "2", "--json")

    assert (1, True) == (without.exit_code, "No failure of it is kept that said something" in without.output)
    assert 1 == told.exit_code
    assert ["--- ping 1, the last success", "+++ ping 2", "  begin", "- 10 rows", "+ disk full", "  done in 9 s"] == (
        told.output.splitlines()
    )
    assert (1, 2, False) == (machine.exit_code, json.loads(machine.output)["ping"], json.loads(machine.output)["same"])
    ping(run, "prints", "/fail", said="begin\n12 rows\ndone\n")
    same = ok(run("checks", "diff", "prints", "--ping", "1"))
    assert "No success before it is kept that said something." in same


def test_a_target_is_set_in_a_line_and_what_is_left_of_it_is_told(run: Run) -> None:
    ok(run("checks", "create", "Aimed", "--period", "1h", "--slo", "on time 99.5%, success 98%, 90 days"))
    ping(run, "aimed")
    kept = ok(run("checks", "slo", "aimed"))
    ping(run, "aimed", "/fail")
    lost = run("checks", "slo", "--aimed")
    machine = json.loads(run("checks", "slo", "aimed", "--json").output)
    shown = ok(run("checks", "show", "aimed"))

    assert "99.5% kept, 0.005 of 0.005 bad runs left" in " ".join(kept.split())
    assert 1 == lost.exit_code
    assert ("50", "98", False) == (machine["success"]["share"], machine["success"]["target"], machine["met"])
    assert "on time 99.5%, success 98%, 90 days" in shown
    ok(run("checks", "edit", "aimed", "--slo", "nothing"))
    assert json.loads(ok(run("checks", "show", "aimed", "--json")))["slo"] is None
    assert "must look like" in run("checks", "edit", "aimed", "--slo", "always").output
    assert "month" in run("checks", "slo", "aimed", "--month", "2026-13").output
