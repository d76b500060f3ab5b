"""Access logs: lines read and made into events, in CPU time; and what the recorder costs an application's event loop.

Beside both stands the least that it could be: one bare expression over the same lines, and the same application
without a recorder. What the server makes of events is measured by `usage`, and both together by log_import.py.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import log_import
from bench.load import CLOCK
from bench.report import Figure
from bench.served import Stores
from heartfly.cli.log_files import Lines
from heartfly.cli.log_import import Import
from heartfly.core.access.as_event import Shape
from heartfly.core.access.formats import reader
from heartfly.core.access.request_columns import RequestColumns

_BARE = re.compile(r'(\S+) \S+ (\S+) \[([^\]]+)\] "(\S+) (\S+) ([^"]*)" (\d+) (\d+) "([^"]*)" "([^"]*)"')
_CLIENT = Path(__file__).resolve().parents[1] / "clients" / "python"


async def measure(made: Stores, *, n_lines: int, tries: int) -> list[Figure]:
    lines = list(_lines(n_lines))
    log = b"\n".join(line.encode() for line in lines) + b"\n"
    bare = min(_cpu_s(lambda: [_BARE.match(line) for line in lines]) for _ in range(tries))
    read = min(_cpu_s(lambda: list(map(reader(), lines))) for _ in range(tries))
    events = min(_cpu_s(lambda: _imported(log)) for _ in range(tries))
    note = f"a bare expression: {n_lines / bare:,.0f}"
    return [
        Figure(name="lines of a log, read", value=n_lines / read, unit="/CPU s", at_least=100_000, note=note),
        Figure(name="lines of a log, made into events", value=n_lines / events, unit="/CPU s", note=note),
        await _recorder(tries),
        *await log_import.measure(made, iter(lines), n_lines=n_lines),
    ]


def _lines(n: int) -> list[str]:
    """Ten a second, by 300 agents, each path with a number of its own."""
    chance, day = random.Random(17), CLOCK.now() - timedelta(days=1)
    made = []
    for i in range(n):
        second = i // 10 % 86_400
        at = f"{day:%d/%b/%Y}:{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} +0000"
        path = f"/v1/{chance.choice(('users', 'orders'))}/{chance.randrange(10**6)}?page={i}"
        who, agent = f"203.0.{chance.randrange(256)}.{chance.randrange(256)}", f"agent/{chance.randrange(300)}"
        status, size = chance.choice((200, 200, 404)), chance.randrange(9999)
        made.append(f'{who} - - [{at}] "GET {path} HTTP/1.1" {status} {size} "-" "{agent}"')
    return made


def _imported(log: bytes) -> None:
    """As it is sent, without sending."""
    whole = Import(
        Shape(),
        lambda _: None,
        now=CLOCK.now(),
        format_="auto",
        fields={},
        put_columns=RequestColumns.body,
    )
    whole.file("access.log").take(Lines().of(log))
    whole.flush()


def _cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


async def _recorder(tries: int) -> Figure:
    sys.path.append(str(_CLIENT))
    from heartfly_client import ASGIRecorder, Recorder, Target  # noqa: PLC0415 - it is a distribution of its own

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        recorder = Recorder(folder, Target("http://127.0.0.1:9", "-"), most_waiting=10**6, tell=lambda _: None)
        recorded = ASGIRecorder(_answer, recorder)
        bare = min([await _loop_us(_answer) for _ in range(tries)])
        ours = min([await _loop_us(recorded) for _ in range(tries)])
        recorder.close(patience_s=0)
    return Figure(
        name="recorder, in the event loop", value=ours - bare, unit="µs a request", at_most=20,
        note=f"its server is dead; {recorder.dropped} dropped",
    )  # fmt: skip


async def _loop_us(app: Callable[..., Any], n: int = 5_000) -> float:
    headers = [
        (b"host", b"example.com"),
        (b"user-agent", b"bench"),
        (b"accept", b"*/*"),
        (b"x-request-id", b"8f14e45f"),
    ]
    begun = time.thread_time()
    for _ in range(n):
        scope = {"type": "http", "method": "GET", "path": "/users/17", "headers": headers, "client": ("203.0.113.9", 1)}
        await app(scope, _receive, _send)
    return (time.thread_time() - begun) / n * 1e6


async def _answer(_: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def _send(_: Any) -> None:
    """Nobody listens."""
