"""What is due to be told and cannot be stops nothing else, and is told when it can be."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import AlertKind, PingKind
from heartfly.db.models import alerts, cause_tellings, channels, incidents, nodes, notifications, reminders
from heartfly.errors import OverloadedError
from heartfly.notify import peace_commands
from heartfly.notify.commands import create_channel
from heartfly.notify.later import Later
from heartfly.notify.not_now import AGAIN, leave
from heartfly.notify.peace_commands import Asked
from heartfly.notify.policies import AskedPolicy
from tests.monitor.tower import HOUR, MINUTE, SECOND, T0, Tower
from tests.world import SEALER, TEST, World

pytestmark = pytest.mark.anyio

MUTED = 2 * HOUR
EVERY = 3 * HOUR


async def failed(world: World, n: int) -> list[Any]:
    """Checks that failed in a mute, of which somebody hears after it, and then every three hours."""
    pid = world.project.pid
    await world.db.write(
        lambda tx: create_channel(
            tx, pid, kind="webhook", name="people", config={"url": "https://x.example.com"}, at=T0, ids=world.ids,
            events=[AlertKind.DOWN.value], sealer=SEALER, policy=AskedPolicy(every_s=int(EVERY.total_seconds())),
        )
    )  # fmt: skip
    checks = [await world.check(T0) for _ in range(n)]
    mute = Asked(kind="mute", scope="project", lasts=MUTED)
    await world.db.write(lambda tx: peace_commands.make(tx, pid, mute, at=T0, actor=TEST, ids=world.ids))
    for place, check in enumerate(checks):
        await world.ping(check, T0 + place * SECOND, PingKind.FAIL)
    return checks


async def kept(world: World) -> list[Any]:
    """The payloads of all alerts, in order."""
    return [row.payload for row in await world._all(sa.select(alerts.c.payload).order_by(alerts.c.id))]


async def put(world: World, place: int, payload: Any) -> None:
    """In the place of what that alert says."""
    its = sa.select(alerts.c.id).order_by(alerts.c.id).offset(place).limit(1).scalar_subquery()
    await world.db.write(
        lambda tx: tx.conn.execute(sa.update(alerts).where(alerts.c.id == its).values(payload=payload)) and None
    )


async def states(world: World) -> list[str]:
    query = sa.select(notifications.c.state).order_by(notifications.c.alert_id)
    return [row.state for row in await world._all(query)]


async def n_reminded(world: World) -> int:
    reminded = sa.select(alerts.c.id).where(alerts.c.kind == AlertKind.REMINDER.value)
    return len(await world._all(reminded))


async def beat_at(world: World) -> datetime:
    found: datetime = (await world._one(sa.select(nodes.c.beat_at))).beat_at
    return found


@pytest.mark.parametrize("bad", [0, 2])
async def test_a_held_alert_that_cannot_be_read_stops_no_other_and_is_told_when_it_can_be(
    world: World, tower: Tower, bad: int
) -> None:
    await failed(world, 5)
    before = (await kept(world))[bad]
    await put(world, bad, {"of": "a later version"})

    await tower.go(T0 + MUTED)

    assert ["held" if n == bad else "pending" for n in range(5)] == await states(world)
    assert T0 + MUTED == await beat_at(world)
    await put(world, bad, before)
    await tower.go(T0 + MUTED + AGAIN - SECOND)
    assert "held" == (await states(world))[bad]
    await tower.go(T0 + MUTED + AGAIN)
    assert ["pending"] * 5 == await states(world)


async def test_a_reminder_whose_beginning_cannot_be_read_stops_no_other(world: World, tower: Tower) -> None:
    await failed(world, 3)
    await tower.go(T0 + MUTED)
    before = (await kept(world))[1]
    await put(world, 1, {"of": "a later version"})

    await tower.go(T0 + MUTED + EVERY)
    assert 2 == await n_reminded(world)
    await put(world, 1, before)
    await tower.go(T0 + MUTED + EVERY + AGAIN)

    assert 3 == await n_reminded(world)


async def test_a_cause_that_cannot_be_told_as_one_stops_no_other(world: World, tower: Tower) -> None:
    """Here one that has lost its members."""
    await failed(world, 3)
    (incident, *_) = await world._all(sa.select(incidents.c.id).order_by(incidents.c.id))
    hearer = await world._one(sa.select(channels.c.id))
    its = {"pid": world.project.pid, "incident_id": incident.id, "channel_id": hearer.id}
    row = its | {"since": T0, "n_left": 1, "n_new": 1, "due_at": T0 + MUTED}
    await world.db.write(lambda tx: tx.conn.execute(sa.insert(cause_tellings).values(row)) and None)

    await tower.go(T0 + MUTED)

    assert ["pending"] * 3 == await states(world)
    assert [T0 + MUTED + AGAIN] == [row.due_at for row in await world._all(sa.select(cause_tellings.c.due_at))]


async def test_many_that_cannot_be_told_are_each_left(world: World, tower: Tower) -> None:
    await failed(world, 40)
    for place in range(0, 40, 3):
        await put(world, place, {"of": "a later version"})

    await tower.go(T0 + MUTED)

    assert ["pending" if n % 3 else "held" for n in range(40)] == await states(world)


@pytest.mark.parametrize("most", [1, 32])
async def test_what_is_wrong_with_the_database_leaves_nothing(world: World, tower: Tower, most: int) -> None:
    await failed(world, 2)
    await put(world, 0, {"of": "a later version"})
    await tower.watcher.round()
    tower.clock.move_to(T0 + MUTED)
    write = world.db.write

    async def refuse(*_: Any, **__: Any) -> Any:
        raise OverloadedError("away")

    world.db.write = refuse  # type: ignore[method-assign]
    with pytest.raises(OverloadedError):
        await tower.watcher._told_apart(Later.HELD, most)
    with pytest.raises(OverloadedError):
        await tower.watcher._tell_later()
    world.db.write = write  # type: ignore[method-assign]

    assert [T0 + MUTED] * 2 == [row.held_until for row in await world._all(sa.select(notifications.c.held_until))]


async def test_who_does_not_lead_any_more_leaves_nothing(world: World, tower: Tower) -> None:
    await failed(world, 2)
    await put(world, 0, {"of": "a later version"})
    await tower.watcher.round()
    tower.clock.move_to(T0 + MUTED + MINUTE)
    tower.leader.epoch = None

    assert (False, 2) == await tower.watcher._told_apart(Later.HELD, 1)

    assert ["held"] * 2 == await states(world)


@pytest.mark.parametrize("what", list(Later))
async def test_where_nothing_is_due_nothing_is_left(world: World, tower: Tower, what: Later) -> None:
    assert not await world.db.write(lambda tx: leave(tx, what, now=T0, error="no"))
    assert [] == await world._all(sa.select(reminders))
