"""After its start a demo goes on: its jobs ping as before, and nothing of it leaves the machine."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.config import Alerts, Settings, load
from heartfly.db import models as tables
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.demo.fill import Size, fill
from heartfly.demo.pretend import SAID, muted, pretending
from heartfly.demo.traffic import Traffic
from heartfly.net.addresses import parse_allow_private
from heartfly.net.http import OutgoingHttp
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.commands import create_channel, send_test
from heartfly.notify.dispatch import Dispatcher
from heartfly.pings.apply import PingApplier
from heartfly.pings.ingest import Ingest
from heartfly.pings.rate import RateLimiter
from tests.demo.test_fill import NOW, all_of, filling
from tests.notify.receivers import HttpReceiver
from tests.sim_clock import SimClock
from tests.world import KEEP, SEALER, TEST

pytestmark = pytest.mark.anyio


async def test_the_jobs_ping_on_when_they_always_did(db: Database, ids: IdSource) -> None:
    filled = await db.write(filling(Size(20, 5)))
    clock = SimClock(NOW)
    applier = PingApplier(ids=ids, node_id=7, rate=RateLimiter(per_minute=1200), keep=KEEP)
    traffic = Traffic(filled.lives, Ingest(db, applier, clock), clock)
    before = {row.id: row for row in await all_of(db, sa.select(tables.checks))}
    for _ in range(30):
        assert traffic.next_at is not None
        assert traffic.next_at > NOW
        clock.move_to(max(clock.now(), traffic.next_at))
        await traffic.once()
    after = {row.id: row for row in await all_of(db, sa.select(tables.checks))}

    assert 30 == sum(after[id_].n_pings - before[id_].n_pings for id_ in after)
    # None of them came before its job was expected, or after its grace: who was up is.
    assert {id_ for id_, row in before.items() if row.status == "up"} <= {
        id_ for id_, row in after.items() if row.status == "up"
    }
    assert all(row.n_open_runs == 0 for row in after.values() if row.name == "Billing roll-up")


async def test_the_jobs_stop_when_the_server_does(db: Database, ids: IdSource) -> None:
    filled = await db.write(filling(Size(20, 5)))
    clock, stop = SimClock(NOW), asyncio.Event()
    applier = PingApplier(ids=ids, node_id=7, rate=RateLimiter(per_minute=1200), keep=KEEP)
    going = asyncio.ensure_future(Traffic(filled.lives, Ingest(db, applier, clock), clock).run(stop))
    stop.set()

    await asyncio.wait_for(going, timeout=60)


async def test_a_demo_sends_nothing_also_not_through_a_channel_that_somebody_adds(db: Database, ids: IdSource) -> None:
    filled = await db.write(lambda tx: fill(tx, Size(20, 5), seed=1, now=NOW, sealer=SEALER, password_hash="-"))
    pid, later = filled.project.pid, NOW + timedelta(hours=2)
    async with HttpReceiver() as receiver:
        http = OutgoingHttp(allow=parse_allow_private(True), own_hosts=(), user_agent="Heartfly/test")  # noqa: FBT003
        made = await db.write(
            lambda tx: create_channel(
                tx, pid, kind="webhook", name="mine", config={"url": receiver.url}, at=later, ids=ids, sealer=SEALER
            )
        )
        await db.write(lambda tx: send_test(tx, pid, made.uuid, actor=TEST, at=later, ids=ids))
        dispatcher = Dispatcher(
            db, context=ChannelContext(http=http, mail=None), sealer=SEALER, clock=SimClock(later), ids=ids,
            settings=Alerts(), base_url="http://beat.example.org", node_id=7, kinds=pretending(CHANNELS),
        )  # fmt: skip
        await dispatcher.round(later)
        await http.aclose()
    states = await all_of(db, sa.select(tables.notifications.c.state))
    replies = set(await all_of(db, sa.select(tables.attempts.c.reply).where(tables.attempts.c.started_at > NOW)))

    assert [] == receiver.requests
    assert ("pending",) not in states
    assert {(SAID,)} == replies


async def test_the_hook_that_is_gone_stays_gone(db: Database, ids: IdSource) -> None:
    filled = await db.write(filling(Size(20, 5)))
    pid = filled.project.pid
    hook = (await all_of(db, sa.select(tables.channels.c.uuid).where(tables.channels.c.name == "Pager hook")))[0].uuid
    await db.write(lambda tx: send_test(tx, pid, hook, actor=TEST, at=NOW, ids=ids))
    http = OutgoingHttp(allow=parse_allow_private(False), own_hosts=(), user_agent="Heartfly/test")  # noqa: FBT003
    dispatcher = Dispatcher(
        db, context=ChannelContext(http=http, mail=None), sealer=SEALER, clock=SimClock(NOW), ids=ids,
        settings=Alerts(), base_url="http://beat.example.org", node_id=7, kinds=pretending(CHANNELS),
    )  # fmt: skip
    await dispatcher.round(NOW)
    await http.aclose()
    newest = await all_of(db, sa.select(tables.attempts.c.code, tables.attempts.c.error).order_by(
        tables.attempts.c.started_at.desc()).limit(1))  # fmt: skip

    assert [(404, "the receiver answered 404: no such hook")] == newest


def test_a_demo_knows_no_mail_server_and_calls_no_heartbeat() -> None:
    given = {"HEARTFLY_MAIL__HOST": "mail.example.com", "HEARTFLY_MAIL__FROM_ADDRESS": "a@example.com",
             "HEARTFLY_HEARTBEAT__URL": "https://example.com/x"}  # fmt: skip
    settings: Settings = muted(load(None, given))

    assert ("", "") == (settings.mail.host, settings.heartbeat.url)
