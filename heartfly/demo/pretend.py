"""What keeps a demo from calling anybody: channels that answer by themselves, and settings without a way out.

Also channels that people add to a demo send nothing. What each pretended receiver answers is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from heartfly.config import Settings
from heartfly.errors import DeliveryError
from heartfly.notify.channels.base import Channel, ChannelContext, Receipt
from heartfly.notify.message import Delivery

GONE = "/demo/gone"
"""The path of a hook that is pretended to be gone."""
SAID = "this is a demo: nothing was sent"


def pretending(kinds: Mapping[str, Channel]) -> Mapping[str, Channel]:
    """The same channels, with the same pace and the same rules for their settings; but they send nothing."""
    return MappingProxyType({name: _pretending(channel) for name, channel in kinds.items()})


def _pretending(channel: Channel) -> Channel:
    kind = type(channel)
    return cast("Channel", type(f"Pretended{kind.__name__}", (kind,), {"send": _answer})())


async def _answer(_: Channel, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
    del delivery, context
    if urlsplit(str(config.get("url", ""))).path == GONE:
        raise DeliveryError("the receiver answered 404: no such hook", permanent=True, code=404, reply="no such hook")
    return Receipt(code=None, reply=SAID)


def muted(settings: Settings) -> Settings:
    """Without a mail server, and without a heartbeat to anybody outside."""
    return msgspec.structs.replace(
        settings,
        mail=msgspec.structs.replace(settings.mail, host=""),
        heartbeat=msgspec.structs.replace(settings.heartbeat, url=""),
    )
