from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec
import pytest

from heartfly.notify.channels.base import ChannelContext, Receipt
from heartfly.notify.message import Delivery
from heartfly.notify.record import Outcome
from heartfly.notify.sending import Sender
from heartfly.notify.work import ChannelRow, Claimed
from tests.notify.examples import MISSED, at
from tests.notify.post_office import BASE_URL, SEALER, ScriptedChannel

pytestmark = pytest.mark.anyio

NOW = at("03:10")
ROW = ChannelRow(id=1, uuid="c", kind="scripted", config_enc=SEALER.seal(b"{}"), rev=1)
CLAIMED = Claimed(id="d", pid=1, channel=ROW, attempt=1, possible_duplicate=False, created_at=NOW)
PAYLOAD = msgspec.json.encode(MISSED).decode()


def now() -> datetime:
    return NOW


async def outcome_of(channel: ScriptedChannel, context: ChannelContext, payloads: list[str], **rest: float) -> Outcome:
    sender = Sender(kinds={channel.kind: channel}, context=context, sealer=SEALER, base_url=BASE_URL)
    return await sender.send(CLAIMED, payloads, now=now, **rest)


async def test_a_send_without_end_is_ended_and_may_have_arrived(context: ChannelContext) -> None:
    async def hang(_: Delivery) -> None:
        await asyncio.Event().wait()

    outcome = await outcome_of(ScriptedChannel(hang), context, [PAYLOAD], limit_s=0.05)

    assert outcome.failure is not None
    assert (True, False) == (outcome.failure.ambiguous, outcome.failure.permanent)
    assert outcome.failure.error.startswith("TimeoutError")


async def test_without_its_alerts_nothing_is_sent_and_nothing_may_have_arrived(context: ChannelContext) -> None:
    channel = ScriptedChannel()

    outcome = await outcome_of(channel, context, [])

    assert outcome.failure is not None
    assert ("its alerts could not be read from the database", False) == (
        outcome.failure.error,
        outcome.failure.ambiguous,
    )
    assert [] == channel.tried


async def test_a_reply_is_stored_as_one_line_without_secrets(context: ChannelContext) -> None:
    async def answer(_: Delivery) -> Receipt:
        return Receipt(code=200, reply="thanks\x00for\nhunter2")

    channel = ScriptedChannel(answer)
    channel.hidden = {"hunter2"}

    outcome = await outcome_of(channel, context, [PAYLOAD])

    assert (None, "thanks for …") == (outcome.failure, outcome.reply)


async def test_a_cancelled_send_is_no_outcome(context: ChannelContext) -> None:
    async def leave(_: Delivery) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await outcome_of(ScriptedChannel(leave), context, [PAYLOAD])
