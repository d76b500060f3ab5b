"""The shapes of checks and their history, and how rows become them. Field lists are explicit, in both directions.

Durations are seconds, instants RFC 3339 in UTC, figures exact decimals as text, and internal ids text
(they do not fit a JavaScript number). A check as it is read can be sent back as it is asked for, field
by field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from sqlalchemy import Row

from heartfly.checks.config import (
    CheckIn,
    FiltersIn,
    GateIn,
    ScheduleIn,
    ToleranceIn,
    bounds_of,
    gate_in,
    gates_of,
    tolerance_in,
)
from heartfly.checks.rows import Timing, schedule_of
from heartfly.checks.shown import tolerated_of
from heartfly.checks.slo_config import SloIn, slo_in
from heartfly.checks.unjudged import Left
from heartfly.checks.wording import schedule_words
from heartfly.core.bound_text import lines_of
from heartfly.core.describe import describe
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from heartfly.errors import InvalidValueError

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class CheckOut(msgspec.Struct, kw_only=True):
    """A check. `ping_url` is its secret: null for a key that may only read."""

    id: str
    name: str
    slug: str
    tags: list[str]
    description: str
    status: Status
    status_since: Instant
    status_reason: Reason | None
    running: bool
    """A run is under way."""
    late: bool
    """Up or degraded, and its signal is overdue within the grace."""
    tolerated: str
    """Up or degraded, and failing: how near to an alarm it is, such as `1 of 3`; empty: it is not."""
    schedule: ScheduleIn
    schedule_text: str
    schedule_error: str | None
    """Why the next expected time cannot be worked out; null when it can."""
    grace: int
    max_run: int | None
    """How long a started run may take; null: the grace."""
    methods: str
    filters: FiltersIn
    gates: list[GateIn]
    tolerance: ToleranceIn | None
    bounds: list[str]
    slo: SloIn | None
    """What share of its runs shall come in time, and go well."""
    sticky: bool
    unverified_is_down: bool
    """That Heartfly could not hear excuses no silence of it."""
    host: str
    """On which it runs, as somebody set it; empty: nobody has."""
    heard_host: str
    """The same, as its pings say; it counts where none is set."""
    needs: list[str]
    """Ids of the checks without whose success it cannot go well."""
    job: str | None
    """The kind of the job of Heartfly's own that it watches: it cannot be deleted or given another schedule."""
    channels: list[str]
    ping_url: str | None
    old_ping_url_until: Instant | None
    """Until when the address before the last rotation works; null: it does not."""
    n_pings: int
    last_ping_at: Instant | None
    last_ping_kind: PingKind | None
    last_duration: float | None
    next_expected_at: Instant | None
    first_ping_by: Instant | None
    """Of a check that is new: if it has not pinged by then, it goes down."""
    goes_down_at: Instant | None
    """The first instant at which silence counts: an alarm, unless it is tolerated; null: never, as things stand."""
    created_at: Instant
    updated_at: Instant
    silenced_until: Instant | None
    """Until then all its alerts wait; null: they do not. The last field, as `check_list` fills it in."""


class TransferIn(msgspec.Struct, forbid_unknown_fields=True):
    """`key`: an API key of the project that it goes to, with the scope `write`. `slug`: another one than it has."""

    key: str
    slug: str | None = None


class CheckPage(msgspec.Struct):
    items: list[CheckOut]
    next: str | None


def check_out(
    row: Row[Any],
    channels: Sequence[str],
    *,
    base_url: str,
    now: datetime,
    with_secret: bool,
    needs: Sequence[str] = (),
    silenced_until: datetime | None = None,
) -> CheckOut:
    running = row.n_open_runs > 0
    watched = row.status in {Status.UP, Status.DEGRADED}
    return CheckOut(
        id=row.uuid,
        name=row.name,
        slug=row.slug,
        tags=list(row.tags),
        description=row.description,
        status=Status(row.status),
        status_since=row.status_since,
        status_reason=Reason(row.status_reason) if row.status_reason else None,
        running=running,
        # A run under way is not lateness: the rule of core/check.py.
        late=watched and not running and row.expected_at is not None and row.expected_at <= now,
        tolerated=tolerated_of(row),
        schedule=schedule_out(row),
        schedule_text=schedule_text(row),
        schedule_error=row.schedule_error,
        grace=row.grace_s,
        max_run=row.max_run_s,
        methods=row.methods,
        filters=filters_out(row),
        gates=gates_out(row),
        tolerance=tolerance_in(row.tolerance),
        bounds=bounds_out(row),
        slo=slo_in(row.slo),
        sticky=row.sticky,
        unverified_is_down=row.unverified_is_down,
        host=row.host,
        heard_host=row.heard_host,
        needs=list(needs),
        job=row.job,
        channels=list(channels),
        ping_url=f"{base_url}/ping/{row.ping_uuid}" if with_secret else None,
        old_ping_url_until=row.old_ping_until if row.old_ping_until is not None and row.old_ping_until > now else None,
        n_pings=row.n_pings,
        last_ping_at=row.last_ping_at,
        last_ping_kind=PingKind(row.last_kind) if row.last_kind else None,
        last_duration=_seconds(row.last_duration_us),
        next_expected_at=row.expected_at,
        first_ping_by=row.expected_at if row.status == Status.NEW else None,
        goes_down_at=row.goes_down_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        silenced_until=silenced_until,
    )


def left_so(out: CheckOut, left: Left | None, *, now: datetime) -> None:
    """While maintenance leaves it unjudged what is stored of its next slot is not so. `left` None: none does."""
    if left is None:
        return
    out.goes_down_at, out.next_expected_at = left.goes_down_at, left.expected_at
    out.late = out.late and left.expected_at is not None and left.expected_at <= now
    if out.status is Status.NEW:
        out.first_ping_by = left.expected_at


def schedule_out(row: Row[Any]) -> ScheduleIn:
    if row.kind == "period":
        return ScheduleIn(kind=row.kind, period=row.period_s, zone=row.zone, dialect=row.dialect)
    return ScheduleIn(kind=row.kind, expression=row.expression, zone=row.zone, dialect=row.dialect)


def filters_out(row: Row[Any]) -> FiltersIn:
    return msgspec.json.decode(row.filters, type=FiltersIn) if row.filters else FiltersIn()


def gates_out(row: Row[Any]) -> list[GateIn]:
    return [gate_in(gate) for gate in gates_of(row.gates)]


def bounds_out(row: Row[Any]) -> list[str]:
    return lines_of(bounds_of(row.bounds))


def schedule_text(row: Row[Any]) -> str:
    return schedule_text_of((row.kind, row.period_s, row.expression, row.zone, row.dialect)) or schedule_words(row)


@lru_cache(maxsize=4096)
def schedule_text_of(timing: Timing) -> str:
    """In plain English; empty when the schedule, once good, can no longer be read (a zone that was removed)."""
    try:
        return describe(schedule_of(timing))
    except (InvalidValueError, ValueError):
        return ""


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000_000


class NextOut(msgspec.Struct):
    """The next times at which the check is expected, and what clock changes do to them."""

    items: list[Instant]
    schedule_text: str
    notices: list[str]


class PingOut(msgspec.Struct, kw_only=True):
    """One signal. `duration`: of the run that it ended. `body_size`: as sent; what is kept may be shorter."""

    n: int
    kind: PingKind
    received_at: Instant
    exit_status: int | None
    rid: str | None
    run_id: str | None
    duration: float | None
    method: str
    scheme: str
    remote: str
    agent: str
    body_size: int
    body_url: str | None


class PingPage(msgspec.Struct):
    items: list[PingOut]
    next: str | None


def ping_out(row: Row[Any], *, check_url: str) -> PingOut:
    ended = row.kind in {PingKind.SUCCESS, PingKind.FAIL}
    return PingOut(
        n=row.n,
        kind=PingKind(row.kind),
        received_at=row.received_at,
        exit_status=row.exit_status,
        rid=row.rid,
        run_id=None if row.run_id is None else str(row.run_id),
        duration=_seconds(row.duration_us) if ended else None,
        method=row.method,
        scheme=row.scheme,
        remote=row.remote,
        agent=row.agent,
        body_size=row.body_size,
        body_url=f"{check_url}/pings/{row.n}/body" if row.has_body else None,
    )


class FlipOut(msgspec.Struct, kw_only=True):
    """One change of status. `at`: when it was true; `decided_at`: when Heartfly knew."""

    n: int
    at: Instant
    decided_at: Instant
    from_status: Status
    to_status: Status
    reason: Reason
    run_id: str | None
    retracts: int | None
    """The `n` of the flip that this one takes back: it was not true."""
    incident: str | None
    """Which it opened or closed."""


class FlipPage(msgspec.Struct):
    items: list[FlipOut]
    next: str | None


def flip_out(row: Row[Any], *, incident: str | None) -> FlipOut:
    return FlipOut(
        n=row.flip_no,
        at=row.at,
        decided_at=row.decided_at,
        from_status=Status(row.from_status),
        to_status=Status(row.to_status),
        reason=Reason(row.reason),
        run_id=None if row.run_id is None else str(row.run_id),
        retracts=row.retracts_flip_no,
        incident=incident,
    )


class RunOut(msgspec.Struct, kw_only=True):
    """A start and its end. `outcome` null: under way. One that was missed has only its `slot_at`.

    `reason`: why it counts as it does, where it did not simply go well. `tolerated`: how near to an alarm it was, such
    as `1 of 3`, if nobody was told of it.
    """

    id: str
    rid: str | None
    outcome: RunOutcome | None
    started_at: Instant | None
    ended_at: Instant | None
    slot_at: Instant | None
    duration: float | None
    exit_status: int | None
    ping_n: int | None
    metrics: dict[str, str]
    covers_from: Instant | None
    covers_to: Instant | None
    """What it processed, [from, to), if it went well and said so."""
    progress_at: Instant | None
    reason: Reason | None
    tolerated: str


class RunPage(msgspec.Struct):
    items: list[RunOut]
    next: str | None


def run_out(row: Row[Any], metrics: Mapping[str, str]) -> RunOut:
    return RunOut(
        id=str(row.id),
        rid=row.rid,
        outcome=RunOutcome(row.outcome) if row.outcome else None,
        started_at=row.started_at,
        ended_at=row.ended_at,
        slot_at=row.slot_at,
        duration=_seconds(row.duration_us),
        exit_status=row.exit_status,
        ping_n=row.ping_n,
        metrics=dict(metrics),
        covers_from=row.covers_from,
        covers_to=row.covers_to,
        progress_at=row.progress_at,
        reason=Reason(row.reason) if row.reason else None,
        tolerated=row.tolerated or "",
    )


SHAPES = (CheckIn, TransferIn, CheckPage, NextOut, PingPage, FlipPage, RunPage)
"""Everything here that goes in or out, for the schema; what these are made of comes along."""
