"""Which worker runs what, and in which order, when several share the tests (`pytest -n 4`).

A worker takes file after file, so that what a file's tests share is made once; and what all of them share, one makes
for all (`made_once`). Files that take longest are begun first, so that the others wait for none of them in the end.
What is measured comes before all: a statement that a process makes once is to be made by a test that counts. Alone, a
process goes through all in the same order. `python -m tests.dealing` says what took longest when CI ran last.
"""

from __future__ import annotations

import fcntl
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

APART = ("tests/web/test_gates.py",)
"""Their tests are dealt one by one: each takes minutes, and they share nothing but a browser."""
LONGEST = (
    "tests/web/test_gates.py",
    "tests/usage/test_close_day.py",
    "tests/web/test_tasks_by_keys.py",
    "tests/faults/test_close_killed.py",
    "tests/usage/test_archive.py",
    "tests/stories/test_peace.py",
    "tests/e2e/test_calls_walk.py",
    "tests/usage/test_request_proof.py",
    "tests/usage/test_seal.py",
    "tests/faults/test_kill.py",
    "tests/faults/test_auditor.py",
    "tests/web/test_live_in_a_browser.py",
    "tests/web/test_in_a_browser.py",
    "tests/web/test_usage_report.py",
    "tests/jobs/test_customer_reports.py",
    "tests/web/test_tasks.py",
    "tests/e2e/test_cron.py",
    "tests/faults/test_three_nodes.py",
    "tests/web/test_traffic_in_a_browser.py",
    "tests/cli/test_serve.py",
    "tests/api/test_foreign_alerts.py",
    "tests/jobs/test_daily_usage.py",
    "tests/calls/test_figures.py",
    "tests/stories/test_promises.py",
    "tests/test_packaging.py",
    "tests/faults/test_restore.py",
    "tests/web/test_tasks_alerts.py",
    "tests/web/test_reset_in_a_browser.py",
    "tests/e2e/test_pages_run.py",
    "tests/stories/test_nights.py",
    "tests/single/test_single_requests.py",
    "tests/monitor/test_volume_guard.py",
)
"""They take about a minute and more; those that wait most of their time are among them."""


def file_of(test: str) -> str:
    """Of a test's id."""
    return test.partition("::")[0]


def unit_of(test: str) -> str:
    """What one worker takes in one go."""
    file = file_of(test)
    return test if file in APART else file


def place(file: str, *, is_measured: bool) -> tuple[bool, int]:
    """By which files are ordered; equal ones stay as they are."""
    return not is_measured, LONGEST.index(file) if file in LONGEST else len(LONGEST)


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, which the worker that asks first has made; the others wait for it."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            half = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
            make(half)
            half.rename(folder)
    return folder


class Dealing(LoadScopeScheduling):  # type: ignore[misc]
    """By files, in the order in which they were collected."""

    def __init__(self, config: Any, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # files of many tests are not those that take long

    @override
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def seconds_by_file(report: Path) -> dict[str, float]:
    """Of a report as `pytest --junitxml` writes it."""
    found: dict[str, float] = defaultdict(float)
    for case in ET.parse(report).iter("testcase"):
        parts = case.get("classname", "").split(".")
        names = [part for part in parts if not part[:1].isupper()]  # a class within its file
        found["/".join(names) + ".py"] += float(case.get("time", "0"))
    return found


if __name__ == "__main__":
    told = seconds_by_file(Path("build/tests.xml"))
    for longest in sorted(told, key=lambda name: -told[name])[: len(LONGEST)]:
        sys.stdout.write(f"{told[longest]:6.0f} s  {longest}\n")
