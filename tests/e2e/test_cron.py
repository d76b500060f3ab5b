"""Debian's own cron runs a script with curl; the job is broken, repaired, silenced, and comes back.

Everything is real: cron, curl, `heartfly serve` as a process, a mail server, a chat's and a webhook's
receiver. Exactly the right mails, messages and signed webhooks arrive, the missed one within a second
of its deadline. Takes five minutes, for cron counts in minutes. docs/try-it-with-cron.md tells the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as email_policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from standardwebhooks import Webhook

from tests.notify.receivers import HttpReceiver, Request
from tests.server_process import Server, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

SCRIPT = """#!/bin/sh
# A job as anybody would write it: say that it begins, do the work, hand over its exit status and output.
curl -fsS -m 10 --retry 3 -o /dev/null "{url}/start"
output=$(sh {work} 2>&1)
curl -fsS -m 10 --retry 3 -o /dev/null --data-raw "$output" "{url}/$?"
"""


@dataclass
class MailBox:
    messages: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        message = message_from_bytes(envelope.content, policy=email_policy)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 taken"


@pytest.fixture
def cron() -> Iterator[Path]:
    """A file in /etc/cron.d, and a cron that reads it: the machine's own, or one started for the test."""
    if not shutil.which("cron") or not shutil.which("curl") or os.geteuid() != 0:
        pytest.skip("needs Debian's cron and curl, as root")
    entry = Path(f"/etc/cron.d/heartfly-test-{os.getpid()}")
    # When the machine's own cron runs already, this one says so and ends.
    daemon = subprocess.Popen(["cron", "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield entry
    finally:
        entry.unlink(missing_ok=True)
        daemon.terminate()
        daemon.wait(10)


@pytest.fixture
async def mail_box() -> AsyncIterator[tuple[MailBox, int]]:
    box, port = MailBox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    await asyncio.to_thread(controller.stop)


async def until(what: str, holds: Any, *, seconds: float) -> None:
    """Wait for something that another process does, no longer than it may take."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - another process's doing has no event to wait on
                await asyncio.sleep(0.05)  # noqa: TID251 - the same
    assert holds(), what


async def test_a_real_cron_job_is_watched_end_to_end(tmp_path: Path, cron: Path, mail_box: tuple[MailBox, int]) -> None:
    box, mail_port = mail_box
    server = Server(
        tmp_path,
        {
            "MAIL__HOST": "127.0.0.1",
            "MAIL__PORT": str(mail_port),
            "MAIL__SECURITY": "none",
            "MAIL__FROM_ADDRESS": "heartfly@example.com",
        },
    )
    key = (await asyncio.to_thread(server.init))["api_key"]
    async with HttpReceiver() as chat, HttpReceiver() as hook:
        await asyncio.to_thread(server.start)
        secret = await asyncio.to_thread(_channels, server, key, chat.url, hook.url)
        check = await asyncio.to_thread(
            server.api, "POST", "/v1/checks", key,
            {"name": "Nightly backup", "schedule": {"kind": "cron", "expression": "* * * * *"}, "grace": 5},
        )  # fmt: skip
        work = tmp_path / "work.sh"
        script = tmp_path / "job.sh"
        script.write_text(SCRIPT.format(url=check["ping_url"], work=work))
        script.chmod(0o755)

        def heard() -> list[str]:
            return [json.loads(request.body)["type"] for request in hook.requests]

        def status() -> str:
            return str(server.api("GET", f"/v1/checks/{check['id']}", key)["status"])

        work.write_text("echo rows=120\n")
        cron.write_text(f"* * * * * root {script}\n")
        await until("the first run made it up", lambda: status() == "up", seconds=130)
        assert [] == heard()

        work.write_text("echo 'disk on fire' >&2; exit 7\n")
        await until("the broken job was told", lambda: len(heard()) == 1, seconds=75)
        work.write_text("echo rows=121\n")
        await until("its repair was told", lambda: len(heard()) == 2, seconds=75)
        cron.unlink()
        await until("its silence was told", lambda: len(heard()) == 3, seconds=75)
        missed_at = datetime.now(UTC)  # noqa: TID251 - the receipt, by the receiver's own clock
        cron.write_text(f"* * * * * root {script}\n")
        await until("its return was told", lambda: len(heard()) == 4, seconds=135)
        await until("the mails arrived", lambda: len(box.messages) == 4, seconds=20)
        await until("the chat was told", lambda: len(chat.requests) == 4, seconds=20)
        assert 0 == await asyncio.to_thread(server.stop)

    _look_at_webhooks(hook.requests, secret, missed_at)
    _look_at_mails(box.messages)
    _look_at_chat(chat.requests)


def _channels(server: Server, key: str, chat: str, hook: str) -> str:
    for kind, name, config in (
        ("email", "mail", {"to": "ops@example.com"}),
        ("slack", "chat", {"url": f"{chat}/services/T0/B0/secret"}),
    ):
        server.api("POST", "/v1/channels", key, {"kind": kind, "name": name, "config": config})
    made = server.api("POST", "/v1/channels", key, {"kind": "webhook", "name": "hook", "config": {"url": hook}})
    secret: str = made["secret"]
    return secret


def _look_at_webhooks(requests: list[Request], secret: str, missed_at: datetime) -> None:
    events = [Webhook(secret).verify(request.body, request.headers) for request in requests]
    assert ["check.down", "check.up", "check.down", "check.up"] == [event["type"] for event in events]
    assert ["exit_status", "success", "missed", "success"] == [event["reason"] for event in events]
    assert "disk on fire" in json.dumps(events[0])
    deadline = datetime.fromisoformat(events[2]["created_at"])
    assert timedelta() <= missed_at - deadline <= timedelta(seconds=1)
    assert 4 == len({request.headers["webhook-id"] for request in requests})


def _look_at_mails(messages: list[EmailMessage]) -> None:
    subjects = [message["Subject"] for message in messages]
    assert ["DOWN", "UP", "DOWN", "UP"] == [subject.split(":")[0] for subject in subjects]
    assert all("Nightly backup" in subject for subject in subjects)
    first = messages[0].get_body(("plain",))
    assert first is not None
    assert "disk on fire" in first.get_content()
    assert 4 == len({message["Message-ID"] for message in messages})


def _look_at_chat(requests: list[Request]) -> None:
    bodies = [request.body.decode() for request in requests]
    assert all("Nightly backup" in body for body in bodies)
    assert "disk on fire" in bodies[0]
