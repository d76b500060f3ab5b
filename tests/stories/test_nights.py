"""Nights of the daily aggregation, with real parts: it dies, it is starved, it is fed a wrong day, and it recovers.

`heartfly serve` runs in lives of its own on a clock that stands shortly before 1:10, the job comes by itself, and what
is told arrives as mail: each with the words that somebody needs who is woken by it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from heartfly.db.models import rollups
from heartfly.db.parts import USAGE
from tests import at_another_time
from tests.notify.test_email_delivery import Mailbox
from tests.notify.test_email_delivery import server as mail_server
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.story, pytest.mark.anyio]

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SHORTLY_BEFORE = HOUR + timedelta(minutes=9, seconds=55)
LIMIT_S = 180


class Nights:
    def __init__(self, folder: Path, mailbox: Mailbox, port: int) -> None:
        settings = {"MAIL__HOST": "127.0.0.1", "MAIL__PORT": str(port), "MAIL__SECURITY": "none"}
        self.server = Server(folder, settings | {"MAIL__FROM_ADDRESS": "heartfly@example.com"})
        self.mailbox = mailbox
        self.n_read = 0
        self.key = ""

    def move_to(self, at: datetime) -> None:
        assert at_another_time.__file__ is not None
        self.server.program = (at_another_time.__file__, at.isoformat())

    async def serve(self, at: datetime) -> None:
        """Whoever served before is killed."""
        self.server.leave()
        self.move_to(at)
        await asyncio.to_thread(self.server.start, limit_s=LIMIT_S)

    async def api(self, method: str, path: str, body: object = None) -> Any:
        return await asyncio.to_thread(self.server.api, method, path, self.key, body)

    async def job(self, kind: str = "daily-usage") -> Any:
        found = (await self.api("GET", "/v1/jobs"))["items"]
        return next((job for job in found if job["kind"] == kind), None)

    async def run(self) -> None:
        """Somebody has the job run once more."""
        await self.api("POST", f"/v1/jobs/{(await self.job())['id']}/run")

    async def mail(self) -> tuple[str, str]:
        """The next one about this job: its subject, and its text in one line.

        That Heartfly was away by day, between two lives, is told as well.
        """
        while True:
            await until(lambda: len(self.mailbox.envelopes) > self.n_read)
            subject, said = self._read()
            if not subject.startswith("UNVERIFIED"):
                return subject, " ".join(said.split())

    def left(self) -> list[str]:
        """The subjects of those that nobody has waited for."""
        found = [self._read()[0] for _ in self.mailbox.envelopes[self.n_read :]]
        return [one for one in found if not one.startswith("UNVERIFIED")]

    def _read(self) -> tuple[str, str]:
        content = self.mailbox.envelopes[self.n_read].content
        self.n_read += 1
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        text = message.get_body(("plain",))
        assert text is not None
        print(f"--- {message['subject']}\n{text.get_content()}")
        return str(message["subject"]), text.get_content()

    async def use(self, n: int, begin: datetime) -> None:
        """So many calls in the hour that begins then."""
        sent = [
            {
                "transaction_id": f"{begin:%d-%H}-{one}",
                "customer_id": "acme",
                "timestamp": (begin + timedelta(seconds=one)).isoformat(),
                "event_type": "call",
                "properties": {"size": "0.1"},
            }
            for one in range(n)
        ]
        said = await self.api("POST", "/v1/events", sent)
        assert n == said["accepted"]

    async def figures(self, day: datetime) -> tuple[str, str]:
        """How many calls the day had, what they come to, exactly."""
        return await self._figure("calls", day), await self._figure("size", day)

    async def _figure(self, meter: str, day: datetime) -> str:
        asked = {"window": "none", "from": day.isoformat(), "to": (day + DAY).isoformat()}
        (figure,) = (await self.api("GET", f"/v1/meters/{meter}/query?{urlencode(asked)}"))["items"]
        return str(figure["value_exact"])

    async def day(self, day: datetime) -> Any:
        found = (await self.api("GET", "/v1/usage/days"))["items"]
        return next(one for one in found if one["day"] == f"{day:%Y-%m-%d}")

    def folding(self) -> int | None:
        """The process beside the server, if it has one."""
        assert self.server.process is not None
        for children in Path(f"/proc/{self.server.process.pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in children.read_text().split():
                    if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                        return int(child)
        return None


async def until(come: Callable[[], Any]) -> Any:
    async with asyncio.timeout(LIMIT_S):
        while not (found := come()):  # noqa: ASYNC110 - real processes have no event to wait on
            await asyncio.sleep(0.005)  # noqa: TID251 - what comes, comes from other processes
    return found


@pytest.fixture
async def nights(tmp_path: Path) -> AsyncIterator[Nights]:
    mailbox = Mailbox()
    async with mail_server(mailbox) as port:
        nights = Nights(tmp_path, mailbox, port)
        yield nights
        nights.server.leave()


async def test_a_job_that_dies_is_starved_or_fed_a_wrong_day_is_told_each_time_and_recovers(nights: Nights) -> None:
    await set_up(nights)
    await killed(nights, MONDAY + DAY)
    await starved(nights, MONDAY + 2 * DAY)
    await fed_a_wrong_day(nights, MONDAY + 3 * DAY)

    assert "Every rollup is what its events come to." in nights.server.command("usage", "verify")
    assert 0 == await asyncio.to_thread(nights.server.stop)
    assert [] == nights.left()


async def set_up(nights: Nights) -> None:
    evening = MONDAY + 23 * HOUR + timedelta(minutes=30)
    nights.move_to(evening)
    nights.key = (await asyncio.to_thread(nights.server.init))["api_key"]
    await nights.serve(evening)
    await nights.api("POST", "/v1/channels", {"kind": "email", "name": "ops", "config": {"to": "ops@example.com"}})
    for slug, rest in (("calls", {"aggregation": "count"}), ("size", {"aggregation": "sum", "value": "size"})):
        await nights.api("POST", "/v1/meters", {"slug": slug, "event_types": ["call"]} | rest)
    await nights.use(40, MONDAY + 12 * HOUR)
    # Jobs are looked at each half minute, or when somebody asks for one.
    await nights.api("POST", f"/v1/jobs/{(await nights.job('daily-sums'))['id']}/run")
    async with asyncio.timeout(LIMIT_S):
        while (job := await nights.job()) is None:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.1)  # noqa: TID251 - polls over HTTP, bounded above
    assert "2026-03-03T01:10:00Z" == job["next_at"]


async def killed(nights: Nights, midnight: datetime) -> None:
    """The server is killed in the middle of the job, then the process that folds."""
    yesterday = midnight - DAY
    await nights.serve(midnight + SHORTLY_BEFORE)
    child = await until(nights.folding)
    os.kill(child, signal.SIGSTOP)
    assert ("40", "4") == await nights.figures(yesterday)
    await asyncio.to_thread(nights.server.kill)
    os.kill(child, signal.SIGCONT)
    await until(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes())
    assert [] == nights.left()

    await nights.serve(midnight + SHORTLY_BEFORE + timedelta(minutes=2))
    os.kill(await until(nights.folding), signal.SIGKILL)
    subject, text = await nights.mail()
    assert "DOWN" in subject
    assert "Heartfly: daily usage" in subject
    assert "failed" in text
    assert "the process that folds usage died; perhaps the machine had no memory left" in text
    assert ("40", "4") == await nights.figures(yesterday)
    assert "open" == (await nights.day(yesterday))["state"]

    await nights.run()
    subject, text = await nights.mail()
    assert "UP" in subject
    assert "Heartfly: daily usage" in subject
    day = await nights.day(yesterday)
    assert ("final", 40) == (day["state"], day["figures"]["events_raw"])
    assert ("40", "4") == await nights.figures(yesterday)


async def starved(nights: Nights, midnight: datetime) -> None:
    """Nothing came all day: the job goes well, and its gate says that this is not usual."""
    yesterday = midnight - DAY
    (check,) = [one for one in (await nights.api("GET", "/v1/checks"))["items"] if "daily usage" in one["name"]]
    await nights.api("PATCH", f"/v1/checks/{check['id']}", {"gates": [*check["gates"], "events_raw > 0"]})
    await nights.serve(midnight + SHORTLY_BEFORE)
    subject, text = await nights.mail()
    assert "DOWN" in subject
    assert "The job reported success, but events_raw is 0, expected > 0." in text
    assert "day=2026-03-03" in text
    assert ("0", "0") == await nights.figures(yesterday)

    await nights.use(30, yesterday + 8 * HOUR)
    await nights.run()
    subject, _ = await nights.mail()
    assert "UP" in subject
    day = await nights.day(yesterday)
    assert ("amended", 30) == (day["state"], day["figures"]["events_raw"])
    assert ("30", "3") == await nights.figures(yesterday)


async def fed_a_wrong_day(nights: Nights, midnight: datetime) -> None:
    """A row of an hour says what its events do not."""
    yesterday = midnight - DAY
    await nights.use(12, yesterday)
    async with asyncio.timeout(LIMIT_S):
        while ("12", "1.2") != await nights.figures(yesterday):  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.1)  # noqa: TID251 - polls over HTTP, bounded above
    await asyncio.to_thread(nights.server.kill)
    engine = sa.create_engine(f"sqlite:///{nights.server.folder}/heartfly-data/{USAGE.file}")
    with engine.begin() as connection:
        of_hour = sa.update(rollups).where(rollups.c.start_at == yesterday, rollups.c.tier == "hour")
        assert 2 == connection.execute(of_hour.values(n=rollups.c.n + 1)).rowcount
    engine.dispose()

    await nights.serve(midnight + SHORTLY_BEFORE)
    subject, text = await nights.mail()
    assert "DOWN" in subject
    assert "2026-03-04 does not add up" in text
    assert "meter calls, customer acme" in text
    assert "the day: expected 12 events (by its events), seen 13 events (in the rollup)" in text
    assert "expected 1.2 of 12 events (from 0.1 to 0.1)" in text
    assert "reconciled=0" in text
    day = await nights.day(yesterday)
    assert "provisional" == day["state"]
    assert "13 events" in day["mismatch"]

    await nights.run()
    subject, _ = await nights.mail()
    assert "UP" in subject
    day = await nights.day(yesterday)
    assert ("final", 12, "") == (day["state"], day["figures"]["events_raw"], day["mismatch"])
    assert ("12", "1.2") == await nights.figures(yesterday)
