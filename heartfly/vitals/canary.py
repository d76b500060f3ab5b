"""The canary: a check of Heartfly's own that misses on purpose, to measure how soon people hear of one that does.

It goes every step of a real alarm: the monitor judges it at its deadline, the outbox takes the alert, the dispatcher
sends it, to nobody. From the deadline to that is the alert latency. Then it is pinged, as a job would ping, and waits
for its next deadline. It is in no project, so nobody sees it in a list. What is published of it, others decide.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from heartfly import __version__
from heartfly.checks.config import CheckConfig
from heartfly.checks.create import place_check
from heartfly.clock import Clock
from heartfly.core.schedule import Kind
from heartfly.core.words import AlertKind, PingKind, Status
from heartfly.db import tenant
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import (
    alerts,
    attempts,
    channels,
    check_channels,
    checks,
    deliveries,
    flips,
    incidents,
    notifications,
    pings,
    runs,
)
from heartfly.errors import HeartflyError
from heartfly.logs import logger
from heartfly.notify.age import Undelivered, undelivered
from heartfly.notify.channels.base import Channel, ChannelContext, Receipt
from heartfly.notify.message import Delivery
from heartfly.pings.ingest import Ingest
from heartfly.pings.request import ByUuid, PingRequest
from heartfly.sealing import Sealer

NOBODY = 0
"""No project has this number."""
KIND = "canary"
LOOK = timedelta(seconds=5)
TOLD = 24
"""So many of the newest are shown: a day, as it comes."""
_KEPT = timedelta(days=30)

log = logger("heartfly.canary")


@dataclass(frozen=True, slots=True)
class Told:
    """A miss that was told: its deadline, and how long after it the message went out."""

    at: datetime
    latency: timedelta


@dataclass(frozen=True, slots=True)
class Pulse:
    """What was seen last, for who must not wait for the database. None: nothing was yet."""

    told: Told | None = None
    outbox: Undelivered | None = None


class CanaryChannel(Channel):
    """Takes the message, and that is all: how long it took to come here is what matters."""

    kind: ClassVar[str] = KIND
    folds_storms: ClassVar[bool] = False
    concurrency: ClassVar[int] = 1

    @override
    def parse_config(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    @override
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        return set()

    @override
    def public_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        return Receipt(code=None, reply="")


class Canary:
    """`every` None: there is none, and one that was is removed."""

    def __init__(
        self,
        database: Database,
        *,
        every: timedelta | None,
        ingest: Ingest,
        sealer: Sealer,
        clock: Clock,
        ids: IdSource,
        leads: Callable[[], bool],
    ) -> None:
        self._database = database
        self._every = every
        self._ingest = ingest
        self._sealer = sealer
        self._clock = clock
        self._ids = ids
        self._leads = leads
        self.pulse = Pulse()

    async def run(self, stop: asyncio.Event) -> None:
        """Look until stopped. A look that fails is logged, and the next one tries again."""
        while not stop.is_set():
            try:
                await self.look()
            except HeartflyError as error:
                log.warning("canary", error=str(error))
            except Exception as error:  # whoever watches us sees that nothing is told any more
                log.exception("canary", error=repr(error))
            stopping = asyncio.ensure_future(stop.wait())
            sleep = asyncio.ensure_future(self._clock.sleep(LOOK.total_seconds()))
            try:
                await asyncio.wait([stopping, sleep], return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                sleep.cancel()
                await asyncio.gather(stopping, sleep, return_exceptions=True)

    async def look(self) -> None:
        """Read what was told, and, on the node that judges, ping the canary when its miss was told."""
        async with self._database.read() as read:
            newest = await told(read, most=1)
            self.pulse = Pulse(newest[0] if newest else None, await undelivered(read))
            row = (await read.execute(sa.select(checks).where(checks.c.pid == NOBODY))).first()
            waits = row is not None and await _waits(read)
        if not self._leads():
            return
        if row is not None and (self._every is None or row.period_s != self._every.total_seconds()):
            await self._database.write(_remove)
        elif row is None and self._every is not None:
            await self._ping(await self._database.write(self._place))
        elif row is not None and row.status in {Status.NEW, Status.DOWN} and not waits:
            await self._ping(row.ping_uuid)
            await self._database.write(lambda tx: _forget(tx, self._clock.now() - _KEPT))

    def _place(self, tx: Tx) -> str:
        assert self._every is not None
        now = self._clock.now()
        config = CheckConfig(
            name="Canary", slug=KIND, kind=Kind.PERIOD.value, period_s=int(self._every.total_seconds()), grace_s=0
        )
        made = place_check(tx, NOBODY, config, actor=KIND, at=now, ids=self._ids, slug_key=KIND)
        channel_id = self._ids.next(now)
        tx.conn.execute(
            sa.insert(channels).values(
                pid=NOBODY,
                id=channel_id,
                uuid=str(uuid.uuid4()),
                kind=KIND,
                name=KIND,
                config_enc=self._sealer.seal(b"{}"),
                events=[AlertKind.DOWN.value],
                created_at=now,
                rev=1,
            )
        )
        tx.conn.execute(
            sa.insert(check_channels).values(pid=NOBODY, check_id=made.id, channel_id=channel_id, events=None)
        )
        ping_uuid: str = made.row.ping_uuid
        return ping_uuid

    async def _ping(self, ping_uuid: str) -> None:
        target = ByUuid(ping_uuid)
        seq, now = self._ingest.arrived(target)
        try:
            request = PingRequest(
                target=target,
                kind=PingKind.SUCCESS,
                received_at=now,
                seq=seq,
                method="POST",
                scheme=KIND,
                agent=f"Heartfly/{__version__}",
            )
            await self._ingest.submit(request)
        finally:
            self._ingest.gone(seq)


async def told(read: AsyncConnection, *, most: int = TOLD) -> Sequence[Told]:
    """The newest misses that were told, the newest first."""
    # The very newest may not have been told yet. Those before it are not read: there is one of each hour.
    newest = (
        sa.select(alerts.c.id, alerts.c.at)
        .where(alerts.c.pid == NOBODY, alerts.c.kind == AlertKind.DOWN.value)
        .order_by(alerts.c.id.desc())
        .limit(most + 1)
        .subquery()
    )
    sent = sa.func.min(attempts.c.started_at, type_=attempts.c.started_at.type)
    query = (
        sa.select(newest.c.at, sent.label("sent_at"))
        .join(notifications, sa.and_(notifications.c.pid == NOBODY, notifications.c.alert_id == newest.c.id))
        .join(attempts, attempts.c.delivery_id == notifications.c.delivery_id)
        .group_by(newest.c.id, newest.c.at)
        .order_by(newest.c.id.desc())
        .limit(most)
    )
    return [Told(row.at, row.sent_at - row.at) for row in await read.execute(query)]


async def _waits(read: AsyncConnection) -> bool:
    """Whether its newest miss has not been told yet."""
    newest = sa.select(notifications.c.state).where(notifications.c.pid == NOBODY)
    return (await read.execute(newest.order_by(notifications.c.alert_id.desc()).limit(1))).scalar() == "pending"


_AGED = (
    (attempts, attempts.c.started_at),
    (deliveries, deliveries.c.created_at),
    (notifications, notifications.c.created_at),
    (alerts, alerts.c.at),
    (incidents, incidents.c.opened_at),
    (flips, flips.c.at),
    (runs, runs.c.at),
    (pings, pings.c.received_at),
)


def _forget(tx: Tx, before: datetime) -> None:
    """What nobody asks for any more: a miss leaves a row in each of these."""
    for table, at in _AGED:
        tx.conn.execute(sa.delete(table).where(table.c.pid == NOBODY, at < before))


def _remove(tx: Tx) -> None:
    """All that there is of it, whatever table it is in."""
    for table in tenant.tables():
        tx.conn.execute(sa.delete(table).where(table.c.pid == NOBODY))
