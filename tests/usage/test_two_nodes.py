"""Two nodes fold and close at one time, on PostgreSQL: in the one order in which something could get lost.

The second node acts between two statements of the first, whenever that has just asked what these races hang on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.core.events import Event, event_of
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import rollups, usage_days, windows
from heartfly.db.parts import USAGE
from heartfly.db.postgres import writing_engine
from heartfly.usage.apply import Batch, EventApplier
from heartfly.usage.close_day import Closer
from heartfly.usage.fold import TIER_HOUR, Folded, fold_hour
from heartfly.usage.generations import Generation, begin, name_groups, put, sweep, switch
from tests.usage.factory import HOUR, NOW, PID, Plant
from tests.usage.oracle import Sent

pytestmark = pytest.mark.anyio

AT = datetime(2026, 11, 27, 9, 15, tzinfo=UTC)
BEGIN = AT.replace(minute=0)
UTC_ZONE = ZoneInfo("UTC")


def sent(number: int) -> Sent:
    return Sent(number=number, at=AT, subject="c-1", type="api", endpoint=None, size="1", user="u-1")


class Other:
    """Another node, whose every transaction is a connection of its own."""

    def __init__(self, plant: Plant, url: str) -> None:
        self.engine = writing_engine(url, USAGE)
        self._ids = IdSource(2)
        self._place = plant.usage.place
        self.pid = 0
        """Of its connection, as the database numbers them, while it folds."""

    def take(self, one: Sent) -> None:
        event = event_of(one.wire(), now=NOW, oldest=datetime(2026, 1, 1, tzinfo=UTC))
        assert isinstance(event, Event)
        with self.engine.begin() as conn:
            EventApplier(self._ids).apply(Tx(conn), [Batch(PID, "native", NOW, [event])])

    def fold(self) -> None:
        it = Generation(PID, TIER_HOUR, fold_hour(self._place, PID, BEGIN), self._ids.next(NOW))
        with self.engine.begin() as conn:
            self.pid = conn.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
            name_groups(Tx(conn), it, ids=self._ids, now=NOW)
            begin(Tx(conn), it)
            put(Tx(conn), it, it.rows)
            switch(Tx(conn), it)

    def is_held_up(self) -> bool:
        """By a lock that somebody else has."""
        query = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = :pid")
        with self.engine.connect() as conn:
            return bool(conn.execute(query, {"pid": self.pid}).scalar_one())


@contextmanager
def between(engine: sa.Engine, *acts: tuple[str, Callable[[], None]]) -> Iterator[list[str]]:
    """Once a statement has just been executed that looks so, the act is done: each once, in this order."""
    left = list(acts)
    done: list[str] = []

    def after(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if left and re.match(left[0][0], " ".join(statement.split())):
            start, act = left.pop(0)
            done.append(start)
            act()

    sa.event.listen(engine, "after_cursor_execute", after)
    try:
        yield done
    finally:
        sa.event.remove(engine, "after_cursor_execute", after)


async def test_an_event_that_another_node_folds_as_the_day_is_proved_is_not_left_out(
    plant: Plant, database_url: str
) -> None:
    """The mark goes and the day is stale in one commit: whoever asked for the day first would see neither."""
    if not plant.usage.on_postgres:
        return
    await plant.meter("count", {"event_types": ["api"], "aggregation": "count"})
    await plant.send(sent(1))
    other = Other(plant, database_url)
    closer = Closer(plant.usage, plant.folder, plant.clock, plant.ids)
    comes = (r"SELECT usage_days\..* FOR UPDATE", lambda: other.take(sent(2)))
    goes = (r"SELECT (dirty_hours\.hour|windows\.stale, windows\.gen) FROM", other.fold)

    with between(plant.usage.engine, comes, goes) as done:
        closed = await closer.close(PID, date(2026, 11, 27), UTC_ZONE)
    other.engine.dispose()

    assert 2 == len(done)
    assert ("final", 2, 2) == (closed.state, closed.figures["events_raw"], closed.figures["events_rolled"])
    async with plant.usage.read() as read:
        assert ["final"] == list((await read.execute(sa.select(usage_days.c.state))).scalars())


async def test_rows_that_another_node_has_just_written_are_not_swept_away(plant: Plant, database_url: str) -> None:
    """What counts is asked first, and removed what else there is: nobody may begin in between."""
    if not plant.usage.on_postgres:
        return
    version = await plant.meter("count", {"event_types": ["api"], "aggregation": "count"})
    await plant.send(sent(1))
    await plant.fold()
    await plant.send(sent(2))
    other = Other(plant, database_url)
    folding = threading.Thread(target=other.fold)

    def fold_or_wait() -> None:
        folding.start()
        while folding.is_alive() and not (other.pid and other.is_held_up()):
            folding.join(0.01)

    it = Generation(PID, TIER_HOUR, Folded(BEGIN, BEGIN + HOUR), 0)
    with between(plant.usage.engine, (r"SELECT windows\.gen, windows\.next_gen", fold_or_wait)) as done:
        await plant.usage.write(lambda tx: sweep(tx, it, [version]))
    folding.join()
    other.engine.dispose()

    assert 1 == len(done)
    async with plant.usage.read() as read:
        gen = (await read.execute(sa.select(windows.c.gen).where(windows.c.tier == TIER_HOUR))).scalar_one()
        kept = sa.select(rollups.c.n).where(rollups.c.tier == TIER_HOUR, rollups.c.gen == gen, rollups.c.cube == 0)
        assert [2] == list((await read.execute(kept)).scalars())
