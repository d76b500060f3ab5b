"""A real log as GoAccess counts it: where it and Heartfly count the same things, they come to the same."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from heartfly.cli.log_files import Lines
from heartfly.cli.log_import import Import
from heartfly.cli.log_sending import Ready
from heartfly.core.access.as_event import Shape

LOG = Path(__file__).resolve().parents[1] / "data" / "access-combined-10k.log.gz"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    program = shutil.which("goaccess")
    if program is None:
        pytest.skip("no goaccess here: apt-get install goaccess")
    folder = tmp_path_factory.mktemp("goaccess")
    log, told = folder / "access.log", folder / "told.json"
    log.write_bytes(gzip.decompress(LOG.read_bytes()))
    subprocess.run(
        [program, str(log), "--log-format=COMBINED", "--no-global-config", "--no-progress", "--no-query-string",
         "--all-static-files", "--max-items=100000", "-o", str(told)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return json.loads(told.read_text(encoding="utf-8", errors="replace"))


@pytest.fixture(scope="module")
def ours() -> list[dict[str, Any]]:
    batches: list[Ready] = []
    whole = Import(Shape(), batches.extend, now=datetime(2015, 6, 1, tzinfo=UTC), format_="auto", fields={})
    whole.file("access.log").take(Lines().of(gzip.decompress(LOG.read_bytes())))
    whole.flush()
    return [json.loads(one.text) for one in batches]


def test_requests_and_bytes_are_the_same(theirs: Any, ours: list[dict[str, Any]]) -> None:
    general = theirs["general"]

    assert 10_000 == general["valid_requests"] == len(ours)
    assert 0 == general["failed_requests"]
    assert general["bandwidth"] == sum(one["properties"]["response_bytes"] for one in ours)


def test_days_and_hours_are_the_same(theirs: Any, ours: list[dict[str, Any]]) -> None:
    days = {one["data"]: one["hits"]["count"] for one in theirs["visitors"]["data"]}
    hours = {one["data"]: one["hits"]["count"] for one in theirs["visit_time"]["data"]}

    assert days == Counter(one["timestamp"][:10].replace("-", "") for one in ours)
    assert hours == Counter(one["timestamp"][11:13] for one in ours)


def test_statuses_are_the_same(theirs: Any, ours: list[dict[str, Any]]) -> None:
    found = {
        one["data"].split(" ")[0]: one["hits"]["count"]
        for group in theirs["status_codes"]["data"]
        for one in group["items"]
    }

    assert found == Counter(str(one["properties"]["status"]) for one in ours)
