"""Some hundred raw requests at each run, and that whoever judges them can say no; the long run is raw_http.py's own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fuzz.raw_grammar import refused, stream
from tests.fuzz.raw_http import SITE, Fuzz, Seen
from tests.fuzz.raw_judge import BrokenRuleError, Expected, judge, judge_whole
from tests.server_process import Server

pytestmark = pytest.mark.e2e

ONE = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
TWO = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
SAID_ONE = b"HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 2\r\nx-read: GET /a 0 00000000\r\n\r\nok"
SAID_TWO = b"HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 2\r\nx-read: POST /b 2 d8932aac\r\n\r\nok"
REFUSED = b"HTTP/1.1 400 Bad Request\r\ndate: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nwhy"
FOUND = b"HTTP/1.1 404 Not Found\r\ndate: x\r\ncontent-length: 2\r\n\r\nno"
CLOSES = SAID_ONE.replace(b"date: x", b"date: x\r\nconnection: close")
LENGTHS = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi"
ALL, NONE, SOME = Expected(2, "nothing"), Expected(0, "refusal"), Expected(0, "anything")

LENIENT = f"""
import runpy

import httptools

from heartfly.server import protocol


def parser(connection):
    found = httptools.HttpRequestParser(connection)
    found.set_dangerous_leniencies(lenient_data_after_close=True, lenient_optional_cr_before_lf=True)
    return found


protocol._parser = parser
runpy.run_path({str(SITE)!r}, run_name="__main__")
"""
CARELESS = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Careless(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


ThreadingHTTPServer.request_queue_size = 100
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Careless).serve_forever()
"""
FORGETFUL = """
import socket, sys

with socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1]))) as listener:
    kept = []
    while True:
        client, _ = listener.accept()
        if kept:
            kept.append(client)
        else:
            client.sendall(b"HTTP/1.1 200 OK\\r\\nconnection: close\\r\\n\\r\\n")
            client.close()
            kept.append(client)
"""


@contextmanager
def served(folder: Path, program: Path, *options: str) -> Iterator[Server]:
    server = Server(folder, program=(str(program),))
    server.start(*options)
    try:
        yield server
    finally:
        server.leave()


def fuzzed(folder: Path, program: str, *, requests: int, limit_s: float = 60) -> Seen:
    path = folder / "program.py"
    path.write_text(program)
    with served(folder, path) as server:
        (folder / "server.log").write_text("")  # what its start said
        return Fuzz(server, 1, most_findings=5, limit_s=limit_s).run(requests)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nothing_that_is_sent_to_the_server_is_more_than_refused(tmp_path: Path, loop: str) -> None:
    with served(tmp_path, SITE, "--loop", loop) as server:
        seen = Fuzz(server, 1).run(600)

    assert [] == seen.findings
    assert {200, 400} <= seen.answers.keys()
    assert 600 <= seen.requests


def test_a_seed_makes_the_same_streams_of_each_kind() -> None:
    one, other = ([stream(drawn) for _ in range(300)] for drawn in (random.Random(7), random.Random(7)))

    assert one == other
    assert {"honest", "refused", "spoiled", "flood", "noise"} == Counter(each.kind for each in one).keys()


def test_a_parser_that_forgives_is_noticed(tmp_path: Path) -> None:
    seen = fuzzed(tmp_path, LENIENT, requests=10_000)

    assert any("where is none" in finding or "does not end" in finding for finding in seen.findings), seen.findings


def test_another_server_is_told_from_ours(tmp_path: Path) -> None:
    seen = fuzzed(tmp_path, CARELESS, requests=100)

    assert any("the server said" in finding for finding in seen.findings)
    assert any("no status line" in finding for finding in seen.findings)


def test_a_server_that_does_not_close_is_noticed(tmp_path: Path) -> None:
    seen = fuzzed(tmp_path, FORGETFUL, requests=1, limit_s=0.05)

    assert any("the server does not close" in finding for finding in seen.findings)


def test_memory_that_grows_is_noticed() -> None:
    assert Seen(kb_after_warm_up=1_000, kb=1_049).is_good
    assert not Seen(kb_after_warm_up=1_000, kb=1_050).is_good
    assert not Seen(kb_after_warm_up=1_000, kb=1_000, findings=["one"]).is_good


@pytest.mark.parametrize(
    ("sent", "said", "expected"),
    [
        (ONE + TWO, SAID_ONE + SAID_TWO, ALL),
        (TWO + ONE, SAID_TWO + CLOSES, ALL),
        (LENGTHS + ONE, REFUSED, NONE),
        (ONE + LENGTHS, SAID_ONE + REFUSED, Expected(1, "refusal")),
        (ONE + LENGTHS, SAID_ONE, Expected(1, "refusal")),
        (ONE + b"GET", SAID_ONE, SOME),
        (b"", b"", SOME),
    ],
)
def test_what_is_right_is_let_pass(sent: bytes, said: bytes, expected: Expected) -> None:
    judge(sent, said, expected)


@pytest.mark.parametrize(
    ("why", "sent", "said", "expected"),
    [
        ("an answer is cut short", ONE + TWO, SAID_ONE + SAID_TWO[:-1], ALL),
        ("an answer's head does not end", ONE + TWO, SAID_ONE + SAID_TWO[:40], ALL),
        ("no status line", ONE, b"HTTP/1.1 OK\r\n\r\n", SOME),
        ("no status line", ONE, SAID_ONE + b"more\r\n\r\n", SOME),
        ("no field, or twice", ONE, SAID_ONE.replace(b"date: x", b"date: x\r\nDate: x"), SOME),
        ("no field, or twice", ONE, SAID_ONE.replace(b"date: x", b"date: x\r\ndate: x"), SOME),
        ("without a date", ONE, SAID_ONE.replace(b"date: x\r\n", b""), SOME),
        ("without an end", ONE, SAID_ONE.replace(b"content-length: 2\r\n", b""), SOME),
        ("two lengths", ONE, SAID_ONE.replace(b"date", b"transfer-encoding: chunked\r\ndate"), SOME),
        ("an answer's chunks", ONE, SAID_ONE.replace(b"content-length: 2", b"transfer-encoding: chunked"), ALL),
        ("a refusal with 500", ONE, REFUSED.replace(b"400 Bad Request", b"500 Internal Server Error"), SOME),
        ("a refusal with 408", ONE, REFUSED.replace(b"400 Bad Request", b"408 Request Timeout"), SOME),
        ("a refusal that does not close", ONE, REFUSED.replace(b"connection: close\r\n", b""), SOME),
        ("is answered with 500", ONE, SAID_ONE.replace(b"200 OK", b"500 Internal Server Error"), SOME),
        ("after an answer that closes", LENGTHS + ONE, REFUSED + SAID_ONE, SOME),
        ("after an answer that closes", ONE + ONE, CLOSES + SAID_ONE, SOME),
        ("where is none", ONE, SAID_ONE + SAID_ONE, SOME),  # answered twice
        ("and not b'GET /a 0", ONE + TWO, SAID_TWO + SAID_ONE, SOME),  # in another order
        ("and not b'POST /b 2", TWO + ONE, SAID_ONE, SOME),  # one is left out
        ("where is none: more than one length", LENGTHS + ONE, SAID_TWO, SOME),
        ("where is none", b"GET /a HTTP/1.1\nHost: a\r\n\r\n", SAID_ONE, SOME),
        ("where is none", b"GET /a HTTP/1.1\r\nHost : a\r\n\r\n", SAID_ONE, SOME),
        ("where is none", b"GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", SAID_ONE, SOME),
        ("of a body that does not end", TWO[:-1], SAID_TWO, SOME),
        ("behind one that has no end", b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n" + ONE,
         SAID_ONE.replace(b"GET /a 0 00000000", b"POST /early - -") + SAID_ONE, SOME),
        ("1 of 2 honest", ONE + TWO, SAID_ONE, ALL),
        ("an honest stream was refused", ONE + TWO, SAID_ONE + SAID_TWO + REFUSED, ALL),
        ("more was read", ONE + ONE, SAID_ONE + SAID_ONE, Expected(1, "nothing")),
        ("must be refused was not", LENGTHS + ONE, b"", NONE),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_noticed(why: str, sent: bytes, said: bytes, expected: Expected) -> None:
    with pytest.raises(BrokenRuleError, match=why):
        judge(sent, said, expected)


@pytest.mark.parametrize(
    ("why", "sent", "said", "expected"),
    [
        ("an answer with 500", ONE, FOUND.replace(b"404 Not Found", b"500 Internal Server Error"), SOME),
        ("after an answer that closes", ONE + ONE, REFUSED + FOUND, SOME),
        ("more answers than requests", ONE, FOUND * 3, SOME),
        ("1 of 2 honest", ONE + TWO, FOUND, ALL),
        ("must be refused was not", LENGTHS + ONE, b"", NONE),
        ("more was read than may be", LENGTHS + ONE, FOUND + FOUND, NONE),
    ],
)
def test_what_a_whole_heartfly_must_not_say_is_noticed(why: str, sent: bytes, said: bytes, expected: Expected) -> None:
    judge_whole(ONE + TWO, FOUND + FOUND, ALL)
    with pytest.raises(BrokenRuleError, match=why):
        judge_whole(sent, said, expected)


def test_a_request_that_is_smuggled_behind_a_refused_one_is_noticed() -> None:
    drawn = random.Random(1)
    for _ in range(200):
        broken = refused(drawn)
        if not broken.expected.honest:
            with pytest.raises(BrokenRuleError):
                judge(broken.data, SAID_ONE, broken.expected)
