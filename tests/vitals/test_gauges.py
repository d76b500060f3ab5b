"""What is read for a scrape, on both databases, and what is left out when it cannot be read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import CLI
from heartfly.core.rule_definitions import rule_from
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.models import alert_rules
from heartfly.db.room import Room
from heartfly.errors import OverloadedError
from heartfly.instruments import Family
from heartfly.pings.spool import Backlog
from heartfly.rules.commands import Wanted, create
from heartfly.vitals.gauges import Gauges
from heartfly.vitals.readiness import Facts
from tests.monitor.test_watch import channel
from tests.monitor.tower import MINUTE, SECOND, T0, Tower
from tests.world import World

pytestmark = pytest.mark.anyio


def gauges(tower: Tower, **facts: Any) -> Gauges:
    def found() -> Facts:
        looked = tower.watcher.last_beat
        return Facts(
            now=tower.clock.now(),
            last_beat_at=tower.watcher.last_beat_at,
            watermark=None if looked is None else looked.watermark,
            broken=None,
            **facts,
        )

    return Gauges(database=tower.world.db, watcher=tower.watcher, facts=found, started_at=T0)


def values(families: list[Family]) -> dict[str, float]:
    return {
        " ".join([family.name, *(value for _, value in sample.labels)]): sample.value
        for family in families
        for sample in family.samples
    }


async def test_state_lags_and_sizes_are_told(tower: Tower) -> None:
    await tower.go(T0 + MINUTE)
    tower.clock.move_to(T0 + MINUTE + 2 * SECOND)

    told = values(await gauges(tower, room=Room(free=7, total=9)).families())

    assert (1.0, 1.0, 0) == (told["heartfly_ready"], told["heartfly_leader"], told["heartfly_writes_waiting"])
    assert (2.0, 2.0) == (told["heartfly_watermark_lag_seconds"], told["heartfly_beat_age_seconds"])
    assert (7, 9) == (told["heartfly_disk_free_bytes"], told["heartfly_disk_bytes"])
    assert told["heartfly_database_bytes"] > 1000
    assert (told.get("heartfly_database_wal_bytes", 0) > 0) == (tower.world.db.path is not None)
    assert T0.timestamp() == told["process_start_time_seconds"]
    assert told["process_resident_memory_bytes"] > 1_000_000
    assert told["process_open_fds"] > 3


@pytest.mark.parametrize(
    ("spool", "told"), [(None, (0, 0, 0)), (Backlog(12, T0 - MINUTE, 3_456), (12, 3_456, 60))], ids=["empty", "in use"]
)
async def test_what_lies_in_the_spool_is_told(tower: Tower, spool: Backlog | None, told: tuple[int, int, int]) -> None:
    found = values(await gauges(tower, spool=spool).families())

    assert told == tuple(found[f"heartfly_spool_{what}"] for what in ("pings", "bytes", "oldest_seconds"))


@pytest.mark.parametrize(("since", "told"), [(None, 0.0), (T0, 1.0)], ids=["reached", "cut off"])
async def test_whether_anything_reaches_us_is_told(tower: Tower, since: datetime | None, told: float) -> None:
    assert told == values(await gauges(tower, cut_off_since=since).families())["heartfly_cut_off"]


async def test_before_the_first_beat_there_is_no_lag_to_tell_of(tower: Tower) -> None:
    told = values(await gauges(tower).families())

    assert (0.0, 0.0) == (told["heartfly_ready"], told["heartfly_leader"])
    assert "heartfly_watermark_lag_seconds" not in told
    assert "heartfly_disk_free_bytes" not in told


async def test_the_oldest_alert_that_waits_is_told_with_its_age(world: World, tower: Tower) -> None:
    check = await world.check(T0)
    await channel(world, check)
    assert 0.0 == values(await gauges(tower).families())["heartfly_oldest_undelivered_seconds in_order"]

    await world.ping(check, T0 + MINUTE, PingKind.FAIL)
    tower.clock.move_to(T0 + MINUTE + timedelta(seconds=90))
    told = values(await gauges(tower).families())

    assert 90.0 == told["heartfly_oldest_undelivered_seconds in_order"]
    assert 0.0 == told["heartfly_oldest_undelivered_seconds in_trouble"]


async def test_rules_and_budgets_are_told_with_what_fires_and_how_old_the_oldest_look_is(
    world: World, tower: Tower
) -> None:
    names = ("alert_rules", "alert_rules_in_trouble", "alert_rules_look_age_seconds", "alerts_firing high")
    before = values(await gauges(tower).families())
    assert [0, 0, 0, 0] == [before[f"heartfly_{name}"] for name in names]
    assert (0, 0) == (before["heartfly_budgets active"], before["heartfly_budgets exceeded"])

    rule = rule_from({"conditions": [{"of": "calls", "metric": "requests", "window": 3600, "threshold": "1"}]})
    pid = world.project.pid

    def made(tx: Tx) -> None:
        for number in range(3):
            wanted = Wanted(name=f"rule {number}", rule=rule)
            create(tx, pid, wanted, at=T0, actor=CLI, ids=world.ids)
        rows = tx.conn.execute(sa.select(alert_rules.c.id).order_by(alert_rules.c.id)).scalars().all()
        for number, looked_at, trouble in ((rows[0], T0 - MINUTE, ""), (rows[1], T0, "it is gone")):
            mine = sa.update(alert_rules).where(alert_rules.c.id == number)
            tx.conn.execute(mine.values(looked_at=looked_at, trouble=trouble))
        tx.conn.execute(sa.update(alert_rules).where(alert_rules.c.id == rows[2]).values(enabled=False, looked_at=None))

    await world.db.write(made)
    told = values(await gauges(tower).families())
    since = (tower.clock.now() - (T0 - MINUTE)).total_seconds()

    assert [2, 1, since, 0] == [told[f"heartfly_{name}"] for name in names]


async def test_a_database_that_does_not_answer_leaves_all_else_readable(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise OverloadedError("the question takes too long to answer")

    monkeypatch.setattr(tower.world.db, "read", away)
    told = values(await gauges(tower).families())

    assert 0 == told["heartfly_database_readable"]
    assert "heartfly_oldest_undelivered_seconds in_order" not in told
    assert "heartfly_writes_waiting" in told
