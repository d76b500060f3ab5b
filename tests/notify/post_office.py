"""A project whose alerts are put into the outbox by hand, and whose dispatchers can be started and dropped."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from cryptography.fernet import Fernet
from typing_extensions import override

from heartfly.clock import Clock, SystemClock
from heartfly.config import Alerts
from heartfly.core.alerts import Alert
from heartfly.core.values import replace
from heartfly.core.words import AlertKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, attempts, channels, deliveries, notifications, projects
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.base import Channel, ChannelContext, Receipt
from heartfly.notify.commands import Changed, create_channel, delete_channel, edit_channel
from heartfly.notify.dispatch import Dispatcher
from heartfly.notify.message import Delivery
from heartfly.notify.outbox import Entry, enqueue
from heartfly.sealing import Sealer
from tests.notify import examples

SEALER = Sealer([Fernet.generate_key()])
BASE_URL = "https://heartfly.example.com"

Answer = Callable[[Delivery], Awaitable[Receipt | None]]


class ScriptedChannel(Channel):
    """Sends nothing: a function of the test says what the receiver does. `sent` holds what it took."""

    kind: ClassVar[str] = "scripted"
    folds_storms: ClassVar[bool] = False
    concurrency: ClassVar[int] = 8

    def __init__(self, answer: Answer | None = None, **traits: Any) -> None:
        self.answer = answer
        self.hidden: set[str] = set()
        self.tried: list[Delivery] = []
        self.sent: list[Delivery] = []
        for name, value in traits.items():
            setattr(self, name, value)

    @override
    def parse_config(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        return dict(raw)

    @override
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        return self.hidden

    @override
    def public_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        self.tried.append(delivery)
        receipt = await self.answer(delivery) if self.answer is not None else None
        self.sent.append(delivery)
        return receipt or Receipt(code=200, reply="ok")


@dataclass
class PostOffice:
    db: Database
    ids: IdSource
    context: ChannelContext
    at: datetime
    rules: Alerts = field(default_factory=Alerts)
    clock: Clock = field(default_factory=SystemClock)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def open(self) -> int:
        """A project. Without doors and people, so that nothing above this room is needed."""
        self.pid = self.ids.next(self.at)
        n = next(self.numbers)
        row = {
            "id": self.pid,
            "uuid": f"project-{n}",
            "slug": f"acme-{n}",
            "name": "Acme",
            "zone": "UTC",
            "ping_key_hash": f"hash-{n}",
            "ping_key_enc": b"",
            "created_at": self.at,
        }
        await self.db.write(lambda tx: tx.conn.execute(sa.insert(projects).values(row)) and None)
        return self.pid

    async def webhook(self, url: str, **rest: Any) -> Changed:
        return await self.channel("webhook", {"url": url}, **rest)

    async def channel(self, kind: str, config: Mapping[str, Any], **rest: Any) -> Changed:
        name = rest.pop("name", None) or f"{kind}-{next(self.numbers)}"
        return await self.db.write(
            lambda tx: create_channel(
                tx, self.pid, kind=kind, name=name, config=config, at=self.at, ids=self.ids, sealer=SEALER, **rest
            )
        )

    async def scripted(self, kind: str = "scripted", **rest: Any) -> Changed:
        """A channel of a kind that only the test's dispatcher knows."""
        made = await self.webhook("https://unused.example.com", **rest)
        await self.db.write(
            lambda tx: (
                tx.conn.execute(sa.update(channels).where(channels.c.id == made.channel_id).values(kind=kind)) and None
            )
        )
        return made

    async def edit(self, channel: Changed, *, at: datetime | None = None, **changes: Any) -> Changed:
        return await self.db.write(
            lambda tx: edit_channel(tx, self.pid, channel.uuid, at=at or self.at, sealer=SEALER, **changes)
        )

    async def delete(self, channel: Changed) -> None:
        await self.db.write(lambda tx: delete_channel(tx, self.pid, channel.uuid, at=self.at))

    async def alert(
        self,
        channel_ids: Sequence[int],
        source: str = "check:1",
        kind: AlertKind = AlertKind.DOWN,
        *,
        at: datetime | None = None,
        **changes: Any,
    ) -> str:
        return (await self.alerts(channel_ids, [source], kind, at=at, **changes))[0]

    async def alerts(
        self,
        channel_ids: Sequence[int],
        sources: Sequence[str],
        kind: AlertKind = AlertKind.DOWN,
        *,
        at: datetime | None = None,
        **changes: Any,
    ) -> list[str]:
        """One alert about each source, in one transaction."""
        now = at or self.at
        entries = [
            Entry(
                pid=self.pid,
                source=source,
                alert=replace(an_alert(source, kind, f"{source}:{next(self.numbers)}", now), **changes),
                channel_ids=channel_ids,
            )
            for source in sources
        ]
        for start in range(0, len(entries), 500):
            some = entries[start : start + 500]
            await self.db.write(lambda tx, some=some: enqueue(tx, some, ids=self.ids, now=now))  # type: ignore[misc]
        return [entry.alert.key for entry in entries]

    def dispatcher(self, *kinds: Channel, node_id: int = 1, **rest: Any) -> Dispatcher:
        return Dispatcher(
            rest.pop("db", self.db),
            context=self.context,
            sealer=rest.pop("sealer", SEALER),
            clock=self.clock,
            ids=self.ids,
            settings=rest.pop("rules", self.rules),
            base_url=BASE_URL,
            node_id=node_id,
            kinds={**CHANNELS, **{channel.kind: channel for channel in kinds}},
            **rest,
        )

    async def notifications(self) -> list[Any]:
        return await self._all(sa.select(notifications).order_by(notifications.c.alert_id, notifications.c.channel_id))

    async def states(self) -> list[str]:
        return [row.state for row in await self.notifications()]

    async def deliveries(self) -> list[Any]:
        return await self._all(sa.select(deliveries).order_by(deliveries.c.created_at, deliveries.c.id))

    async def attempts(self) -> list[Any]:
        return await self._all(sa.select(attempts).order_by(attempts.c.started_at, attempts.c.attempt))

    async def channel_row(self, channel: Changed) -> Any:
        (row,) = await self._all(sa.select(channels).where(channels.c.id == channel.channel_id))
        return row

    async def alert_rows(self, kind: AlertKind) -> list[Any]:
        return await self._all(sa.select(alerts).where(alerts.c.kind == kind.value))

    async def _all(self, query: Any) -> list[Any]:
        async with self.db.read() as read:
            return list((await read.execute(query)).all())


def an_alert(source: str, kind: AlertKind, key: str, at: datetime) -> Alert:
    assert examples.MISSED.check is not None
    check = replace(examples.MISSED.check, uuid=source, name=source, slug=source.replace(":", "-"))
    return replace(examples.MISSED, key=key, kind=kind, at=at, decided_at=at, check=check)


def keys(sent: Iterable[Delivery]) -> list[list[str]]:
    return [[alert.key for alert in delivery.alerts] for delivery in sent]
