"""A demo is as it would be had it been lived through: flips, runs, incidents and daily sums tell one story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.commands import create_project
from heartfly.checks.backtest import history_of
from heartfly.checks.learned import learned
from heartfly.db import models as tables
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.tenant import is_secret
from heartfly.demo.fill import BIG, DEMO, EMPTY, Filled, Size, fill
from heartfly.errors import ConflictError
from heartfly.jobs.daily_sums import sum_days
from heartfly.monitor.judge import Judge
from heartfly.web.shown import shown_status
from tests.demo_data import DEMO_NOW
from tests.world import SEALER

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 20, 3, 11, 4, tzinfo=UTC)
SMALL = Size(26, 20)
T = TypeVar("T")


def filling(size: Size = SMALL, *, seed: int = 1, now: datetime = NOW) -> Callable[[Tx], Filled]:
    return lambda tx: fill(tx, size, seed=seed, now=now, sealer=SEALER, password_hash="-")


async def all_of(db: Database, query: sa.Select[Any]) -> list[Any]:
    async with db.read() as read:
        return list((await read.execute(query)).all())


class _NotKept(Exception):  # noqa: N818 - no error, but the way out of a transaction
    pass


async def contents(db: Database, filler: Callable[[Tx], Filled]) -> dict[str, list[Any]]:
    """What the tables would hold, but for what is secret. Nothing is kept."""
    found: dict[str, list[Any]] = {}

    def work(tx: Tx) -> None:
        filler(tx)
        for table in (tables.checks, tables.runs, tables.flips, tables.incidents, tables.attempts, tables.check_days,
                      tables.channels, tables.alerts, tables.incident_notes):  # fmt: skip
            told = [column for column in table.c if not is_secret(column)]
            found[table.name] = sorted(map(repr, tx.conn.execute(sa.select(*told)).all()))
        raise _NotKept

    with pytest.raises(_NotKept):
        await db.write(work)
    return found


async def test_the_same_seed_and_clock_make_the_same_data_and_others_make_others(db: Database) -> None:
    first = await contents(db, filling())

    assert first == await contents(db, filling())
    other = await contents(db, filling(seed=2))
    later = await contents(db, filling(now=NOW + timedelta(minutes=7)))
    for name in ("checks", "runs", "flips"):
        assert first[name] != other[name]
        assert first[name] != later[name]


async def test_flips_follow_on_one_another_and_each_down_span_is_an_incident(db: Database) -> None:
    await db.write(filling())
    flips = await all_of(db, sa.select(tables.flips).order_by(tables.flips.c.check_id, tables.flips.c.flip_no))
    checks = {row.id: row for row in await all_of(db, sa.select(tables.checks))}
    incidents = {row.id: row for row in await all_of(db, sa.select(tables.incidents))}

    assert len(flips) > 15
    status, opened = dict.fromkeys(checks, "new"), dict.fromkeys(checks, 0)
    for flip in flips:
        assert status[flip.check_id] == flip.from_status
        status[flip.check_id] = flip.to_status
        opened[flip.check_id] += flip.to_status == "down"
        if flip.to_status == "down":
            assert (flip.at, flip.reason) == (incidents[flip.incident_id].opened_at, incidents[flip.incident_id].cause)
        elif flip.from_status == "down":
            assert (flip.at, flip.reason) == (
                incidents[flip.incident_id].closed_at,
                incidents[flip.incident_id].ended_by,
            )
    assert status == {check_id: row.status for check_id, row in checks.items()}
    assert Counter(one.source_id for one in incidents.values()) == +Counter(opened)
    still_open = [one.source_id for one in incidents.values() if one.closed_at is None]
    assert [check_id for check_id, row in checks.items() if row.status == "down"] == still_open
    assert "DB backup" == checks[still_open[0]].name


async def test_runs_and_pings_are_those_that_their_check_counts(db: Database) -> None:
    await db.write(filling())
    checks = await all_of(db, sa.select(tables.checks))
    pings, runs = await all_of(db, sa.select(tables.pings)), await all_of(db, sa.select(tables.runs))
    newest = {row.check_id: row.n for row in sorted(pings, key=lambda row: row.n)}
    still_open = Counter(row.check_id for row in runs if row.outcome is None)
    ended = {(row.check_id, row.ping_n) for row in runs if row.outcome in {"ok", "failed", "degraded"}}

    assert {row.id: row.n_pings for row in checks if row.n_pings} == newest
    assert {row.id: row.n_open_runs for row in checks if row.n_open_runs} == still_open
    ends = {(row.check_id, row.n) for row in pings if row.kind in {"success", "fail"}}
    assert ends <= ended
    assert {"ok", "failed", "missed", "unverified", "degraded", None} <= {row.outcome for row in runs}


async def test_rules_can_be_tried_on_what_has_happened_to_each_check(db: Database) -> None:
    await db.write(filling())
    checks, n_tried = await all_of(db, sa.select(tables.checks)), 0
    for row in checks:
        async with db.read() as read:
            history = await history_of(read, row, since=NOW - timedelta(days=SMALL.n_days), through=NOW, gated=True)
        n_tried += bool(history.signals)
        assert all(signal.at <= NOW for signal in history.signals)

    assert n_tried == sum(1 for row in checks if row.n_pings) > 10


class _Work:
    """As a job of ours has it."""

    slot_at = now = NOW
    pid = 1

    def __init__(self, db: Database) -> None:
        self._db = db
        self.on_postgres = db.on_postgres

    def stopping(self) -> bool:
        return False

    async def write(self, piece: Callable[[Tx], T]) -> T:
        return await self._db.write(piece)

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._db.read()


async def test_the_job_that_sums_up_days_comes_to_the_same_sums(db: Database) -> None:
    await db.write(filling())
    query = sa.select(tables.check_days).order_by(tables.check_days.c.check_id, tables.check_days.c.day)
    made = await all_of(db, query)
    await db.write(lambda tx: tx.conn.execute(sa.delete(tables.check_days)))
    await sum_days(_Work(db))

    assert len(made) > 300
    assert made == await all_of(db, query)


async def test_there_is_nothing_left_to_judge(db: Database, ids: IdSource) -> None:
    await db.write(filling())

    judged = await db.write(lambda tx: Judge(ids=ids).judge(tx, through=NOW, now=NOW))
    assert (0, 0) == (judged.n, judged.flips)


async def test_the_open_incident_reached_one_channel_is_on_its_way_to_one_and_failed_on_one(db: Database) -> None:
    await db.write(filling())
    incidents, n, d, a = tables.incidents, tables.notifications, tables.deliveries, tables.alerts
    (open_one,) = await all_of(db, sa.select(incidents).where(incidents.c.closed_at.is_(None)))
    rows = await all_of(
        db,
        sa.select(n.c.state, a.c.payload, d.c.next_at, d.c.attempt, tables.channels.c.name)
        .join(a, a.c.id == n.c.alert_id)
        .join(d, d.c.id == n.c.delivery_id)
        .join(tables.channels, tables.channels.c.id == n.c.channel_id)
        .where(a.c.at >= open_one.opened_at),
    )
    told = {row.name: row for row in rows if row.payload["incident"] == open_one.uuid}

    assert {"On-call mailbox": "sent", "#alerts": "pending", "Pager hook": "failed"} == {
        name: row.state for name, row in told.items()
    }
    assert told["#alerts"].next_at > NOW
    assert 1 < told["#alerts"].attempt
    channels = await all_of(db, sa.select(tables.channels))
    assert ["Pager hook"] == [row.name for row in channels if row.failing_since is not None]
    # Others have been told of both that are in trouble.
    assert 2 == len(await all_of(db, sa.select(a.c.id).where(a.c.kind == "channel.failing", a.c.at > NOW - DAYS)))


DAYS = timedelta(days=4)


async def test_a_database_in_use_is_left_alone(db: Database, ids: IdSource) -> None:
    await db.write(lambda tx: create_project(tx, slug="main", name="Main", zone="UTC", sealer=SEALER, at=NOW, ids=ids))
    with pytest.raises(ConflictError, match="in use"):
        await db.write(filling())

    assert [("main",)] == await all_of(db, sa.select(tables.projects.c.slug))
    assert [] == await all_of(db, sa.select(tables.checks))


async def test_the_empty_one_has_a_project_and_a_person(db: Database) -> None:
    made = await db.write(filling(EMPTY))

    assert "demo" == made.project.slug
    assert [("demo@example.com",)] == await all_of(db, sa.select(tables.users.c.email))
    assert [("owner",)] == await all_of(db, sa.select(tables.members.c.role))
    assert [] == await all_of(db, sa.select(tables.checks))


async def test_the_whole_demo_shows_every_state(demo: Database) -> None:
    checks = await all_of(demo, sa.select(tables.checks))
    shown = Counter(shown_status(row, NOW) for row in checks)

    assert DEMO.n_checks == len(checks) == len({row.slug for row in checks})
    assert {"up", "late", "down", "degraded", "new", "paused"} == set(shown)
    assert (1, 2, 2, 4) == (shown["down"], shown["new"], shown["degraded"], shown["paused"])
    assert 170 <= shown["up"]
    assert 3 <= sum(row.n_open_runs > 0 for row in checks)
    assert any(row.unverified_in_row for row in checks)
    assert {True, False} == {row.sticky for row in checks if row.status == "paused"}
    (oldest,) = await all_of(demo, sa.select(sa.func.min(tables.runs.c.at)))
    assert timedelta(days=88) < NOW - oldest[0] < timedelta(days=91)


async def test_the_big_one_has_a_thousand_checks(big: Database) -> None:
    checks = await all_of(big, sa.select(tables.checks))

    assert BIG.n_checks == len(checks) == len({row.name for row in checks})


async def test_the_past_of_its_checks_can_be_learned_from(demo: Database) -> None:
    """What of its pings came when is known, as of any."""
    (row, *_) = await all_of(demo, sa.select(tables.checks).where(tables.checks.c.n_pings > 30).limit(1))
    found = await learned(demo, row, now=DEMO_NOW, project_zone="UTC")
    assert found.history.signals
