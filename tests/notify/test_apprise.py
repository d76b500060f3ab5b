"""Apprise, itself: its plain HTTP service against a receiver that listens."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.notify.channels.apprise import MAX_LINES, AppriseChannel, body
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.message import Line, word
from heartfly.notify.sentences import Tone
from tests.notify import examples
from tests.notify.examples import delivery
from tests.notify.receivers import HttpReceiver

pytestmark = pytest.mark.anyio

APPRISE = AppriseChannel()
ONCALL = {"address": "oncall"}


@pytest.fixture
def oncall(context: ChannelContext, receiver: HttpReceiver) -> ChannelContext:
    address = receiver.url.replace("http://", "json://") + "/canary-key-5x/?verify=no"
    return replace(context, apprise={"oncall": address})


async def test_an_alert_reaches_a_service_that_apprise_knows(oncall: ChannelContext, receiver: HttpReceiver) -> None:
    alert = delivery(examples.EXIT_STATUS)

    await APPRISE.send(alert, ONCALL, oncall)

    (request,) = receiver.requests
    said = json.loads(request.body)
    assert ("POST", "/canary-key-5x/") == (request.method, request.target)
    assert (word(alert).title, "failure") == (said["title"], said["type"])
    assert said["message"].startswith(word(alert).sentence)
    assert word(alert).link in said["message"]


async def test_a_refusal_is_told_without_the_key_in_the_address(oncall: ChannelContext, receiver: HttpReceiver) -> None:
    receiver.will_answer(503, body=b"come again, canary-key-5x")

    with pytest.raises(DeliveryError) as failed:
        await APPRISE.send(delivery(examples.EXIT_STATUS), ONCALL, oncall)

    assert (False, True) == (failed.value.permanent, failed.value.ambiguous)
    assert "503" in str(failed.value)
    assert "canary-key-5x" not in str(failed.value)


async def test_each_of_two_that_fail_at_once_is_told_its_own_reason(
    context: ChannelContext, receiver: HttpReceiver
) -> None:
    async with HttpReceiver() as other:
        addresses = {"here": receiver.url, "there": other.url}
        both = replace(
            context, apprise={name: url.replace("http://", "json://") + "/x" for name, url in addresses.items()}
        )
        receiver.will_answer(503)
        other.will_answer(404)
        tries = [APPRISE.send(delivery(examples.EXIT_STATUS), {"address": name}, both) for name in addresses]

        failed = [str(error) for error in await asyncio.gather(*tries, return_exceptions=True)]

    assert [(True, False), (False, True)] == [("503" in words, "404" in words) for words in failed]


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        ({}, "apprise.addresses has no address named oncall"),
        ({"oncall": "nonsense://x"}, "does not understand the address"),
    ],
)
async def test_what_can_never_be_delivered_is_not_tried_again(
    context: ChannelContext, addresses: dict[str, str], words: str
) -> None:
    with pytest.raises(DeliveryError, match=words) as failed:
        await APPRISE.send(delivery(examples.EXIT_STATUS), ONCALL, replace(context, apprise=addresses))

    assert failed.value.permanent


@pytest.mark.parametrize("name", ["json://example.com/x", "on call", "x" * 51, 7])
def test_an_address_itself_is_refused(name: object) -> None:
    with pytest.raises(InvalidValueError) as refused:
        APPRISE.parse_config({"address": name})

    assert "config.address" == refused.value.field


def test_a_storm_names_what_fits_and_counts_the_rest() -> None:
    line = Line(label="DOWN", name="backup", text="failed", link="https://x.example", tone=Tone.DOWN)
    message = replace(word(delivery(examples.EXIT_STATUS)), lines=(line,) * (MAX_LINES + 3), n_more=2)

    said = body(message)

    assert (MAX_LINES, True) == (said.count("DOWN: backup failed"), "+5 more" in said)
