"""Data that stays away, and endpoints that get slow: told once, in words, and told again when it is well."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import CLI
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import blind_intervals, checks, watches
from heartfly.jobs.catalogue import data_watches
from heartfly.traffic.watches import ALL, Kind, create, limits_of
from heartfly.usage.customers import create_customer
from tests.jobs.workshop import HOUR, MINUTE, Workshop
from tests.notify.receivers import HttpReceiver
from tests.one_database import postgres_if_slow
from tests.stories.story import DAY, Story, begin
from tests.traffic.oracle import Hit
from tests.usage.factory import Plant

pytestmark = [pytest.mark.anyio, pytest.mark.story]

A_DAY = timedelta(days=1)
TEN = DAY + timedelta(hours=10)


class Site:
    """A project whose requests come, and that is watched."""

    def __init__(self, story: Story, usage: Database, ids: IdSource) -> None:
        self.story, self.ids, self.usage = story, ids, usage
        self.pid = story.world.project.pid
        self.plant = Plant(usage, story.clock, ids, pid=story.world.project.pid)
        self.shop = Workshop(story.world, story.clock)
        kind = data_watches(story.world.db, usage=usage, ingest=self.shop.ingest, ids=ids)
        self.shop = Workshop(story.world, story.clock, kind)
        self._n = 0

    async def watch(self, kind: Kind, what: str = ALL) -> None:
        at = self.story.clock.now()
        await self.story.world.db.write(
            lambda tx: create(
                tx, self.pid, kind=kind, what=what, limits=limits_of(kind, {}), at=at, actor=CLI, ids=self.ids
            )
        )
        await self.shop.look()

    async def send(self, at: datetime, n: int = 1, *, source: str = "", **told: Any) -> None:
        """So many requests that come, and happened, then."""
        if at > self.story.clock.now():
            self.story.clock.move_to(at)
        found = []
        for _ in range(n):
            self._n += 1
            found.append(Hit(number=self._n, at=at, **told).wire())
        await self.plant.ingest.take(self.pid, found, wire="native", source=source)

    async def each_minute(self, from_at: datetime, to_at: datetime, n: int = 1, **told: Any) -> None:
        at = from_at
        while at < to_at:
            await self.send(at, n, **told)
            at += MINUTE

    async def look(self, at: datetime) -> list[str]:
        """What was told by this look."""
        await self.plant.fold()
        await self.shop.go(at)
        await self.story.dispatcher.round(at)
        new = self.story.receiver.requests[self.story.told :]
        self.story.told = len(self.story.receiver.requests)
        return [str(json.loads(request.body)["type"]) for request in new]

    async def found(self) -> list[str]:
        return [row.words for row in await self.story.world._all(sa.select(watches).order_by(watches.c.id))]

    async def check(self) -> Any:
        return await self.story.world._one(sa.select(checks).where(checks.c.name.startswith("Data: ")))


@pytest.fixture
async def site(db: Database, usage_db: Database, ids: IdSource) -> AsyncIterator[Site]:
    async with HttpReceiver() as receiver:
        story = await begin(db, ids, receiver)
        await story.channel("hook")
        yield Site(story, usage_db, ids)
        await story.http.aclose()


async def test_a_source_that_falls_silent_is_told_once_and_when_it_comes_back(site: Site) -> None:
    await site.each_minute(TEN - HOUR, TEN + 2 * HOUR, source="web-1")
    await site.each_minute(TEN - HOUR + A_DAY, TEN + A_DAY + 20 * MINUTE, source="web-1")
    await site.watch(Kind.SOURCE)
    last = TEN + A_DAY + 19 * MINUTE

    soon = await site.look(last + 19 * MINUTE)
    down = await site.look(last + 21 * MINUTE)
    (words,) = await site.found()
    check = await site.check()
    still = await site.look(last + 25 * MINUTE)
    await site.send(last + 26 * MINUTE, source="web-1")
    up = await site.look(last + 27 * MINUTE)

    assert [] == soon
    assert ["check.down"] == down
    assert "web-1 has sent nothing for 21 min (usual gap 60 s)" == words
    assert ("Data: silence of sources", ["data"], 300, "down") == (
        check.name,
        check.tags,
        check.period_s,
        check.status,
    )
    assert [] == still
    assert ["check.up"] == up
    assert [""] == await site.found()


@postgres_if_slow
async def test_nights_in_which_nothing_is_usual_do_not_alarm_and_a_morning_without_anything_does(site: Site) -> None:
    for day in (0, 1):
        await site.each_minute(TEN - HOUR + day * A_DAY, TEN + 2 * HOUR + day * A_DAY, source="web-1")
    await site.watch(Kind.SOURCE)
    told = []
    at = TEN + 2 * HOUR + A_DAY
    while at <= TEN + 2 * A_DAY:
        told += await site.look(at)
        at += 20 * MINUTE

    assert [] == told
    assert [] == await site.look(TEN + 2 * A_DAY + 20 * MINUTE)
    assert ["check.down"] == await site.look(TEN + 2 * A_DAY + 21 * MINUTE)


async def test_silence_while_heartfly_itself_was_deaf_is_excused_and_said(site: Site) -> None:
    await site.each_minute(TEN - HOUR, TEN + 2 * HOUR, source="web-1")
    await site.each_minute(TEN - HOUR + A_DAY, TEN + A_DAY + 10 * MINUTE, source="web-1")
    await site.watch(Kind.SOURCE)
    deaf = {"from_at": TEN + A_DAY + 10 * MINUTE, "to_at": TEN + A_DAY + 30 * MINUTE, "cause": "a test"}
    await site.story.world.db.write(
        lambda tx: tx.conn.execute(sa.insert(blind_intervals).values(id=site.ids.next(DAY), node_id=1, **deaf))
    )

    assert [] == await site.look(TEN + A_DAY + 40 * MINUTE)
    assert [""] == await site.found()
    assert ["check.down"] == await site.look(TEN + A_DAY + 51 * MINUTE)
    (words,) = await site.found()
    assert words.endswith("which Heartfly itself did not hear for 20 min")


async def test_a_customer_of_whom_nothing_comes_is_told_with_what_is_usual_under_all_his_names(site: Site) -> None:
    await site.usage.write(
        lambda tx: create_customer(tx, site.pid, name="Acme", wanted=["a", "b"], actor=CLI, at=DAY, ids=site.ids)
    )
    for hour in range(9, 13):
        await site.send(DAY + hour * HOUR, 30, subject="a")
        await site.send(DAY + hour * HOUR, 30, subject="b")
    await site.send(TEN + A_DAY, subject="a")
    await site.send(TEN + A_DAY + 10 * MINUTE, subject="b")
    await site.watch(Kind.CUSTOMER)

    assert [] == await site.look(TEN + A_DAY + 25 * MINUTE)
    assert ["check.down"] == await site.look(TEN + A_DAY + 32 * MINUTE)
    assert ["customer Acme at 0 for 22 min, usual 60/h"] == await site.found()


async def test_an_endpoint_that_gets_slow_is_told_after_two_looks_and_is_well_after_two(site: Site) -> None:
    await site.each_minute(TEN, TEN + HOUR, 2, latency="50")
    slow = TEN + A_DAY
    await site.each_minute(slow - 15 * MINUTE, slow, 5, latency="60")
    await site.watch(Kind.ENDPOINT)
    well = await site.look(slow)
    await site.each_minute(slow, slow + 16 * MINUTE, 5, latency="400")

    first = await site.look(slow + 16 * MINUTE)
    second = await site.look(slow + 17 * MINUTE)
    (words,) = await site.found()
    await site.each_minute(slow + 18 * MINUTE, slow + 34 * MINUTE, 5, latency="60")
    once = await site.look(slow + 34 * MINUTE)
    twice = await site.look(slow + 35 * MINUTE)

    assert ([], [], ["check.down"], [], ["check.up"]) == (well, first, second, once, twice)
    assert words.startswith("GET /a: p95 ")
    assert "usual 6" in words or "usual 5" in words


async def test_an_endpoint_of_which_more_requests_fail_than_usual_is_told(site: Site) -> None:
    await site.each_minute(TEN, TEN + HOUR, 2)
    await site.each_minute(TEN + A_DAY, TEN + A_DAY + 15 * MINUTE, 9)
    await site.each_minute(TEN + A_DAY, TEN + A_DAY + 15 * MINUTE, 1, status=503)
    await site.watch(Kind.ENDPOINT, "GET /a")

    assert [] == await site.look(TEN + A_DAY + 15 * MINUTE)
    assert ["check.down"] == await site.look(TEN + A_DAY + 15 * MINUTE + timedelta(seconds=61))
    (words,) = await site.found()
    assert words.startswith("GET /a: 10% of requests failed, usual ")
