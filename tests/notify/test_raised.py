"""What an alert rule or a budget raises is one incident and one alert, told to real receivers as a check's is."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.alerts import ConcernFacts
from heartfly.core.values import replace
from heartfly.core.words import AlertKind, IncidentEnd, Severity
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import incidents
from heartfly.incidents.raised import Ended, Raised, end_alerts, keys_of, raise_alerts
from heartfly.notify.channels.base import ChannelContext
from tests.notify.conftest import mail_settings
from tests.notify.examples import at
from tests.notify.post_office import BASE_URL, PostOffice
from tests.notify.receivers import HttpReceiver
from tests.notify.test_email_delivery import Mailbox, server

pytestmark = pytest.mark.anyio

CONCERN = ConcernFacts(
    source="rule",
    uuid="7a1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a77",
    name="Errors of providers",
    severity=Severity.HIGH,
    scope="provider openai",
    what="error rate",
    figure="12.4 %",
    threshold="more than 10 %",
    window="1 h",
    values=(("02:55", "7.9 %"), ("03:00", "12.4 %")),
)
BUDGET = ConcernFacts(source="budget", uuid="8a1d1f39-0000-4b8e-9f0d-0c6a7d6f1a78", name="APIs", severity=Severity.LOW)
KINDS = (AlertKind.RULE_FIRING, AlertKind.RULE_RESOLVED)
WHY = "The error rate was 12.4 % in 1 h."


def raised(post: PostOffice, key: str = "a", *, when: datetime | None = None, **changes: Any) -> Raised:
    given: dict[str, Any] = {"source_id": 41, "concern": CONCERN, "explain": WHY, "at": when or post.at} | changes
    return Raised(pid=post.pid, key=f"rule:41:{key}", **given)


async def put(post: PostOffice, *them: Raised) -> list[str]:
    found = await post.db.write(lambda tx: raise_alerts(tx, them, ids=post.ids, now=post.at))
    return [one.uuid for one in found.values()]


async def end(post: PostOffice, *, when: datetime, **changes: Any) -> int:
    given: dict[str, Any] = {
        "source_id": 41,
        "concern": replace(CONCERN, figure="4.1 %"),
        "explain": "",
        "at": when,
    } | changes
    ended = Ended(pid=post.pid, **given)
    return len(await post.db.write(lambda tx: end_alerts(tx, [ended], ids=post.ids, now=when)))


async def rows(post: PostOffice) -> list[Any]:
    async with post.db.read() as read:
        return list((await read.execute(sa.select(incidents).order_by(incidents.c.id))).all())


async def test_what_is_raised_opens_an_incident_and_is_told_once_however_often_it_is_decided(post: PostOffice) -> None:
    await post.webhook("https://hooks.example.com/x")

    first = await put(post, raised(post), raised(post))
    again = await put(post, raised(post))

    (row,) = await rows(post)
    assert [row.uuid] == first == again
    assert ("rule", 41, CONCERN.uuid, "Errors of providers (provider openai)", WHY, post.at, None, "rule") == (
        row.source_kind, row.source_id, row.source_uuid, row.source_name, row.explain, row.opened_at, row.closed_at,
        row.cause,
    )  # fmt: skip
    assert 1 == len(await post.notifications())


async def test_an_alert_that_nobody_hears_has_its_incident_all_the_same_and_that_once(post: PostOffice) -> None:
    await put(post, raised(post))
    await put(post, raised(post))

    assert 1 == len(await rows(post))
    assert [] == await post.notifications()


async def test_only_channels_that_were_chosen_and_that_hear_of_rules_are_told(post: PostOffice) -> None:
    chosen = await post.webhook("https://hooks.example.com/1")
    await post.webhook("https://hooks.example.com/2")
    deaf = await post.webhook("https://hooks.example.com/3", events=["check.down"])

    await put(post, raised(post, channel_ids=(chosen.channel_id, deaf.channel_id)))

    assert [chosen.channel_id] == [row.channel_id for row in await post.notifications()]


async def test_its_end_closes_the_incident_and_what_is_not_open_cannot_end(post: PostOffice) -> None:
    await post.webhook("https://hooks.example.com/x")
    await put(post, raised(post))
    later = post.at + timedelta(minutes=42)

    assert 1 == await end(post, when=later)
    assert 0 == await end(post, when=later + timedelta(minutes=1))

    (row,) = await rows(post)
    assert (later, "resolved") == (row.closed_at, row.ended_by)
    assert keys_of("rule:41:a") == [row.payload["key"] for kind in KINDS for row in await post.alert_rows(kind)]


async def test_one_that_ends_without_a_word_tells_nobody(post: PostOffice) -> None:
    await post.webhook("https://hooks.example.com/x")
    await put(post, raised(post))

    await end(post, when=post.at, by=IncidentEnd.DELETED, is_told=False)

    assert [row.ended_by for row in await rows(post)] == ["deleted"]
    assert 1 == len(await post.notifications())


async def test_a_budget_reaches_its_thresholds_within_one_incident_each_once(post: PostOffice) -> None:
    await post.webhook("https://hooks.example.com/x")
    for pct in (50, 80, 80):
        one = Raised(pid=post.pid, source_id=42, key=f"budget:42:2026-03:{pct}", concern=BUDGET, at=post.at, explain="")
        assert 1 == len(await post.db.write(lambda tx, one=one: raise_alerts(tx, [one], ids=post.ids, now=post.at)))  # type: ignore[misc]

    assert 1 == len(await rows(post))
    assert 2 == len(await post.notifications())


async def test_all_that_was_told_within_one_incident_is_known_also_after_its_end(post: PostOffice) -> None:
    await post.webhook("https://hooks.example.com/x")
    keys = [f"budget:42:2026-03:{percent}" for percent in (50, 80, 90)]
    them = [Raised(pid=post.pid, source_id=42, key=key, concern=BUDGET, at=post.at, explain="") for key in keys]
    (first, *_) = await put(post, *them)
    await end(post, when=post.at, source_id=42, concern=BUDGET, is_told=False)

    again = await put(post, *them)

    assert [first] * 3 == again
    assert [first] == [row.uuid for row in await rows(post)]
    assert 3 == len(await post.notifications())


async def test_another_project_has_incidents_of_its_own_under_the_same_key(post: PostOffice) -> None:
    await put(post, raised(post))
    first = post.pid
    await post.open()
    await put(post, raised(post))

    assert [first, post.pid] == [row.pid for row in await rows(post)]


# --- as receivers read it


async def test_a_webhook_reads_figure_threshold_window_and_scope(post: PostOffice, receiver: HttpReceiver) -> None:
    await post.webhook(receiver.url)
    (incident,) = await put(post, raised(post))
    await post.dispatcher().round(post.at)
    await end(post, when=post.at + timedelta(minutes=42))
    await post.dispatcher().round(post.at + timedelta(minutes=42))

    begun, ended = (json.loads(request.body) for request in receiver.requests)
    assert ("rule.firing", "rule.resolved") == (begun["type"], ended["type"])
    assert incident == begun["incident"] == ended["incident"]
    assert ("12.4 %", "more than 10 %", "1 h", "provider openai", "high") == tuple(
        begun["concern"][name] for name in ("figure", "threshold", "window", "scope", "severity")
    )
    assert [{"when": "02:55", "value": "7.9 %"}, {"when": "03:00", "value": "12.4 %"}] == begun["concern"]["values"]
    assert f"{BASE_URL}/p/acme-1/usage/alerts/{CONCERN.uuid}" == begun["links"]["rule"]
    assert begun["check"] is None
    assert begun["at"] == ended["down_since"]


async def test_slack_reads_a_sentence_the_figures_and_a_link_to_the_rule(
    post: PostOffice, receiver: HttpReceiver
) -> None:
    await post.channel("slack", {"url": receiver.url})
    await put(post, raised(post))
    await post.dispatcher().round(post.at)

    said = json.loads(receiver.requests[0].body)
    assert said["blocks"][0]["text"]["text"] == "ALERT: Errors of providers (provider openai) [high]"
    link = f"<{BASE_URL}/p/acme-1/usage/alerts/{CONCERN.uuid}|Open the rule>"
    seen = "Errors of providers (provider openai) has been firing since 03:00 UTC. Error rate in 1 h: 12.4 %"
    assert said["text"].splitlines() == [
        "*ALERT: Errors of providers (provider openai) [high]*",
        f"{seen} (more than 10 %).",
        link,
    ]
    shown = json.dumps(said["attachments"])
    assert [] == [word for word in (WHY, "02:55", "7.9 %", "Threshold", "Severity") if word not in shown]


async def test_mail_reads_subject_reason_and_a_table_of_the_last_values(
    db: Database, ids: IdSource, context: ChannelContext
) -> None:
    box = Mailbox()
    async with server(box) as port:
        post = PostOffice(db, ids, dataclasses.replace(context, mail=mail_settings(port)), at("03:00"))
        await post.open()
        await post.channel("email", {"to": "ops@example.com"})
        await put(post, raised(post))
        await post.dispatcher().round(post.at)
        await end(post, when=post.at + timedelta(minutes=42))
        await post.dispatcher().round(post.at + timedelta(minutes=42))

    contents = [envelope.content for envelope in box.envelopes]
    mails = [message_from_bytes(one, policy=policy.default) for one in contents if isinstance(one, bytes)]
    assert [
        "ALERT: Errors of providers (provider openai) [high]",
        "RESOLVED: Errors of providers (provider openai) (lasted 42 min)",
    ] == [mail["Subject"] for mail in mails]
    plain = mails[0].get_body(("plain",))
    assert plain is not None
    text = plain.get_content()
    wanted = (WHY, "12.4 %", "more than 10 %", "provider openai", "02:55", "7.9 %", f"usage/alerts/{CONCERN.uuid}")
    assert [] == [word for word in wanted if word not in text]
    assert mails[0]["References"] == mails[1]["References"]


async def test_many_at_once_are_one_message_that_names_each(post: PostOffice, receiver: HttpReceiver) -> None:
    await post.channel("slack", {"url": receiver.url})
    many = [raised(post, f"{n}", source_id=100 + n, concern=replace(CONCERN, scope=f"customer {n}")) for n in range(20)]
    await put(post, *many)
    await post.dispatcher().round(post.at)

    (request,) = receiver.requests
    text = json.loads(request.body)["text"]
    assert text.startswith("*ALERT: 20 alerts in Acme*\n20 alerts began at 03:00 UTC.")
    assert 20 == text.count("ALERT: Errors of providers (customer ")
