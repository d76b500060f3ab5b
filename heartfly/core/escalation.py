"""What one channel is there for: of what it hears, after how long without anybody taking care, how often it reminds.

A channel without a policy hears everything that it listens to, at once and once. Together with silences (silence.py)
a policy decides what becomes of each alert on each channel (`decide`): it is told, held until an instant, or left
with a reason that stays. Who hears of a kind of alert at all is the channel's own choice, and made before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from heartfly.core import silence
from heartfly.core.silence import Hold, Part, Silence, Subject, rank
from heartfly.core.spans import span
from heartfly.core.words import AlertKind, Severity

LEAST_REMINDING, MOST_REMINDING = timedelta(minutes=5), timedelta(days=7)
LEAST_DELAY, MOST_DELAY = timedelta(minutes=1), timedelta(days=7)
MOST_TAGS = 20
SEVERITY_TAG = "severity:"
"""A check whose tag begins so says how bad it is when it is down: `severity:critical`."""

_PARTS = {
    AlertKind.DOWN: Part.BEGIN,
    AlertKind.DEGRADED: Part.BEGIN,
    AlertKind.RULE_FIRING: Part.BEGIN,
    AlertKind.BUDGET_REACHED: Part.BEGIN,
    AlertKind.UP: Part.END,
    AlertKind.RULE_RESOLVED: Part.END,
    AlertKind.BUDGET_CLEARED: Part.END,
}
_SEVERITIES = {
    AlertKind.DOWN: Severity.HIGH,
    AlertKind.UP: Severity.HIGH,
    AlertKind.DEGRADED: Severity.MEDIUM,
    AlertKind.SCHEDULE_ERROR: Severity.HIGH,
    AlertKind.CHANNEL_FAILING: Severity.HIGH,
    AlertKind.LATE: Severity.LOW,
    AlertKind.UNVERIFIED: Severity.MEDIUM,
    AlertKind.SUCCESS: Severity.LOW,
}
_BY_TAG = {AlertKind.DOWN, AlertKind.UP}
UNBOUND = (AlertKind.TEST, AlertKind.DIGEST, AlertKind.REMINDER)
"""Nobody is spared what he asked for; whether a reminder comes in silence is asked before it is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`tags`: it is for checks that have one of these; empty: for all. `least`: nothing less severe.

    `after`: it hears of what is wrong when nobody has acknowledged it by then. `every`: so often it reminds.
    """

    tags: tuple[str, ...] = ()
    least: Severity | None = None
    after: timedelta | None = None
    every: timedelta | None = None


def of_stored(stored: dict[str, Any] | None) -> Policy:
    """What `stored_of` made."""
    if not stored:
        return Policy()
    return Policy(
        tags=tuple(stored.get("tags", ())),
        least=Severity(stored["least"]) if stored.get("least") else None,
        after=timedelta(seconds=stored["after_s"]) if stored.get("after_s") else None,
        every=timedelta(seconds=stored["every_s"]) if stored.get("every_s") else None,
    )


def stored_of(policy: Policy) -> dict[str, Any]:
    """Without what says nothing."""
    told = {
        "tags": list(policy.tags),
        "least": policy.least and policy.least.value,
        "after_s": policy.after and int(policy.after.total_seconds()),
        "every_s": policy.every and int(policy.every.total_seconds()),
    }
    return {name: value for name, value in told.items() if value}


def part_of(kind: AlertKind) -> Part:
    return _PARTS.get(kind, Part.FACT)


def severity_of(kind: AlertKind, *, tags: Sequence[str] = (), concern: Severity | None = None) -> Severity:
    """`concern`: what a rule or a budget says of itself. An end is as severe as what it ends."""
    if concern is not None:
        return concern
    if kind in _BY_TAG:
        named = {tag.removeprefix(SEVERITY_TAG) for tag in tags if tag.startswith(SEVERITY_TAG)}
        told = [one for one in Severity if one.value in named]
        if told:
            return max(told, key=rank)
    return _SEVERITIES.get(kind, Severity.HIGH)


# --- one alert on one channel ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tell:
    """At once."""


@dataclass(frozen=True, slots=True)
class Leave:
    """It is not told, and this says why."""

    why: str


Decision = Tell | Hold | Leave


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the channel knows of the alert's source. `waits`: what is held of it, that an end should join.

    `upstream`: what it needs is down, which holds it. `flaps_since`: the first time that the source was down, of those
    that nobody has acknowledged and that were told here neither, with too little time between them to be over.
    """

    begin_was_told: bool = False
    waits: Hold | None = None
    upstream: Hold | None = None
    flaps_since: datetime | None = None


def decide(
    subject: Subject, policy: Policy, silences: Sequence[Silence], standing: Standing, *, at: datetime
) -> Decision:
    """What becomes of it now. What is held is told when that has passed, if it is true then."""
    left = routed(subject, policy)
    # Who was told that it began is told of its end, also if it is nothing for him by now.
    if left is not None and not (subject.part is Part.END and standing.begin_was_told):
        return left
    hold = silence.held(subject, silences, at=at, begin_was_told=standing.begin_was_told)
    if subject.part is Part.END:
        return _end(policy, standing, hold)
    if subject.part is not Part.BEGIN:
        return hold or Tell()
    holds = [one for one in (hold, standing.upstream, step(policy, standing.flaps_since or at, at=at)) if one]
    return max(holds, key=lambda one: one.until) if holds else Tell()


def step(policy: Policy, since: datetime, *, at: datetime) -> Hold | None:
    """That it is not yet this channel's turn; `since`: when it began."""
    if policy.after is None or since + policy.after <= at:
        return None
    return Hold(since + policy.after, f"told here if nobody acknowledges it within {span(policy.after)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DownSpan:
    """When a source was down. `ends_it`: it was acknowledged, or told here, so that what comes after it is new."""

    from_at: datetime
    to_at: datetime
    ends_it: bool = False


def flaps_since(before: Sequence[DownSpan], after: timedelta, *, at: datetime) -> datetime:
    """Since when a source flaps that goes down at `at`; that instant itself, if it was up for long enough before.

    `before`: when it was down earlier, in order. A step counts from there on, or whoever is to hear of what lasts would
    never hear of what is down for minutes, again and again.
    """
    since = at
    for one in reversed(before):
        if one.ends_it or since - one.to_at >= after:
            break
        since = one.from_at
    return since


def _end(policy: Policy, standing: Standing, hold: Hold | None) -> Decision:
    if hold is not None or standing.begin_was_told:
        return hold or Tell()
    if standing.waits is not None:
        return standing.waits
    hears_some = policy.after is not None or policy.least is not None
    return Leave(silence.NOT_BEGUN.why) if hears_some else Tell()


def routed(subject: Subject, policy: Policy) -> Leave | None:
    """Whether it is nothing for this channel."""
    if policy.tags and subject.check and not {*policy.tags} & {*subject.tags}:
        return Leave(f"this channel is for checks with a tag of: {', '.join(policy.tags)}")
    if policy.least is not None and subject.part is not Part.FACT and rank(subject.severity) < rank(policy.least):
        return Leave(f"this channel hears of severity {policy.least.value} and above; this is {subject.severity.value}")
    return None
