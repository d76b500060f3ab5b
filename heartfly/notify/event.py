"""The JSON of a webhook: every fact of an alert, by fixed names. Documented in docs/webhooks.md.

A field is never renamed and never changes its meaning; new ones may come. Durations are seconds,
instants RFC 3339 UTC. The ping address of a check is a secret and is not in it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from heartfly.core.alerts import Alert, ChannelFacts, CheckFacts, ConcernFacts, RunFacts, UnverifiedSlot
from heartfly.notify.message import Delivery, headline, incident_link, link_to, project_link
from heartfly.notify.presentable import presentable


class ProjectOut(msgspec.Struct, frozen=True):
    slug: str
    name: str


class CheckOut(msgspec.Struct, frozen=True):
    id: str
    name: str
    slug: str
    tags: tuple[str, ...]
    description: str
    status: str | None
    previous_status: str | None
    schedule_text: str
    grace: float
    dialect: str
    max_run: float | None
    rules: tuple[str, ...]
    n_pings: int
    last_ping_at: datetime | None
    last_kind: str | None
    last_duration: float | None
    expected_at: datetime | None
    host: str


class RunOut(msgspec.Struct, frozen=True):
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    exit_status: int | None
    duration: float | None
    rid: str | None
    metrics: dict[str, str]
    body_tail: str
    body_cut: bool


class ChannelOut(msgspec.Struct, frozen=True):
    id: str
    name: str
    kind: str
    error: str
    n_failed: int
    n_waiting: int


class ValueOut(msgspec.Struct, frozen=True):
    when: str
    value: str


class ConcernOut(msgspec.Struct, frozen=True):
    source: str
    id: str
    name: str
    severity: str
    scope: str
    what: str
    figure: str
    threshold: str
    window: str
    values: tuple[ValueOut, ...]


class CauseOut(msgspec.Struct, frozen=True):
    """What explains that a check is down, with others: a `host`, or an `upstream` check that they need."""

    incident: str
    what: str
    name: str


class BrokenGateOut(msgspec.Struct, frozen=True):
    gate: str
    level: str
    seen: str
    expected: str


class SlotOut(msgspec.Struct, frozen=True):
    check: dict[str, str]
    expected_at: datetime
    closes_at: datetime


class BlindOut(msgspec.Struct, frozen=True):
    from_at: datetime
    to_at: datetime


class ChangeOut(msgspec.Struct, frozen=True):
    """A change that waited undelivered and is told with the one that came after it."""

    type: str
    at: datetime
    reason: str | None
    explain: str


class EventOut(msgspec.Struct, frozen=True):
    id: str
    type: str
    created_at: datetime
    project: ProjectOut
    check: CheckOut | None
    run: RunOut | None
    channel: ChannelOut | None
    incident: str | None
    reason: str | None
    title: str
    summary: str
    explain: str
    at: datetime
    decided_at: datetime
    down_since: datetime | None
    blind: BlindOut | None
    broken_gates: tuple[BrokenGateOut, ...]
    unverified: tuple[SlotOut, ...]
    earlier: tuple[ChangeOut, ...]
    links: dict[str, str]
    attempt: int
    possible_duplicate: bool
    concern: ConcernOut | None
    missed: int
    held: str
    cause: CauseOut | None
    verdict: str
    unheard: tuple[BlindOut, ...]


def event(delivery: Delivery) -> EventOut:
    alerts = [presentable(alert, base_url=delivery.base_url) for alert in delivery.alerts]
    alert = alerts[-1]
    title, summary = headline(delivery, alerts)
    return EventOut(
        id=delivery.id,
        type=alert.kind.value,
        created_at=delivery.created_at,
        project=ProjectOut(alert.project_slug, alert.project_name),
        check=None if alert.check is None else _check(alert.check, alert),
        run=None if alert.run is None else _run(alert.run),
        channel=None if alert.channel is None else _channel(alert.channel),
        incident=alert.incident,
        reason=alert.reason,
        title=title,
        summary=summary,
        explain=alert.explain,
        at=alert.at,
        decided_at=alert.decided_at,
        down_since=alert.down_since,
        blind=_blind(alert),
        broken_gates=tuple(BrokenGateOut(one.gate, one.level, one.seen, one.expected) for one in alert.broken_gates),
        unverified=tuple(_slot(slot) for slot in alert.slots),
        earlier=tuple(ChangeOut(a.kind.value, a.at, a.reason, a.explain) for a in alerts[:-1]),
        links=_links(alert, delivery.base_url),
        attempt=delivery.attempt,
        possible_duplicate=delivery.possible_duplicate,
        concern=None if alert.concern is None else _concern(alert.concern),
        missed=alert.n_missed,
        held=alert.held,
        cause=_cause(alert),
        verdict=alert.verdict,
        unheard=tuple(BlindOut(one.from_at, one.to_at) for one in alert.unheard),
    )


def _cause(alert: Alert) -> CauseOut | None:
    if alert.together is not None:
        return CauseOut(alert.incident or "", alert.together.what, alert.together.name)
    return None if alert.cause is None else CauseOut(alert.cause.uuid, alert.cause.what, alert.cause.name)


def encoded(event: EventOut) -> bytes:
    return msgspec.json.encode(event)


def _check(check: CheckFacts, alert: Alert) -> CheckOut:
    return CheckOut(
        id=check.uuid,
        name=check.name,
        slug=check.slug,
        tags=check.tags,
        description=check.description,
        status=alert.to_status,
        previous_status=alert.from_status,
        schedule_text=check.schedule,
        grace=check.grace_s,
        dialect=check.dialect,
        max_run=check.max_run_s,
        rules=check.rules,
        n_pings=check.n_pings,
        last_ping_at=check.last_ping_at,
        last_kind=check.last_kind,
        last_duration=check.last_duration_s,
        expected_at=check.expected_at,
        host=check.host,
    )


def _run(run: RunFacts) -> RunOut:
    return RunOut(
        started_at=run.started_at,
        ended_at=run.ended_at,
        outcome=run.outcome,
        exit_status=run.exit_status,
        duration=run.duration_s,
        rid=run.rid,
        metrics=run.metrics,
        body_tail=run.body_tail,
        body_cut=run.body_cut,
    )


def _channel(channel: ChannelFacts) -> ChannelOut:
    return ChannelOut(channel.uuid, channel.name, channel.kind, channel.error, channel.n_failed, channel.n_waiting)


def _concern(concern: ConcernFacts) -> ConcernOut:
    return ConcernOut(
        source=concern.source,
        id=concern.uuid,
        name=concern.name,
        severity=concern.severity.value,
        scope=concern.scope,
        what=concern.what,
        figure=concern.figure,
        threshold=concern.threshold,
        window=concern.window,
        values=tuple(ValueOut(when, much) for when, much in concern.values),
    )


def _slot(slot: UnverifiedSlot) -> SlotOut:
    return SlotOut({"id": slot.check_uuid, "name": slot.check_name}, slot.expected_at, slot.closes_at)


def _blind(alert: Alert) -> BlindOut | None:
    if alert.blind_from is None or alert.blind_to is None:
        return None
    return BlindOut(alert.blind_from, alert.blind_to)


def _links(alert: Alert, base_url: str) -> dict[str, str]:
    links = {"project": f"{project_link(alert, base_url)}/checks"}
    if alert.check is not None:
        links["check"] = link_to(alert, base_url)
    if incident := incident_link(alert, base_url):
        links["incident"] = incident
    if alert.channel is not None:
        links["channel"] = link_to(alert, base_url)
    if alert.concern is not None:
        links[alert.concern.source] = link_to(alert, base_url)
    return links
