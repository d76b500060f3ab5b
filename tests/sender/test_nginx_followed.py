"""A log that a real nginx writes under load, followed while it is rotated: figures are nginx's own count."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from heartfly.clock import SystemClock
from tests.nginx import Nginx, documented, load
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LIMIT_S = 240


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.settings["API_KEY"] = made.init()["api_key"]
    made.start()
    yield made
    made.kill()


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    made = Nginx(tmp_path / "nginx", f"{tmp_path}/access.log heartfly")
    made.start()
    yield made
    made.stop()


def asked(server: Server, path: str) -> Any:
    key = server.settings["API_KEY"]
    request = urllib.request.Request(f"{server.url}{path}", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def figures(server: Server, *by: str) -> Counter[tuple[str, ...]]:
    """Of the meter `requests`, over all that came."""
    now = SystemClock().now()
    span = f"from={now - timedelta(days=1):%Y-%m-%dT%H:00:00Z}&to={now + timedelta(days=1):%Y-%m-%dT%H:00:00Z}"
    keys = "".join(f"&group_by={key}" for key in by)
    found = asked(server, f"/v1/meters/requests/query?{span}&window=none&limit=1000{keys}")["items"]
    return Counter({tuple(one["group"][key] for key in by): int(one["value_exact"]) for one in found})


def lines(folder: Path) -> list[bytes]:
    return [line for name in ("access.log.1", "access.log") if (folder / name).exists()
            for line in (folder / name).read_bytes().splitlines()]  # fmt: skip


def test_what_nginx_served_is_what_came(server: Server, nginx: Nginx, tmp_path: Path) -> None:
    server.command(
        "usage", "meters", "create", "requests", "--type", "http.request", "--aggregation", "count",
        "--group-key", "route", "--group-key", "status",
    )  # fmt: skip
    following = subprocess.Popen(
        [sys.executable, "-m", "heartfly", "usage", "import-logs", "--follow", str(tmp_path / "access.log"), "--json",
         "--format", documented(), "--customer", "field:http_x_customer"],
        cwd=tmp_path, env=server.environment | {"HEARTFLY_URL": server.url}, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        answered = load(nginx, seconds=2)
        (tmp_path / "access.log").rename(tmp_path / "access.log.1")
        nginx.reopen()
        answered += load(nginx, seconds=2)
        served = nginx.n_requests() - 2  # the first one asked whether it is there
        nginx.stop()
        ends = time.perf_counter() + LIMIT_S
        while (found := figures(server).total()) != served:
            assert time.perf_counter() < ends, f"{found} of {served}"
            with suppress(subprocess.TimeoutExpired):
                following.wait(0.5)  # who asks without a pause is told to ask less often
    finally:
        following.send_signal(signal.SIGTERM)
        said = following.communicate(timeout=LIMIT_S)[0]

    told = json.loads(said)
    assert (served, 0, 0) == (told["sent"]["accepted"], told["sent"]["rejected"], told["unread"])
    assert served == len(lines(tmp_path))
    assert answered <= served < answered + 50  # what wrk hung up on was served all the same
    statuses = Counter((line.split(b'" ')[1][:3].decode(),) for line in lines(tmp_path))
    assert statuses == figures(server, "status")
    assert {("/users/{id}",), ("/orders/{id}",)} == figures(server, "route").keys()


def test_the_count_of_nginx_is_there_to_compare_with(nginx: Nginx, tmp_path: Path) -> None:
    first = nginx.n_requests()
    for n in range(3):
        urllib.request.urlopen(f"{nginx.url}/users/{n}", timeout=10).close()

    assert 4 == nginx.n_requests() - first
    assert (tmp_path / "access.log").stat().st_size
