"""A real Alertmanager, configured as the docs say, whose Watchdog is a check here: it fires, and then it does not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from heartfly.clock import SystemClock
from tests.server_process import Server, free_port

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).resolve().parents[2] / "docs" / "other-clients.md"
LIMIT_S = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "served")
    made.folder.mkdir()
    made.start()
    yield made
    made.kill()


def until(found: Callable[[], Any], expected: Any) -> None:
    ends = time.perf_counter() + LIMIT_S
    while (last := found()) != expected:
        assert time.perf_counter() < ends, f"{expected} was waited for; {last}"


def documented(url: str) -> str:
    """What people are told to write, with this address, and faster."""
    found = re.search(r"```yaml\n(receivers:.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    told = yaml.safe_load(found[1])
    told["receivers"][0]["webhook_configs"][0]["url"] = url
    told["route"] |= {"receiver": "heartfly"}
    told["route"]["routes"][0]["group_interval"] = "1s"
    return str(yaml.safe_dump(told))


@pytest.fixture
def manager(server: Server, tmp_path: Path) -> Iterator[str]:
    """Where it listens. Its webhook goes to a check that is made here, `watchdog`."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("no Alertmanager here: apt-get install prometheus-alertmanager")
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    made = server.api("POST", "/v1/checks", key, {"name": "watchdog"})
    (tmp_path / "alertmanager.yml").write_text(documented(f"{made['ping_url']}/alertmanager"))
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            program, f"--config.file={tmp_path}/alertmanager.yml", f"--storage.path={tmp_path}/stored",
            f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address=", "--log.level=error",
        ]
    )  # fmt: skip

    def is_ready() -> bool:
        assert process.poll() is None
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    until(is_ready, expected=True)
    yield url
    process.terminate()
    process.wait(30)


def tell(manager: str, ends_in: timedelta) -> None:
    now = SystemClock().now()
    alert = {
        "labels": {"alertname": "Watchdog", "severity": "none"},
        "startsAt": (now - timedelta(minutes=1)).isoformat(),
        "endsAt": (now + ends_in).isoformat(),
    }
    body = json.dumps([alert]).encode()
    request = urllib.request.Request(f"{manager}/api/v2/alerts", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert 200 == answer.status


def test_a_watchdog_that_fires_keeps_the_check_up_and_one_that_is_resolved_takes_it_down(
    server: Server, manager: str
) -> None:
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()

    def status() -> str:
        (check,) = server.api("GET", "/v1/checks?slug=watchdog", key)["items"]
        return str(check["status"])

    tell(manager, ends_in=timedelta(hours=1))
    until(status, "up")

    tell(manager, ends_in=timedelta(seconds=-1))
    until(status, "down")
