from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from heartfly.clock import SystemClock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.migrate import upgrade
from heartfly.notify.claim import claim
from heartfly.notify.record import Outcome
from heartfly.notify.recorder import Recorder
from heartfly.notify.work import Ask, ChannelRow, Claimed
from tests.notify.examples import at
from tests.notify.post_office import PostOffice
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

NOW = at("03:10")
ROW = ChannelRow(id=1, uuid="c", kind="scripted", config_enc=b"", rev=1)
CLAIMED = Claimed(id="unknown", pid=1, channel=ROW, attempt=1, possible_duplicate=False, created_at=NOW)
ARRIVED = Outcome(claimed=CLAIMED, started_at=NOW, ended_at=NOW, code=200)


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Database]:
    """A database that takes no more writes."""
    db = Database(url="", data_dir=tmp_path / "full", clock=SystemClock(), capacity=0)
    upgrade(db.engine)
    db.start()
    yield db
    await db.stop()


async def test_an_outcome_of_no_known_delivery_does_not_count(db: Database) -> None:
    assert not await Recorder(db, clock=SystemClock(), ids=IdSource(1), node_id=1).record(ARRIVED, last=True)


async def test_it_insists_while_the_database_takes_nothing_and_then_leaves_it_to_the_lease(
    full: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimClock(NOW)
    recording = asyncio.create_task(Recorder(full, clock=clock, ids=IdSource(1), node_id=1).record(ARRIVED, last=True))

    while not recording.done():
        clock.move_to(clock.now() + timedelta(seconds=1))
        await SystemClock().sleep(0)

    assert not recording.result()
    assert 6 == capsys.readouterr().err.count("delivery_unrecorded")
    assert timedelta(seconds=10) < clock.now() - NOW < timedelta(seconds=60)


async def test_an_outcome_that_cannot_be_stored_disturbs_no_other(
    post: PostOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    channel = await post.scripted()
    await post.alerts([channel.channel_id], ["check:1", "check:2"])
    ask = Ask(pid=post.pid, channel_id=channel.channel_id, room=2, due=False, fresh=True, folds=False)
    claims = await post.db.write(lambda tx: claim(tx, [ask], now=NOW, node_id=1, rules=post.rules, ids=post.ids))
    bad, good = (replace(ARRIVED, claimed=claimed) for claimed in claims.work)
    naive = replace(bad, ended_at=NOW.replace(tzinfo=None))
    recorder = Recorder(post.db, clock=SystemClock(), ids=post.ids, node_id=1)

    counted = await asyncio.gather(recorder.record(naive, last=False), recorder.record(good, last=True))

    assert (False, True) == tuple(counted)
    assert ["pending", "sent"] == await post.states()
    assert 1 == capsys.readouterr().err.count("delivery_unrecorded")


async def test_outcomes_that_come_together_are_one_transaction(db: Database) -> None:
    recorder = Recorder(db, clock=SystemClock(), ids=IdSource(1), node_id=1)
    sizes: list[int] = []
    apply = recorder._apply

    def counting(tx: Tx, outcomes: list[Outcome]) -> list[bool]:
        sizes.append(len(outcomes))
        return apply(tx, outcomes)

    recorder._apply = counting  # type: ignore[method-assign, assignment]
    await asyncio.gather(*(recorder.record(ARRIVED, last=n == 4) for n in range(5)))

    assert 5 == sum(sizes)
    assert len(sizes) <= 2
