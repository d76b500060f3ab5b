"""`heartfly usage void | amend | undo | backfill` against a real server."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from heartfly.clock import SystemClock
from tests.cli.conftest import Run, ok
from tests.cli.test_usage_events_cli import event

pytestmark = pytest.mark.e2e


def test_an_event_is_amended_voided_and_put_back(run: Run) -> None:
    ok(run("usage", "events", "send", "-", input=event("fix-1", "acct-1", figure="1")))

    amended = ok(
        run("usage", "amend", "fix-1", "--reason", "wrong unit", "--properties", '{"n": 0.12345678901234567890}')
    )
    assert "properties.n: 1 -> 0.12345678901234567890\n" == amended
    assert "It is void." in ok(run("usage", "void", "fix-1", "--reason", "a test"))
    shown = json.loads(ok(run("usage", "events", "show", "fix-1")))
    assert (False, ["a test", "wrong unit"]) == (shown["counts"], [one["reason"] for one in shown["corrections"]])
    for _ in range(2):
        assert "as it did before" in ok(run("usage", "undo", "fix-1"))
    nothing = run("usage", "undo", "fix-1")
    assert (1, True) == (nothing.exit_code, "No correction of it stands." in nothing.output)
    assert 2 == run("usage", "amend", "fix-1", "--reason", "x").exit_code
    assert 2 == run("usage", "amend", "fix-1", "--reason", "x", "--properties", "{").exit_code


def test_a_dry_run_says_what_would_change_and_changes_nothing(run: Run) -> None:
    ok(run("usage", "events", "send", "-", input=event("dry-1", "acct-dry", figure="1.5")))
    ok(run("usage", "meters", "create", "dry", "--type", "call", "--aggregation", "sum", "--value", "n"))

    voided = ok(run("usage", "void", "dry-1", "--reason", "x", "--dry-run"))
    amended = ok(run("usage", "amend", "dry-1", "--reason", "x", "--properties", '{"n": 2.50}', "--dry-run"))
    renamed = ok(run("usage", "amend", "dry-1", "--reason", "x", "--properties", '{"n": 1.5, "m": 2}', "--dry-run"))

    assert re.search(r" dry +acct-dry +1\.5 +- *$", voided, re.MULTILINE), voided
    assert "properties.n: 1.5 -> 2.50\n" in amended
    assert re.search(r" dry +acct-dry +1\.5 +2\.5 *$", amended, re.MULTILINE), amended
    assert renamed.endswith("properties.m: - -> 2\nNo figure changes.\n")
    assert [] == json.loads(ok(run("usage", "events", "show", "dry-1")))["corrections"]


def test_a_backfill_is_opened_filled_foreseen_closed_and_reverted(run: Run) -> None:
    now = SystemClock().now()
    ok(run("usage", "events", "send", "-", input=event("set-1", "acct-7", ago=timedelta(hours=1))))
    window = ("--from", (now - timedelta(hours=3)).isoformat(), "--to", (now - timedelta(minutes=1)).isoformat())
    made = json.loads(
        ok(run("usage", "backfill", "open", "Again", *window, "--replace", "--customer", "acct-7", "--json"))
    )
    lines = "\n".join(event(f"set-{n}", "acct-7", ago=timedelta(hours=2), figure="2.50") for n in range(2, 1_204))

    sent = ok(run("usage", "backfill", "send", made["id"], "-", input=lines + "\n"))
    assert "1202 accepted, 0 duplicate, 0 conflict, 0 rejected\n" == sent
    strange = run("usage", "backfill", "send", made["id"], "-", input=f"[{event('set-9', 'acct-8')}]")
    assert (1, True) == (strange.exit_code, "0: rejected, timestamp: is outside of the backfill" in strange.output)
    assert 2 == run("usage", "backfill", "send", made["id"], "-", input="{").exit_code

    assert "1202 added, 1 replaced" in ok(run("usage", "backfill", "preview", made["id"]))
    closed = ok(run("usage", "backfill", "close", made["id"]))
    assert "1202 added, 1 replaced" in closed
    assert closed == ok(run("usage", "backfill", "show", made["id"]))
    assert re.search(r"State +reverted", ok(run("usage", "backfill", "revert", made["id"])))
    assert re.search(rf"^Again .* reverted +1202 +{made['id']}", ok(run("usage", "backfill", "list")), re.MULTILINE)
    assert "There are none." in ok(run("usage", "backfill", "list", "--state", "open"))
    empty = json.loads(ok(run("usage", "backfill", "open", "No", *window, "--add", "--json")))
    refused = run("usage", "backfill", "close", empty["id"])
    assert (1, True) == (refused.exit_code, "holds no events" in refused.output)
    assert re.search(r"It did +nothing", ok(run("usage", "backfill", "close", empty["id"], "--empty")))


def test_a_file_that_is_not_utf_8_is_refused_with_the_place(run: Run, tmp_path: Path) -> None:
    bad, marked = tmp_path / "latin.ndjson", tmp_path / "marked.ndjson"
    bad.write_bytes(event("u-1", "M").encode() + b"\n" + event("u-2", "M\u00fcller").encode("latin-1"))
    marked.write_bytes(b"\xef\xbb\xbf" + event("u-3", "M\u00fcller", ago=timedelta(hours=1)).encode())
    now = SystemClock().now()
    window = ("--from", (now - timedelta(hours=3)).isoformat(), "--to", now.isoformat())
    made = json.loads(ok(run("usage", "backfill", "open", "Names", *window, "--add", "--json")))

    refused = run("usage", "backfill", "send", made["id"], str(bad))
    taken = ok(run("usage", "backfill", "send", made["id"], str(marked)))
    sent = run("usage", "events", "send", str(bad))

    place = bad.read_bytes().index(b"\xfc") + 1
    assert (2, True) == (refused.exit_code, f"FILE is not UTF-8: byte {place}" in refused.output), refused.output
    assert "1 accepted, 0 duplicate, 0 conflict, 0 rejected\n" == taken
    assert (1, True) == (sent.exit_code, "utf-8" in sent.output), sent.output
