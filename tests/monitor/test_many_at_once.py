"""Checks that fall silent at one time are written by columns: the rows are those that each would have by itself."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import (
    alerts,
    blind_intervals,
    channels,
    check_channels,
    checks,
    flips,
    incidents,
    notifications,
    runs,
)
from heartfly.monitor.judge import Judge
from heartfly.notify.peace_commands import Asked, make
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0
from tests.one_database import on_sqlite
from tests.remembered import once
from tests.world import TEST, World, make_world

pytestmark = pytest.mark.anyio

NOW = T0 + 5 * HOUR
N = 60
ALONE = 8
"""Fewer than are judged as one."""
SOME = 20
"""More, and of all only a part."""
MANY = 20


async def lives(world: World, seed: int) -> None:
    """Most missed a slot; some wait for a run, were excused, are new or degraded, or have an incident left open."""
    await once(world.db, world.ids, (__name__, seed), lambda: _lives(world, random.Random(seed)))


async def _lives(world: World, draw: random.Random) -> None:
    for n in range(N):
        every = draw.choice([HOUR, 90 * MINUTE])
        rules: dict[str, Any] = {"every": every}
        if draw.random() < 0.5:
            rules |= {"kind": "cron", "expression": draw.choice(["0 * * * *", "15 * * * *"]), "zone": "Europe/Berlin"}
        check = await world.check(T0, tags=["nightly", f"n{n % 3}"], description=f"does {n}", **rules)
        if n % 10 == 9:
            continue
        for _ in range(draw.randrange(1, 4)):
            await world.ping(check, T0 + draw.randrange(3_600) * SECOND, draw.choice([PingKind.SUCCESS, PingKind.FAIL]))
        if n % 7:
            await world.ping(check, T0 + HOUR + draw.randrange(60) * SECOND)
        if n % 12 == 0:
            await world.ping(check, T0 + HOUR + 70 * SECOND, PingKind.START)
    await world.db.write(lambda tx: _estrange(tx, world, draw))


def _estrange(tx: Tx, world: World, draw: random.Random) -> None:
    ids = [row.id for row in tx.conn.execute(sa.select(checks.c.id).order_by(checks.c.id))]
    change = sa.update(checks).where(checks.c.id == sa.bindparam("of"))
    tx.conn.execute(change.values(unverified_in_row=1), [{"of": id_} for id_ in ids[3::11]])
    tx.conn.execute(change.values(wants_late=True), [{"of": id_} for id_ in ids[::4]])
    tx.conn.execute(change.values(status="degraded").where(checks.c.status == "up"), [{"of": id_} for id_ in ids[::5]])
    template = {
        "pid": world.project.pid, "source_kind": "check", "source_uuid": "x", "source_name": "x", "explain": "",
        "opened_at": T0, "cause": "fail", "disproved": False,
    }  # fmt: skip
    known = {row.source_id for row in tx.conn.execute(sa.select(incidents).where(incidents.c.closed_at.is_(None)))}
    for id_ in [id_ for id_ in ids[4::13] if id_ not in known]:
        tx.conn.execute(
            sa.insert(incidents).values(id=world.ids.next(T0), uuid=f"left-{id_}", source_id=id_, **template)
        )
    for number, events in enumerate([["check.down", "check.late"], ["check.up"], ["check.down"]]):
        tx.conn.execute(
            sa.insert(channels).values(
                pid=world.project.pid, id=number + 1, uuid=f"c{number}", kind="webhook", name=f"c{number}",
                config_enc=b"", events=events, created_at=T0, rev=1,
            )
        )  # fmt: skip
        heard = [{"check_id": id_} for id_ in ids if draw.random() < 0.5]
        tx.conn.execute(
            sa.insert(check_channels).values(pid=world.project.pid, channel_id=number + 1, events=None), heard
        )


def _judged(tx: Tx, world: World, batch: int) -> tuple[int, Mapping[str, Any]]:
    """How many flips came of it, and every row that is there then; nothing of it stays."""
    undone, judge, n_flips = tx.conn.begin_nested(), Judge(ids=world.ids, batch=batch), 0
    full = True
    while full:
        judged = judge.judge(tx, through=NOW, now=NOW)
        full = judged.full
        n_flips += judged.flips
    found = _rows(tx)
    undone.rollback()
    return n_flips, found


def _rows(tx: Tx) -> Mapping[str, Any]:
    """Every row that judging writes, but for the ids that it makes up: those must lead to the right ones."""

    def whole(query: sa.Select[Any]) -> list[dict[str, Any]]:
        return sorted((dict(row) for row in tx.conn.execute(query).mappings()), key=repr)

    def without(table: sa.Table, *names: str) -> list[sa.ColumnElement[Any]]:
        return [column for column in table.c if column.name not in names]

    of_run = sa.and_(runs.c.pid == flips.c.pid, runs.c.check_id == flips.c.check_id, runs.c.id == flips.c.run_id)
    of_flip = sa.and_(incidents.c.pid == flips.c.pid, incidents.c.id == flips.c.incident_id)
    told = whole(sa.select(*without(alerts, "id")))
    uuids = {row.uuid: row.source_id for row in tx.conn.execute(sa.select(incidents.c.uuid, incidents.c.source_id))}
    for one in told:
        one["payload"] = {**one["payload"], "incident": uuids.get(one["payload"]["incident"])}
    return {
        "checks": whole(sa.select(checks)),
        "runs": whole(sa.select(*without(runs, "id"))),
        "flips": whole(
            sa.select(*without(flips, "run_id", "incident_id"), runs.c.slot_at, runs.c.outcome, incidents.c.source_id)
            .join(runs, of_run, isouter=True)
            .join(incidents, of_flip, isouter=True)
        ),
        "incidents": whole(sa.select(*without(incidents, "id", "uuid"))),
        "alerts": told,
        "notifications": whole(
            sa.select(*without(notifications, "alert_id"), alerts.c.key).join(
                alerts, sa.and_(alerts.c.pid == notifications.c.pid, alerts.c.id == notifications.c.alert_id)
            )
        ),
    }


@pytest.mark.parametrize("deaf", [None, (T0 - 2 * HOUR, T0 - HOUR), (T0 + 2 * HOUR, T0 + 2 * HOUR + MINUTE)])
@pytest.mark.parametrize("seed", [1, 2])
async def test_each_gets_the_rows_that_it_would_have_by_itself(
    world: World, seed: int, deaf: tuple[datetime, datetime] | None
) -> None:
    await lives(world, seed)

    def work(tx: Tx) -> list[tuple[int, Mapping[str, Any]]]:
        if deaf is not None:
            values = {"id": 1, "node_id": 1, "from_at": deaf[0], "to_at": deaf[1], "cause": "silence"}
            tx.conn.execute(sa.insert(blind_intervals).values(values))
        return [_judged(tx, world, batch) for batch in (ALONE, 500)]

    (n_alone, alone), (n_together, together) = await world.db.write(work)

    assert n_alone == n_together
    assert n_alone > N // 2 or deaf is not None
    for name, rows in alone.items():
        assert rows == together[name], f"seed={seed} {name}"


async def test_new_checks_are_excused_as_each_would_be_by_itself(world: World) -> None:
    """The first ping of each may have come long before the instant by which it is wanted."""
    made = [await world.check(T0, every=24 * HOUR) for _ in range(N)]

    def work(tx: Tx) -> list[tuple[int, Mapping[str, Any]]]:
        wanted = {"expected_at": NOW - MINUTE, "goes_down_at": NOW - MINUTE, "wake_at": NOW - MINUTE}
        tx.conn.execute(sa.update(checks).where(checks.c.id.in_([check.id for check in made])).values(wanted))
        deaf = {"id": 1, "node_id": 1, "from_at": T0 + HOUR, "to_at": T0 + 2 * HOUR, "cause": "silence"}
        tx.conn.execute(sa.insert(blind_intervals).values(deaf))
        return [_judged(tx, world, batch) for batch in (ALONE, 500)]

    (n_alone, alone), (n_together, together) = await world.db.write(work)
    assert (0, 0) == (n_alone, n_together)
    assert alone == together


@on_sqlite
async def test_a_thousand_take_few_statements(world: World) -> None:
    """What they cost beside the rows that are written does not grow with them. That driver tells each statement."""
    counts = []
    for n in (100, 400):
        made = [await world.check(T0) for _ in range(n)]
        await world.pings([world.request(check, T0 + SECOND) for check in made])
        at = T0 + 2 * HOUR

        def work(tx: Tx, at: datetime = at) -> int:
            seen: list[str] = []
            driver = tx.conn.connection.driver_connection
            assert driver is not None
            driver.set_trace_callback(seen.append)
            Judge(ids=world.ids, batch=1_000).judge(tx, through=at, now=at)
            driver.set_trace_callback(None)
            return len(seen)

        counts.append(await world.db.write(work))
    assert 0 < counts[1] <= 2 * counts[0]


@pytest.mark.parametrize(("batch", "n_others"), [(ALONE, MANY), (500, MANY), (500, 0)])
async def test_of_many_those_in_unjudged_time_are_left_alone_and_all_others_are_judged(
    world: World, ids: IdSource, batch: int, n_others: int
) -> None:
    other = await make_world(world.db, ids, T0, slug="other")
    mine, theirs = [await world.check(T0) for _ in range(MANY)], [await other.check(T0) for _ in range(n_others)]
    for one, made in ((world, mine), (other, theirs)):
        await one.pings([one.request(check, T0) for check in made])
    window = Asked(
        kind="maintenance", scope="project", effect="ignore", from_at=T0 + HOUR, to_at=T0 + 3 * HOUR
    )  # fmt: skip
    await world.db.write(lambda tx: make(tx, world.project.pid, window, at=T0, actor=TEST, ids=ids) and None)

    def judge(tx: Tx, at: datetime) -> int:
        judge, n_flips, full = Judge(ids=ids, batch=batch), 0, True
        while full:
            judged = judge.judge(tx, through=at, now=at)
            n_flips, full = n_flips + judged.flips, judged.full
        return n_flips

    assert n_others == await world.db.write(lambda tx: judge(tx, T0 + 2 * HOUR))
    assert n_others == [(await other.row(check)).status for check in theirs].count("down")
    assert {("up", T0 + 3 * HOUR)} == {(row.status, row.wake_at) for row in [await world.row(check) for check in mine]}
    assert 0 == await world.db.write(lambda tx: judge(tx, T0 + 3 * HOUR))
    assert {"up"} == {(await world.row(check)).status for check in mine}
    assert MANY == await world.db.write(lambda tx: judge(tx, T0 + 5 * HOUR))


async def of_hosts(world: World) -> None:
    """Two hosts die. On a third one something goes well later. Half of the jobs go down two hours after the rest."""
    for n in range(N):
        host = {0: "db-1", 1: "db-2", 2: "alive"}.get(n % 4, "")
        grace = 10 * MINUTE if n < N // 2 else 2 * HOUR
        check = await world.check(T0, host=host if n % 8 else "", grace=grace, name=f"job-{n}")
        await world.ping(check, T0 + n * SECOND, host=host if n % 8 == 0 else "")
    well = await world.check(T0, host="alive", every=24 * HOUR)
    await world.ping(well, T0 + 2 * HOUR)


def _of_hosts(tx: Tx, world: World, batch: int) -> list[set[Any]]:
    undone, judge = tx.conn.begin_nested(), Judge(ids=world.ids, batch=batch)
    cause = incidents.alias()
    for through in (T0 + 2 * HOUR, NOW):
        while judge.judge(tx, through=through, now=through).full:
            pass
        # Somebody takes care of one host, before the second half of its jobs goes down.
        taken = sa.update(incidents).where(incidents.c.source_name == "db-2")
        tx.conn.execute(taken.values(acked_at=through, acked_by="user:ada"))
    of_it = sa.and_(cause.c.pid == incidents.c.pid, cause.c.id == incidents.c.part_of)
    names = ("source_kind", "source_name", "opened_at", "joined_at", "acked_at", "acked_by", "explain")
    columns = [incidents.c[name] for name in names]
    members = {
        tuple(row)
        for row in tx.conn.execute(sa.select(*columns, cause.c.source_name, cause.c.opened_at).outerjoin(cause, of_it))
    }
    told = set()
    for row in tx.conn.execute(sa.select(alerts.c.payload)):
        about, by = row.payload["check"], row.payload["cause"]
        told.add((about["name"], about["host"], None if by is None else (by["what"], by["name"], by["is_root"])))
    undone.rollback()
    return [members, told]


@on_sqlite
async def test_on_a_host_that_is_well_the_last_of_many_takes_what_the_first_did(world: World) -> None:
    """What else is down on it is not read again and again. In steps of that database's machine, a thousand each."""
    made = [await world.check(T0, host="alive", name=f"job-{n}") for n in range(200)]
    await world.pings([world.request(check, T0 + SECOND) for check in made])
    well = await world.check(T0, host="alive", every=24 * HOUR)
    await world.ping(well, T0 + 2 * HOUR)

    def work(tx: Tx) -> list[int]:
        driver, judge, taken = tx.conn.connection.driver_connection, Judge(ids=world.ids, batch=SOME), []
        assert driver is not None
        for _ in range(len(made) // SOME):
            steps: list[None] = []
            driver.set_progress_handler(lambda steps=steps: steps.append(None), 1_000)
            assert SOME == judge.judge(tx, through=T0 + 2 * HOUR, now=T0 + 2 * HOUR).flips
            taken.append(len(steps))
        driver.set_progress_handler(None, 0)
        return taken

    taken = await world.db.write(work)
    assert 0 < taken[-1] <= taken[0]


async def test_those_of_hosts_belong_to_the_causes_that_each_would_by_itself(world: World) -> None:
    await of_hosts(world)

    def work(tx: Tx) -> list[list[set[Any]]]:
        tx.conn.execute(
            sa.insert(channels).values(
                pid=world.project.pid, id=1, uuid="c", kind="webhook", name="c", config_enc=b"", events=["check.down"],
                created_at=T0, rev=1,
            )
        )  # fmt: skip
        heard = [{"check_id": row.id} for row in tx.conn.execute(sa.select(checks.c.id))]
        tx.conn.execute(sa.insert(check_channels).values(pid=world.project.pid, channel_id=1, events=None), heard)
        return [_of_hosts(tx, world, batch) for batch in (ALONE, SOME, 500)]

    alone, in_turn, together = await world.db.write(work)

    assert alone == in_turn == together
    members, told = together
    by_cause = [row[-2] for row in members]
    # On the third host all goes well until later; what is silent since then is its cause.
    assert (15, 15, 8, 15 + 7 + 3) == tuple(by_cause.count(name) for name in ("db-1", "db-2", "alive", None))
    acked = [row for row in members if row[5] is not None]
    assert N // 8 < len(acked) <= N // 4 + 1
    assert N == len(told)
    hosts = {("host", name, False) for name in ("db-1", "db-2", "alive")}
    assert hosts | {None} == {cause for _, _, cause in told}
