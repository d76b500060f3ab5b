"""A wall clock that was set back holds nothing back: what was to come in seconds comes in seconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.database import Database
from heartfly.db.models import attempts, deliveries
from heartfly.errors import AwayError, DeliveryError
from heartfly.notify.claim import claim
from heartfly.notify.message import Delivery
from heartfly.notify.set_back import bring_forward
from heartfly.notify.work import LEASE, Ask
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel

pytestmark = pytest.mark.anyio

NOW = at("03:10")
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


async def refuse_first(delivery: Delivery) -> None:
    if delivery.attempt == 1:
        raise DeliveryError("the receiver answered 500", code=500)


async def put_right(post: PostOffice, now: datetime) -> set[tuple[datetime | None, datetime | None]]:
    await post.db.write(lambda tx: bring_forward(tx, now=now))
    return {(row.next_at, row.lease_until) for row in await post.deliveries()}


@pytest.mark.parametrize("back", [10 * SECOND, HOUR, 24 * HOUR])
@pytest.mark.parametrize("restarted", [False, True])
async def test_the_next_try_comes_when_it_was_to_come(post: PostOffice, back: timedelta, *, restarted: bool) -> None:
    scripted, channel = ScriptedChannel(refuse_first), await post.scripted()
    await post.alert([channel.channel_id])
    dispatcher = post.dispatcher(scripted)
    due = await dispatcher.round(NOW)
    assert due is not None

    if restarted:
        dispatcher = post.dispatcher(scripted)
    again = await dispatcher.round(NOW - back)

    assert again is not None
    assert abs(due - back - again) < SECOND
    assert await dispatcher.round(again) is None
    assert [2] == [delivery.attempt for delivery in scripted.sent]


class TakesNothing:
    """A database whose next write is refused."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.refuses = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def write(self, command: Any, **rest: Any) -> Any:
        if self.refuses:
            self.refuses = False
            raise AwayError("the database is away")
        return await self._db.write(command, **rest)


async def test_a_clock_that_was_set_back_while_the_database_was_away_holds_nothing_back_either(
    post: PostOffice,
) -> None:
    scripted, channel, db = ScriptedChannel(refuse_first), await post.scripted(), TakesNothing(post.db)
    await post.alert([channel.channel_id])
    dispatcher = post.dispatcher(scripted, db=db)
    due = await dispatcher.round(NOW)
    assert due is not None
    db.refuses = True
    with pytest.raises(AwayError):
        await dispatcher.round(NOW - HOUR)

    again = await dispatcher.round(NOW - HOUR)

    assert again is not None
    assert abs(due - HOUR - again) < SECOND


async def test_a_pace_holds_back_for_its_own_time_and_no_longer(post: PostOffice) -> None:
    scripted, channel = ScriptedChannel(min_interval_s=1.0), await post.scripted()
    dispatcher = post.dispatcher(scripted)
    await post.alert([channel.channel_id], "check:1")
    await dispatcher.round(NOW)

    half_an_hour_ago = NOW - HOUR / 2
    await post.alert([channel.channel_id], "check:2", at=half_an_hour_ago)
    due = await dispatcher.round(half_an_hour_ago)

    assert due is not None
    assert half_an_hour_ago < due <= half_an_hour_ago + SECOND
    await dispatcher.round(due)
    assert 2 == len(scripted.sent)


async def test_the_lease_of_a_sender_that_is_gone_ends_in_its_time(post: PostOffice) -> None:
    channel = await post.scripted()
    await post.alert([channel.channel_id])
    ask = Ask(pid=post.pid, channel_id=channel.channel_id, room=8, due=True, fresh=True, folds=False)
    await post.db.write(lambda tx: claim(tx, [ask], now=NOW, node_id=2, rules=post.rules, ids=post.ids))

    assert {(NOW - HOUR + LEASE, NOW - HOUR + LEASE)} == await put_right(post, NOW - HOUR)


async def test_what_was_planned_and_not_tried_yet_keeps_its_turn(post: PostOffice) -> None:
    channel = await post.scripted()
    people = ScriptedChannel(folds_storms=True, fold_limit=30, min_interval_s=1.0)
    await post.alerts([channel.channel_id], [f"check:{n}" for n in range(60)])
    await post.dispatcher(people).round(NOW)
    assert {None, NOW + SECOND} == {row.next_at for row in await post.deliveries()}

    assert {(None, None), (NOW - HOUR + SECOND, None)} == await put_right(post, NOW - HOUR)


async def test_what_waits_by_a_clock_that_is_right_waits_on(post: PostOffice) -> None:
    scripted, channel = ScriptedChannel(refuse_first), await post.scripted()
    await post.alert([channel.channel_id])
    due = await post.dispatcher(scripted).round(NOW)

    assert {(due, None)} == await put_right(post, NOW + SECOND)


@pytest.mark.parametrize("back", [10 * SECOND, HOUR])
async def test_what_several_nodes_put_right_one_after_another_is_put_right_once(
    post: PostOffice, back: timedelta
) -> None:
    scripted, channel = ScriptedChannel(refuse_first), await post.scripted()
    people = ScriptedChannel(folds_storms=True, fold_limit=30, min_interval_s=1.0)
    other = await post.scripted()
    await post.alert([channel.channel_id])
    due = await post.dispatcher(scripted).round(NOW)
    await post.alerts([other.channel_id], [f"check:{n}" for n in range(60)])
    await post.dispatcher(people).round(NOW)
    assert due is not None

    first = await put_right(post, NOW - back)

    assert first == await put_right(post, NOW - back)
    assert first == await put_right(post, NOW - back + SECOND)
    assert due - back in {at for at, _ in first}


async def test_a_clock_that_is_set_back_again_holds_nothing_back_either(post: PostOffice) -> None:
    scripted, channel = ScriptedChannel(refuse_first), await post.scripted()
    await post.alert([channel.channel_id])
    due = await post.dispatcher(scripted).round(NOW)
    assert due is not None
    await put_right(post, NOW - HOUR)

    assert {(due - 2 * HOUR, None)} == await put_right(post, NOW - 2 * HOUR)


async def test_what_somebody_has_sent_again_is_sent_at_once(post: PostOffice) -> None:
    channel = await post.scripted()
    scripted = ScriptedChannel(refuse_first)
    await post.alert([channel.channel_id])
    await post.dispatcher(scripted).round(NOW)
    await post.db.write(
        lambda tx: tx.conn.execute(sa.update(attempts).values(retry_at=None)) and tx.conn.execute(
            sa.update(deliveries).values(next_at=NOW)
        ) and None
    )  # fmt: skip

    assert {(NOW - HOUR, None)} == await put_right(post, NOW - HOUR)
