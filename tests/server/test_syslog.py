"""Syslog, as nginx and others send it to a real server: what is stored, what is dropped, and who may."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from heartfly.config.syslog import Syslog
from heartfly.instruments import Counter as Instrument
from heartfly.server.syslog import SyslogListener
from tests.nginx import Nginx, documented, load
from tests.server_process import Server, free_port

pytestmark = pytest.mark.e2e

NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - lines of a log that is written just now


def line(n: int) -> bytes:
    return (
        f'203.0.113.9 - ada [{NOW:%d/%b/%Y:%H:%M:%S +0000}] "GET /users/{n} HTTP/1.1" 200 {n} "-" "curl" '
        f'rt=0.250 urt="-" id=8f14 customer="acme"'
    ).encode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.settings |= {
        "SYSLOG__LISTEN": f"127.0.0.1:{free_port()}", "SYSLOG__PROJECT": "acme", "SYSLOG__FORMAT": documented(),
        "SYSLOG__CUSTOMERS": "field:http_x_customer",
    }  # fmt: skip
    made.settings["API_KEY"] = made.init()["api_key"]
    made.start()
    yield made
    made.kill()


def address(server: Server) -> tuple[str, int]:
    host, _, port = server.settings["SYSLOG__LISTEN"].rpartition(":")
    return host, int(port)


def counted(server: Server) -> Counter[str]:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = re.findall(r'^heartfly_syslog_messages_total\{outcome="(\w+)"\} (\d+)', text, re.MULTILINE)
    return Counter({outcome: int(n) for outcome, n in found if int(n)})


def until(found: Callable[[], Any], expected: Any, limit_s: float = 60) -> None:
    ends = time.perf_counter() + limit_s
    while (last := found()) != expected:
        assert time.perf_counter() < ends, f"{expected} was waited for; {last}"


def events(server: Server) -> list[dict[str, Any]]:
    told = server.command("usage", "events", "list", "--limit", "5000", "--json")
    found: list[dict[str, Any]] = json.loads(told)
    return found


def test_lines_over_udp_and_tcp_are_the_events_of_a_file_with_the_same_lines(server: Server, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"<190>Nov 28 13:00:00 web-1 nginx: " + line(1), address(server))
        until(lambda: counted(server), Counter(accepted=1))
    with socket.create_connection(address(server)) as tcp:
        framed = b"<14>1 - web-1 nginx - - - " + line(2)
        tcp.sendall(b"%d %s" % (len(framed), framed) + b"<14>" + line(3) + b"\n<14>what is this?\n")
        until(lambda: counted(server), Counter(accepted=3, unread=1))
    log = tmp_path / "access.log"
    log.write_bytes(b"".join(line(n) + b"\n" for n in range(1, 5)))

    told = json.loads(
        server.command(
            "usage", "import-logs", str(log), "--json", "--customer", "field:http_x_customer", "--format", documented()
        )
    )

    assert (1, 3) == (told["sent"]["accepted"], told["sent"]["duplicate"])
    found = events(server)
    assert {"acme"} == {one["customer_id"] for one in found}
    assert {"/users/{id}"} == {one["properties"]["route"] for one in found}
    assert {250} == {one["properties"]["latency_ms"] for one in found}


def test_what_has_come_is_stored_when_the_server_stops(server: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for n in range(50):
            udp.sendto(b"<190>Nov 28 13:00:00 web-1 nginx: " + line(n), address(server))
        until(lambda: counted(server)["accepted"] > 0, expected=True)
    assert server.process is not None
    server.process.terminate()
    server.process.wait(60)
    server.start()

    assert 50 == len(events(server))


def test_a_real_nginx_sends_its_log_itself(server: Server, tmp_path: Path) -> None:
    host, port = address(server)
    nginx = Nginx(tmp_path / "nginx", f"syslog:server={host}:{port},tag=nginx heartfly")
    nginx.start()
    try:
        for n in range(300):
            asked = urllib.request.Request(f"{nginx.url}/users/{n}?token=x", headers={"X-Customer": f"c{n % 3}"})
            urllib.request.urlopen(asked, timeout=10).close()
        until(lambda: counted(server), Counter(accepted=300))
    finally:
        nginx.stop()

    found = events(server)
    assert Counter(c0=100, c1=100, c2=100) == Counter(one["customer_id"] for one in found)
    assert Counter({("GET", "/users/{id}", 200): 300}) == Counter(
        tuple(one["properties"][name] for name in ("method", "route", "status")) for one in found
    )
    assert all("latency_ms" in one["properties"] and "token" not in json.dumps(one) for one in found)


@pytest.mark.slow
def test_under_load_what_is_not_stored_is_told(server: Server, tmp_path: Path) -> None:
    host, port = address(server)
    nginx = Nginx(tmp_path / "nginx", f"syslog:server={host}:{port},tag=nginx heartfly")
    nginx.start()
    try:
        answered = load(nginx, seconds=3, connections=2)
        assert 1_000 < answered
        until(lambda: counted(server).total() > 1_000, expected=True)
    finally:
        nginx.stop()

    # The kernel may drop some that nobody hears of; no line becomes two.
    told = counted(server)
    assert 0 == told["rejected"] + told["conflict"] + told["unread"]
    assert answered + 200 > told.total()


class Nowhere:
    """What the listener is given where nothing is to be stored."""


@pytest.mark.anyio
async def test_who_is_not_allowed_is_not_heard_and_what_is_too_much_is_dropped() -> None:
    count = Instrument("n", "about", "outcome")
    settings = Syslog(listen="127.0.0.1:0", project="acme", allow=("10.0.0.0/8",), most_waiting=1_000)
    nowhere: Any = Nowhere()
    listener = SyslogListener(settings, usage=nowhere, database=nowhere, clock=nowhere, count=count)

    listener.heard("127.0.0.1", b"x")
    for _ in range(1_003):
        listener.heard("::ffff:10.0.0.1", b"x")

    assert {("dropped",): 3, ("refused",): 1} == {
        tuple(value for _, value in one.labels): one.value for one in count.family().samples
    }
