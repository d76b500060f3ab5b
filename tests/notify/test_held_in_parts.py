"""What one source had in a long silence is looked at in parts: no ping waits for all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from heartfly.core.words import AlertKind, PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, notifications
from heartfly.notify import later, peace_commands
from heartfly.notify.commands import create_channel
from heartfly.notify.peace_commands import Asked
from tests.world import SEALER, TEST, make_world

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


async def test_many_held_of_one_source_are_told_in_parts_and_none_is_lost(db: Database, ids: IdSource) -> None:
    """Runs that went well between failures; it is down in the end, and that alone is told of what began and ended."""
    world = await make_world(db, ids, T0, slug="held-in-parts")
    pid, events = world.project.pid, [AlertKind.DOWN.value, AlertKind.UP.value, AlertKind.SUCCESS.value]
    await db.write(
        lambda tx: create_channel(
            tx, pid, kind="webhook", name="people", config={"url": "https://x.example.com"}, events=events,
            at=T0, ids=ids, sealer=SEALER,
        )
    )  # fmt: skip
    check = await world.check(T0)
    await db.write(lambda tx: tx.conn.execute(sa.update(checks).values(wants_success=True)))
    mute = Asked(kind="mute", scope="project", lasts=DAY)
    await db.write(lambda tx: peace_commands.make(tx, pid, mute, at=T0, actor=TEST, ids=ids))
    n = 3 * later.MOST_ROWS
    kinds = [PingKind.FAIL if one % 5 == 4 else PingKind.SUCCESS for one in range(n)]
    await world.pings([world.request(check, T0 + one * SECOND, kind) for one, kind in enumerate(kinds)])

    looks = 1
    while await db.write(lambda tx: later.tell_later(tx, now=T0 + 2 * DAY, ids=ids)):
        looks += 1

    assert 3 == looks
    async with db.read() as read:
        of_state = sa.select(notifications.c.state, sa.func.count()).group_by(notifications.c.state)
        found = {row[0]: row[1] for row in await read.execute(of_state)}
    # Of five, one fails, one ends that, and the three others tell of themselves; the first was no end.
    n_down, n_up = n // 5, n // 5 - 1
    assert {"pending": n - 1 - n_down - n_up + 1, "untold": n_down - 1 + n_up} == found
