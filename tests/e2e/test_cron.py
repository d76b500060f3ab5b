"""Debian's own cron runs a script with curl; the job is broken, repaired, silenced, and comes back.

Everything is real: cron, curl, `heartfly serve` as a process, a mail server, a chat's and a webhook's
receiver. Exactly the right mails, messages and signed webhooks arrive, the missed one within a second
of its deadline. docs/try-it-with-cron.md tells the same. Cron counts in minutes, so what it starts runs the job four
times in one of them; `make test-all` gives each run a minute of its own. In the first minute cron also runs the script
of docs/daily-job-in-bash.md: with an aggregator that works, one that fails, one that counts nothing, and one whose
script is killed.
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
from datetime import UTC, datetime, time, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as email_policy
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

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
# Each time that the test says so. Nobody waits for a test that is gone.
FOUR_TIMES = """#!/bin/sh
for turn in 1 2 3 4; do
  tries=0
  while [ ! -e {folder}/go-$turn ]; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] && [ -d {folder} ] || exit 1
    sleep 0.1
  done
  {script}
done
"""

PAGE = Path(__file__).resolve().parents[2] / "docs" / "daily-job-in-bash.md"
ZONE = "Pacific/Auckland"
EVERY_MINUTE = {"kind": "cron", "expression": "* * * * *"}
EVERY_20_S = {"kind": "period", "period": 20}
AGGREGATORS = {
    "works": 'echo "date=$2 events=1204 rejected=3"',
    "fails": "echo 'deadlock detected' >&2; exit 1",
    "counts nothing": "echo events=0",
    # Above it is `timeout`, above that the script: no trap can run.
    "is killed": "kill -9 $(ps -o ppid= -p $PPID)",
}


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
        daemon.wait(60)


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


@pytest.mark.parametrize(
    "each_minute", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["in a minute", "a minute each"]
)
async def test_a_real_cron_job_is_watched_end_to_end(
    tmp_path: Path, cron: Path, mail_box: tuple[MailBox, int], *, each_minute: bool
) -> None:
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
            {"name": "Nightly backup", "schedule": EVERY_MINUTE if each_minute else EVERY_20_S, "grace": 5},
        )  # fmt: skip
        work = tmp_path / "work.sh"
        script = tmp_path / "job.sh"
        script.write_text(SCRIPT.format(url=check["ping_url"], work=work))
        script.chmod(0o755)
        four_times = tmp_path / "four-times.sh"
        four_times.write_text(FOUR_TIMES.format(script=script, folder=tmp_path))
        four_times.chmod(0o755)
        runs = f"* * * * * root {script if each_minute else four_times}\n"

        daily = await asyncio.to_thread(_daily_jobs, server, key, tmp_path)

        def heard() -> list[str]:
            return [json.loads(request.body)["type"] for request in hook.requests]

        def status() -> str:
            return str(server.api("GET", f"/v1/checks/{check['id']}", key)["status"])

        def go(turn: int) -> None:
            (tmp_path / f"go-{turn}").touch()

        work.write_text("echo rows=120\n")
        go(1)
        cron.write_text(runs + "".join(line for _, line in daily.values()))
        await until("the first run made it up", lambda: status() == "up", seconds=130)
        cron.write_text(runs if each_minute else "")
        assert [] == heard()

        work.write_text("echo 'disk on fire' >&2; exit 7\n")
        go(2)
        await until("the broken job was told", lambda: len(heard()) == 1, seconds=75)
        work.write_text("echo rows=121\n")
        go(3)
        await until("its repair was told", lambda: len(heard()) == 2, seconds=75)
        cron.write_text("")
        await until("its silence was told", lambda: len(heard()) == 3, seconds=75)
        missed_at = datetime.now(UTC)  # noqa: TID251 - the receipt, by the receiver's own clock
        go(4)
        cron.write_text(runs if each_minute else "")
        await until("its return was told", lambda: len(heard()) == 4, seconds=135)
        await _look_at_daily_jobs(server, key, {what: check for what, (check, _) in daily.items()})
        await until("the mails arrived", lambda: len(box.messages) == 4, seconds=75)
        await until("the chat was told", lambda: len(chat.requests) == 4, seconds=75)
        assert 0 == await asyncio.to_thread(server.stop)

    _look_at_webhooks(hook.requests, secret, missed_at)
    _look_at_mails(box.messages)
    _look_at_chat(chat.requests)


def _script() -> str:
    """As the page has it."""
    return PAGE.read_text(encoding="utf-8").partition("```bash\n")[2].partition("```")[0]


def _daily_jobs(server: Server, key: str, folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Of each kind of aggregator a check that nobody hears of, and a line for cron."""
    script = folder / "daily-job"
    script.write_text(_script())
    script.chmod(0o755)
    made = {}
    for n, (what, does) in enumerate(AGGREGATORS.items()):
        aggregate = folder / f"aggregate-{n}"
        aggregate.write_text(f"#!/bin/sh\n{does}\n")
        aggregate.chmod(0o755)
        check = server.api(
            "POST", "/v1/checks", key,
            {"name": what, "channels": [], "grace": 3600, "max_run": 5, "gates": ["events > 0", "coverage unbroken"]},
        )  # fmt: skip
        named = f"PING_URL={check['ping_url']} ZONE={ZONE} AGGREGATE={aggregate}"
        made[what] = (check, f"* * * * * root {named} {script}\n")
    return made


async def _look_at_daily_jobs(server: Server, key: str, checks: dict[str, dict[str, Any]]) -> None:
    def told() -> dict[str, str | None]:
        return {
            what: server.api("GET", f"/v1/checks/{check['id']}", key)["status_reason"] for what, check in checks.items()
        }

    expected = {"works": "success", "fails": "exit_status", "counts nothing": "gate", "is killed": "hung"}
    await until("each daily job was judged", lambda: told() == expected, seconds=40)
    runs = {
        what: server.api("GET", f"/v1/checks/{check['id']}/runs", key)["items"][0] for what, check in checks.items()
    }
    assert {"works": "ok", "fails": "failed", "counts nothing": "failed", "is killed": "hung"} == {
        what: run["outcome"] for what, run in runs.items()
    }
    assert 1 == runs["fails"]["exit_status"]
    assert all(run["rid"] and run["started_at"] for run in runs.values())
    assert {"events": "1204", "rejected": "3"} == runs["works"]["metrics"]
    covered = server.api("GET", f"/v1/checks/{checks['works']['id']}/coverage", key)
    [span] = covered["spans"]
    zone = ZoneInfo(ZONE)
    begins, ends = (datetime.fromisoformat(span[name]).astimezone(zone) for name in ("from", "to"))
    today = datetime.fromisoformat(runs["works"]["started_at"]).astimezone(zone).date()
    assert (today - timedelta(days=1), today) == (begins.date(), ends.date())
    assert (time(), time()) == (begins.time(), ends.time())
    nothing = server.api("GET", f"/v1/checks/{checks['counts nothing']['id']}/coverage", key)
    assert [] == nothing["spans"]  # it said so, but its figures do not prove it


def test_the_script_of_the_page_is_clean(tmp_path: Path) -> None:
    script = tmp_path / "daily-job"
    script.write_text(_script())
    checks = [["bash", "-n"], *([["shellcheck"]] if shutil.which("shellcheck") else [])]
    for command in checks:
        done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=False)
        assert (0, "") == (done.returncode, done.stdout)


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
