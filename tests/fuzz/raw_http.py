"""python -m tests.fuzz.raw_http --requests 1000000 --seed 1: feed a real server with made-up streams over sockets.

Decided here: how streams reach the server, some connections at a time and piece by piece in turn, and what is asked of
it besides its answers: it takes honest requests all along, logs nothing, and needs no more memory in the end than after
the first tenth. raw_grammar.py makes the streams from the seed, raw_judge.py judges the answers, raw_site.py answers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import select
import socket
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from typing_extensions import override

from tests.fuzz.raw_grammar import PING, Stream, pieces, stream
from tests.fuzz.raw_judge import READ, BrokenRuleError, Expected, answers_in, judge, judge_whole
from tests.server_process import Server, get

SITE = Path(__file__).with_name("raw_site.py")
AT_ONCE = 16
"""Connections that are open beside each other."""
CONNECT_LIMIT_S = 60.0
MOST_GROWTH = 0.05
HONEST = Stream("asked after each", b"GET /honest HTTP/1.1\r\nHost: a\r\n\r\n", 1, Expected(1, "nothing"))
SHUT = Expected(0, "anything")
"""Whoever shuts his side in the middle of a request, or of a stream, may be taken for gone."""
_AWAY_AT_ONCE, _SHUT_AT_ONCE = 0.03, 0.1
"""The shares of clients that go without reading, and that shut their sending side before they read."""
AS_WHOLE = (
    (b"HEAD ", b"GET "),  # whose answers only those know to end who know what was asked
    (b" /plain", b" /healthz"),
    (b" /early", b" /api/v1/checks"),
    (b" /chunks", b" /login"),
    (b" /whole", b" /v1/ingest"),
)
"""What a whole Heartfly is asked instead."""
_RESET = struct.pack("ii", 1, 0)
_PAUSE_S = 0.0005


@dataclass
class Seen:
    requests: int = 0
    connections: int = 0
    resets: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    kb_after_warm_up: int = 0
    kb: int = 0

    @property
    def growth(self) -> float:
        """As a share; 0 where it ended before it had warmed up, with a finding."""
        return self.kb / self.kb_after_warm_up - 1 if self.kb_after_warm_up else 0.0

    @property
    def is_good(self) -> bool:
        return not self.findings and self.growth < MOST_GROWTH

    @override
    def __str__(self) -> str:
        by = ", ".join(f"{status}: {n}" for status, n in sorted(self.answers.items()))
        kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(self.kinds.items()))
        return (
            f"{self.requests} requests on {self.connections} connections ({kinds}; reset {self.resets}); answers {by}; "
            f"RSS {self.kb_after_warm_up} kB after a tenth, {self.kb} kB in the end ({self.growth:+.1%}); "
            f"{len(self.findings)} findings"
        )


def resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("the server is gone")


@dataclass
class Fuzz:
    server: Server
    seed: int
    seen: Seen = field(default_factory=Seen)
    most_findings: int = 20
    whole: bytes = b""
    """It is a whole Heartfly that answers, where this is the path of a check's pings."""
    limit_s: float = 60.0
    """Nothing is waited for longer: the server closes of itself once our side is shut."""

    def run(self, requests: int) -> Seen:
        drawn, seen, tenth = random.Random(self.seed), self.seen, requests // 10
        while seen.requests < requests and len(seen.findings) < self.most_findings:
            try:
                self._round([self._stream(drawn) for _ in range(AT_ONCE)], drawn)
                self._round([HONEST], drawn)
            except ConnectionRefusedError:
                seen.findings.append(f"nobody listens any more (seed {self.seed}, connection {seen.connections})")
                return seen
            self._look_at_log()
            if not seen.kb_after_warm_up and seen.requests >= tenth:
                seen.kb_after_warm_up = self._resident_kb()
        seen.kb = self._resident_kb()
        return seen

    def _stream(self, drawn: random.Random) -> Stream:
        made = stream(drawn)
        data = made.data
        for ours, theirs in (*AS_WHOLE, (PING, self.whole)) if self.whole else ():
            data = data.replace(ours, theirs)
        return replace(made, data=data)

    def _round(self, streams: Sequence[Stream], drawn: random.Random) -> None:
        """Send them side by side, piece by piece in turn, and then read what each is told."""
        with contextlib.ExitStack() as opened:
            clients = [opened.enter_context(self._connected()) for _ in streams]
            cut = [pieces(each.data, drawn) for each in streams]
            for turn in range(max(len(each) for each in cut)):
                for client, parts in zip(clients, cut, strict=True):
                    if turn < len(parts):
                        _send(client, parts[turn])
                # The server gets time to read so far, mostly.
                select.select([clients[0]], [], [], _PAUSE_S)
            for client, each in zip(clients, streams, strict=True):
                self._end(client, each, drawn)

    def _connected(self) -> socket.socket:
        client = socket.create_connection((self.server.address, self.server.port), timeout=CONNECT_LIMIT_S)
        client.settimeout(self.limit_s)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def _end(self, client: socket.socket, sent: Stream, drawn: random.Random) -> None:
        seen = self.seen
        seen.connections += 1
        seen.requests += sent.n_requests
        seen.kinds[sent.kind] += 1
        if sent is not HONEST and drawn.random() < _AWAY_AT_ONCE:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        said, expected = bytearray(), sent.expected
        if sent is not HONEST and drawn.random() < _SHUT_AT_ONCE:
            expected = SHUT
        try:
            while not self._has_all(said, expected) and (some := client.recv(65_536)):
                said += some
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            while some := client.recv(65_536):
                said += some
        except ConnectionError:
            seen.resets += 1
        except TimeoutError:
            self._find("the server does not close", sent, said)
        try:
            for answer in (judge_whole if self.whole else judge)(sent.data, bytes(said), expected):
                seen.answers[answer.status] += 1
        except BrokenRuleError as broken:
            self._find(str(broken), sent, said)

    def _has_all(self, said: bytearray, expected: Expected) -> bool:
        """All that is sure to come has come. Whoever shuts his side before may be taken for gone."""
        if expected.then == "refusal":
            return False  # it is the server that closes
        if said.count(b"\r\ndate: " if self.whole else READ) < expected.honest:
            return False
        try:
            answers_in(bytes(said))
        except BrokenRuleError:
            return False
        return True

    def _look_at_log(self) -> None:
        log = self.server.folder / "server.log"
        if log.stat().st_size:
            told = log.read_text()
            if not self.whole or any(word in told for word in ("Traceback", '"level":"error"')):
                self.seen.findings.append(f"the server said: {told[:3_000]}")
            log.write_text("")

    def _resident_kb(self) -> int:
        process = self.server.process
        assert process is not None
        assert process.poll() is None, "the server has ended"
        return resident_kb(process.pid)

    def _find(self, what: str, sent: Stream, said: bytearray) -> None:
        where = f"seed {self.seed}, connection {self.seen.connections}, {sent.kind}, {sent.expected}"
        self.seen.findings.append(f"{what} ({where})\n  sent {sent.data!r}\n  said {bytes(said)!r}")


def _send(client: socket.socket, data: bytes) -> None:
    # Whoever is refused may be cut off while it sends: what it was told is judged.
    with contextlib.suppress(ConnectionError):
        client.sendall(data)


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz.raw_http")
    asked.add_argument("--requests", type=int, default=1_000_000)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop", help="asyncio: reads in small pieces")
    asked.add_argument("--whole", action="store_true", help="ask a whole Heartfly, with the loop that it chooses")
    told = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = b""
        if told.whole:
            server = Server(Path(folder))
            key = server.init()["ping_key"]
            server.start()
            whole = f"/ping/{key}/night".encode()
            assert asyncio.run(get(server.port, f"/ping/{key}/night?create=1")) == 201
        else:
            server = Server(Path(folder), program=(str(SITE),))
            server.start("--loop", told.loop)
        try:
            seen = Fuzz(server, told.seed, whole=whole).run(told.requests)
        finally:
            server.leave()
    for finding in seen.findings:
        print(finding)
    print(f"seed {told.seed}, {'whole' if told.whole else told.loop}: {seen}")
    return 0 if seen.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
