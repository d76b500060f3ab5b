"""A real server archives, is killed while it does, and goes on: nothing is lost or twice, and no figure changes."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from heartfly.clock import SystemClock
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]  # `make faults`

N = 4_000
DAY = (SystemClock().now() - timedelta(days=40)).date().isoformat()
ENABLED = {"ARCHIVE__ENABLED": "true", "ARCHIVE__AFTER_DAYS": "35"}


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, {"DATABASE__URL": database_url} if database_url else {})
    yield made
    made.leave()


def events_in(server: Server) -> int:
    if url := server.settings.get("DATABASE__URL"):
        with psycopg.connect(url.replace("+psycopg", "")) as postgres:
            row = postgres.execute("SELECT count(*) FROM usage.events").fetchone()
            assert row is not None
            return int(row[0])
    path = server.folder / "heartfly-data" / "usage.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30) as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def told(server: Server, *words: str) -> Any:
    return json.loads(server.command("usage", *words, "--json"))


def archived_once(server: Server) -> Any:
    return json.loads(server.command("jobs", "run", "archive", "--wait", "5m", "--json"))


def archived_again(server: Server) -> Any:
    """On PostgreSQL another node could have the run that was cut off: it is nobody else's until its lease ends."""
    for _ in range(300):
        try:
            return archived_once(server)
        except AssertionError as error:
            if "is under way already" not in str(error):
                raise
            threading.Event().wait(1)
    raise AssertionError("the run that was cut off never ended")


def test_killed_while_it_archives_the_next_start_goes_on_and_all_comes_back(server: Server) -> None:
    key = server.init()["api_key"]
    server.start()
    sent = [
        {
            "transaction_id": f"r-{n}", "customer_id": f"c-{n % 7}", "timestamp": f"{DAY}T12:{n % 60:02d}:00Z",
            "event_type": "api.call", "properties": {"provider": "openai", "units.input_tokens": str(n), "cost": "0.1"},
        }
        for n in range(N)
    ]  # fmt: skip
    for start in range(0, N, 1_000):
        server.api("POST", "/v1/events", key, sent[start : start + 1_000])
    server.command("usage", "meters", "create", "tokens", "--type", "api.call", "--aggregation", "sum",
                   "--value", "units.input_tokens")  # fmt: skip
    (closed,) = told(server, "rerun", DAY, "--yes")
    assert "final" == closed["closed"]["state"]
    question = ["meters", "query", "tokens", "--from", f"{DAY}T00:00:00Z", "--to", f"{DAY}T23:00:00Z"]
    figures = told(server, *question)
    assert "Nothing is archived" in server.command("usage", "archive", "list")
    server.stop()

    server.settings |= ENABLED
    server.start()
    asked = threading.Thread(target=_quietly, args=(server,), daemon=True)
    asked.start()
    for _ in range(6_000):
        if events_in(server) < N:
            break
        threading.Event().wait(0.01)
    server.kill()
    left = events_in(server)
    assert 0 < left < N  # in the midst of it
    asked.join(60)
    server.start()
    run = archived_again(server)

    assert "ok" == run["outcome"], run
    assert 0 == events_in(server)
    (file,) = told(server, "archive", "list")
    assert (N, DAY, {"cost": "400", "units.input_tokens": str(N * (N - 1) // 2)}) == (
        file["n_events"], file["day"], file["by_type"]["api.call"]["sums"],
    )  # fmt: skip
    assert f"{N} events, as it was written" in server.command("usage", "archive", "verify")
    assert figures == told(server, *question)
    assert {"day": DAY, "n": N, "n_restored": N, "n_erased": 0} == told(server, "archive", "restore", DAY)
    assert N == events_in(server)
    assert figures == told(server, *question)
    assert f"{DAY}: 0 events put back, of {N} rows." in server.command("usage", "archive", "restore", DAY)
    assert "is back until" in server.command("usage", "archive", "list")
    (path,) = (server.folder / "heartfly-data" / "archive").glob("*/*.gz")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(AssertionError, match="cannot be read"):
        server.command("usage", "archive", "verify", DAY)


def _quietly(server: Server) -> None:
    """It is killed under us."""
    try:
        archived_once(server)
    except (AssertionError, ValueError):
        return
