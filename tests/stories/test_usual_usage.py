"""A job that goes well each night, and the night on which far less came than usual: told, with what is usual."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from heartfly.checks import commands
from heartfly.checks.config import CheckIn, GateIn
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.jobs.catalogue import daily_usage
from heartfly.usage.close_day import Closer
from tests.jobs.workshop import Workshop
from tests.notify.receivers import HttpReceiver
from tests.one_database import postgres_if_slow
from tests.stories.story import DAY, Story, begin
from tests.usage.factory import Plant, events_of
from tests.world import TEST

pytestmark = [pytest.mark.anyio, pytest.mark.story]

A_DAY = timedelta(days=1)
NIGHT = timedelta(hours=1, minutes=10)


@pytest.fixture
async def story(db: Database, ids: IdSource) -> AsyncIterator[Story]:
    async with HttpReceiver() as receiver:
        told = await begin(db, ids, receiver)
        yield told
        await told.http.aclose()


@postgres_if_slow
async def test_a_day_of_far_fewer_events_than_usual_is_told_with_what_is_usual(
    story: Story, usage_db: Database, ids: IdSource
) -> None:
    plant = Plant(usage_db, story.clock, ids, pid=story.world.project.pid)
    closer = Closer(usage_db, plant.folder, story.clock, ids)
    shop = Workshop(story.world, story.clock, daily_usage(usage_db, closer))
    n_sent = 0

    async def night(n: int, n_events: int) -> list[str]:
        """After the n-th day, on which so many came; what was told."""
        nonlocal n_sent
        begun = DAY + (n - 1) * A_DAY
        story.clock.move_to(begun + timedelta(hours=20))
        made = events_of(n_sent + n_events, seed=n, from_at=begun, to_at=begun + timedelta(hours=2))
        await plant.send(*made[n_sent:])
        n_sent += n_events
        await shop.look()
        await shop.go(DAY + n * A_DAY + NIGHT)
        await story.dispatcher.round(story.clock.now())
        found = [json.loads(request.body) for request in story.receiver.requests[story.told :]]
        story.told = len(story.receiver.requests)
        return [f"{one['type']}: {one['explain']}" for one in found]

    await story.channel("ops")
    assert [] == await night(1, 20)
    check = await shop.check()
    gate = GateIn(metric="events_raw", op="within", value="40%", of="median(4 weeks)")
    asked, at = CheckIn(gates=[gate]), story.clock.now()
    await story.world.db.write(
        lambda tx: commands.edit(tx, check.pid, check.uuid, asked, at=at, ids=ids, actor=TEST)
    )  # fmt: skip
    for n in range(2, 9):
        assert [] == await night(n, 20 + n % 3)

    expected = "The job reported success, but events_raw is 3, expected within 40% of 21 (median of 8 days)."
    assert [f"check.down: {expected}"] == await night(9, 3)
    (back,) = await night(10, 22)
    assert back.startswith("check.up: A success came at 2026-03-12 01:10:00 UTC, 1 d after it went down.")
