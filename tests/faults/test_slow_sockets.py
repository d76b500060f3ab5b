"""Five thousand connections that begin a request and do not end it: who pings meanwhile waits for none of them, and
each is cut off at its deadline.

The figure that is printed is one of this machine at this moment; what is held is that nobody waits for a slow one.
"""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

N_SLOW = 5_000
N_PINGS = 300
DEADLINE_S = 30
"""Of the server, so that all of them are open at once also where to open them takes long."""
BEGUN = (b"", b"GET / HTTP/1.1\r\nHo", b"POST /v1/checks HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
MOST_S = 2.0
"""Of 99 pings in a hundred. One that had to wait for a slow connection would take longer than most of a deadline."""


@contextmanager
def many_files() -> Iterator[None]:
    """For us and for the server that we start; it leaves a fifth of them to others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * N_SLOW
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"no process may have {wanted} files open here: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def pinged(port: int, path: str) -> float:
    """How long it took, by a connection of its own."""
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        said = b""
        while piece := connection.recv(4096):
            said += piece
    assert said.startswith(b"HTTP/1.1 200 "), said
    return time.perf_counter() - begun


def until_all_are_cut_off(slow: list[socket.socket]) -> int:
    """How many were; those that are not within two deadlines are missing."""
    ends = time.perf_counter() + 2 * DEADLINE_S
    with selectors.DefaultSelector() as waiting:
        for each in slow:
            each.settimeout(0)
            waiting.register(each, selectors.EVENT_READ)
        while waiting.get_map() and time.perf_counter() < ends:
            for key, _ in waiting.select(1):
                try:
                    has_ended = not key.fileobj.recv(4096)  # type: ignore[union-attr]
                except ConnectionError:
                    has_ended = True
                if has_ended:
                    waiting.unregister(key.fileobj)
        return len(slow) - len(waiting.get_map())


def test_who_pings_waits_for_none_of_five_thousand_slow_ones(tmp_path: Path) -> None:
    with many_files(), ExitStack() as stack:
        server = Server(tmp_path, {"SERVER__RECEIVE_DEADLINE_S": str(DEADLINE_S)})
        keys = server.init()
        server.start()
        stack.callback(server.kill)
        made = server.api("POST", "/v1/checks", keys["api_key"], {"name": "honest"})
        path = made["ping_url"].removeprefix(server.url)
        alone = sorted(pinged(server.port, path) for _ in range(N_PINGS))
        slow = []
        for n in range(N_SLOW):
            each = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            each.sendall(BEGUN[n % len(BEGUN)])
            slow.append(each)

        beside = sorted(pinged(server.port, path) for _ in range(N_PINGS))
        n_cut = until_all_are_cut_off(slow)
        stopped = server.stop()

    of_100 = int(N_PINGS * 0.99)
    there, before = f"{beside[of_100] * 1000:.1f} ms", f"{alone[of_100] * 1000:.1f} ms"
    print(f"pings p99 {there} beside {N_SLOW} slow connections, {before} without")
    assert beside[of_100] < MOST_S
    assert N_SLOW == n_cut
    assert 0 == stopped
