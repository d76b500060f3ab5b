"""What a restored database knows that it does not know: nobody is alarmed for it, and nobody is told twice unflagged.

On both databases. The copy that went on is played by the same database, whose rows are then put back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.backup.marks import mark
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.instance import Identity, identify, refuse_while_alive
from heartfly.db.models import attempts, blind_intervals, checks, deliveries, leases, nodes, notifications
from heartfly.errors import DeliveryError, StoreError
from heartfly.monitor.blind import RESTORED
from heartfly.net.addresses import parse_allow_private
from heartfly.net.http import OutgoingHttp
from heartfly.notify.channels.base import ChannelContext, Receipt
from heartfly.notify.message import Delivery
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0, Tower
from tests.notify.post_office import PostOffice, ScriptedChannel, keys
from tests.sim_clock import SimClock
from tests.world import World, make_world

pytestmark = pytest.mark.anyio

TICK = timedelta(microseconds=1)
OUTBOX = (notifications, deliveries, attempts)


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


@pytest.fixture
async def clock() -> SimClock:
    return SimClock(T0)


@pytest.fixture
async def tower(world: World, clock: SimClock) -> Tower:
    tower = Tower(world, clock)
    await tower.watcher.join()
    await tower.watcher.round()
    return tower


async def restored(world: World, clock: SimClock, at: datetime) -> Tower:
    """Marked, and served again a minute later."""
    clock.move_to(at)
    await world.db.write(lambda tx: mark(tx, at=at))
    await world.db.write(lambda tx: tx.conn.execute(sa.delete(leases)) and None)  # it ran out long ago
    clock.move_to(at + MINUTE)
    after = Tower(world, clock, node_id=2)
    await after.watcher.join()
    await after.watcher.round()
    return after


async def blind(world: World) -> list[tuple[datetime, datetime, str]]:
    async with world.db.read() as read:
        return [(row.from_at, row.to_at, row.cause) for row in await read.execute(sa.select(blind_intervals))]


async def test_the_time_that_the_backup_does_not_know_is_one_blind_interval(
    world: World, tower: Tower, clock: SimClock
) -> None:
    await tower.go(T0 + HOUR)

    await restored(world, clock, T0 + 5 * HOUR)

    assert [(T0 + HOUR, T0 + 5 * HOUR + MINUTE, RESTORED)] == await blind(world)


async def test_a_later_start_is_an_ordinary_one(world: World, tower: Tower, clock: SimClock) -> None:
    after = await restored(world, clock, T0 + HOUR)
    await after.go(T0 + 2 * HOUR)

    await Tower(world, clock, node_id=3).watcher.join()

    assert [RESTORED] == [cause for _, to_at, cause in await blind(world) if to_at <= T0 + HOUR + MINUTE]
    if not world.db.on_postgres:  # there the second node is another one, and alive
        clock.move_to(T0 + 3 * HOUR)
        await Tower(world, clock, node_id=4).watcher.join()
        assert "Heartfly was not running" == (await blind(world))[-1][2]


async def test_no_job_is_held_for_down_that_may_have_pinged_the_other_copy(
    world: World, tower: Tower, clock: SimClock
) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    await tower.go(T0 + 30 * MINUTE)

    after = await restored(world, clock, T0 + 9 * HOUR)
    row = await world.row(check)
    assert ("up", 1) == (row.status, row.unverified_in_row)
    await world.ping(check, T0 + 9 * HOUR + 50 * MINUTE)
    await after.go(T0 + 10 * HOUR + 30 * MINUTE)

    assert "up" == (await world.row(check)).status
    assert 1 == len(await world.flips(check))


async def test_a_job_that_stays_silent_after_it_is_down(world: World, tower: Tower, clock: SimClock) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    await tower.go(T0 + 30 * MINUTE)

    after = await restored(world, clock, T0 + 9 * HOUR)
    await after.go(T0 + 10 * HOUR + 30 * MINUTE)

    assert "down" == (await world.row(check)).status


async def test_a_slot_that_was_unverified_in_the_backup_does_not_count_as_the_first_of_two(
    world: World, tower: Tower, clock: SimClock
) -> None:
    """The other copy may have heard a success in between."""
    check = await world.check(T0)
    await world.ping(check, T0)
    await tower.go(T0 + 55 * MINUTE)
    await tower.sleep_through(T0 + 75 * MINUTE)
    assert 1 == (await world.row(check)).unverified_in_row

    after = await restored(world, clock, T0 + 9 * HOUR)

    row = await world.row(check)
    assert ("up", 1) == (row.status, row.unverified_in_row)
    await after.sleep_through(T0 + 20 * HOUR)
    assert "down" == (await world.row(check)).status


async def test_what_was_due_and_not_judged_yet_is_not_told_a_second_time(
    world: World, tower: Tower, clock: SimClock
) -> None:
    """The other copy judged it a moment later, and told of it under an id that nobody here can know."""
    check = await world.check(T0)
    await world.ping(check, T0)
    deadline = T0 + HOUR + 10 * MINUTE
    await tower.go(deadline - MINUTE)
    clock.move_to(deadline + SECOND)
    # The beat is in the backup, the judging is not.
    await world.db.write(lambda tx: tower.beat.beat(tx, now=clock.now(), boottime=clock.boottime()))

    await restored(world, clock, T0 + 2 * HOUR)

    assert [(deadline, T0 + 2 * HOUR + MINUTE, RESTORED)] == await blind(world)
    row = await world.row(check)
    assert ("up", 1) == (row.status, row.unverified_in_row)


async def test_of_several_nodes_the_slowest_says_up_to_when_all_was_heard(
    world: World, tower: Tower, clock: SimClock
) -> None:
    await tower.go(T0 + HOUR)
    slow = {"started_at": T0, "beat_at": T0 + HOUR, "heard_through": T0 + HOUR - SECOND, "roles": [], "version": "x"}
    gone = slow | {"beat_at": T0, "heard_through": T0, "left_at": T0}
    await world.db.write(
        lambda tx: tx.conn.execute(sa.insert(nodes), [slow | {"id": 8, "left_at": None}, gone | {"id": 9}]) and None
    )

    await restored(world, clock, T0 + 2 * HOUR)

    assert [(T0 + HOUR - SECOND, T0 + 2 * HOUR + MINUTE, RESTORED)] == await blind(world)


async def test_a_database_that_nobody_ever_served_has_nothing_to_be_blind_for(world: World, clock: SimClock) -> None:
    await restored(world, clock, T0 + HOUR)

    assert [] == await blind(world)


async def test_the_epoch_grows_also_where_the_clock_is_wrong(db: Database) -> None:
    def begin(tx: Tx) -> list[Identity]:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        return [identify(tx), mark(tx, at=at), mark(tx, at=at - 9 * HOUR), mark(tx, at=at + HOUR)]

    found = await db.write(begin)

    assert 1 == len({one.uuid for one in found})
    epochs = [one.epoch for one in found]
    assert epochs == sorted(set(epochs))
    assert int((datetime(2026, 3, 2, tzinfo=UTC) + HOUR).timestamp()) == epochs[-1]


@pytest.mark.parametrize(("silent", "alive"), [(10 * SECOND - TICK, True), (10 * SECOND, False)])
async def test_a_living_node_is_not_restored_under(
    world: World, tower: Tower, silent: timedelta, *, alive: bool
) -> None:
    def work(tx: Tx) -> str:
        try:
            refuse_while_alive(tx, at=T0 + silent)
        except StoreError as error:
            return str(error)
        return ""

    assert alive == ("stop every node first" in await world.db.write(work))


# --- what is on its way to people


@pytest.fixture
async def post(db: Database, ids: IdSource) -> AsyncIterator[PostOffice]:
    http = OutgoingHttp(allow=parse_allow_private(value=True), own_hosts=(), user_agent="Heartfly/test")
    office = PostOffice(db, ids, ChannelContext(http=http, mail=None, clock=SimClock(T0)), T0)
    await office.open()
    yield office
    await http.aclose()


async def rows_of(db: Database) -> list[tuple[sa.Table, list[dict[str, Any]]]]:
    async with db.read() as read:
        return [(table, [dict(row._mapping) for row in await read.execute(sa.select(table))]) for table in OUTBOX]


async def put_back(db: Database, rows: list[tuple[sa.Table, list[dict[str, Any]]]], at: datetime) -> None:
    """What a restore does: the outbox is as it was, and marked."""

    def work(tx: Tx) -> None:
        for table, old in rows:
            tx.conn.execute(sa.delete(table))
            if old:
                tx.conn.execute(sa.insert(table), old)
        mark(tx, at=at)

    await db.write(work)


def flags(channel: ScriptedChannel) -> list[bool]:
    return [delivery.possible_duplicate for delivery in channel.sent]


async def test_what_was_not_packed_yet_is_told_again_under_the_same_id_and_flagged(post: PostOffice) -> None:
    channel, machine = await post.scripted(), ScriptedChannel()
    await post.alerts([channel.channel_id], ["check:1", "check:2", "check:1"])
    backup = await rows_of(post.db)
    await post.dispatcher(machine).round(T0)
    first = {json.dumps(keys([one])): one.id for one in machine.sent}
    again = ScriptedChannel()

    await put_back(post.db, backup, T0 + HOUR)
    await post.dispatcher(again, node_id=2).round(T0 + HOUR)

    assert first == {json.dumps(keys([one])): one.id for one in again.sent}
    assert ([False] * 3, [True] * 3) == (flags(machine), flags(again))
    assert ["sent"] * 3 == await post.states()


async def test_a_try_that_waits_for_its_time_is_flagged(post: PostOffice) -> None:
    async def fail(_: Delivery) -> Receipt:
        raise DeliveryError("not now")

    channel, machine = await post.scripted(), ScriptedChannel(fail)
    await post.alert([channel.channel_id])
    await post.dispatcher(machine).round(T0)
    backup = await rows_of(post.db)
    again = ScriptedChannel()

    await put_back(post.db, backup, T0 + HOUR)
    await post.dispatcher(again, node_id=2).round(T0 + HOUR)

    assert [machine.tried[0].id] == [one.id for one in again.sent]
    assert [True] == flags(again)


async def test_people_get_repeats_and_news_of_one_source_in_two_messages(post: PostOffice) -> None:
    """Under the id of a message that may have come, news would be thrown away as known."""
    channel, people = await post.scripted(), ScriptedChannel(folds_storms=True, fold_limit=100)
    old = await post.alerts([channel.channel_id], ["check:1", "check:1"])
    await put_back(post.db, await rows_of(post.db), T0 + HOUR)
    new = await post.alert([channel.channel_id], "check:1", AlertKind.UP, at=T0 + HOUR)

    await post.dispatcher(people).round(T0 + HOUR)

    assert [old, [new]] == keys(people.sent)
    assert [True, False] == flags(people)


async def test_a_storm_in_the_backup_is_folded_and_holds_no_news_up_for_good(post: PostOffice) -> None:
    channel, people = await post.scripted(), ScriptedChannel(folds_storms=True, fold_limit=5)
    old = await post.alerts([channel.channel_id], [f"check:{n}" for n in range(600)])
    backup = await rows_of(post.db)
    await post.dispatcher(people).round(T0)
    before = {one.id for one in people.sent}
    again = ScriptedChannel(folds_storms=True, fold_limit=5)
    await put_back(post.db, backup, T0 + HOUR)
    new = await post.alert([channel.channel_id], "check:1", AlertKind.UP, at=T0 + HOUR)

    dispatcher = post.dispatcher(again, node_id=2)
    await dispatcher.round(T0 + HOUR)
    await dispatcher.round(T0 + 2 * HOUR)

    assert (old, [new]) == ([key for keys_ in keys(again.sent[:-1]) for key in keys_], keys(again.sent)[-1])
    assert before == {one.id for one in again.sent[:-1]}
    assert [*([True] * (len(again.sent) - 1)), False] == flags(again)


async def test_a_machine_s_news_do_not_wait_for_repeats(post: PostOffice) -> None:
    async def stuck(delivery: Delivery) -> Receipt:
        if delivery.possible_duplicate:
            raise DeliveryError("never", permanent=False)
        return Receipt(code=200, reply="")

    channel, machine = await post.scripted(), ScriptedChannel(stuck)
    await post.alerts([channel.channel_id], ["check:1", "check:1"])
    await put_back(post.db, await rows_of(post.db), T0 + HOUR)
    new = await post.alert([channel.channel_id], "check:2", at=T0 + HOUR)

    await post.dispatcher(machine).round(T0 + HOUR)

    assert [[new]] == keys(machine.sent)


async def test_nothing_is_flagged_where_nothing_was_restored(post: PostOffice) -> None:
    channel, machine = await post.scripted(), ScriptedChannel()
    await post.alerts([channel.channel_id], ["check:1", "check:2"])

    await post.dispatcher(machine).round(T0)

    assert [False, False] == flags(machine)
    assert 2 == len({one.id for one in machine.sent})


async def test_only_what_was_undelivered_counts_as_a_possible_repeat(post: PostOffice) -> None:
    channel, machine = await post.scripted(), ScriptedChannel()
    await post.alert([channel.channel_id])
    await post.dispatcher(machine).round(T0)

    marked = await post.db.write(lambda tx: mark(tx, at=T0 + HOUR))

    assert 0 == marked.repeats_through
    assert [False] == [row.possible_duplicate for row in await post.deliveries()]


async def test_a_restore_counts_as_an_edit_of_the_checks_that_it_excuses_only(world: World, tower: Tower) -> None:
    plain, excused = await world.check(T0), await world.check(T0)

    def work(tx: Tx) -> None:
        tx.conn.execute(sa.update(checks).where(checks.c.id == excused.id).values(unverified_in_row=1))
        mark(tx, at=T0 + HOUR)

    await world.db.write(work)

    assert [(0, plain.rev), (-1, excused.rev + 1)] == [
        (row.unverified_in_row, row.rev) for row in (await world.row(plain), await world.row(excused))
    ]
