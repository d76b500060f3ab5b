"""What all channels promise: the registry, masked secrets, answers of receivers, every name delivered."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.net.addresses import parse_allow_private
from heartfly.net.http import OutgoingHttp
from heartfly.net.only_to import parse_only_to
from heartfly.net.rules import Rules
from heartfly.net.urls import parse_target
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.base import Channel, ChannelContext, Reach, exchange, retry_after_s
from heartfly.notify.channels.told_by_settings import ToldBySettings
from heartfly.notify.signature import new_secret
from tests.notify.receivers import NOW, HttpReceiver
from tests.notify.vendors import VENDORS

SECRET = new_secret()
CONFIGS: dict[str, dict[str, Any]] = {
    "email": {"to": "ops@example.com", "unsubscribe_token": "tok-canary"},
    "slack": {"url": "https://hooks.slack.com/services/T0/B0/canary"},
    "webhook": {
        "url": "https://hooks.example.com/canary?key=canary",
        "headers": {"Authorization": "Bearer canary"},
        "secrets": [SECRET],
        "down": {"url": "https://down.example.com/canary", "headers": {"X-Key": "canary"}},
    },
    **{kind: {**of.config, of.at: f"https://example.com{of.path}"} for kind, of in VENDORS.items()},
    "apprise": {"address": "oncall"},
}


def test_each_kind_is_registered_under_its_own_name() -> None:
    assert list(CHANNELS) == ["email", "slack", "webhook", *VENDORS, "apprise"]
    assert {name: channel.kind for name, channel in CHANNELS.items()} == {name: name for name in CHANNELS}


def test_storms_are_folded_for_people_and_never_for_machines() -> None:
    assert {name: (c.folds_storms, c.fold_limit > 1) for name, c in CHANNELS.items()} == {
        "email": (True, True),
        "slack": (True, True),
        "webhook": (False, False),
        **dict.fromkeys(VENDORS, (True, True)),
        **dict.fromkeys(("pagerduty", "opsgenie", "github"), (False, False)),
        "apprise": (True, True),
    }


@pytest.mark.parametrize(
    ("kind", "config", "word"),
    [
        ("email", {"to": "ops@example.com"}, "mail.host"),
        ("slack", {"url": "http://10.0.0.5/…"}, "outgoing.allow_private"),
        ("webhook", {"url": "https://[::1]/…"}, "outgoing.allow_private"),
        ("webhook", {"url": "https://hooks.example.com:9000/…"}, "port 9000"),
        ("webhook", {"url": "https://beat.example.com/…"}, "Heartfly itself"),
        ("apprise", {"address": "oncall"}, "apprise.addresses"),
        ("matrix", {"server": "http://10.0.0.5", "room": "!x:y", "token": "…"}, "outgoing.allow_private"),
        ("discord", {"url": "http://10.0.0.5/…"}, "outgoing.allow_private"),
    ],
)
def test_what_cannot_be_reached_is_known_as_soon_as_it_is_set_up(kind: str, config: Any, word: str) -> None:
    nothing = Reach(rules=Rules(own_hosts={"beat.example.com"}))
    everything = Reach(
        mail=True,
        rules=Rules(allow=parse_allow_private(value=True), ports=range(65536)),
        apprise=["oncall"],
    )

    assert word in (CHANNELS[kind].hindrance(config, nothing) or "")
    assert CHANNELS[kind].hindrance(config, everything) is None


@pytest.mark.parametrize("kind", [kind for kind in CHANNELS if kind not in {"email", "apprise"}])
def test_every_kind_that_sends_by_http_says_where_to(kind: str) -> None:
    """What it does not say could not be bound by the operator's list. What is shown says the same hosts."""
    channel, config = CHANNELS[kind], CONFIGS[kind]

    stored, shown = (
        {path: parse_target(url, field=path).host for path, url in channel.addresses(one)}
        for one in (config, channel.public_config(config))
    )

    assert stored == shown
    assert set(re.findall(r"https://([^/']+)", repr(config))) <= set(stored.values())
    assert stored


@pytest.mark.parametrize("kind", ["email", "apprise"])
def test_mail_and_apprise_are_not_bound_by_the_list(kind: str) -> None:
    assert [] == list(CHANNELS[kind].addresses(CONFIGS[kind]))


def test_a_vendor_that_is_asked_without_a_choice_must_be_listed_too() -> None:
    config = VENDORS["pagerduty"].config
    told = CHANNELS["pagerduty"].hindrance(config, Reach(rules=Rules(only_to=parse_only_to(["hooks.slack.com"]))))

    assert (
        "nothing is delivered: leads to events.pagerduty.com: the setting outgoing.only_to does not list it"
    ) == told


def test_a_webhook_that_differs_for_a_beginning_says_which_address_is_closed() -> None:
    reach = Reach(rules=Rules(only_to=parse_only_to(["hooks.example.com"])))

    told = CHANNELS["webhook"].hindrance(CONFIGS["webhook"], reach)

    assert "nothing is delivered to config.down.url: leads to down.example.com: " in (told or "")


def test_slack_is_sent_one_message_a_second() -> None:
    assert CHANNELS["slack"].min_interval_s == 1.0


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=list(CHANNELS))
def test_a_good_configuration_is_stored_as_given(channel: Channel) -> None:
    assert channel.parse_config(CONFIGS[channel.kind]) == CONFIGS[channel.kind]


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=list(CHANNELS))
def test_what_is_shown_of_a_configuration_holds_no_secret(channel: Channel) -> None:
    shown = repr(channel.public_config(CONFIGS[channel.kind]))
    assert "canary" not in shown
    assert SECRET not in shown
    assert not any(secret in shown for secret in channel.secrets(CONFIGS[channel.kind]))


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=list(CHANNELS))
def test_the_secrets_of_a_configuration_are_known_for_masking(channel: Channel) -> None:
    text = repr(CONFIGS[channel.kind])
    for secret in sorted(channel.secrets(CONFIGS[channel.kind]), key=len, reverse=True):
        text = text.replace(secret, "")
    assert "canary" not in text
    assert SECRET not in text


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=list(CHANNELS))
def test_an_unknown_field_is_refused_by_its_path(channel: Channel) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        channel.parse_config(CONFIGS[channel.kind] | {"colour": "red"})
    assert refusal.value.field == "config.colour"


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=list(CHANNELS))
def test_a_configuration_needs_its_address(channel: Channel) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        channel.parse_config({})
    named = {"email": "config.to", "apprise": "config.address"}
    usual = channel.settings[0].name if isinstance(channel, ToldBySettings) else "url"
    assert refusal.value.field == named.get(channel.kind, f"config.{usual}")


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_delivered(receiver: HttpReceiver, context: ChannelContext, status: int) -> None:
    receiver.will_answer(status)
    receipt = await exchange(context, "POST", receiver.url, headers={}, body=b"{}")
    assert receipt.code == status


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        *((status, False) for status in (408, 409, 425, 429, 500, 502, 503, 599)),
        *((status, True) for status in (300, 301, 307, 400, 401, 403, 404, 410, 422, 451, 499, 508)),
    ],
)
async def test_other_answers_mean_again_or_never(
    receiver: HttpReceiver,
    context: ChannelContext,
    status: int,
    permanent: bool,  # noqa: FBT001 - a table of cases
) -> None:
    receiver.will_answer(status, body=b"no\r\nway \xff", headers="Location: /elsewhere\r\n")
    with pytest.raises(DeliveryError) as failure:
        await exchange(context, "POST", receiver.url, headers={}, body=b"{}")
    assert (failure.value.code, failure.value.permanent) == (status, permanent)
    assert failure.value.reply == "no way \ufffd"
    assert len(receiver.requests) == 1


@pytest.mark.anyio
async def test_a_redirect_is_not_followed_and_says_so(receiver: HttpReceiver, context: ChannelContext) -> None:
    receiver.will_answer(302, headers=f"Location: {receiver.url}/other\r\n")
    with pytest.raises(DeliveryError, match="302: redirects are not followed"):
        await exchange(context, "POST", receiver.url, headers={}, body=b"{}")


@pytest.mark.anyio
async def test_a_refusal_without_a_word_is_told_by_its_status(receiver: HttpReceiver, context: ChannelContext) -> None:
    receiver.will_answer(404)
    with pytest.raises(DeliveryError, match=r"the receiver answered 404$"):
        await exchange(context, "POST", receiver.url, headers={}, body=b"{}")


@pytest.mark.anyio
async def test_the_wish_of_a_busy_receiver_is_handed_on(receiver: HttpReceiver, context: ChannelContext) -> None:
    receiver.will_answer(429, headers="Retry-After: 37\r\n")
    with pytest.raises(DeliveryError) as failure:
        await exchange(context, "POST", receiver.url, headers={}, body=b"{}")
    assert failure.value.retry_after == 37.0


@pytest.mark.anyio
async def test_a_receiver_that_hangs_up_may_have_got_it(receiver: HttpReceiver, context: ChannelContext) -> None:
    receiver.will_hang_up()
    with pytest.raises(DeliveryError) as failure:
        await exchange(context, "POST", receiver.url, headers={}, body=b"{}")
    assert (failure.value.ambiguous, failure.value.permanent) == (True, False)


@pytest.mark.anyio
async def test_nobody_there_is_tried_again(receiver: HttpReceiver, context: ChannelContext) -> None:
    await receiver.__aexit__()
    with pytest.raises(DeliveryError) as failure:
        await exchange(context, "POST", receiver.url, headers={}, body=b"{}")
    assert (failure.value.ambiguous, failure.value.permanent) == (False, False)


@pytest.mark.anyio
async def test_what_the_operator_does_not_list_is_never_tried(receiver: HttpReceiver) -> None:
    http = OutgoingHttp(
        allow=parse_allow_private(value=True),
        own_hosts=(),
        user_agent="Heartfly/test",
        only_to=parse_only_to(["hooks.example"]),
    )
    with pytest.raises(DeliveryError) as failure:
        await exchange(ChannelContext(http=http, mail=None), "POST", receiver.url, headers={}, body=b"{}")
    await http.aclose()

    assert "127.0.0.1: the setting outgoing.only_to does not list it" == str(failure.value)
    assert (True, False, []) == (failure.value.permanent, failure.value.ambiguous, receiver.requests)


@pytest.mark.anyio
async def test_a_forbidden_address_is_never_tried_again(context: ChannelContext) -> None:
    with pytest.raises(DeliveryError) as failure:
        await exchange(context, "POST", "http://0.0.0.0/", headers={}, body=b"{}")
    assert failure.value.permanent


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("37", 37.0),
        (" 0.5 ", 0.5),
        ("Mon, 02 Mar 2026 03:10:31 GMT", 30.0),
        ("Mon, 02 Mar 2026 03:10:31 -0000", 30.0),
        ("Mon, 02 Mar 2026 03:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("9" * 400, 999999999999.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after_s(value, now=NOW) == expected


def test_retry_after_of_tomorrow_is_a_day() -> None:
    tomorrow = NOW + timedelta(days=1)
    assert retry_after_s(f"{tomorrow:%a, %d %b %Y %H:%M:%S} GMT", now=NOW) == 86_400.0
