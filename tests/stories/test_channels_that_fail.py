"""The net is gone: many channels fail at a time, and people hear of all of them as one message, and of none never."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from typing_extensions import override

from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, channels, notifications
from heartfly.notify.commands import create_channel
from tests.notify.receivers import HttpReceiver, Request
from tests.stories.story import Story, begin
from tests.world import SEALER

pytestmark = [pytest.mark.story, pytest.mark.anyio]

DEAD = [f"dead-{n}" for n in range(5)]


class Net(HttpReceiver):
    """Some of its paths cannot be reached."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: set[str] = set()
        self.arrived: list[tuple[str, dict[str, Any]]] = []

    @override
    def answer_to(self, request: Request) -> bytes:
        name = request.target.rpartition("/")[2]
        if name in self.gone:
            return b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self.arrived.append((name, json.loads(request.body)))
        return super().answer_to(request)


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    async with Net() as net:
        yield net


@pytest.fixture
async def story(db: Database, ids: IdSource, net: Net) -> AsyncIterator[Story]:
    told = await begin(db, ids, net)
    yield told
    await told.http.aclose()


async def channel(story: Story, name: str, *, kind: str = "slack", events: list[str] | None = None) -> Any:
    config = {"url": f"{story.receiver.url}/services/T/B/{name}"}
    return await story.world.db.write(
        lambda tx: create_channel(
            tx, story.world.project.pid, kind=kind, name=name, config=config, events=events, at=story.clock.now(),
            ids=story.world.ids, sealer=SEALER, assign="all",
        )
    )  # fmt: skip


def texts(net: Net, name: str) -> list[str]:
    """Of each message that came there, all that it says."""
    return [json.dumps(body, ensure_ascii=False) for to, body in net.arrived if to == name]


async def test_five_that_are_cut_off_together_are_one_message(story: Story, net: Net) -> None:
    job = await story.check("job")
    for name in (*DEAD, "alive"):
        await channel(story, name)
    net.gone |= {*DEAD}
    await story.ping("00:01", job, PingKind.FAIL)
    await story.pass_to(story.at("00:20"))

    down, failing = texts(net, "alive")
    assert "DOWN: job" in down
    assert "CHANNEL FAILING: 5 channels in Main" in failing
    assert "Messages to 5 channels do not arrive" in failing
    assert all(f"{name}* its messages do not arrive" in failing or name in failing for name in DEAD)
    assert "You hear of" not in failing


async def test_one_that_fails_alone_is_told_at_once_and_by_itself(story: Story, net: Net) -> None:
    job = await story.check("job")
    for name in ("dead-0", "alive"):
        await channel(story, name)
    net.gone |= {"dead-0"}
    await story.ping("00:01", job, PingKind.FAIL)
    await story.pass_to(story.at("00:04"))

    assert "CHANNEL FAILING: dead-0" in texts(net, "alive")[1]


async def test_those_that_work_again_by_then_are_not_named(story: Story, net: Net) -> None:
    job = await story.check("job")
    for name in (*DEAD, "alive"):
        await channel(story, name)
    net.gone |= {*DEAD}
    await story.ping("00:01", job, PingKind.FAIL)
    for _ in range(900):
        if await news(story):
            break
        await story.pass_to(story.clock.now() + timedelta(seconds=1))
    net.gone -= {*DEAD[:3]}
    await story.ping(f"00:{story.clock.now():%M:%S}", job)  # they hear of the end, and so work again
    await story.world.db.write(lambda tx: tx.conn.execute(_at_once(DEAD[:3])) and None)
    await story.pass_to(story.at("00:20"))

    told = [text for text in texts(net, "alive") if "CHANNEL FAILING" in text]
    assert 1 == len(told)
    assert (False, True) == (DEAD[0] in told[0], DEAD[4] in told[0])


def _at_once(names: list[str]) -> sa.Update:
    """As if they had been tried: what waits for hours is no part of this story."""
    trouble = dict.fromkeys(("retrying_since", "failing_since", "told_at", "last_error"))
    return sa.update(channels).where(channels.c.name.in_(names)).values(trouble)


async def news(story: Story) -> list[tuple[str, str]]:
    """Of channels that fail: name and state of each notification."""
    n, a = notifications.c, alerts.c
    query = sa.select(a.payload, n.state).join(alerts, sa.and_(a.pid == n.pid, a.id == n.alert_id))
    async with story.world.db.read() as read:
        rows = await read.execute(query.where(a.kind == "channel.failing").order_by(n.alert_id))
        return [(row.payload["channel"]["name"], row.state) for row in rows]


async def test_what_was_told_to_one_that_fails_itself_since_is_told_again(story: Story, net: Net) -> None:
    """Only one of them wants such news, and it is dead, too; nobody has tried it yet."""
    job = await story.check("job")
    await channel(story, "dead-0", events=["check.down"])
    await channel(story, "dead-1", events=["channel.failing"])
    await channel(story, "alive", events=["check.up"])
    net.gone |= {"dead-0", "dead-1"}
    await story.ping("00:01", job, PingKind.FAIL)
    await story.pass_to(story.at("00:30"))

    (told,) = texts(net, "alive")
    assert "CHANNEL FAILING: 2 channels in Main" in told
    assert ("dead-0" in told, "dead-1" in told) == (True, True)


async def test_machines_hear_of_each_at_once(story: Story, net: Net) -> None:
    job = await story.check("job")
    for name in DEAD[:2]:
        await channel(story, name)
    await channel(story, "hook", kind="webhook")
    net.gone |= {*DEAD}
    await story.ping("00:01", job, PingKind.FAIL)
    await story.pass_to(story.at("00:04"))

    found = [body["channel"]["name"] for to, body in net.arrived if to == "hook" and body["type"] == "channel.failing"]
    assert DEAD[:2] == sorted(found)
