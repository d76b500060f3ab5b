"""The words that are stored and shown: statuses, kinds, reasons, outcomes.

One word a thing, the same in the database, the API, the pages and the docs.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What a check is. *late*, *running* and *unverified* are shown, never stored."""

    NEW = "new"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    PAUSED = "paused"


class PingKind(StrEnum):
    SUCCESS = "success"
    START = "start"
    FAIL = "fail"
    PROGRESS = "progress"
    LOG = "log"
    IGNORED = "ignored"


class Reason(StrEnum):
    """Why a check changed its status, and why a run that changed nothing counts as it does."""

    SUCCESS = "success"
    FAIL = "fail"
    EXIT_STATUS = "exit_status"
    GATE = "gate"
    MISSED = "missed"
    MISSED_TWICE_UNVERIFIED = "missed_twice_unverified"
    NO_FIRST_PING = "no_first_ping"
    HUNG = "hung"
    NOT_STARTED = "not_started"
    TOO_FEW = "too_few"
    TOO_FAST = "too_fast"
    TOO_SOON = "too_soon"
    TOO_OFTEN = "too_often"
    TOO_EARLY = "too_early"
    """Of no change: a success came so long before its slot that it is not for it."""
    PAUSED = "paused"
    RESUMED = "resumed"
    RETRACTED = "retracted"
    RULE = "rule"
    """Of no check: an alert rule opened the incident."""
    BUDGET = "budget"
    HOST = "host"
    """Of no check: nothing goes well any more on a host, which explains its members."""
    UPSTREAM = "upstream"
    """The same, of a check that others need."""


class IncidentEnd(StrEnum):
    """How an incident ended: by the reason of the flip that closed it, or with its check.

    That of a rule or budget: by itself (`resolved`), by a person (`by_hand`), or with it.
    """

    SUCCESS = "success"
    GATE = "gate"
    PAUSED = "paused"
    RETRACTED = "retracted"
    DELETED = "deleted"
    RESOLVED = "resolved"
    BY_HAND = "by_hand"


class RunOutcome(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    HUNG = "hung"
    MISSED = "missed"
    UNVERIFIED = "unverified"
    SUPERSEDED = "superseded"


class AlertKind(StrEnum):
    """What people are told of; the value is also the webhook's event type."""

    DOWN = "check.down"
    UP = "check.up"
    LATE = "check.late"
    DEGRADED = "check.degraded"
    UNVERIFIED = "check.unverified"
    SCHEDULE_ERROR = "check.schedule_error"
    CHANNEL_FAILING = "channel.failing"
    RULE_FIRING = "rule.firing"
    RULE_RESOLVED = "rule.resolved"
    BUDGET_REACHED = "budget.reached"
    BUDGET_CLEARED = "budget.cleared"
    SUCCESS = "check.success"
    REMINDER = "incident.reminder"
    TEST = "test"
    DIGEST = "digest"


class Severity(StrEnum):
    """How bad what an alert rule or a budget tells of is, the mildest first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Cadence(StrEnum):
    """How often a channel gets a digest."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
