"""The property: whatever is silenced, routed, escalated and folded, each alert is delivered or keeps why it was not.

Jobs fail and recover by real pings, on a real database; the channel is one of people, whose storms are folded.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartfly.config import Alerts
from heartfly.core.words import AlertKind, PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, channels, incidents, notifications
from heartfly.notify import peace_commands
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.commands import create_channel
from heartfly.notify.dispatch import Dispatcher
from heartfly.notify.later import NEXT_LATER, soonest, tell_later
from heartfly.notify.peace_commands import Asked
from heartfly.notify.policies import AskedPolicy
from tests.notify.post_office import ScriptedChannel
from tests.sim_clock import SimClock
from tests.world import SEALER, TEST, World, make_world

pytestmark = [pytest.mark.story, pytest.mark.anyio]

NIGHT = datetime(2026, 3, 2, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
END = NIGHT + timedelta(days=2)

WORLDS = {"n": 0}

pings = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 3), st.sampled_from([PingKind.FAIL, PingKind.SUCCESS])),
    min_size=1,
    max_size=14,
)
windows = st.lists(
    st.tuples(st.sampled_from(["mute", "snooze", "maintenance", "tag", "quiet"]), st.integers(5, 240)), max_size=3
)
policies = st.builds(
    AskedPolicy,
    tags=st.sampled_from([(), ("even",)]),
    least=st.sampled_from([None, "critical"]),
    after_s=st.sampled_from([None, 600]),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pings=pings, windows=windows, policy=policies, threshold=st.integers(1, 10))
async def test_each_alert_is_delivered_or_keeps_why_it_was_not(
    db: Database,
    ids: IdSource,
    pings: list[tuple[int, int, PingKind]],
    windows: list[tuple[str, int]],
    policy: AskedPolicy,
    threshold: int,
) -> None:
    WORLDS["n"] += 1
    world = await make_world(db, ids, NIGHT, slug=f"p-{WORLDS['n']}")
    channel = await _channel(world, policy)
    jobs = [
        await world.check(
            NIGHT, name=f"job-{n}", tags=("even",) if n % 2 == 0 else ("severity:critical",), grace=MINUTE
        )
        for n in range(4)
    ]
    for what, lasts in windows:
        await _silence(world, what, lasts * MINUTE, jobs)
    for minute, which, kind in sorted(pings, key=lambda ping: ping[0]):
        now = NIGHT + minute * MINUTE
        await _look(world, now)
        await world.ping(jobs[which], now, kind)
    await _look(world, END)
    people = ScriptedChannel(kind=f"scripted-{WORLDS['n']}", folds_storms=True)
    await _deliver(world, people, channel, threshold)

    told = {alert.key for delivery in people.sent for alert in delivery.alerts}
    rows = await _rows(world)
    assert all((row.state == "sent") == (row.key in told) for row in rows)
    assert all(row.state in {"sent", "untold"} for row in rows), {row.state for row in rows}
    assert all(row.why for row in rows if row.state == "untold")
    # Each failure is on record, and what lasts still was told, unless the channel is not for it.
    begun = [row for row in rows if row.kind == AlertKind.DOWN.value]
    assert await _n_incidents(world) == len(begun)
    left = [row for row in begun if row.state == "untold" and await _lasts(world, row.incident)]
    assert all("this channel" in row.why for row in left), [row.why for row in left]


async def _channel(world: World, policy: AskedPolicy) -> Any:
    def work(tx: Any) -> Any:
        made = create_channel(
            tx, world.project.pid, kind="webhook", name="people", config={"url": "https://x.example.com"},
            policy=policy, at=NIGHT, ids=world.ids, sealer=SEALER,
        )  # fmt: skip
        tx.conn.execute(
            sa.update(channels).where(channels.c.id == made.channel_id).values(kind=f"scripted-{WORLDS['n']}")
        )
        return made

    return await world.db.write(work)


async def _silence(world: World, what: str, lasts: timedelta, jobs: list[Any]) -> None:
    asked = {
        "mute": Asked(kind="mute", scope="project", lasts=lasts),
        "snooze": Asked(kind="snooze", scope="check", targets=[jobs[0].uuid], lasts=lasts),
        "maintenance": Asked(kind="maintenance", scope="project", effect="ignore", lasts=lasts),
        "tag": Asked(kind="maintenance", scope="tag", targets=["even"], lasts=lasts),
        "quiet": Asked(kind="quiet", scope="project", cron="0 * * * *", lasts=min(lasts, 50 * MINUTE)),
    }[what]
    pid = world.project.pid
    await world.db.write(lambda tx: peace_commands.make(tx, pid, asked, at=NIGHT, actor=TEST, ids=world.ids))


async def _look(world: World, through: datetime) -> None:
    """At each instant at which something that was held is due, up to this one."""
    while (due := await world.db.write(lambda tx: soonest(tx, *NEXT_LATER))) is not None and due <= through:
        while await world.db.write(lambda tx, due=due: tell_later(tx, now=due, ids=world.ids)):  # type: ignore[misc]
            pass


async def _deliver(world: World, people: ScriptedChannel, _channel: Any, threshold: int) -> None:
    dispatcher = Dispatcher(
        world.db,
        context=ChannelContext(http=None, mail=None),  # type: ignore[arg-type] # it sends nothing
        sealer=SEALER,
        clock=SimClock(END),
        ids=world.ids,
        settings=Alerts(storm_threshold=threshold),
        base_url="https://heartfly.example",
        node_id=1,
        kinds={people.kind: people},
    )
    for n in range(40):
        await dispatcher.round(END + n * MINUTE)


async def _rows(world: World) -> list[Any]:
    n, a = notifications.c, alerts.c
    query = (
        sa.select(n.state, n.why, a.key, a.kind, a.payload)
        .join(alerts, sa.and_(a.pid == n.pid, a.id == n.alert_id))
        .where(n.pid == world.project.pid)
        .order_by(n.alert_id)
    )
    async with world.db.read() as read:
        return [_Row(row) for row in (await read.execute(query)).all()]


class _Row:
    def __init__(self, row: Any) -> None:
        self.state, self.why, self.key, self.kind = row.state, row.why, row.key, row.kind
        self.incident = row.payload["incident"]


async def _n_incidents(world: World) -> int:
    async with world.db.read() as read:
        query = sa.select(sa.func.count()).select_from(incidents).where(incidents.c.pid == world.project.pid)
        return int((await read.execute(query)).scalar_one())


async def _lasts(world: World, incident: str) -> bool:
    async with world.db.read() as read:
        query = sa.select(incidents.c.closed_at).where(incidents.c.uuid == incident)
        return (await read.execute(query)).scalar_one() is None
