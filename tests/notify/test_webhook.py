"""Webhooks: signed events, the owner's own requests, and what is refused when one is set up."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
import standardwebhooks

from heartfly.clock import SystemClock
from heartfly.core.values import replace
from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.channels.webhook import WebhookChannel, rotated
from heartfly.notify.event import encoded, event
from heartfly.notify.signature import new_secret
from tests.notify import examples
from tests.notify.examples import CHECK, delivery
from tests.notify.receivers import NOW, HttpReceiver, Request

WEBHOOK = WebhookChannel()
URL = "https://hooks.example.com/x"


async def sent(
    receiver: HttpReceiver, context: ChannelContext, *, alert: Any = examples.EXIT_STATUS, **config: Any
) -> Request:
    parsed = WEBHOOK.parse_config({"url": f"{receiver.url}/hook"} | config)
    await WEBHOOK.send(delivery(alert), parsed, context)
    return receiver.requests[-1]


@pytest.mark.anyio
async def test_an_event_is_posted_as_json(receiver: HttpReceiver, context: ChannelContext) -> None:
    request = await sent(receiver, context)
    assert (request.method, request.target) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == examples.DELIVERY_ID
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert request.body == encoded(event(delivery(examples.EXIT_STATUS)))


@pytest.mark.anyio
async def test_the_reference_implementation_accepts_what_arrives(
    receiver: HttpReceiver, context: ChannelContext
) -> None:
    secrets = [new_secret(), new_secret()]
    now = dataclasses.replace(context, clock=SystemClock())
    for body in (None, '{"text": "$NAME"}'):
        request = await sent(receiver, now, secrets=secrets, body=body)
        for secret in secrets:
            standardwebhooks.Webhook(secret).verify(request.body, request.headers)


@pytest.mark.anyio
async def test_after_a_rotation_both_secrets_sign_until_the_overlap_ends(
    receiver: HttpReceiver, context: ChannelContext
) -> None:
    old, new = new_secret(), new_secret()
    config = WEBHOOK.parse_config({"url": receiver.url, "secrets": [old]})
    clock = SystemClock()

    async def accepting(until: datetime | None) -> list[str]:
        """Whose holder takes a message for ours, by the reference implementation."""
        await WEBHOOK.send(
            delivery(examples.UP), rotated(config, new, until=until), dataclasses.replace(context, clock=clock)
        )
        request, taken = receiver.requests[-1], []
        for secret in (old, new):
            with suppress(standardwebhooks.WebhookVerificationError):
                standardwebhooks.Webhook(secret).verify(request.body, request.headers)
                taken.append(secret)
        return taken

    assert [old, new] == await accepting(clock.now() + timedelta(minutes=1))
    assert [new] == await accepting(clock.now())
    assert [new] == await accepting(None)


def test_what_a_rotation_retires_is_a_secret_and_cannot_be_asked_for() -> None:
    old, new = new_secret(), new_secret()
    config = rotated(WEBHOOK.parse_config({"url": URL, "secrets": [old]}), new, until=NOW)

    assert {old, new} <= WEBHOOK.secrets(config)
    assert "retired" not in WEBHOOK.public_config(config)
    assert (NOW, None) == (WEBHOOK.old_secret_until(config), WEBHOOK.old_secret_until({"url": URL}))
    with pytest.raises(InvalidValueError, match=r"^config\.retired: unknown field"):
        WEBHOOK.parse_config(config)


def test_a_second_rotation_ends_what_the_first_one_retired() -> None:
    first, second, third = new_secret(), new_secret(), new_secret()
    once = rotated({"url": URL, "secrets": [first]}, second, until=NOW)

    twice = rotated(once, third, until=NOW)

    assert ([third], [second]) == (twice["secrets"], twice["retired"]["secrets"])
    assert first not in WEBHOOK.secrets(twice)


@pytest.mark.anyio
async def test_without_a_secret_there_is_no_signature(receiver: HttpReceiver, context: ChannelContext) -> None:
    assert "webhook-signature" not in (await sent(receiver, context)).headers


@pytest.mark.anyio
async def test_a_get_has_no_body_and_its_values_in_the_address(receiver: HttpReceiver, context: ChannelContext) -> None:
    url = f"{receiver.url}/$SLUG?s=$STATUS&n=$NAME"
    alert = replace(examples.EXIT_STATUS, check=replace(CHECK, name="a/b c&d"))
    request = await sent(receiver, context, alert=alert, url=url, method="GET")
    assert (request.method, request.target) == ("GET", "/nightly-backup?s=down&n=a%2Fb%20c%26d")
    assert request.body == b""
    assert "content-type" not in request.headers


@pytest.mark.anyio
async def test_an_own_body_and_own_headers_are_filled(receiver: HttpReceiver, context: ChannelContext) -> None:
    request = await sent(
        receiver, context, method="PUT", headers={"X-Check": "$NAME ist $STATUS"}, body='{"text": "$NAME: $BODY"}'
    )
    assert request.method == "PUT"
    assert request.headers["x-check"] == "nightly-backup ist down"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body)["text"].startswith("nightly-backup: + pg_dump billing\n")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ("$NAME", {}, "text/plain; charset=utf-8"),
        (" [1]", {}, "application/json"),
        ("t=$NAME", {"content-TYPE": "application/x-www-form-urlencoded"}, "application/x-www-form-urlencoded"),
        (None, {"Content-Type": "application/cloudevents+json"}, "application/cloudevents+json"),
    ],
)
async def test_the_type_of_a_body_is_the_owners_or_found_out(
    receiver: HttpReceiver, context: ChannelContext, body: str | None, headers: dict[str, str], expected: str
) -> None:
    request = await sent(receiver, context, body=body, headers=headers)
    assert request.headers["content-type"] == expected


@pytest.mark.anyio
async def test_down_and_up_can_differ_and_the_rest_is_common(receiver: HttpReceiver, context: ChannelContext) -> None:
    config: dict[str, Any] = {
        "headers": {"X-Common": "1"},
        "down": {"body": "red $NAME"},
        "up": {"url": f"{receiver.url}/green", "method": "GET"},
    }
    down = await sent(receiver, context, **config)
    up = await sent(receiver, context, alert=examples.UP, **config)
    late = await sent(receiver, context, alert=examples.LATE, **config)
    assert (down.method, down.target, down.body) == ("POST", "/hook", b"red nightly-backup")
    assert (up.method, up.target, up.headers["x-common"]) == ("GET", "/green", "1")
    assert json.loads(late.body)["type"] == "check.late"


@pytest.mark.anyio
async def test_410_gone_is_for_good(receiver: HttpReceiver, context: ChannelContext) -> None:
    receiver.will_answer(410)
    with pytest.raises(DeliveryError) as failure:
        await sent(receiver, context)
    assert failure.value.permanent


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"url": "ftp://x.test/"}, "config.url"),
        ({"url": "https://$NAME.x.test/"}, "config.url"),
        ({"url": "https://x.test:$NAME/"}, "config.url"),
        ({"url": "https://user:pw@x.test/"}, "config.url"),
        ({"url": "https://x.test/" + "x" * 1_000}, "config.url"),
        ({"url": URL, "method": "DELETE"}, "config.method"),
        ({"url": URL, "method": ["POST"]}, "config.method"),
        ({"url": URL, "method": "GET", "body": "x"}, "config.body"),
        ({"url": URL, "body": "x", "up": {"method": "GET"}}, "config.up.body"),
        ({"url": URL, "method": "GET", "down": {"body": "x"}}, "config.down.body"),
        ({"url": URL, "body": ""}, "config.body"),
        ({"url": URL, "body": "x" * 20_001}, "config.body"),
        ({"url": URL, "body": "\ud800"}, "config.body"),
        ({"url": URL, "headers": ["X: y"]}, "config.headers"),
        ({"url": URL, "headers": {"X": 7}}, "config.headers"),
        ({"url": URL, "headers": {"X": "y" * 1_001}}, "config.headers"),
        ({"url": URL, "headers": {"X Y": "y"}}, "config.headers"),
        ({"url": URL, "headers": {"X": "y\r\nZ: z"}}, "config.headers"),
        ({"url": URL, "headers": {"Host": "evil.test"}}, "config.headers"),
        ({"url": URL, "headers": {"Webhook-Signature": "v1,x"}}, "config.headers"),
        ({"url": URL, "headers": {f"X{n}": "y" for n in range(21)}}, "config.headers"),
        ({"url": URL, "secrets": "whsec_x"}, "config.secrets"),
        ({"url": URL, "secrets": ["short"]}, "config.secrets"),
        ({"url": URL, "secrets": [7]}, "config.secrets"),
        ({"url": URL, "secrets": [new_secret()] * 4}, "config.secrets"),
        ({"url": URL, "down": "https://x.test/"}, "config.down"),
        ({"url": URL, "down": {"secrets": []}}, "config.down.secrets"),
        ({"url": URL, "up": {"url": "nope"}}, "config.up.url"),
    ],
)
def test_a_wrong_configuration_is_refused_by_the_path_of_its_field(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        WEBHOOK.parse_config(config)
    assert refusal.value.field == field


def test_null_means_not_given() -> None:
    raw = {"url": URL, "method": None, "headers": None, "body": None, "down": None, "up": {"url": None}}
    assert WEBHOOK.parse_config(raw) == {"url": URL, "up": {}}


def test_a_shown_configuration_keeps_what_is_no_secret() -> None:
    config = {"url": URL, "method": "PUT", "headers": {"X": "s"}, "body": "$NAME", "secrets": [new_secret()], "up": {}}
    assert WEBHOOK.public_config(config) == {
        "url": "https://hooks.example.com/…",
        "method": "PUT",
        "headers": {"X": "…"},
        "body": "$NAME",
        "secrets": ["whsec_…"],
        "up": {},
    }


def test_an_address_without_a_path_has_nothing_more_to_mask() -> None:
    assert WEBHOOK.secrets({"url": "https://hooks.example.com/"}) == {"https://hooks.example.com/"}


def test_a_shown_configuration_invents_nothing() -> None:
    assert WEBHOOK.public_config({"url": URL}) == {"url": "https://hooks.example.com/…"}
