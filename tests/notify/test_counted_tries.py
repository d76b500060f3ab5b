"""What is counted of each try: how it ended, why it is made again, and whether it said that it may be a repeat."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.errors import DeliveryError
from heartfly.instruments import Instruments
from heartfly.notify.message import Delivery
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel

pytestmark = pytest.mark.anyio

NOW = at("03:10")
MINUTE = timedelta(minutes=1)


def counted(instruments: Instruments) -> tuple[dict[str, float], float]:
    """Tries that are made again by their cause, and messages that were flagged."""
    retries = {sample.labels[0][1]: sample.value for sample in instruments.retries.family().samples}
    return retries, instruments.repeats.family().samples[0].value


def failing(error: DeliveryError) -> ScriptedChannel:
    async def fail(_: Delivery) -> None:
        raise error

    return ScriptedChannel(fail)


@pytest.mark.parametrize(
    ("error", "causes"),
    [
        *((DeliveryError("wait", code=code), {"busy": 1.0}) for code in (408, 409, 425, 429)),
        *((DeliveryError("no", code=code), {"refused": 1.0}) for code in (500, 503, 451)),
        (DeliveryError("no reply within 15 s", ambiguous=True), {"unanswered": 1.0}),
        (DeliveryError("no such host"), {"unreachable": 1.0}),
        (DeliveryError("gone", code=404, permanent=True), {}),
        (DeliveryError("that is Heartfly itself", permanent=True), {}),
    ],
)
async def test_a_try_that_is_made_again_is_counted_by_what_was_wrong(
    post: PostOffice, error: DeliveryError, causes: dict[str, float]
) -> None:
    instruments, channel = Instruments(), await post.scripted()
    await post.alert([channel.channel_id])

    await post.dispatcher(failing(error), count=instruments.delivery).round(NOW)

    assert (causes, 0.0) == counted(instruments)


async def test_what_arrives_as_a_possible_repeat_is_counted_once_and_what_is_surely_the_first_never(
    post: PostOffice,
) -> None:
    answers = [DeliveryError("no reply within 15 s", ambiguous=True), DeliveryError("no such host"), None]

    async def answer(_: Delivery) -> None:
        said = answers.pop(0) if answers else None
        if said is not None:
            raise said

    instruments, channel, scripted = Instruments(), await post.scripted(), ScriptedChannel(answer)
    dispatcher = post.dispatcher(scripted, count=instruments.delivery)
    await post.alert([channel.channel_id], "check:1")
    for n in range(3):
        await dispatcher.round(NOW + n * MINUTE)
    assert ({"unanswered": 1.0, "unreachable": 1.0}, 1.0) == counted(instruments)

    await post.alert([channel.channel_id], "check:2")
    await dispatcher.round(NOW + 3 * MINUTE)
    assert [True, False] == [one.possible_duplicate for one in scripted.sent]
    assert 1.0 == counted(instruments)[1]
