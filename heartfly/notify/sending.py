"""One try to send one delivery, and what became of it, whatever the channel does.

A channel's own bug is a failed try like any other: it is written down, and no other delivery notices.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from heartfly.core.alerts import Alert
from heartfly.core.words import AlertKind
from heartfly.errors import DeliveryError
from heartfly.logs import logger
from heartfly.notify.channels.base import Channel, ChannelContext, Receipt
from heartfly.notify.contents import decoded
from heartfly.notify.message import Delivery
from heartfly.notify.placeholders import in_own_words
from heartfly.notify.policies import own_words
from heartfly.notify.record import Failure, Outcome
from heartfly.notify.text import one_line
from heartfly.notify.work import ChannelRow, Claimed
from heartfly.sealing import Sealer

SEND_LIMIT_S = 45.0
"""Well before the lease ends, so that a node whose clock is some seconds ahead takes over no send that is under way."""
_MANY = 300

log = logger("heartfly.notify")


@dataclass(slots=True)
class _Known:
    """What came to light of a try before it ended."""

    secrets: set[str] = field(default_factory=set)
    is_test: bool = False
    began: bool = False
    """The channel was asked, so the message may be out."""

    def shown(self, text: str) -> str:
        """The text as it may be stored and logged."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "…") if secret else text
        return one_line(text, limit=500)


class Sender:
    def __init__(
        self,
        *,
        kinds: Mapping[str, Channel],
        context: ChannelContext,
        sealer: Sealer,
        base_url: str,
    ) -> None:
        self._kinds = kinds
        self._context = context
        self._sealer = sealer
        self._base_url = base_url
        self._configs: dict[int, tuple[int, dict[str, Any]]] = {}

    async def send(
        self, claimed: Claimed, payloads: Sequence[str], *, now: Callable[[], datetime], limit_s: float = SEND_LIMIT_S
    ) -> Outcome:
        """Never raises, but when it is cancelled."""
        known, started_at = _Known(), now()
        code, reply, failure = None, "", None
        try:
            async with asyncio.timeout(limit_s):
                receipt = await self._send(claimed, payloads, known)
            code, reply = receipt.code, receipt.reply
        except DeliveryError as error:
            code, reply = error.code, error.reply
            failure = Failure(
                error=known.shown(str(error)),
                permanent=error.permanent,
                ambiguous=error.ambiguous,
                wish_s=error.retry_after,
            )
        except Exception as error:  # noqa: BLE001 - told to the log and, in the end, to the channel's owner
            failure = Failure(error=known.shown(f"{type(error).__name__}: {error}"), ambiguous=known.began)
            # Without the exception itself, whose text may hold a secret of the channel.
            where = "".join(traceback.format_tb(error.__traceback__, limit=-4))
            log.error("channel", channel=claimed.channel.uuid, error=failure.error, where=where)  # noqa: TRY400 - as said
        return Outcome(
            claimed=claimed,
            started_at=started_at,
            ended_at=now(),
            code=code,
            reply=known.shown(reply),
            failure=failure,
            is_test=known.is_test,
            jitter=random.random(),  # noqa: S311 - it spreads retries; nobody gains by guessing it
        )

    async def _send(self, claimed: Claimed, payloads: Sequence[str], known: _Known) -> Receipt:
        channel = self._kinds.get(claimed.channel.kind)
        if channel is None:
            raise DeliveryError(f"this Heartfly knows no channel of the kind {claimed.channel.kind}")
        config = self._config(claimed.channel)
        known.secrets = channel.secrets(config)
        alerts = await _alerts(payloads)
        known.is_test = all(alert.kind is AlertKind.TEST for alert in alerts)
        delivery = Delivery(
            id=claimed.id,
            attempt=claimed.attempt,
            possible_duplicate=claimed.possible_duplicate,
            alerts=alerts,
            base_url=self._base_url,
            created_at=claimed.created_at,
        )
        delivery = in_own_words(delivery, own_words(claimed.channel.policy, alerts[-1].kind))
        known.began = True
        return await channel.send(delivery, config, self._context)

    def _config(self, row: ChannelRow) -> dict[str, Any]:
        """Opened once for each edit: to unseal takes longer than to send."""
        rev, config = self._configs.get(row.id, (None, {}))
        if rev != row.rev:
            config = msgspec.json.decode(self._sealer.open(row.config_enc), type=dict[str, Any])
            self._configs[row.id] = (row.rev, config)
        return config


async def _alerts(payloads: Sequence[str]) -> tuple[Alert, ...]:
    if not payloads:
        raise DeliveryError("its alerts could not be read from the database")
    if len(payloads) > _MANY:
        return await asyncio.to_thread(decoded, payloads)
    return decoded(payloads)
