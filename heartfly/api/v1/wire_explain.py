"""The shape of an explanation: every fact by itself, and the same in sentences."""

from __future__ import annotations

from datetime import datetime

import msgspec

from heartfly.api.v1.wire import Instant, bounds_out, filters_out, gates_out, schedule_out, schedule_text
from heartfly.checks.config import FiltersIn, GateIn, ScheduleIn, ToleranceIn, gate_in, tolerance_in
from heartfly.checks.explained import Explanation
from heartfly.core.gates import Level
from heartfly.core.silence import Effect, SilenceKind
from heartfly.core.silenced import Silenced
from heartfly.core.verdict_facts import Touches
from heartfly.core.words import PingKind, Reason, Severity, Status


class SlotOut(msgspec.Struct, kw_only=True):
    """The slot that is open, or opens next. `held`: a run under way may hold it open beyond the grace."""

    expected_at: Instant
    counts_from: Instant
    closes_at: Instant
    held: bool
    starts_by: Instant | None
    """By when a run must have begun; null: nothing is said about that, or one has."""
    early_from: Instant | None
    """Before this instant a success is too early to be for it; null: the schedule alone says that."""


class UnderWayOut(msgspec.Struct, kw_only=True):
    """A run that is open. At `ends_by` it is hung."""

    id: str
    rid: str | None
    started_at: Instant
    ends_by: Instant
    holds_slot: bool


class TouchOut(msgspec.Struct, kw_only=True):
    """Time in which Heartfly itself could not hear, and what of the check it touches."""

    from_at: Instant
    to_at: Instant
    cause: str
    touches: Touches


class SignalOut(msgspec.Struct):
    kind: PingKind
    at: Instant


class BreachOut(msgspec.Struct):
    """A gate as it is written, and how it was broken."""

    gate: str
    level: Level
    seen: str
    expected: str


class SilencedOut(msgspec.Struct, kw_only=True):
    """A silence in force, until when, and by whom. `channels`: for these of its channels only; empty: for all."""

    id: str
    kind: SilenceKind
    effect: Effect
    until: Instant
    by: str
    below: Severity | None
    channels: list[str]
    note: str


class ExplainOut(msgspec.Struct, kw_only=True):
    """Why a check has its status, at the instant `at`."""

    check: str
    at: Instant
    status: Status
    status_since: Instant
    status_reason: Reason | None
    late: bool
    explain: str
    sentences: list[str]
    """The same, one by one."""
    schedule: ScheduleIn
    schedule_text: str
    schedule_error: str | None
    notices: list[str]
    """What clock changes do to the schedule around the expected time."""
    grace: int
    max_run: int | None
    slot: SlotOut | None
    goes_down_at: Instant | None
    alarm_at: Instant | None
    """When silence from now on is an alarm, with what is tolerated until then; null: never, as things stand."""
    tolerance: ToleranceIn | None
    tolerated: str
    """How near to an alarm its failures are, such as `1 of 3`; empty: there is none, or it is told."""
    bounds: list[str]
    runs: list[UnderWayOut]
    blind: list[TouchOut]
    unverified_in_row: int
    gates: list[GateIn]
    broken_gates: list[GateIn]
    """Those that its last figures break, if they are why it is down or degraded."""
    breaches: list[BreachOut]
    """The same with what was seen and what was expected, in words."""
    methods: str
    filters: FiltersIn
    sticky: bool
    unverified_is_down: bool
    last_end: SignalOut | None
    """The last success or fail that counted."""
    newest_ping: SignalOut | None
    """Of any kind, ignored ones too."""
    incident: str | None
    """The open one."""
    silenced: list[SilencedOut]
    """What keeps people from hearing of it now."""


def explain_out(found: Explanation, *, now: datetime) -> ExplainOut:
    row, verdict = found.row, found.verdict
    return ExplainOut(
        check=row.uuid,
        at=now,
        status=Status(row.status),
        status_since=row.status_since,
        status_reason=Reason(row.status_reason) if row.status_reason else None,
        late=verdict.is_late,
        explain=" ".join(verdict.sentences),
        sentences=list(verdict.sentences),
        schedule=schedule_out(row),
        schedule_text=schedule_text(row),
        schedule_error=row.schedule_error,
        notices=found.notices,
        grace=row.grace_s,
        max_run=row.max_run_s,
        slot=_slot(found),
        goes_down_at=verdict.goes_down_at,
        alarm_at=verdict.alarm_at,
        tolerance=tolerance_in(row.tolerance),
        tolerated=verdict.tolerated,
        bounds=bounds_out(row),
        runs=_runs(found),
        blind=_blind(found),
        unverified_in_row=row.unverified_in_row,
        gates=gates_out(row),
        broken_gates=[gate_in(one.gate) for one in verdict.broken_gates],
        breaches=[
            BreachOut(one.gate.text, one.gate.level, one.seen_words, one.expected_words) for one in verdict.broken_gates
        ],
        methods=row.methods,
        filters=filters_out(row),
        sticky=row.sticky,
        unverified_is_down=row.unverified_is_down,
        last_end=SignalOut(PingKind(row.last_end_kind), row.last_end_at) if row.last_end_kind else None,
        newest_ping=SignalOut(found.newest.kind, found.newest.at) if found.newest is not None else None,
        incident=found.incident,
        silenced=[_silenced(one) for one in found.silenced],
    )


def _silenced(one: Silenced) -> SilencedOut:
    silence = one.silence
    return SilencedOut(
        id=silence.uuid,
        kind=silence.kind,
        effect=silence.effect,
        until=one.span.to_at,
        by=one.by,
        below=silence.below,
        channels=list(one.channels),
        note=silence.note,
    )


def _slot(found: Explanation) -> SlotOut | None:
    slot = found.verdict.slot
    if slot is None:
        return None
    return SlotOut(
        expected_at=slot.expected_at,
        counts_from=slot.counts_from,
        closes_at=slot.closes_at,
        held=bool(slot.held_by),
        starts_by=slot.starts_by,
        early_from=slot.early_from,
    )


def _runs(found: Explanation) -> list[UnderWayOut]:
    return [
        UnderWayOut(
            id=str(one.run.id),
            rid=one.run.rid,
            started_at=one.started_at,
            ends_by=one.ends_by,
            holds_slot=one.holds_slot,
        )
        for one in found.verdict.runs
    ]


def _blind(found: Explanation) -> list[TouchOut]:
    return [
        TouchOut(
            from_at=touch.blind.from_at,
            to_at=touch.blind.to_at,
            cause=found.causes[touch.blind.id],
            touches=touch.what,
        )
        for touch in found.verdict.blind
    ]


SHAPES = (ExplainOut,)
