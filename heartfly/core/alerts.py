"""An alert: the decision that people should know, with every fact that its wording needs.

Facts are frozen when the decision is made, in the transaction that made it: a message sent an hour
later still tells what was true then. Who words it, and who carries it, is decided in notify/.
"""

from __future__ import annotations

from dataclasses import field
from datetime import date, datetime
from typing import TYPE_CHECKING

from heartfly.core.words import AlertKind, Cadence, PingKind, Reason, RunOutcome, Severity, Status

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from heartfly.core.values import value  # a storm makes three of these for each check


@value(frozen=True, kw_only=True)
class CheckFacts:
    """The check as it was when the alert was decided. Never holds the secret ping address."""

    uuid: str
    name: str
    slug: str
    tags: tuple[str, ...] = ()
    description: str = ""
    schedule: str
    """In words and symbols, such as `every 5 minutes` or `30 2 * * * (Europe/Berlin)`."""
    grace_s: float
    dialect: str = ""
    """Who runs its cron expression; empty: it has none."""
    max_run_s: float | None = None
    """None: a run may take the grace."""
    rules: tuple[str, ...] = ()
    """What is tolerated, its bounds and gates, as they are written; of very many the first."""
    n_pings: int = 0
    last_ping_at: datetime | None = None
    last_kind: PingKind | None = None
    last_duration_s: float | None = None
    expected_at: datetime | None = None
    host: str = ""
    """On which it runs, as somebody has set or its pings say; empty: not known."""


LAST_GOOD_CHARS = 6_000
"""Of what the last success said, to be told beside what a failure says."""


@value(frozen=True, kw_only=True)
class RunFacts:
    """The run that the alert is about, or the last one before the silence."""

    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: RunOutcome | None = None
    exit_status: int | None = None
    duration_s: float | None = None
    rid: str | None = None
    metrics: dict[str, str] = field(default_factory=dict)
    body_tail: str = ""
    """The end of what the job said: at most 10,000 characters, undecodable bytes replaced."""
    body_cut: bool = False
    last_good: str = ""
    """Of one that failed: the end of what the last run said that went well, as far as both are kept."""


@value(frozen=True, kw_only=True)
class BrokenGate:
    """`gate`: as it is written. `seen`, `expected`: in words, as they stood then."""

    gate: str
    level: str
    seen: str
    expected: str


@value(frozen=True, kw_only=True)
class UnverifiedSlot:
    """One slot that fell into a blind interval, for the digest."""

    check_uuid: str
    check_name: str
    expected_at: datetime
    closes_at: datetime


@value(frozen=True, kw_only=True)
class Unheard:
    """Time in which Heartfly itself could not hear."""

    from_at: datetime
    to_at: datetime


@value(frozen=True, kw_only=True)
class ChannelFacts:
    uuid: str
    name: str
    kind: str
    error: str = ""
    n_failed: int = 0
    """Of what it was given: so many are given up."""
    n_waiting: int = 0
    """So many others wait for it to work again."""


@value(frozen=True, kw_only=True)
class DownInDigest:
    """A check that was down in the time of a digest, or is down as it is told."""

    check_uuid: str
    check_name: str
    down_s: int
    """Within that time."""
    n_incidents: int
    since: datetime | None = None
    """Since when it is down, if it still is."""
    acked_by: str = ""


@value(frozen=True, kw_only=True)
class NamedInDigest:
    """A check, and the instant that matters about it: when it was made, was expected, or became what it is."""

    check_uuid: str
    check_name: str
    at: datetime


@value(frozen=True, kw_only=True)
class LevelInDigest:
    """Which share of the runs of a check came in time and went well, and of a target what is left, in words.

    `blind_s`: so long Heartfly could not hear, while it was watched.
    """

    check_uuid: str
    check_name: str
    is_met: bool | None
    """None: it has no target, or nothing was due."""
    on_time: str
    success: str
    blind_s: int = 0


@value(frozen=True, kw_only=True)
class DigestFacts:
    """What a day, a week or a month was. Of long lists the worst are named; each `n_` counts them all."""

    cadence: Cadence
    first_day: date
    last_day: date
    zone: str
    """In which these days begin and end."""
    n_checks: int
    n_watched: int
    """Those that were up or down at some time: neither new nor paused all along."""
    n_paused: int = 0
    n_down: int = 0
    """Those that were down within it."""
    n_down_now: int = 0
    n_down_ever: int = 0
    """Those that were down within it, or are."""
    down: tuple[DownInDigest, ...] = ()
    n_degraded: int = 0
    degraded: tuple[NamedInDigest, ...] = ()
    n_late: int = 0
    late: tuple[NamedInDigest, ...] = ()
    n_never: int = 0
    never: tuple[NamedInDigest, ...] = ()
    n_ok: int = 0
    n_failed: int = 0
    n_missed: int = 0
    n_unverified: int = 0
    blind_s: int = 0
    """So long Heartfly itself could not hear."""
    channels: tuple[ChannelFacts, ...] = ()
    """Those that do not deliver."""
    n_aimed: int = 0
    """Checks that have a target, of a month; and how many did not keep it."""
    n_not_kept: int = 0
    n_levels: int = 0
    levels: tuple[LevelInDigest, ...] = ()
    """Checks that have a target, those that did not keep it first; then others of which not all came and went well."""


@value(frozen=True, kw_only=True)
class ConcernFacts:
    """What is no check and yet alerts: an alert rule in one scope, or a budget. All of it in words for people."""

    source: str
    """`rule` or `budget`."""
    uuid: str
    name: str
    severity: Severity
    scope: str = ""
    """Whose the figure is, such as `provider openai`; empty: of the whole project."""
    what: str = ""
    """What the figure is of, such as `error rate`."""
    figure: str = ""
    threshold: str = ""
    """Such as `more than 10 %`."""
    window: str = ""
    values: tuple[tuple[str, str], ...] = ()
    """The last few values, oldest first: when, and how much."""
    says: str = ""
    """Of a budget what it did, such as `has reached 80 %`; empty: it has reached a threshold. Of a rule that resolved,
    why that is, where its figure does not tell.
    """


@value(frozen=True, kw_only=True)
class CauseFacts:
    """The cause that explains why a check is down, as it was known then: `what` is `host` or `upstream`.

    `is_root`: the check is what the others need.
    """

    id: int
    uuid: str
    what: str
    name: str
    is_root: bool = False

    @property
    def words(self) -> str:
        return cause_words(self.what, self.name)


def cause_words(what: str, name: str) -> str:
    return f"host {name}" if what == "host" else f"“{name}” and what needs it"


@value(frozen=True, kw_only=True)
class MemberFacts:
    """A check that belongs to a cause. `up_at`: when it was up again; None: it is still down."""

    check_uuid: str
    check_name: str
    down_at: datetime
    up_at: datetime | None = None


@value(frozen=True, kw_only=True)
class TogetherFacts:
    """What is told of a cause as one. Of many members the first are named; `n` counts them all, `n_down` those that are
    still down.
    """

    what: str
    name: str
    n: int
    n_down: int
    severity: Severity
    members: tuple[MemberFacts, ...] = ()


def cause_key(incident_id: int, channel_id: int, n_before: int = 0) -> str:
    """The key of the alert by which that channel hears of a cause, after `n_before` others that told of it as a whole;
    that of its end has `:end` behind the first one's.
    """
    return f"cause:{incident_id}:{channel_id}{f':{n_before}' if n_before else ''}"


def flip_key(check_id: int, flip_no: int) -> str:
    """The key of the alert that tells of a flip."""
    return f"flip:{check_id}:{flip_no}"


@value(frozen=True, kw_only=True)
class Alert:
    """`key` names the decision for ever: `flip:<check>:<n>`, `late:<check>:<slot>`, and so on."""

    key: str
    kind: AlertKind
    project_slug: str
    project_name: str
    at: datetime
    """When it became true: the deadline for a missed slot, the receipt for a signal."""
    decided_at: datetime
    reason: Reason | None = None
    from_status: Status | None = None
    to_status: Status | None = None
    check: CheckFacts | None = None
    run: RunFacts | None = None
    down_since: datetime | None = None
    """For what ends a span: when it began."""
    blind_from: datetime | None = None
    blind_to: datetime | None = None
    slots: tuple[UnverifiedSlot, ...] = ()
    broken_gates: tuple[BrokenGate, ...] = ()
    channel: ChannelFacts | None = None
    incident: str | None = None
    """The public id of the incident that the change opens or closes."""
    digest: DigestFacts | None = None
    explain: str = ""
    """One or two sentences: why this check has this status, or why this alert was raised or ended."""
    verdict: str = ""
    """What holds from now on: until when it stays so, or when it is expected next."""
    unheard: tuple[Unheard, ...] = ()
    """Of an alert about silence: what of the slot could not be heard, the newest few."""
    concern: ConcernFacts | None = None
    n_missed: int = 0
    """Of what ends a span: so many runs were expected in it, and did not come."""
    cause: CauseFacts | None = None
    """Of a check: what explains that it is, or was, down."""
    together: TogetherFacts | None = None
    """Of a cause: it tells of all its members."""
    held: str = ""
    """Why the channel hears of it only now; of each channel's own copy."""
