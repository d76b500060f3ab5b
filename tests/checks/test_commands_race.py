"""Two that ask at once, on two connections: one gets what he asked for, the other hears why not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts.commands import create_project
from heartfly.checks import commands
from heartfly.checks.config import CheckIn
from heartfly.checks.transfer import transfer
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks
from heartfly.errors import ChangedMeanwhileError
from heartfly.pings.apply import PingApplier
from heartfly.pings.rate import RateLimiter
from heartfly.pings.request import ByUuid, PingOutcome, PingRequest
from tests.postgres_waits import N_WAITING
from tests.world import KEEP, SEALER, TEST

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


def at_once(nodes: tuple[Database, Database], command: Callable[[Tx, IdSource], Any]) -> list[Any]:
    """Both do their work before either commits. Exceptions are results."""
    worked = threading.Event()

    def first(tx: Tx) -> Any:
        done = command(tx, IdSource(1))
        worked.set()
        # However late it comes on a busy machine: it gives up 2 s after it began to wait, and is seen well before.
        give_up_at = time.perf_counter() + 60
        while not tx.conn.execute(N_WAITING).scalar_one():
            assert time.perf_counter() < give_up_at, "nobody waits for us"
        return done

    def run(database: Database, work: Callable[[Tx], Any]) -> Any:
        try:
            return database.transaction(work)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(run, nodes[0], first)
        assert worked.wait(60)
        two = threads.submit(run, nodes[1], lambda tx: command(tx, IdSource(2)))
        return [one.result(20), two.result(20)]


@pytest.fixture
def pid(nodes: tuple[Database, Database]) -> int:
    made = nodes[0].transaction(
        lambda tx: create_project(tx, slug="main", name="Main", zone="UTC", sealer=SEALER, at=AT, ids=IdSource(3))
    )
    return made.pid


def slugs(database: Database) -> list[str]:
    return sorted(database.transaction(lambda tx: tx.conn.execute(sa.select(checks.c.slug)).scalars().all()))


def test_a_slug_that_is_asked_for_twice_is_given_once(nodes: tuple[Database, Database], pid: int) -> None:
    asked = CheckIn(name="job", slug="job")

    done = at_once(nodes, lambda tx, ids: commands.create(tx, pid, asked, at=AT, ids=ids, actor=TEST))

    assert isinstance(done[0], str)
    assert isinstance(done[1], commands.SlugTakenError)
    assert ["job"] == slugs(nodes[0])


def test_of_two_that_make_or_edit_the_check_of_a_slug_one_makes_and_the_other_edits_it(
    nodes: tuple[Database, Database], pid: int
) -> None:
    graces = iter((60, 120))

    def upsert(tx: Tx, ids: IdSource) -> Any:
        asked = CheckIn(slug="job", grace=next(graces))
        return commands.create_or_edit(tx, pid, asked, at=AT, ids=ids, actor=TEST)

    made, edited = at_once(nodes, upsert)

    assert ((made[0], True), (made[0], False)) == (made, edited)
    assert ["job"] == slugs(nodes[0])
    assert 120 == nodes[0].transaction(lambda tx: tx.conn.execute(sa.select(checks.c.grace_s)).scalar_one())


def test_slugs_that_are_made_at_once_differ(nodes: tuple[Database, Database], pid: int) -> None:
    asked = CheckIn(name="job")

    done = at_once(nodes, lambda tx, ids: commands.create(tx, pid, asked, at=AT, ids=ids, actor=TEST))

    assert [str, str] == [type(one) for one in done], done
    assert ["job", "job-2"] == slugs(nodes[0])


def test_a_slug_that_two_checks_move_to_at_once_is_given_once(nodes: tuple[Database, Database], pid: int) -> None:
    uuids = iter(
        nodes[0].transaction(
            lambda tx: [
                commands.create(tx, pid, CheckIn(name=name), at=AT, ids=IdSource(4), actor=TEST) for name in "ab"
            ]
        )
    )
    asked = CheckIn(slug="same")

    done = at_once(nodes, lambda tx, ids: commands.edit(tx, pid, next(uuids), asked, at=AT, ids=ids, actor=TEST))

    assert done[0] is None
    assert isinstance(done[1], commands.SlugTakenError)
    assert ["b", "same"] == slugs(nodes[0])


def test_of_two_edits_of_the_same_reading_the_second_is_refused(nodes: tuple[Database, Database], pid: int) -> None:
    asked = CheckIn(name="job", slug="job")
    uuid = nodes[0].transaction(lambda tx: commands.create(tx, pid, asked, at=AT, ids=IdSource(4), actor=TEST))
    rev = nodes[0].transaction(lambda tx: tx.conn.execute(sa.select(checks.c.rev)).scalar_one())
    graces = iter([60, 120])

    def edit(tx: Tx, ids: IdSource) -> None:
        commands.edit(tx, pid, uuid, CheckIn(grace=next(graces)), at=AT, ids=ids, actor=TEST, rev=rev)

    done = at_once(nodes, edit)

    assert done[0] is None
    assert isinstance(done[1], ChangedMeanwhileError)
    assert 60 == nodes[0].transaction(lambda tx: tx.conn.execute(sa.select(checks.c.grace_s)).scalar_one())


def test_a_ping_that_comes_while_its_check_moves_is_heard_in_the_other_project(
    nodes: tuple[Database, Database], pid: int
) -> None:
    ids = IdSource(4)
    made = nodes[0].transaction(
        lambda tx: create_project(tx, slug="other", name="Other", zone="UTC", sealer=SEALER, at=AT, ids=ids)
    )
    uuid = nodes[0].transaction(lambda tx: commands.create(tx, pid, CheckIn(name="job"), at=AT, ids=ids, actor=TEST))
    address = nodes[0].transaction(lambda tx: tx.conn.execute(sa.select(checks.c.ping_uuid)).scalar_one())
    applier = PingApplier(ids=IdSource(5), node_id=2, rate=RateLimiter(per_minute=60), keep=KEEP)
    ping = PingRequest(target=ByUuid(address), kind=PingKind.SUCCESS, received_at=AT, seq=1)
    turns = iter(("moves", "pings"))

    def work(tx: Tx, own: IdSource) -> Any:
        if next(turns) == "pings":
            return applier.apply(tx, [ping])[0].outcome
        return transfer(tx, pid, uuid, to_pid=made.pid, slug=None, at=AT, ids=own, actor=TEST, to_actor=TEST, most=9)

    _, outcome = at_once(nodes, work)

    assert PingOutcome.OK == outcome
    where, n_pings = nodes[0].transaction(lambda tx: tx.conn.execute(sa.select(checks.c.pid, checks.c.n_pings)).one())
    assert (made.pid, 1) == (where, n_pings)
