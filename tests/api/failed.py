"""Deliveries that fail for good: what waits is carried by the real dispatcher to receivers that refuse it."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from heartfly.clock import SystemClock
from heartfly.config import Alerts
from heartfly.errors import DeliveryError
from heartfly.net.http import OutgoingHttp
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.dispatch import Dispatcher
from heartfly.notify.message import Delivery
from tests.api.door import BASE_URL, House
from tests.notify.post_office import ScriptedChannel
from tests.world import SEALER


class _Gone(ScriptedChannel):
    kind: ClassVar[str] = "webhook"


async def given_up(house: House, at: datetime) -> None:
    """Everything that waits for a webhook at this instant was refused for good."""

    async def refuse(_: Delivery) -> None:
        raise DeliveryError("the receiver answered 410", permanent=True, code=410)

    http = OutgoingHttp(allow=(), own_hosts=(), user_agent="Heartfly/test")
    try:
        await Dispatcher(
            house.world.db,
            context=ChannelContext(http=http, mail=None),
            sealer=SEALER,
            clock=SystemClock(),
            ids=house.world.ids,
            settings=Alerts(),
            base_url=BASE_URL,
            node_id=1,
            kinds={"webhook": _Gone(refuse)},
        ).round(at)
    finally:
        await http.aclose()
