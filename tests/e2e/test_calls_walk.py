"""The walk of docs/calls-walk.md, word for word but for its ports: an application that calls somebody's API, a limit, a
budget and two changes of prices; what real receivers of mail, chat and webhooks hear, and what the bill comes to.

The sum is worked out once more, with Decimal, out of what the application itself noted.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as email_policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from typing_extensions import override

from tests.one_database import postgres_if_slow
from tests.server_process import Server, free_port

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
WALK = ROOT / "docs" / "calls-walk.md"
LIMIT_S = 150.0
"""A rule looks at whole minutes, chat gets a message a second at most, and the machine may be busy."""


def words(step: str) -> str:
    found = re.search(rf"<!-- walk: {re.escape(step)} -->\n```\w+\n(.*?)```", WALK.read_text("utf-8"), re.DOTALL)
    assert found is not None, step
    return found.group(1)


@dataclass
class Heard:
    """What came by mail (subject and text), in chat and at the webhook, in the order in which it came."""

    mails: list[tuple[str, str]] = field(default_factory=list)
    chats: list[dict[str, Any]] = field(default_factory=list)
    hooks: list[dict[str, Any]] = field(default_factory=list)
    more: threading.Condition = field(default_factory=threading.Condition)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        message = message_from_bytes(envelope.content, policy=email_policy)
        assert isinstance(message, EmailMessage)
        body = message.get_body(("plain",))
        with self.more:
            self.mails.append((message["Subject"], "" if body is None else body.get_content()))
            self.more.notify_all()
        return "250 OK"

    def take(self, path: str, body: dict[str, Any]) -> None:
        with self.more:
            (self.chats if path == "/chat" else self.hooks).append(body)
            self.more.notify_all()

    def wait_for(self, what: str, is_there: Callable[[], bool]) -> None:
        with self.more:
            came = self.more.wait_for(is_there, LIMIT_S)
        assert came, f"{what} did not come: {self.subjects()} {self.chat_titles()} {self.told()}"

    def subjects(self) -> list[str]:
        return [subject for subject, _ in self.mails]

    def chat_titles(self) -> list[str]:
        return [one["text"].splitlines()[0] for one in self.chats]

    def told(self) -> list[tuple[str, str, str]]:
        """Of the webhook: type, name and threshold."""
        return [
            (one["type"], one["concern"]["name"], one["concern"]["threshold"]) for one in self.hooks if one["concern"]
        ]


@dataclass
class Machine:
    """Heartfly, the provider and the receivers of a walk."""

    server: Server
    heard: Heard
    ports: dict[str, str]

    def say(self, step: str, **given: str) -> str:
        """Run it as a terminal would; what it printed."""
        text = words(step)
        for port, other in self.ports.items():
            text = text.replace(port, other)
        paths = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "clients" / "python"),
        }
        done = subprocess.run(
            ["bash", "-ec", text],
            cwd=self.server.folder,
            env=self.server.environment | {"HEARTFLY_URL": self.server.url} | paths | given,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        assert "could not be settled" not in done.stderr, done.stderr
        return done.stdout

    def write(self, name: str) -> Path:
        text = words(name)
        for port, other in self.ports.items():
            text = text.replace(port, other)
        path = self.server.folder / name
        path.write_text(text)
        return path


@pytest.fixture
def heard() -> Iterator[tuple[Heard, int, int]]:
    """With the ports of the mail server and of the receiver of chat and webhooks."""
    found, mail_port = Heard(), free_port()
    controller = Controller(found, hostname="127.0.0.1", port=mail_port)

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.take(self.path, json.loads(body))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    controller.start()
    thread.start()
    yield found, mail_port, httpd.server_port
    httpd.shutdown()
    httpd.server_close()
    thread.join(60)
    controller.stop()


@pytest.fixture
def machine(database_url: str, heard: tuple[Heard, int, int], tmp_path: Path) -> Iterator[Machine]:
    found, mail_port, hook_port = heard
    mail = {"MAIL__HOST": "127.0.0.1", "MAIL__PORT": str(mail_port), "MAIL__SECURITY": "none"}
    settings = mail | {"MAIL__FROM_ADDRESS": "heartfly@example.com"}
    if database_url:
        settings["DATABASE__URL"] = database_url
    server = Server(tmp_path, settings)
    server.start()
    ports = {"9100": str(free_port()), "9000": str(hook_port), "127.0.0.1:8000": f"127.0.0.1:{server.port}"}
    made = Machine(server, found, ports)
    provider = subprocess.Popen([sys.executable, "-u", str(made.write("provider.py"))], cwd=tmp_path)
    try:
        yield made
    finally:
        provider.kill()
        provider.wait(60)
        server.leave()


def worked_out(notes: Path, prices: Sequence[tuple[int, str, str, str]]) -> Decimal:
    """What the noted answers cost, by `prices`: how many of them, and what one token in, cached and out costs."""
    answers = [json.loads(line) for line in notes.read_text().splitlines()]
    total, start = Decimal(0), 0
    for n, put_in, cached, out in prices:
        for one in answers[start : start + n]:
            if one["status"] == 200:
                from_cache = one["prompt_tokens_details"]["cached_tokens"]
                total += (one["prompt_tokens"] - from_cache) * Decimal(put_in)
                total += from_cache * Decimal(cached) + one["completion_tokens"] * Decimal(out)
        start += n
    assert start == len(answers)
    return total


@postgres_if_slow
def test_an_application_meets_a_limit_a_budget_and_other_prices_and_all_is_told_and_billed_right(
    machine: Machine,
) -> None:
    heard, notes = machine.heard, machine.server.folder / "answers.jsonl"
    machine.write("app.py")
    prepared = machine.say("prepare")
    key = re.findall(r"hf_\w+", prepared)[-1]

    first = machine.say("first", KEY=key)
    spent = worked_out(notes, [(20, "0.000003", "0.00000030", "0.000015")])
    assert "20 calls were told" in first
    assert re.search(rf"m-1 +20 +- +{spent.normalize():f} USD", first), first
    heard.wait_for(
        "a third of the budget, by mail", lambda: "BUDGET: Models (provider models) [medium]" in heard.subjects()
    )
    heard.wait_for("the same in chat", lambda: any("Models" in one for one in heard.chat_titles()))
    assert [("budget.reached", "Models", "33 % of 0.40 USD")] == heard.told()

    second = machine.say("second", KEY=key)
    assert "stopped, for 3" in second  # some 3,600 s, or what is left of them
    assert "30 calls were told" in second
    assert "50 (100 %)" in second
    expected = {
        ("budget.reached", "Models", "33 % of 0.40 USD"),
        ("budget.reached", "Models", "100 % of 0.40 USD"),
        ("rule.firing", "Rate limit at 80 %", "at least 80 %"),
        ("rule.firing", "Rate limit at 95 %", "at least 95 %"),
        ("rule.firing", "Error rate of a provider", "more than 10 %"),
    }
    names = ("Rate limit at 80 %", "Rate limit at 95 %", "Error rate of a provider")
    heard.wait_for("all at the webhook", lambda: expected <= set(heard.told()))
    heard.wait_for("all by mail", lambda: all(any(name in one for one in heard.subjects()) for name in names))
    heard.wait_for("all in chat", lambda: all(any(name in str(one) for one in heard.chats) for name in names))
    assert expected == set(heard.told())
    assert len(expected) == len(heard.told())  # each once
    text = next(text for subject, text in heard.mails if "Error rate" in subject)
    assert "20 %" in text
    assert "models" in text

    third = machine.say("third", KEY=key)
    now, before = "0.0000171", "0.000015"
    as_told = worked_out(notes, [(20, "0.000003", "0.0000003", before), (30, "0.000003", "0.0000003", now)])
    in_truth = worked_out(notes, [(20, "0.000003", "0.00000031", before), (30, "0.000003", "0.00000031", now)])
    assert f"USD: {as_told.normalize():f} now, {in_truth.normalize():f} then." in third
    report = json.loads(third[third.index("{") : third.rindex("}") + 1])
    assert f"{in_truth.normalize():f}" == report["all"]["cost"]["USD"]
    assert (50, 10, 0) == (report["all"]["calls"], report["all"]["errors"], report["all"]["unpriced"])
    answers = [json.loads(line) for line in notes.read_text().splitlines()]
    assert str(sum(one.get("completion_tokens", 0) for one in answers)) == report["all"]["units"]["output_tokens"]
    assert f",{in_truth.normalize():f}," in third  # and by customer, as a table
    assert 3 == third.count("firing")
