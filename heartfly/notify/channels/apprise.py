"""Every other service: through Apprise, which knows some 140 of them, if its extra is installed.

Apprise makes its own connections, outside the rules of net/ (public addresses only, no redirects). So nobody gives its
addresses over the API: they stand in the operator's settings under names, and a channel chooses one by its name.
Its sends block, so each runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.notify.channels.base import (
    MASK,
    Channel,
    ChannelContext,
    Reach,
    Receipt,
    digest_in,
    refuse_unknown,
    text_of,
)
from heartfly.notify.message import Delivery, Message, word
from heartfly.notify.plain import plain
from heartfly.notify.sentences import Tone
from heartfly.notify.text import one_line

LIMIT_S = 60.0
"""For one message in all. Services are given 4 s to connect and 4 s for each read by Apprise itself."""
TAIL_LIMIT = 1_500
MAX_LINES = 20
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,50}", re.ASCII)
_TYPES = {Tone.DOWN: "failure", Tone.UP: "success", Tone.DEGRADED: "warning", Tone.NOTICE: "info"}
_log = logging.getLogger("apprise")
_one_at_a_time = threading.Lock()
"""Why a send failed, Apprise only logs: what it logs meanwhile is the reason, and must be no other channel's."""


class AppriseChannel(Channel):
    kind: ClassVar[str] = "apprise"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 1
    min_interval_s: ClassVar[float] = 1.0

    @override
    def parse_config(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        refuse_unknown(raw, {"address", "digest"})
        name = text_of(raw, "address", limit=50)
        if not _NAME.fullmatch(name):
            raise InvalidValueError("config.address", "must be a name from the setting apprise.addresses")
        return {"address": name, **digest_in(raw)}

    @override
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        return set()

    @override
    def public_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    @override
    def hindrance(self, config: Mapping[str, Any], reach: Reach) -> str | None:
        known = config["address"] in reach.apprise
        return None if known else f"nothing is sent: apprise.addresses has no address named {config['address']}"

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        url = context.apprise.get(config["address"])
        if url is None:
            raise DeliveryError(f"apprise.addresses has no address named {config['address']}", permanent=True)
        message = word(delivery)
        try:
            async with asyncio.timeout(LIMIT_S):
                said = await asyncio.to_thread(_notify, url, message)
        except TimeoutError:
            raise DeliveryError(f"Apprise did not end within {LIMIT_S:g} s", ambiguous=True) from None
        if said is not None:
            # It may have reached some of the receivers that one address can name.
            raise DeliveryError(f"Apprise could not deliver: {said or 'it did not say why'}", ambiguous=True)
        return Receipt(code=None, reply="")


def body(message: Message) -> str:
    return plain(message, most_lines=MAX_LINES, tail_limit=TAIL_LIMIT)


def _notify(url: str, message: Message) -> str | None:
    with _one_at_a_time:
        return _sent(url, message)


def _sent(url: str, message: Message) -> str | None:
    """Send, and return why it failed; None if it did not."""
    try:
        import apprise  # noqa: PLC0415 - an extra, and half a second of imports
    except ImportError:
        raise DeliveryError("Apprise is not installed (the extra apprise)", permanent=True) from None
    sender = apprise.Apprise()
    heard = _Heard(logging.WARNING)
    _log.addHandler(heard)
    try:
        if not sender.add(url):
            raise DeliveryError("Apprise does not understand the address in apprise.addresses", permanent=True)
        sent = sender.notify(title=message.title, body=body(message), notify_type=_TYPES[message.tone])
    finally:
        _log.removeHandler(heard)
    return None if sent else one_line(_without_secrets(" ".join(heard.lines), url), limit=300)


class _Heard(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _without_secrets(said: str, url: str) -> str:
    """Without the parts of the address that may be a key, as far as they are long enough to be one."""
    for part in sorted(set(re.split(r"[^A-Za-z0-9_-]+", url)), key=len, reverse=True):
        if len(part) >= 6:
            said = said.replace(part, MASK)
    return said
