"""Why, in the alert itself: the rules, what was not heard, what holds now, and what the last success said."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks.missed import FEW
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts
from tests.notify.receivers import HttpReceiver
from tests.stories.story import Story, begin
from tests.stories.test_tolerance import bound, tolerating

pytestmark = [pytest.mark.anyio, pytest.mark.story]


@pytest.fixture
async def story(db: Database, ids: IdSource) -> AsyncIterator[Story]:
    async with HttpReceiver() as receiver:
        told = await begin(db, ids, receiver)
        yield told
        await told.http.aclose()


def events(story: Story) -> list[Any]:
    return [json.loads(request.body) for request in story.receiver.requests]


async def payloads(story: Story) -> list[Any]:
    async with story.world.db.read() as read:
        return list((await read.execute(sa.select(alerts.c.payload).order_by(alerts.c.id))).scalars())


async def test_a_failure_tells_its_rules_until_when_it_stays_and_what_the_last_success_said(story: Story) -> None:
    rules = tolerating(failures=2, recover=2) | bound("run >= 1m warn")
    backup = await story.check(
        "backup", max_run="2h", kind="cron", expression="0 * * * *", dialect="kubernetes", **rules
    )
    await story.channel("ops")
    await story.ping("01:00", backup, PingKind.START)
    await story.ping("01:05", backup, body=b"begin\n10 rows\n")
    await story.ping("02:05", backup, PingKind.FAIL, body=b"begin\ndisk is full\n")
    await story.ping("03:05", backup, PingKind.FAIL, body=b"begin\ndisk is full\n")
    await story.want("03:05", "check.down backup (fail)")
    (down,), (kept,) = events(story), await payloads(story)

    assert "It stays down until 2 successes in a row." == down["verdict"]
    assert ("kubernetes", 7_200.0) == (down["check"]["dialect"], down["check"]["max_run"])
    assert ["down after 2 in a row, up after 2", "run >= 1m warn"] == down["check"]["rules"]
    assert [] == down["unheard"]
    assert ("begin\n10 rows\n", "begin\ndisk is full\n") == (kept["run"]["last_good"], kept["run"]["body_tail"])


async def test_what_is_up_again_says_by_when_it_is_expected_next(story: Story) -> None:
    backup = await story.check("backup")
    await story.channel("ops")
    await story.ping("01:00", backup)
    await story.want("02:10", "check.down backup (missed)")
    await story.ping("02:30", backup)
    await story.want("02:30", "check.up backup (success)")

    assert (
        "Its next success is expected at 2026-03-02 03:30:00 UTC; if none has come by 2026-03-02 03:40:00 UTC, "
        "that counts as missed."
    ) == events(story)[-1]["verdict"]


async def test_an_alarm_after_two_slots_that_were_partly_unheard_says_when_nobody_heard(story: Story) -> None:
    backup = await story.check("backup")
    await story.channel("ops")
    await story.ping("01:00", backup)
    await story.crash("01:55", until="02:20")
    await story.crash("03:15", until="03:40")
    await story.pass_to(story.at("05:00"))
    down = next(one for one in events(story) if one["type"] == "check.down")

    assert "missed_twice_unverified" == down["reason"]
    assert [("2026-03-02T03:15:00Z", "2026-03-02T03:40:00Z")] == [
        (one["from_at"], one["to_at"]) for one in down["unheard"]
    ]


async def test_of_a_storm_each_alert_has_its_own_rules_and_the_verdict_of_all(story: Story) -> None:
    made = [await story.check(f"job-{n}", max_run="1h" if n % 2 else "2h") for n in range(2 * FEW)]
    await story.channel("ops")
    for check in made:
        await story.world.ping(check, story.at("01:00"))
    await story.pass_to(story.at("02:15"))
    told = {one["check"]["name"]: one for one in events(story)}

    assert 2 * FEW == len(told)
    for n, check in enumerate(made):
        one = told[check.name]
        assert (3_600.0 if n % 2 else 7_200.0, "It stays down until its next success.") == (
            one["check"]["max_run"],
            one["verdict"],
        )
