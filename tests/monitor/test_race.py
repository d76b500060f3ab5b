"""A ping and the judge at the same instant, on two connections: whoever commits first is believed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks
from heartfly.monitor.judge import Judge, Judged
from tests.postgres_waits import N_WAITING
from tests.world import World, make_world

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
DEADLINE = T0 + timedelta(hours=1, minutes=10)


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """Only PostgreSQL has two writing connections."""
    return postgres_url


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


class JudgeInThread:
    """Judges on a connection of its own, while the test holds another."""

    def __init__(self, world: World) -> None:
        self.result: Judged | None = None
        self._world = world
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        judge = Judge(ids=self._world.ids)
        self.result = self._world.db.transaction(lambda tx: judge.judge(tx, through=DEADLINE, now=DEADLINE))

    def start_and_wait_for_its_lock(self, held: sa.Connection) -> None:
        self._thread.start()
        waiting = 0
        while not waiting and self._thread.is_alive():
            waiting = held.execute(N_WAITING).scalar_one()
        assert waiting, "the judge did not wait for the lock that the ping holds"

    def join(self) -> Judged:
        self._thread.join(60)
        assert self.result is not None
        return self.result


async def test_a_ping_that_commits_while_the_judge_waits_for_its_lock_wins(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    judge = JudgeInThread(world)
    with world.db.engine.connect() as held:
        transaction = held.begin()
        world.applier.apply(Tx(held), [world.request(check, DEADLINE)])
        judge.start_and_wait_for_its_lock(held)
        transaction.commit()

    assert 0 == judge.join().flips
    assert "up" == (await world.row(check)).status


async def test_a_log_that_commits_while_the_judge_waits_saves_nobody(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    judge = JudgeInThread(world)
    with world.db.engine.connect() as held:
        transaction = held.begin()
        world.applier.apply(Tx(held), [world.request(check, DEADLINE, PingKind.LOG)])
        judge.start_and_wait_for_its_lock(held)
        transaction.commit()

    assert 1 == judge.join().flips
    row = await world.row(check)
    assert ("down", 2) == (row.status, row.n_pings)


async def test_a_check_deleted_while_the_judge_waits_is_gone(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0)
    judge = JudgeInThread(world)
    with world.db.engine.connect() as held:
        transaction = held.begin()
        held.execute(sa.delete(checks).where(checks.c.id == check.id))
        judge.start_and_wait_for_its_lock(held)
        transaction.commit()

    assert 0 == judge.join().n
