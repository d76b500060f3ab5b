"""Pings at a steady pace over connections that stay open: a process of its own, so cheap that it leaves the machine to
the server, and its record of each answer.

    python -m tests.faults.steady PORT PER_SECOND FILE PATH…

Each path has a connection, and at most one ping under way on it. One that nobody answers is not sent again; the next
has another id. It ends with SIGTERM.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from tests.faults.own_postgres import Said

_LINE = "{rid} {code:03d} {sent_us:020d} {told_us:020d} {at_us:020d}\n"
_WIDTH = len(_LINE.format(rid="0" * 36, code=0, sent_us=0, told_us=0, at_us=0))
_FLUSH_S = 0.1
_AGAIN_S = 0.1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Steady:
    """As many connections as paths. `answered` is read when they have ended."""

    port: int
    paths: Sequence[str]
    per_second: int
    file: Path
    answered: dict[str, Said] = field(default_factory=dict)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """However a test ends, they end with it."""
        arguments = (str(self.port), str(self.per_second), str(self.file), *self.paths)
        process = subprocess.Popen([sys.executable, "-m", "tests.faults.steady", *arguments])
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
            self.answered = dict(_read(self.file))

    @property
    def n_answered(self) -> int:
        """So far."""
        return self.file.stat().st_size // _WIDTH if self.file.exists() else 0

    def between(self, begin: float, end: float) -> list[Said]:
        """Those that were answered with 200 then, by time.perf_counter()."""
        return [said for said in self.answered.values() if said.code == 200 and begin < said.at < end]


def _read(file: Path) -> Iterator[tuple[str, Said]]:
    for line in file.read_text().splitlines():
        rid, code, sent_us, told_us, at_us = line.split()
        sent_at, told_at = (_EPOCH + timedelta(microseconds=int(us)) for us in (sent_us, told_us))
        yield rid, Said(int(code), "", sent_at, told_at, int(at_us) / 1_000_000)


@dataclass
class _Line:
    """A connection. `sent`: the id of the ping under way, and when it was sent."""

    path: str
    socket: socket.socket | None = None
    sent: tuple[str, int] | None = None
    heard: bytes = b""


class _Pinger:
    def __init__(self, port: int, per_second: int, paths: Sequence[str], file: Path) -> None:
        self._address = ("127.0.0.1", port)
        self._pause_s = 1 / per_second
        self._file = file.open("w")
        self._poll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._idle: deque[_Line] = deque()
        self._lost: deque[tuple[float, _Line]] = deque((0.0, _Line(path)) for path in paths)
        self._n = time.time_ns() << 16
        self.stopping = False

    def run(self) -> None:
        due = flushed = time.perf_counter()
        while not self.stopping:
            now = time.perf_counter()
            while self._lost and self._lost[0][0] <= now:
                self._connect(self._lost.popleft()[1], now)
            while due <= now and self._idle:
                self._send(self._idle.popleft())
                due += self._pause_s
            if not self._idle:
                due = max(due, now)  # what could not be sent in time is not made up for
            if now - flushed > _FLUSH_S:
                self._file.flush()
                flushed = now
            for number, _ in self._poll.poll(max(0.001, min(due - now, _FLUSH_S))):
                self._hear(number)
        self._file.close()

    def _connect(self, line: _Line, now: float) -> None:
        try:
            line.socket = socket.create_connection(self._address, timeout=5)
        except OSError:
            self._lost.append((now + _AGAIN_S, line))
            return
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines[line.socket.fileno()] = line
        self._poll.register(line.socket, select.EPOLLIN)
        self._idle.append(line)

    def _send(self, line: _Line) -> None:
        assert line.socket is not None
        self._n += 1
        digits = f"{self._n:032x}"
        rid = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        line.sent = rid, time.time_ns() // 1000
        try:
            line.socket.sendall(f"GET {line.path}?rid={rid} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        except OSError:
            self._lose(line)

    def _hear(self, number: int) -> None:
        line = self._lines[number]
        assert line.socket is not None
        try:
            heard = line.socket.recv(16_384)
        except OSError:
            heard = b""
        line.heard += heard
        if not heard:
            self._lose(line)
        elif (whole := _length(line.heard)) is not None and len(line.heard) >= whole:
            told_us, at_us = time.time_ns() // 1000, time.perf_counter_ns() // 1000
            assert line.sent is not None
            rid, sent_us = line.sent
            code = int(line.heard[9:12])
            self._file.write(_LINE.format(rid=rid, code=code, sent_us=sent_us, told_us=told_us, at_us=at_us))
            line.heard, line.sent = b"", None
            self._idle.append(line)

    def _lose(self, line: _Line) -> None:
        assert line.socket is not None
        del self._lines[line.socket.fileno()]
        with contextlib.suppress(ValueError):
            self._idle.remove(line)
        line.socket.close()
        line.socket, line.heard, line.sent = None, b"", None
        self._lost.append((time.perf_counter() + _AGAIN_S, line))


def _length(heard: bytes) -> int | None:
    """Of the whole answer; None: its head is not."""
    head, end, _ = heard.partition(b"\r\n\r\n")
    if not end:
        return None
    _, _, after = head.lower().partition(b"content-length:")
    return len(head) + len(end) + int(after.partition(b"\r\n")[0])


def _main() -> None:
    port, per_second, file, *paths = sys.argv[1:]
    pinger = _Pinger(int(port), int(per_second), paths, Path(file))

    def end(_: int, __: FrameType | None) -> None:
        pinger.stopping = True

    signal.signal(signal.SIGTERM, end)
    pinger.run()


if __name__ == "__main__":
    _main()
