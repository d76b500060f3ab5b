"""`heartfly usage report | reports` against a real server."""

from __future__ import annotations

import csv
import io
import json
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from heartfly.clock import SystemClock
from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def acme(server: Server) -> str:
    """His id. He asked 12 times yesterday, once in vain, and nobody else did."""
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    yesterday = (SystemClock().now() - timedelta(days=1)).replace(hour=9)
    sent: list[dict[str, Any]] = [
        {
            "transaction_id": f"r-{n}", "customer_id": "acct-17", "event_type": "http.request",
            "timestamp": (yesterday + timedelta(minutes=n)).isoformat(),
            "properties": {"method": "GET", "route": "/v1/orders", "status": 500 if n == 3 else 200, "latency_ms": 40},
        }
        for n in range(12)
    ]  # fmt: skip
    server.api("POST", "/v1/events", key, sent)
    return str(server.api("POST", "/v1/customers", key, {"name": "Acme", "aliases": ["acct-17"]})["id"])


def test_a_report_is_told_in_words_and_written_into_files(run: Run, acme: str, tmp_path: Path) -> None:
    words = ok(run("usage", "report", "acct-17"))
    machines = json.loads(ok(run("usage", "report", "Acme", "--json")))
    files = {form: tmp_path / f"report.{form}" for form in ("csv", "json", "ndjson", "html")}
    for path in files.values():
        assert f"Written to {path}." in ok(run("usage", "report", acme, "-o", str(path)))
    piped = ok(run("usage", "report", acme, "--format", "csv"))

    assert "12, of which 11 succeeded" in words
    assert "GET /v1/orders" in words
    assert (12, acme) == (machines["total"]["requests"], machines["customer"]["id"])
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text())))
    assert 12 == sum(int(row["requests"]) for row in rows if row["kind"] == "day")
    assert 12 == json.loads(files["json"].read_text())["total"]["requests"]
    assert 12 == json.loads(files["ndjson"].read_text().splitlines()[0])["requests"]
    assert "<h1>Usage report: <bdi>Acme</bdi></h1>" in files["html"].read_text()
    assert piped.splitlines()[0] == files["csv"].read_text().splitlines()[0]
    assert not list(tmp_path.glob("*.part"))


def test_a_pdf_and_a_parquet_file_are_written(run: Run, acme: str, tmp_path: Path) -> None:
    pytest.importorskip("weasyprint")
    pytest.importorskip("pyarrow")
    month = f"{SystemClock().now() - timedelta(days=1):%Y-%m}"

    ok(run("usage", "report", acme, "--month", month, "--format", "pdf", "-o", str(tmp_path / "acme")))
    ok(run("usage", "report", acme, "--month", month, "-o", str(tmp_path / "acme.parquet")))

    assert b"%PDF" == (tmp_path / "acme").read_bytes()[:4]
    assert b"PAR1" == (tmp_path / "acme.parquet").read_bytes()[:4]


def test_what_is_wrong_is_said_in_words_and_leaves_what_was_there(run: Run, acme: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.csv"
    kept.write_text("kept")

    wrong = run("usage", "report", acme, "--month", "2026-13", "-o", str(kept))
    nobody = run("usage", "report", "nobody")
    unnamed = run("usage", "report", acme, "-o", str(tmp_path / "report"))

    assert (1, True) == (wrong.exit_code, "month: must be a month such as" in wrong.output)
    assert (1, True) == (nobody.exit_code, "no customer nobody" in nobody.output)
    assert (2, True) == (unnamed.exit_code, "say with --format" in unnamed.output)
    assert "kept" == kept.read_text()


def test_a_link_is_made_listed_and_taken_back(run: Run, acme: str) -> None:
    made = json.loads(ok(run("usage", "reports", "share", acme, "--lasts", "2d", "--json")))
    listed = ok(run("usage", "reports", "links", acme))
    with urllib.request.urlopen(made["url"]) as answer:
        shown = answer.read().decode()
    gone = json.loads(ok(run("usage", "reports", "unshare", acme, made["id"], "--json")))

    assert made["id"] in listed
    assert "12 requests" in shown
    assert made["id"] == gone["id"]
    assert "There are no links" in ok(run("usage", "reports", "links", acme))
    assert 1 == run("usage", "reports", "unshare", acme, made["id"]).exit_code


def test_a_mailing_is_made_listed_and_ended(run: Run, acme: str) -> None:
    made = json.loads(ok(run("usage", "reports", "mail", acme, "a@example.com", "b@example.com", "--json")))
    listed = ok(run("usage", "reports", "mailings", acme))
    wrong = run("usage", "reports", "mail", acme, "nobody")
    ended = ok(run("usage", "reports", "end", acme, made["id"]))

    assert ("month", ["a@example.com", "b@example.com"]) == (made["rhythm"], made["addresses"])
    assert "a@example.com, b@example.com" in listed
    assert "nothing yet" in listed
    assert (1, True) == (wrong.exit_code, "addresses[0]: must be one e-mail address" in wrong.output)
    assert "Nothing is mailed by it any more." in ended
    assert "It is mailed to nobody." in ok(run("usage", "reports", "mailings", acme))
