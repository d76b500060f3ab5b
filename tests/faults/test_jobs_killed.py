"""Heartfly is killed at random while it runs jobs of its own: each slot ends once, and its check hears of it once."""

from __future__ import annotations

import random
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]  # `make faults`

KILLS = 6
SEED = 20_260_302


def test_a_job_that_is_killed_again_and_again_ends_once_and_is_told_once(tmp_path: Path) -> None:
    server, chance = Server(tmp_path), random.Random(SEED)
    key = server.init()["api_key"]
    server.start()
    job = next(job for job in server.api("GET", "/v1/jobs", key)["items"] if job["kind"] == "database-check")
    for _ in range(KILLS):
        if not server.api("GET", "/v1/jobs", key)["items"][2]["running"]:
            server.api("POST", f"/v1/jobs/{job['id']}/run", key)
        assert server.process is not None
        try:
            server.process.wait(chance.uniform(0, 0.15))
        except subprocess.TimeoutExpired:
            server.kill()
        server.start()

    ended = settled(server, key, job["id"])
    server.stop()

    assert {"ok"} == {run["outcome"] for run in ended}
    with closing(sqlite3.connect(tmp_path / "heartfly-data" / "heartfly.db")) as connection:
        untold = connection.execute("SELECT count(*) FROM job_runs WHERE end_pinged_at IS NULL").fetchone()
        told = Counter(connection.execute("SELECT rid, kind FROM pings").fetchall())
        outcomes = Counter(outcome for (outcome,) in connection.execute("SELECT outcome FROM runs"))
    seed = f"seed={SEED}"
    assert (0,) == untold, seed
    assert {1} == set(told.values()), seed
    assert {"start": len(ended), "success": len(ended)} == Counter(kind for _, kind in told), seed
    # A life of the server that was killed is blind time, in which nothing hangs.
    assert {"ok": len(ended)} == outcomes, seed


def settled(server: Server, key: str, job_id: str) -> list[Any]:
    """The runs, once none is under way and their check has heard of each."""
    for _ in range(300):
        found: list[Any] = server.api("GET", f"/v1/jobs/{job_id}/runs", key)["items"]
        (check,) = server.api("GET", "/v1/checks", key)["items"]
        if all(run["outcome"] for run in found) and check["n_pings"] >= 2 * len(found):
            return found
        assert server.process is not None
        try:
            server.process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"a run does not end: {found}")
