"""`heartfly watch` tells once when a Heartfly may not raise alarms, once when it may again, and whom it was told to."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from click.testing import CliRunner
from typing_extensions import override

from heartfly.cli import main
from heartfly.cli.watch import Watch, by_command, by_mail, pinged, to_webhook
from heartfly.clock import SystemClock
from heartfly.config.settings import Mail
from heartfly.core.watching import Bounds
from tests.cli.conftest import Run
from tests.monitor.tower import T0
from tests.server_process import free_port
from tests.sim_clock import SimClock

READY = {"status": "ready", "reasons": [], "watermark_lag_s": 1.0, "undelivered_s": None, "canary": None}


@dataclass
class Other:
    """Stands where a Heartfly would: answers what it is told to, and notes what is posted."""

    url: str = ""
    status: int = 200
    body: bytes = json.dumps(READY).encode()
    refuses: bool = False
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def is_ill(self) -> None:
        self.status = 503
        ill = READY | {"status": "not ready", "reasons": [{"reason": "disk_full", "detail": "the disk is full"}]}
        self.body = json.dumps(ill).encode()

    def is_well(self) -> None:
        self.status, self.body = 200, json.dumps(READY).encode()


@pytest.fixture
def other() -> Iterator[Other]:
    made = Other()

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(made.status)
            self.end_headers()
            self.wfile.write(made.body)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            if not made.refuses:
                made.heard.append((self.path, sent))
            self.send_response(500 if made.refuses else 200)
            self.end_headers()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()


class Box:
    """Takes every mail."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        self.letters.append(message_from_bytes(envelope.content, _class=EmailMessage, policy=default))
        return "250 OK"


def watching(other: Other, **ways: Any) -> Watch:
    return Watch(other.url, Bounds(), 3, SimClock(T0), ways=ways)


def test_three_looks_in_a_row_are_told_once_and_so_is_the_end(other: Other) -> None:
    watch = watching(other, hook=to_webhook(f"{other.url}/hook"))
    told = []
    for step in (other.is_ill, None, other.is_well, other.is_ill, None, None, None, other.is_well, None):
        if step is not None:
            step()
        watch.look()
        told.append(len(other.heard))

    assert [0, 0, 0, 0, 0, 1, 1, 2, 2] == told
    down, up = (json.loads(body) for _, body in other.heard)
    assert ("watch.down", ["not ready: the disk is full"]) == (down["type"], down["reasons"])
    assert ("watch.up", [], other.url) == (up["type"], up["reasons"], up["url"])


def test_who_was_not_told_is_told_at_the_next_look(other: Other) -> None:
    watch = watching(other, hook=to_webhook(f"{other.url}/hook"))
    other.is_ill()
    other.refuses = True
    for _ in range(3):
        watch.look()
    assert [] == other.heard

    other.refuses = False
    watch.look()
    watch.look()

    assert 1 == len(other.heard)


def test_a_command_is_told_by_its_environment(other: Other, tmp_path: Path) -> None:
    note = tmp_path / "note"
    watch = watching(other, command=by_command(f"sh -c 'echo $HEARTFLY_WATCH_STATE: $HEARTFLY_WATCH_TEXT >> {note}'"))
    other.is_ill()
    for _ in range(3):
        watch.look()

    assert f"down: Heartfly at {other.url} may not raise alarms: not ready: the disk is full\n" == note.read_text()


def test_somebody_is_mailed(other: Other) -> None:
    box = Box()
    post = Controller(box, hostname="127.0.0.1", port=free_port())
    post.start()
    try:
        mail = Mail(host="127.0.0.1", port=post.port, security="none", from_address="beat@example.org")
        watch = watching(other, mail=by_mail("ops@example.org", mail))
        other.is_ill()
        for _ in range(3):
            watch.look()
    finally:
        post.stop()

    (letter,) = box.letters
    assert f"Heartfly may not raise alarms: {other.url}" == letter["Subject"]
    assert "the disk is full" in letter.get_content()


@pytest.mark.parametrize(
    ("body", "says"),
    [(b"<html>", "no answer: Expecting value"), (b"[]", "no answer: the answer is not that of a Heartfly")],
)
def test_what_answers_and_is_no_heartfly_is_wrong(other: Other, body: bytes, says: str) -> None:
    other.body = body

    (reason,) = watching(other).look()

    assert reason.startswith(says)


def test_one_look_ends_with_what_it_found(other: Other) -> None:
    def once(*more: str) -> Any:
        return CliRunner().invoke(main, ["watch", "--once", other.url, "--ping", f"{other.url}/ping/x", *more])

    well = once("--json")
    other.is_ill()
    ill = once()

    assert (0, {"url": other.url, "ok": True, "reasons": []}) == (well.exit_code, json.loads(well.output))
    assert (1, "not ready: the disk is full\n") == (ill.exit_code, ill.stderr)
    assert [("/ping/x", b""), ("/ping/x/fail", b"not ready: the disk is full")] == other.heard


def test_who_watched_is_ended_by_a_signal_as_before(other: Other) -> None:
    """What it does with SIGTERM ends with it: a process of tests that had looked once could not be ended any more."""
    before = signal.getsignal(signal.SIGTERM)
    CliRunner().invoke(main, ["watch", "--once", other.url])

    assert before is signal.getsignal(signal.SIGTERM)


def test_nobody_who_answers_is_wrong_and_so_is_an_address_that_is_none(other: Other) -> None:
    nobody = CliRunner().invoke(main, ["watch", "--once", "http://127.0.0.1:1"])
    none = CliRunner().invoke(main, ["watch", "ftp://example.org"])
    no_mail = CliRunner().invoke(main, ["watch", other.url, "--mail-to", "ops@example.org"])

    assert 1 == nobody.exit_code
    assert "no answer: " in nobody.stderr
    assert (2, True) == (none.exit_code, "URL must begin with http" in none.output)
    assert (2, True) == (no_mail.exit_code, "needs a mail server" in no_mail.output)


def test_a_ping_is_a_post_that_says_why(other: Other) -> None:
    pinged(f"{other.url}/ping/k/hf", ["a", "b"])

    assert [("/ping/k/hf/fail", b"a\nb")] == other.heard


@pytest.mark.e2e
def test_a_real_heartfly_is_well(run: Run, server: Any) -> None:
    until = SystemClock().monotonic() + 120
    while (
        "since the start" in (found := run("watch", "--once", server.url)).stdout and SystemClock().monotonic() < until
    ):
        pass  # it answers before its first beat is written

    assert (0, "All is well.\n") == (found.exit_code, found.stdout)
