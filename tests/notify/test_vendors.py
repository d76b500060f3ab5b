"""Channels of vendors, each against a receiver that holds it to what the vendor documents (vendors.py)."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typing_extensions import override

from heartfly.core.alerts import Alert, UnverifiedSlot
from heartfly.core.values import replace
from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.notify.channels import CHANNELS, discord, mattermost
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.channels.told_by_settings import ToldBySettings
from heartfly.notify.message import word
from heartfly.notify.tickets import ends_its_ticket
from tests.notify import examples
from tests.notify.examples import CHECK, FAILED_RUN, at, delivery
from tests.notify.receivers import HttpReceiver, Request
from tests.notify.vendors import VENDORS, GitHub, Judged

pytestmark = pytest.mark.anyio

TOLD = {kind: channel for kind, channel in CHANNELS.items() if isinstance(channel, ToldBySettings)}
NASTY = "@everyone @here <!channel> @**all** </b><script> ```\n~~~ ]( \\ *b* _i_ & \u202egnp \0\x1b[31m 🦋" * 40
MANY = "é🦋" * 9_000
SLOTS = tuple(
    UnverifiedSlot(check_uuid=CHECK.uuid, check_name=f"{n} {NASTY}", expected_at=at("02:30"), closes_at=at("02:40"))
    for n in range(150)
)
WORST = replace(
    examples.EXIT_STATUS,
    check=replace(CHECK, name=NASTY, description=MANY, tags=(NASTY,) * 90),
    run=replace(FAILED_RUN, body_tail=(NASTY + MANY)[:10_000], metrics={f"m{n}": "9" * 300 for n in range(60)}),
    explain=MANY,
)
"""Of everything more than any of them takes."""


class Judging(HttpReceiver):
    """Answers as its vendor does."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = ""
        self.github = GitHub()

    @override
    def answer_to(self, request: Request) -> bytes:
        judge = self.github.judge if self.kind == "github" else VENDORS[self.kind].judge
        status, said = judge(request)
        return _written((status, said), {})


def _written(judged: Judged, headers: dict[str, str]) -> bytes:
    status, said = judged
    body = b"" if said is None else json.dumps(said).encode()
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{told}\r\n".encode() + body


@pytest.fixture
async def vendor() -> AsyncIterator[Judging]:
    async with Judging() as running:
        yield running


def config(kind: str, vendor: HttpReceiver) -> dict[str, Any]:
    of = VENDORS[kind]
    return TOLD[kind].parse_config({**of.config, of.at: vendor.url + of.path})


def test_each_of_them_has_a_receiver() -> None:
    assert TOLD.keys() == VENDORS.keys()


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize(
    "name",
    [
        "EXIT_STATUS",
        "UP",
        "LATE",
        "DEGRADED",
        "UNVERIFIED",
        "TEST",
        "CHANNEL_FAILING",
        "RULE_FIRING",
        "RULE_RESOLVED",
        "BUDGET_REACHED",
    ],
)
async def test_each_kind_of_alert_is_taken(kind: str, name: str, vendor: Judging, context: ChannelContext) -> None:
    vendor.kind = kind
    alert: Alert = getattr(examples, name)

    receipt = await TOLD[kind].send(delivery(alert), config(kind, vendor), context)

    assert receipt.code is None or 200 <= receipt.code < 300
    if receipt.code is not None and not ends_its_ticket(alert):
        told = vendor.requests[-1].body.decode()
        assert alert.check is None or "backup" in told


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("alert", [WORST, replace(examples.UNVERIFIED, slots=SLOTS)], ids=["long", "many"])
async def test_the_longest_and_worst_stays_within_its_limits(
    kind: str, alert: Alert, vendor: Judging, context: ChannelContext
) -> None:
    vendor.kind = kind

    receipt = await TOLD[kind].send(delivery(alert), config(kind, vendor), context)

    assert receipt.code in {200, 201, 202, 204}


FOLDING = [kind for kind, channel in TOLD.items() if channel.folds_storms]


@pytest.mark.parametrize("kind", FOLDING)
async def test_a_storm_is_one_message_that_names_what_fits(kind: str, vendor: Judging, context: ChannelContext) -> None:
    vendor.kind = kind
    channel = TOLD[kind]
    storm = [
        replace(examples.EXIT_STATUS, key=f"flip:{n}:1", check=replace(CHECK, uuid=f"u{n}", name=f"job{n:03}x"))
        for n in range(channel.fold_limit)
    ]

    await channel.send(delivery(*storm), config(kind, vendor), context)

    (request,) = vendor.requests
    told = request.body.decode()
    named = set(re.findall(r"job[0-9]{3}x", told))
    unnamed = sum(int(n) for n in re.findall(r"(?:\+|%2B|\\\+)([0-9]+)(?: |\+)more", told)[:1])
    assert channel.fold_limit == len(named) + unnamed
    assert len(named) > min(4, channel.fold_limit - 1)


@pytest.mark.parametrize("kind", TOLD)
async def test_it_is_asked_again_when_it_wants_to_be(
    kind: str, receiver: HttpReceiver, context: ChannelContext
) -> None:
    status, headers, said = VENDORS[kind].seconds
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    receiver.will_answer(status, body=json.dumps(said).encode(), headers=told)

    with pytest.raises(DeliveryError) as failed:
        await TOLD[kind].send(delivery(examples.EXIT_STATUS), config(kind, receiver), context)

    assert (False, 7.0) == (failed.value.permanent, failed.value.retry_after)


@pytest.mark.parametrize("kind", TOLD)
async def test_what_it_refuses_for_good_is_not_sent_again(
    kind: str, receiver: HttpReceiver, context: ChannelContext
) -> None:
    receiver.will_answer(403, body=b'{"message": "no"}')

    with pytest.raises(DeliveryError) as failed:
        await TOLD[kind].send(delivery(examples.EXIT_STATUS), config(kind, receiver), context)

    assert (True, 403) == (failed.value.permanent, failed.value.code)
    assert "canary" not in str(failed.value)


@pytest.mark.parametrize("kind", TOLD)
async def test_while_it_is_broken_it_is_tried_again(kind: str, receiver: HttpReceiver, context: ChannelContext) -> None:
    receiver.will_answer(503, body=b"<html>")

    with pytest.raises(DeliveryError) as failed:
        await TOLD[kind].send(delivery(examples.EXIT_STATUS), config(kind, receiver), context)

    assert (False, 503) == (failed.value.permanent, failed.value.code)


@pytest.mark.parametrize("kind", ["pagerduty", "opsgenie"])
async def test_what_a_rule_says_is_over_closes_what_it_opened(
    kind: str, vendor: Judging, context: ChannelContext
) -> None:
    vendor.kind = kind
    for alert in (examples.RULE_FIRING, examples.RULE_RESOLVED):
        await TOLD[kind].send(delivery(alert), config(kind, vendor), context)

    opened, closed = vendor.requests
    ticket = f"heartfly:{examples.RULE_FIRING.incident}"
    assert (True, True) == (ticket in opened.body.decode(), b"trigger" in opened.body or opened.target == "/v2/alerts")
    assert b'"resolve"' in closed.body or closed.target.endswith("/close?identifierType=alias")


@pytest.mark.parametrize("kind", ["pagerduty", "opsgenie"])
async def test_what_is_up_again_closes_what_was_opened(kind: str, vendor: Judging, context: ChannelContext) -> None:
    vendor.kind = kind
    for alert in (examples.EXIT_STATUS, examples.UP):
        await TOLD[kind].send(delivery(alert), config(kind, vendor), context)

    opened, closed = ((request.target, json.loads(request.body)) for request in vendor.requests)
    ticket = f"heartfly:{CHECK.uuid}"
    if kind == "pagerduty":
        told = [(body["event_action"], body["dedup_key"]) for _, body in (opened, closed)]
        assert [("trigger", ticket), ("resolve", ticket)] == told
        assert "critical" == opened[1]["payload"]["severity"]
    else:
        assert ("/v2/alerts", ticket, "P1") == (opened[0], opened[1]["alias"], opened[1]["priority"])
        assert f"/v2/alerts/{ticket.replace(':', '%3A')}/close?identifierType=alias" == closed[0]


async def test_a_check_has_one_issue_which_goes_on_and_is_closed(vendor: Judging, context: ChannelContext) -> None:
    vendor.kind = "github"
    other = replace(examples.EXIT_STATUS, check=replace(CHECK, uuid="0" * 36, name="another"))
    for alert in (examples.EXIT_STATUS, other, examples.DEGRADED, examples.UP, examples.UP):
        receipt = await TOLD["github"].send(delivery(alert), config("github", vendor), context)

    states = {issue["title"].rpartition(" ")[0]: issue["state"] for issue in vendor.github.issues.values()}
    assert {"DOWN: nightly-backup": "closed", "DOWN: another": "open"} == states
    assert [1, 1] == [number for number, _ in vendor.github.comments]
    assert (None, "there is no open issue of it") == (receipt.code, receipt.reply)


async def test_a_repository_that_the_token_may_not_see_is_told_once(vendor: Judging, context: ChannelContext) -> None:
    vendor.kind = "github"
    asked = config("github", vendor) | {"repository": "example/secret"}

    with pytest.raises(DeliveryError, match="no such repository") as failed:
        await TOLD["github"].send(delivery(examples.EXIT_STATUS), asked, context)

    assert failed.value.permanent


async def test_a_server_of_ones_own_has_its_questions_beside(receiver: HttpReceiver, context: ChannelContext) -> None:
    asked = config("github", receiver) | {"server": f"{receiver.url}/api/v3"}
    receiver.will_answer(200, body=b'{"data": {"repository": {"issues": {"nodes": []}}}}')

    await TOLD["github"].send(delivery(examples.EXIT_STATUS), asked, context)

    targets = [request.target for request in receiver.requests]
    assert ["/api/graphql", "/api/v3/repos/example/ops/issues"] == targets


async def test_a_repeat_has_the_same_transaction_for_a_homeserver(
    receiver: HttpReceiver, context: ChannelContext
) -> None:
    for attempt in (1, 2):
        told = delivery(examples.EXIT_STATUS, attempt=attempt, possible_duplicate=attempt > 1)
        await TOLD["matrix"].send(told, config("matrix", receiver), context)

    assert 1 == len({request.target for request in receiver.requests})


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("discord", "url", "ftp://example.com/x"), ("discord", "url", "…"), ("telegram", "token", "nonsense"),
        ("telegram", "chat", "my chat"), ("telegram", "topic", "general"), ("telegram", "server", "api.telegram.org"),
        ("ntfy", "topic", "a topic"), ("ntfy", "token", "a b"), ("pushover", "user", "short"),
        ("zulip", "bot", "nobody"), ("zulip", "key", "…"), ("matrix", "room", "#ops:example.com"),
        ("sms", "to", "01511 2345678"), ("sms", "sender", "Heartfly"), ("sms", "account", "AC12"),
        ("pagerduty", "key", "…"), ("github", "repository", "https://github.com/example/ops"),
        ("mattermost", "channel", "Town Square"), ("opsgenie", "key", "x" * 201), ("github", "token", 7),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_by_its_name(kind: str, name: str, value: object) -> None:
    of = VENDORS[kind]
    good = {**of.config, of.at: f"https://example.com{of.path}"}

    with pytest.raises(InvalidValueError) as refused:
        TOLD[kind].parse_config({**good, name: value})

    assert f"config.{name}" == refused.value.field


@pytest.mark.parametrize("kind", TOLD)
def test_what_must_be_given_is_told_by_its_name(kind: str) -> None:
    of = VENDORS[kind]
    good = {**of.config, of.at: f"https://example.com{of.path}"}
    for one in TOLD[kind].settings:
        without = {name: value for name, value in good.items() if name != one.name}
        if one.usual is not None:
            assert one.name not in TOLD[kind].parse_config(without)
            continue
        with pytest.raises(InvalidValueError) as refused:
            TOLD[kind].parse_config(without)
        assert f"config.{one.name}" == refused.value.field


@pytest.mark.parametrize("kind", TOLD)
def test_where_it_goes_is_said_without_a_secret(kind: str) -> None:
    of = VENDORS[kind]
    public = TOLD[kind].public_config(TOLD[kind].parse_config({**of.config, of.at: f"https://example.com{of.path}"}))

    said = TOLD[kind].receiver(public)

    assert ("canary" not in said, True) == (True, bool(said))


def test_of_a_message_nothing_calls_anybody_in_discord_and_mattermost() -> None:
    named = word(delivery(replace(examples.EXIT_STATUS, check=replace(CHECK, name="@everyone <@1>"))))

    assert {"parse": []} == discord.payload(named)["allowed_mentions"]
    assert "<@1>" not in json.dumps(discord.payload(named))
    assert "@everyone" not in json.dumps(mattermost.payload(named), ensure_ascii=False)
