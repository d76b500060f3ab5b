"""Seeded minutes of three nodes that stand, die and are cut off, and proof that who judges them can say no.

A small plan runs with every test run; `python -m bench.simulate_nodes` does a thousand faults.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.db.changes import Tx
from heartfly.db.models import alerts, flips, notifications, pings
from heartfly.db.postgres import PostgresSession
from heartfly.logs import configure
from heartfly.monitor.blind import Beat
from heartfly.monitor.leader import Leader
from tests.cluster.judge import Verdict, judge
from tests.cluster.plan import PAUSE, RESET, WEIGHTS, Plan
from tests.cluster.run import Cluster, History
from tests.cluster.wire import AFTER

pytestmark = pytest.mark.postgres

SMALL = Plan(seed=1, n_faults=30, every=7_000_000)
Make = Callable[[], str]
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Of a node that dies in the middle of something, much is logged. conftest.py puts the log back as it was."""
    configure(SimpleNamespace(level="critical", format="json"), sys.stderr, now=SystemClock().now)


@pytest.fixture(scope="module")
def fresh(postgres_server: str, postgres_template: str, worker_id: str) -> Iterator[Make]:
    """Databases of their own: each gets a schema with a clock that no other test wants."""
    names: list[str] = []

    def make() -> str:
        names.append(f"cluster_{worker_id}_{next(_numbers)}")
        with psycopg.connect(postgres_server, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{names[-1]}" TEMPLATE "{postgres_template}"'.encode())
        url = sa.make_url(postgres_server).set(drivername="postgresql+psycopg", database=names[-1])
        return url.render_as_string(hide_password=False)

    yield make
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        for name in names:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="module")
def history(fresh: Make) -> History:
    configure(SimpleNamespace(level="critical", format="json"), sys.stderr, now=SystemClock().now)
    return Cluster(SMALL, fresh()).run()


def test_nothing_is_lost_or_told_wrongly_or_twice_by_nodes_that_stand_die_and_are_cut_off(history: History) -> None:
    verdict = judge(history)

    assert [] == verdict.wrong, verdict.report(commit="this one")


def test_the_small_plan_meets_every_kind_of_fault_also_in_the_middle_of_transactions(history: History) -> None:
    inside = {f"in a transaction: {label}" for label in ("judge", "beat", "ping")}

    assert set() == {*WEIGHTS, *inside} - {name for name, n in history.tally.items() if n}
    assert 1 < len(set(history.leaders))


def test_the_same_seed_gives_the_same_log(fresh: Make) -> None:
    plan = replace(SMALL, n_faults=4, n_jobs=6)
    digests = [Cluster(one, fresh()).run().digest for one in (plan, plan, replace(plan, seed=2))]

    assert digests[0] == digests[1] != digests[2]


# --- who judges can say no


def _write(connection: sa.Connection, statement: sa.Delete | sa.Update | sa.Insert) -> None:
    """What no part of Heartfly would do: so it stands below its foreign keys."""
    connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    assert connection.execute(statement).rowcount


def _an_alarm(connection: sa.Connection, *such: sa.ColumnElement[bool]) -> Any:
    query = sa.select(flips).where(flips.c.to_status == "down", flips.c.reason == "missed", *such)
    return connection.execute(query.order_by(flips.c.check_id, flips.c.flip_no).limit(1)).one()


def _of(row: Any) -> Any:
    return sa.and_(flips.c.check_id == row.check_id, flips.c.flip_no == row.flip_no)


def a_flip_was_doubled(connection: sa.Connection) -> None:
    row = _an_alarm(connection)
    more = dict(row._mapping) | {"flip_no": 1_000}
    _write(connection, sa.insert(flips).values(more))


def alarms_were_lost(connection: sa.Connection) -> None:
    _write(connection, sa.delete(flips).where(flips.c.to_status == "down", flips.c.reason == "missed"))


def an_alarm_came_too_early(connection: sa.Connection) -> None:
    row = _an_alarm(connection)
    _write(connection, sa.update(flips).where(_of(row)).values(at=row.at.replace(microsecond=0)))


def a_ping_was_lost(connection: sa.Connection) -> None:
    first = sa.select(sa.func.min(pings.c.n)).scalar_subquery()
    _write(connection, sa.delete(pings).where(pings.c.n == first))


def a_ping_was_in_time_for_an_alarm(connection: sa.Connection) -> None:
    """As if the ping that ended the silence had come just before it was told."""
    ended = sa.exists().where(pings.c.check_id == flips.c.check_id, pings.c.received_at > flips.c.at)
    row = _an_alarm(connection, ended)
    after = sa.and_(pings.c.check_id == row.check_id, pings.c.received_at > row.at)
    first = sa.select(sa.func.min(pings.c.received_at)).where(after).scalar_subquery()
    moved = sa.update(pings).where(pings.c.check_id == row.check_id, pings.c.received_at == first)
    _write(connection, moved.values(received_at=row.at))


def a_notification_was_lost(connection: sa.Connection) -> None:
    one = sa.select(sa.func.min(alerts.c.id)).where(alerts.c.kind == "check.down").scalar_subquery()
    _write(connection, sa.delete(notifications).where(notifications.c.alert_id == one))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (a_flip_was_doubled, "doubled"),
        (alarms_were_lost, "not told"),
        (an_alarm_came_too_early, "FALSE ALARM"),
        (a_ping_was_lost, "lost"),
        (a_ping_was_in_time_for_an_alarm, "FALSE ALARM"),
        (a_notification_was_lost, "times to 2 channels"),
    ],
)
def test_whatever_is_spoiled_afterwards_is_found(
    history: History, spoil: Callable[[sa.Connection], None], words: str
) -> None:
    engine = sa.create_engine(history.url)
    with engine.connect() as connection:
        spoil(connection)
        verdict = judge(history, connection)
        connection.rollback()
    engine.dispose()

    assert any(words in wrong for wrong in verdict.wrong), verdict.wrong


def test_a_judging_without_the_lease_is_found(history: History) -> None:
    reign = history.reigns[-1]
    assert reign.lease is not None
    stolen = replace(reign, lease=(reign.lease[0] + 1, reign.lease[1] + 1))

    assert any("while the lease was" in wrong for wrong in judge(replace(history, reigns=[stolen])).wrong)


# --- bugs in the code under test are found within a few seeds


def nobody_is_fenced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Leader, "leads", lambda _self, _tx: True)


def a_lost_answer_is_never_asked_about(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PostgresSession, "_committed", lambda _self: False)


def nobody_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    def others(_self: Beat, _tx: Tx, now: datetime) -> tuple[datetime, dict[int, datetime]]:
        return now, {}

    patch.setattr(Beat, "_others", others)


@pytest.mark.parametrize(
    ("bug", "aim", "words"),
    [
        (nobody_is_fenced, (PAUSE, "judge", 0), "while the lease was"),
        (a_lost_answer_is_never_asked_about, (RESET, "ping", AFTER), "committed 2 times"),
        (nobody_is_waited_for, None, "FALSE ALARM"),
    ],
)
def test_a_bug_is_found_within_a_few_seeds(
    fresh: Make,
    monkeypatch: pytest.MonkeyPatch,
    *,
    bug: Callable[[pytest.MonkeyPatch], None],
    aim: tuple[str, str, int] | None,
    words: str,
) -> None:
    bug(monkeypatch)
    found: list[Verdict] = []
    for seed in (1, 2, 3, 4):
        found.append(judge(Cluster(replace(SMALL, seed=seed, n_faults=10 if aim else 30, aim=aim), fresh()).run()))
        if any(words in wrong for wrong in found[-1].wrong):
            return
    raise AssertionError([verdict.report(commit="this one") for verdict in found])
