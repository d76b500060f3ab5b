"""Each down span of a check has one incident, written with the flips that begin and end it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.checks import commands
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, flips, incidents
from heartfly.incidents import spans
from heartfly.notify.peace import begin_was_told
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0, Tower
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.world import SEALER, TEST, World, make_world

pytestmark = pytest.mark.anyio

GATES = '[{"metric":"rows","op":">","value":"0","level":"warn"}]'
FAIL, SUCCESS = PingKind.FAIL, PingKind.SUCCESS


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


@pytest.fixture
async def tower(world: World) -> Tower:
    tower = Tower(world, SimClock(T0))
    await tower.watcher.join()
    return tower


async def incidents_of(world: World) -> list[Any]:
    return await world._all(sa.select(incidents).order_by(incidents.c.id))


async def told(world: World) -> list[tuple[str, str | None]]:
    found = await world._all(sa.select(alerts.c.kind, alerts.c.payload).order_by(alerts.c.id))
    return [(row.kind, row.payload["incident"]) for row in found]


async def channel(world: World) -> None:
    """Somebody who hears of every check; nothing is sent in these tests."""
    from heartfly.notify.commands import create_channel  # noqa: PLC0415 - only here

    config = {"url": "https://hooks.example.com/x"}
    await world.db.write(
        lambda tx: create_channel(
            tx, world.project.pid, kind="webhook", name="ops", config=config, at=T0, ids=world.ids, sealer=SEALER
        )
    )


async def test_a_failure_opens_an_incident_and_a_success_closes_it(world: World) -> None:
    check = await world.check(T0, name="backup")
    await channel(world)
    await world.ping(check, T0)
    await world.ping(check, T0 + MINUTE, FAIL, exit_status=7)

    (opened,) = await incidents_of(world)
    await world.ping(check, T0 + 3 * MINUTE)
    (closed,) = await incidents_of(world)

    assert (T0 + MINUTE, None, "exit_status", None) == (
        opened.opened_at,
        opened.closed_at,
        opened.cause,
        opened.ended_by,
    )
    assert ("check", check.id, check.uuid, "backup", "The job ended with exit status 7.") == (
        opened.source_kind,
        opened.source_id,
        opened.source_uuid,
        opened.source_name,
        opened.explain,
    )
    assert (opened.id, opened.uuid, T0 + MINUTE, T0 + 3 * MINUTE, "success", False) == (
        closed.id,
        closed.uuid,
        closed.opened_at,
        closed.closed_at,
        closed.ended_by,
        closed.disproved,
    )
    assert [None, closed.id, closed.id] == [flip.incident_id for flip in await world.flips(check)]
    assert [("check.down", closed.uuid), ("check.up", closed.uuid)] == await told(world)


async def test_silence_opens_one_at_the_deadline(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    await tower.go(T0 + 3 * HOUR)

    (found,) = await incidents_of(world)

    assert (T0 + HOUR + 10 * MINUTE, "missed", None) == (found.opened_at, found.cause, found.closed_at)
    assert "A success was expected at 2026-03-02 11:00:00 UTC (every 1 h)" in found.explain


async def test_what_is_down_already_goes_down_no_further(world: World) -> None:
    check = await world.check(T0)
    for n in range(3):
        await world.ping(check, T0 + n * MINUTE, FAIL)

    assert 1 == len(await incidents_of(world))


async def test_data_that_only_warn_close_it_and_open_none(world: World) -> None:
    check = await world.check(T0, gates=GATES)
    await world.ping(check, T0, FAIL)
    await world.ping(check, T0 + MINUTE, body=b"rows=0")
    await world.ping(check, T0 + 2 * MINUTE, body=b"rows=1")

    (found,) = await incidents_of(world)

    assert (T0 + MINUTE, "gate", False) == (found.closed_at, found.ended_by, found.disproved)
    assert [found.id, found.id, None] == [flip.incident_id for flip in await world.flips(check)]


async def test_a_pause_closes_it(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0, FAIL)
    await world.db.write(
        lambda tx: commands.pause(tx, check.pid, check.uuid, at=T0 + MINUTE, ids=world.ids, actor=TEST)
    )
    await world.ping(check, T0 + 2 * MINUTE)

    (found,) = await incidents_of(world)

    assert (T0 + MINUTE, "paused") == (found.closed_at, found.ended_by)


async def test_a_deletion_closes_it_tells_nobody_and_leaves_it(world: World) -> None:
    check, other = await world.check(T0), await world.check(T0)
    await channel(world)
    for one in (check, other):
        await world.ping(one, T0, FAIL)
    before = await told(world)

    await world.db.write(
        lambda tx: commands.delete(tx, check.pid, check.uuid, at=T0 + MINUTE, ids=world.ids, actor=TEST)
    )

    gone, kept = await incidents_of(world)
    assert (T0 + MINUTE, "deleted", check.uuid) == (gone.closed_at, gone.ended_by, gone.source_uuid)
    assert (None, None, other.uuid) == (kept.closed_at, kept.ended_by, kept.source_uuid)
    assert before == await told(world)


async def test_a_deletion_by_a_clock_that_was_set_back_does_not_end_it_before_it_began(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0, FAIL)

    await world.db.write(lambda tx: commands.delete(tx, check.pid, check.uuid, at=T0 - HOUR, ids=world.ids, actor=TEST))

    assert [T0] == [one.closed_at for one in await incidents_of(world)]


async def test_an_alarm_that_is_taken_back_was_no_incident_and_says_so(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await channel(world)
    await world.ping(check, T0, seq=1)
    deadline = T0 + HOUR + 10 * MINUTE
    await tower.go(deadline)
    await world.ping(check, deadline - SECOND, seq=2)

    (found,) = await incidents_of(world)

    assert (True, "retracted", deadline, deadline) == (
        found.disproved,
        found.ended_by,
        found.opened_at,
        found.closed_at,
    )
    assert [("check.down", found.uuid), ("check.up", found.uuid)] == await told(world)


async def test_one_that_is_taken_back_by_data_that_warn_is_disproved_too(world: World, tower: Tower) -> None:
    check = await world.check(T0, gates=GATES)
    await world.ping(check, T0, body=b"rows=1", seq=1)
    deadline = T0 + HOUR + 10 * MINUTE
    await tower.go(deadline)
    await world.ping(check, deadline - SECOND, body=b"rows=0", seq=2)

    assert [(True, "gate")] == [(one.disproved, one.ended_by) for one in await incidents_of(world)]


async def test_a_failure_that_was_heard_of_too_late_is_an_incident_that_is_over(world: World) -> None:
    check = await world.check(T0)
    await channel(world)
    await world.ping(check, T0, seq=1)
    await world.ping(check, T0 + 20 * MINUTE, seq=9)
    await world.ping(check, T0 + 10 * MINUTE, FAIL, seq=5)

    (found,) = await incidents_of(world)

    assert (T0 + 10 * MINUTE, T0 + 20 * MINUTE, "fail", "success", False) == (
        found.opened_at,
        found.closed_at,
        found.cause,
        found.ended_by,
        found.disproved,
    )
    assert [None, found.id, found.id] == [flip.incident_id for flip in await world.flips(check)]
    assert [("check.up", found.uuid)] == await told(world)


async def test_each_down_span_of_a_batch_has_its_own(world: World) -> None:
    check, other = await world.check(T0 - HOUR), await world.check(T0 - HOUR)
    kinds = [FAIL, SUCCESS, FAIL, SUCCESS, FAIL]
    await world.ping(check, T0 - MINUTE, FAIL)  # what is open before the batch goes on in it
    requests = [
        world.request(one, T0 + n * MINUTE + by, kind)
        for n, kind in enumerate(kinds)
        for one, by in ((check, timedelta()), (other, SECOND))
    ]
    await world.pings(requests)

    found = await incidents_of(world)
    of_check = [(one.opened_at, one.closed_at) for one in found if one.source_id == check.id]
    of_other = [(one.opened_at, one.closed_at) for one in found if one.source_id == other.id]
    first, second, third = ((T0 + a * MINUTE, T0 + b * MINUTE) for a, b in ((0, 1), (2, 3), (4, 5)))
    assert [(T0 - MINUTE, first[1]), second, (third[0], None)] == of_check
    assert [(first[0] + SECOND, first[1] + SECOND), (second[0] + SECOND, second[1] + SECOND)] == of_other[:2]
    assert [(third[0] + SECOND, None)] == of_other[2:]
    # flips of a check: down, up, down, up, down; each span's two share its incident
    numbers = [flip.incident_id for flip in await world.flips(other)]
    assert (numbers[0], numbers[2]) == (numbers[1], numbers[3])
    assert 3 == len(set(numbers))
    assert {one.id for one in found} == {
        row.incident_id for row in await world._all(sa.select(flips.c.incident_id)) if row.incident_id
    }


async def test_a_check_that_went_down_before_there_were_incidents_comes_up_without_one(world: World) -> None:
    check = await world.check(T0)
    await channel(world)
    await world.ping(check, T0, FAIL)
    await world.db.write(lambda tx: tx.conn.execute(sa.delete(incidents)) and None)

    result = await world.ping(check, T0 + MINUTE)

    assert "up" == result.flipped_to
    assert [] == await incidents_of(world)
    assert ("check.up", None) == (await told(world))[-1]
    assert (await world.flips(check))[-1].incident_id is None


async def test_one_that_a_version_without_incidents_left_open_ends_where_the_next_begins(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0, FAIL)
    await world.ping(check, T0 + MINUTE)
    # As if the success had been taken by a node that knew nothing of incidents.
    reopened = sa.update(incidents).values(closed_at=None, ended_by=None)
    await world.db.write(lambda tx: tx.conn.execute(reopened) and None)

    await world.ping(check, T0 + 2 * MINUTE, FAIL)

    first, second = await incidents_of(world)
    assert (T0 + 2 * MINUTE, None) == (first.closed_at, first.ended_by)
    assert (T0 + 2 * MINUTE, None) == (second.opened_at, second.closed_at)
    assert second.id == (await world.flips(check))[-1].incident_id


async def test_the_database_itself_takes_one_open_incident_of_a_check_only(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0, FAIL)
    (found,) = await incidents_of(world)
    twin = found._asdict() | {"id": found.id + 1, "uuid": "another"}

    with pytest.raises(sa.exc.IntegrityError):
        await world.db.write(lambda tx: tx.conn.execute(sa.insert(incidents).values(twin)) and None)
    await world.db.write(lambda tx: tx.conn.execute(sa.insert(incidents).values(twin | {"closed_at": T0})) and None)


@asynccontextmanager
async def traced(db: Database) -> AsyncIterator[list[str]]:
    """Every statement of writers, also those that go straight to their driver, but for the numbers of batches."""
    said: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if "node_batches" not in statement:
            said.append(statement)

    def trace(callback: Any) -> Any:
        return lambda tx: tx.conn.connection.driver_connection.set_trace_callback(callback)

    if db.on_postgres:
        sa.event.listen(db.engine, "before_cursor_execute", note)
    else:
        await db.write(trace(said.append))
    try:
        yield said
    finally:
        if db.on_postgres:
            sa.event.remove(db.engine, "before_cursor_execute", note)
        else:
            await db.write(trace(None))


async def test_a_ping_that_flips_nothing_or_nothing_down_sends_no_statement_about_incidents(world: World) -> None:
    check, other = await world.check(T0), await world.check(T0, gates=GATES)

    async def statements(check: Any, at: Any, kind: PingKind = SUCCESS, **rest: Any) -> list[str]:
        async with traced(world.db) as said:
            await world.db.write(lambda tx: world.applier.apply(tx, [world.request(check, at, kind, **rest)]))
        return said

    first = await statements(check, T0)
    plain = await statements(check, T0 + MINUTE)
    warned = await statements(other, T0, body=b"rows=0")
    failed = await statements(check, T0 + 2 * MINUTE, FAIL)
    failed_again = await statements(check, T0 + 3 * MINUTE, FAIL)

    def about(said: list[str]) -> int:
        return sum("incidents" in statement for statement in said)

    assert [0, 0, 0, 2, 0] == [about(said) for said in (first, plain, warned, failed, failed_again)]
    # the check with its address, its new life, its run, the ping
    assert 4 == len([one for one in plain if not one.startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))]), plain


async def test_open_incidents_are_found_by_their_index(world: World) -> None:
    def plan(tx: Tx) -> str:
        if tx.on_postgres:
            tx.conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        asked = spans._OPEN._plan(tx)
        explain = "EXPLAIN " if tx.on_postgres else "EXPLAIN QUERY PLAN "
        lists = [1, 2]
        values = asked.parameters([{"pids": lists, "ids": lists}])[0]
        return "\n".join(str(tuple(row)) for row in tx.conn.exec_driver_sql(explain + asked.sql, _given(values)))

    assert "uq_incidents_open" in await world.db.write(plan)


def _given(values: Any) -> Any:
    return tuple(values) if isinstance(values, list) else values


@on_sqlite
async def test_who_was_told_that_it_began_is_found_by_keys_however_much_was_ever_told(world: World) -> None:
    check = await world.check(T0)
    await channel(world)
    await world.ping(check, T0, FAIL)

    def work(tx: Tx) -> None:
        world.applier.apply(tx, [world.request(check, T0 + MINUTE)])
        begin_was_told(tx, check.pid, 1, f"flip:{check.id}:2")

    async with traced(world.db) as said:
        await world.db.write(work)

    def plan(tx: Tx) -> list[str]:
        asked = [one for one in said if "FROM notifications" in one.replace("\n", " ") and one.startswith("SELECT")]
        plans = [tx.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}").all() for one in asked]
        return [row[3] for plan in plans for row in plan]

    lines = [line for line in await world.db.write(plan) if "notifications" in line]

    assert 2 <= len(lines)
    assert [] == [line for line in lines if not re.search(r"alert_id=\?|ix_notifications_(pending|held)", line)]
