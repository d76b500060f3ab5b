"""An alert of each kind, as a real night would make it. The same ones are read by people in snapshots."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from heartfly.core.alerts import (
    Alert,
    ChannelFacts,
    CheckFacts,
    ConcernFacts,
    DigestFacts,
    DownInDigest,
    NamedInDigest,
    RunFacts,
    UnverifiedSlot,
)
from heartfly.core.values import replace
from heartfly.core.words import AlertKind, Cadence, PingKind, Reason, RunOutcome, Severity, Status
from heartfly.notify.message import Delivery

BASE_URL = "https://heartfly.example.com"
DELIVERY_ID = "0b6f3c52-6a0f-4d53-9d8e-2f6f0f6a9b11"
INCIDENT = "c2a4f1de-7b0a-4f6e-8f3a-1d9b5a7e0c44"


def at(text: str) -> datetime:
    """`03:10` or `03:10:05` on the night of Monday, 2 March 2026."""
    return datetime.fromisoformat(f"2026-03-02T{text}").replace(tzinfo=UTC)


def delivery(*alerts: Alert, attempt: int = 1, possible_duplicate: bool = False, base_url: str = BASE_URL) -> Delivery:
    return Delivery(
        id=DELIVERY_ID,
        attempt=attempt,
        possible_duplicate=possible_duplicate,
        alerts=alerts,
        base_url=base_url,
        created_at=alerts[-1].decided_at,
    )


CHECK = CheckFacts(
    uuid="5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a01",
    name="nightly-backup",
    slug="nightly-backup",
    tags=("prod", "db"),
    description="Dumps the billing database to the other region. Runbook: wiki/backup.",
    schedule="30 2 * * * (Europe/Berlin)",
    grace_s=2_400,
    n_pings=812,
    last_ping_at=at("02:31:07") - timedelta(days=1),
    last_kind=PingKind.SUCCESS,
    last_duration_s=247.0,
    expected_at=at("02:30"),
)
GOOD_RUN = RunFacts(
    started_at=at("02:27") - timedelta(days=1),
    ended_at=at("02:31:07") - timedelta(days=1),
    outcome=RunOutcome.OK,
    exit_status=0,
    duration_s=247.0,
    metrics={"rows": "18230", "bytes": "731905112"},
    body_tail="dumped 18230 rows\nuploaded 731905112 bytes\n",
)
FAILED_RUN = RunFacts(
    started_at=at("02:30:02"),
    ended_at=at("02:41:17"),
    outcome=RunOutcome.FAILED,
    exit_status=7,
    duration_s=675.0,
    rid="7f1f2b0e-5d0c-4c3e-9a59-0b1c0302aa01",
    metrics={"rows": "0"},
    body_tail=(
        "+ pg_dump billing\n"
        'pg_dump: error: connection to server at "db-2" failed: FATAL: the database system is shutting down\n'
        "+ curl -fsS https://heartfly.example.com/ping/9c0e4c35-8a51-4a52-8d6e-9a0b7f1c2d3e/7\n"
    ),
)

MISSED = Alert(
    key="flip:1:8",
    kind=AlertKind.DOWN,
    project_slug="acme",
    project_name="Acme billing",
    at=at("03:10"),
    decided_at=at("03:10"),
    reason=Reason.MISSED,
    from_status=Status.UP,
    to_status=Status.DOWN,
    check=CHECK,
    run=GOOD_RUN,
    incident=INCIDENT,
    explain="The last success came on Sun 1 Mar at 02:31:07 UTC; nothing was heard since.",
)
EXIT_STATUS = replace(
    MISSED,
    at=at("02:41:17"),
    decided_at=at("02:41:17"),
    reason=Reason.EXIT_STATUS,
    run=FAILED_RUN,
    check=replace(CHECK, last_ping_at=at("02:41:17"), last_kind=PingKind.FAIL, last_duration_s=675.0),
    explain="",
)
FAIL = replace(EXIT_STATUS, reason=Reason.FAIL, run=replace(FAILED_RUN, exit_status=None))
HUNG = replace(
    MISSED,
    at=at("03:30:02"),
    decided_at=at("03:30:02"),
    reason=Reason.HUNG,
    run=RunFacts(started_at=at("02:30:02"), outcome=RunOutcome.HUNG),
    check=replace(CHECK, last_ping_at=at("02:30:02"), last_kind=PingKind.START),
    explain="",
)
GATE = replace(
    EXIT_STATUS,
    reason=Reason.GATE,
    run=replace(FAILED_RUN, exit_status=0, body_tail="dumped 0 rows\n"),
    explain="The rule “rows at least 10000” does not hold: rows was 0.",
)
MISSED_TWICE = replace(
    MISSED,
    reason=Reason.MISSED_TWICE_UNVERIFIED,
    blind_from=at("02:50"),
    blind_to=at("03:20"),
    at=at("03:25"),
    decided_at=at("03:25"),
    explain="",
)
UP = Alert(
    key="flip:1:9",
    kind=AlertKind.UP,
    project_slug="acme",
    project_name="Acme billing",
    at=at("03:40:31"),
    decided_at=at("03:40:31"),
    reason=Reason.SUCCESS,
    from_status=Status.DOWN,
    to_status=Status.UP,
    check=replace(CHECK, last_ping_at=at("03:40:31"), last_duration_s=251.0, n_pings=814),
    incident=INCIDENT,
    run=RunFacts(
        started_at=at("03:36:20"),
        ended_at=at("03:40:31"),
        outcome=RunOutcome.OK,
        exit_status=0,
        duration_s=251.0,
        metrics={"rows": "18231"},
        body_tail="dumped 18231 rows\n",
    ),
    down_since=at("03:10"),
)
UP_AFTER_EXIT_STATUS = replace(UP, down_since=EXIT_STATUS.at)
RETRACTED = replace(UP, reason=Reason.RETRACTED)
RECOVERED = replace(UP, from_status=Status.DEGRADED, down_since=at("02:41:17"), incident=None)
LATE = replace(
    MISSED,
    key="late:1:1",
    kind=AlertKind.LATE,
    at=at("02:30"),
    decided_at=at("02:30"),
    reason=None,
    incident=None,
    explain="",
)
DEGRADED = replace(
    GATE,
    kind=AlertKind.DEGRADED,
    to_status=Status.DEGRADED,
    incident=None,
    run=replace(FAILED_RUN, exit_status=0, outcome=RunOutcome.DEGRADED, body_tail="dumped 9120 rows\n"),
    explain="The rule “rows within 20 % of the last 7 runs” does not hold: rows was 9120, 18230 is usual.",
)
UNVERIFIED = Alert(
    key="unverified:acme:1",
    kind=AlertKind.UNVERIFIED,
    project_slug="acme",
    project_name="Acme billing",
    at=at("03:20"),
    decided_at=at("03:21"),
    blind_from=at("02:50"),
    blind_to=at("03:20"),
    slots=tuple(
        UnverifiedSlot(
            check_uuid=f"5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a{n:02}",
            check_name=f"invoice-run-{n}",
            expected_at=at(f"02:{48 + n}"),
            closes_at=at(f"03:{n:02}"),
        )
        for n in range(1, 4)
    ),
)
SUCCESS = replace(UP, key="success:1:813", kind=AlertKind.SUCCESS, down_since=None, incident=None, from_status=None)
REMINDER = replace(MISSED, key="remind:x:1:1", kind=AlertKind.REMINDER, decided_at=at("05:10"), down_since=MISSED.at)
SCHEDULE_ERROR = replace(
    MISSED,
    key="schedule:1:1",
    kind=AlertKind.SCHEDULE_ERROR,
    at=at("02:31:08"),
    decided_at=at("02:31:08"),
    reason=None,
    incident=None,
    to_status=Status.UP,
    run=None,
    check=replace(CHECK, schedule="30 2 * * * (Europe/Atlantis)"),
    explain="The time zone Europe/Atlantis is not known.",
)
CHANNEL_FAILING = Alert(
    key="channel:3:1",
    kind=AlertKind.CHANNEL_FAILING,
    project_slug="acme",
    project_name="Acme billing",
    at=at("03:10:02"),
    decided_at=at("03:10:02"),
    channel=ChannelFacts(
        uuid="aa11d0a2-1f0b-4c5e-8a53-6a1f77f3c0de",
        name="#ops on Slack",
        kind="slack",
        error="the receiver answered 404: no_service",
        n_failed=1,
    ),
)
CHANNEL_RETRYING = replace(
    CHANNEL_FAILING,
    key="channel:3:2",
    channel=ChannelFacts(
        uuid="aa11d0a2-1f0b-4c5e-8a53-6a1f77f3c0de", name="#ops on Slack", kind="slack", error="no answer within 15 s"
    ),
)
TEST = Alert(
    key="test:3:1",
    kind=AlertKind.TEST,
    project_slug="acme",
    project_name="Acme billing",
    at=at("10:00"),
    decided_at=at("10:00"),
)

DIGEST = Alert(
    key="digest:daily:2026-03-01",
    kind=AlertKind.DIGEST,
    project_slug="acme",
    project_name="Acme billing",
    at=at("00:00"),
    decided_at=at("07:00:01"),
    digest=DigestFacts(
        cadence=Cadence.DAILY,
        first_day=date(2026, 3, 1),
        last_day=date(2026, 3, 1),
        zone="UTC",
        n_checks=46,
        n_watched=42,
        n_paused=3,
        n_down=2,
        n_down_now=1,
        n_down_ever=2,
        down=(
            DownInDigest(
                check_uuid=CHECK.uuid,
                check_name="nightly-backup",
                down_s=76_800,
                n_incidents=1,
                since=at("02:40") - timedelta(days=1),
                acked_by="ada@example.com",
            ),
            DownInDigest(
                check_uuid="5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1b01", check_name="invoices", down_s=3_900, n_incidents=2
            ),
        ),
        n_degraded=1,
        degraded=(
            NamedInDigest(
                check_uuid="5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1b02",
                check_name="usage-aggregation",
                at=at("05:00") - timedelta(days=1),
            ),
        ),
        n_late=1,
        late=(
            NamedInDigest(check_uuid="5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1b03", check_name="vat-report", at=at("06:30")),
        ),
        n_never=1,
        never=(
            NamedInDigest(
                check_uuid="5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1b04",
                check_name="mail-queue",
                at=at("09:12") - timedelta(days=3),
            ),
        ),
        n_ok=1_204,
        n_failed=3,
        n_missed=1,
        n_unverified=2,
        blind_s=125,
        channels=(
            ChannelFacts(
                uuid="aa11d0a2-1f0b-4c5e-8a53-6a1f77f3c0de",
                name="#ops on Slack",
                kind="slack",
                error="the receiver answered 404: no_service",
            ),
        ),
    ),
)
QUIET_DIGEST = replace(
    DIGEST,
    key="digest:weekly:2026-02-23",
    digest=DigestFacts(
        cadence=Cadence.WEEKLY,
        first_day=date(2026, 2, 23),
        last_day=date(2026, 3, 1),
        zone="Europe/Berlin",
        n_checks=42,
        n_watched=42,
        n_ok=8_428,
    ),
)

RULE_FIRING = Alert(
    key='rule:41:["openai"]:2026-03-02T03:05:00+00:00',
    kind=AlertKind.RULE_FIRING,
    project_slug="acme",
    project_name="Acme billing",
    at=at("03:05"),
    decided_at=at("03:05:01"),
    incident=INCIDENT,
    explain="Error rate of calls in 1 h: 12.4 %, of 1,210 calls.",
    concern=ConcernFacts(
        source="rule",
        uuid="7a1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a77",
        name="Errors of providers",
        severity=Severity.HIGH,
        scope="provider openai",
        what="error rate",
        figure="12.4 %",
        threshold="more than 10 %",
        window="1 h",
        values=(("02:50", "1.2 %"), ("02:55", "7.9 %"), ("03:00", "11.8 %"), ("03:05", "12.4 %")),
    ),
)
RULE_RESOLVED = replace(
    RULE_FIRING,
    key=f"{RULE_FIRING.key}:end",
    kind=AlertKind.RULE_RESOLVED,
    at=at("03:47"),
    decided_at=at("03:47:01"),
    down_since=RULE_FIRING.at,
    explain="",
    concern=replace(RULE_FIRING.concern, figure="4.1 %") if RULE_FIRING.concern is not None else None,
)
BUDGET_REACHED = replace(
    RULE_FIRING,
    key="budget:42:2026-03:80",
    kind=AlertKind.BUDGET_REACHED,
    explain="At this pace it is used up on Fri 20 Mar.",
    concern=ConcernFacts(
        source="budget",
        uuid="8a1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a78",
        name="APIs in March",
        severity=Severity.MEDIUM,
        what="spent",
        figure="401.20 USD",
        threshold="80 % of 500.00 USD",
        window="March 2026",
        says="has reached 80 %",
    ),
)
BUDGET_CLEARED = replace(
    BUDGET_REACHED,
    key="budget:42:2026-03:80:end",
    kind=AlertKind.BUDGET_CLEARED,
    at=at("09:00"),
    decided_at=at("09:00"),
    down_since=BUDGET_REACHED.at,
    explain="The budget was raised to 900 USD.",
    concern=replace(BUDGET_REACHED.concern, threshold="of 900.00 USD", says="") if BUDGET_REACHED.concern else None,
)

ALL = {
    "missed": MISSED,
    "exit_status": EXIT_STATUS,
    "fail": FAIL,
    "hung": HUNG,
    "gate": GATE,
    "missed_twice": MISSED_TWICE,
    "up": UP,
    "retracted": RETRACTED,
    "recovered": RECOVERED,
    "late": LATE,
    "degraded": DEGRADED,
    "unverified": UNVERIFIED,
    "schedule_error": SCHEDULE_ERROR,
    "success": SUCCESS,
    "reminder": REMINDER,
    "channel_failing": CHANNEL_FAILING,
    "channel_retrying": CHANNEL_RETRYING,
    "rule_firing": RULE_FIRING,
    "rule_resolved": RULE_RESOLVED,
    "budget_reached": BUDGET_REACHED,
    "budget_cleared": BUDGET_CLEARED,
    "test": TEST,
    "digest": DIGEST,
    "quiet_digest": QUIET_DIGEST,
}


def of_other_check(alert: Alert, number: int, name: str) -> Alert:
    check = replace(CHECK, uuid=f"5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1b{number:02}", name=name, slug=name)
    return replace(alert, key=f"flip:{number + 10}:1", check=check)


STORM = (
    EXIT_STATUS,
    of_other_check(MISSED, 1, "invoices"),
    of_other_check(MISSED, 2, "usage-aggregation"),
    of_other_check(MISSED, 3, "vat-report"),
    of_other_check(UP, 3, "vat-report"),
    of_other_check(UP, 4, "mail-queue"),
)
