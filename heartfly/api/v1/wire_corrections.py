"""The shapes of corrections and of backfills. Amounts are exact, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.api.v1.wire_usage import ConflictOut, EventOut, conflict_out, differing, event_out
from heartfly.core.events import Event
from heartfly.usage.backfill_preview import Foreseen
from heartfly.usage.changed_figures import Change
from heartfly.usage.correction_queries import Correction, Known
from heartfly.usage.event_queries import Conflict, Shown

CorrectionKind = Literal["void", "amend", "replace"]
BackfillState = Literal["open", "closed", "reverted"]
SentOutcome = Literal["added", "same", "changed", "again", "duplicate", "conflict"]


class VoidIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`reason`: why, in a line."""

    transaction_id: str
    reason: str


class AmendIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays. `properties` replaces all of them; numbers are kept exactly as they are written."""

    transaction_id: str
    reason: str
    customer_id: str | msgspec.UnsetType = msgspec.UNSET
    timestamp: str | msgspec.UnsetType = msgspec.UNSET
    event_type: str | msgspec.UnsetType = msgspec.UNSET
    properties: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class UndoIn(msgspec.Struct, forbid_unknown_fields=True):
    transaction_id: str


class ChangedField(msgspec.Struct, frozen=True, kw_only=True):
    """A field, such as `properties.bytes`. Null: it is not there."""

    field: str
    before: Any
    after: Any


class CorrectionOut(msgspec.Struct, kw_only=True):
    """`before`: what counted until then. `after`: what counted from then on; null for `void` and `replace`.

    `backfill`: the set that made it. `undone_at` null: it stands.
    """

    kind: CorrectionKind
    at: Instant
    by: str
    reason: str
    backfill: str | None
    undone_at: Instant | None
    undone_by: str | None
    before: EventOut
    after: EventOut | None
    differences: list[ChangedField]


class CorrectionPage(msgspec.Struct):
    items: list[CorrectionOut]
    next: str | None


class ForeseenChange(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's day of a meter. `customer` null: nobody is known by `name`. Values are exact; null: none."""

    day: str
    meter: str
    customer: str | None
    name: str
    before: str | None
    after: str | None
    events_before: int
    events_after: int


class CorrectionPreview(msgspec.Struct, kw_only=True):
    """`differences`: of an amendment, between the event as it is and as it would be. `changes`: of figures."""

    zone: str
    differences: list[ChangedField]
    changes: list[ForeseenChange]


class EventDetail(msgspec.Struct, kw_only=True):
    """`event`: as it counts, or was when it last did: see `counts`. `conflicts`, `corrections`: the newest hundred.

    `preview`: of a dry run, what would change; null: it was none.
    """

    event: EventOut
    counts: bool
    corrections: list[CorrectionOut]
    conflicts: list[ConflictOut]
    preview: CorrectionPreview | None = None


class BackfillIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename={"from_at": "from", "to_at": "to"}):
    """[`from`, `to`). `event_types` and `customers` (ids, or names as you send them) empty: any.

    `replaces`: what counts in it before goes once it is closed; false: its events come on top.
    """

    name: str
    from_at: Instant
    to_at: Instant
    replaces: bool
    event_types: list[str] = []
    customers: list[str] = []


class BackfillOut(msgspec.Struct, kw_only=True, rename={"from_at": "from", "to_at": "to"}):
    """`n_events`: that were sent into it. `counts`: what closing it did; empty before."""

    id: str
    name: str
    from_at: Instant
    to_at: Instant
    replaces: bool
    event_types: list[str]
    customers: list[str]
    state: BackfillState
    n_events: int
    counts: dict[str, int]
    opened_at: Instant
    opened_by: str
    closed_at: Instant | None
    closed_by: str | None
    reverted_at: Instant | None
    reverted_by: str | None


class BackfillPage(msgspec.Struct):
    items: list[BackfillOut]
    next: str | None


class SentEvent(msgspec.Struct, kw_only=True):
    """`outcome`: what became of it when the set was closed; null: it was not."""

    event: EventOut
    outcome: SentOutcome | None


class SentPage(msgspec.Struct):
    items: list[SentEvent]
    next: str | None


class BackfillPreview(msgspec.Struct, kw_only=True):
    """`counts`: events by what would become of them, and how many would be `replaced`. `more`: changes left out."""

    zone: str
    counts: dict[str, int]
    changes: list[ForeseenChange]
    more: int


SHAPES = (
    VoidIn,
    AmendIn,
    UndoIn,
    CorrectionPage,
    EventDetail,
    BackfillIn,
    BackfillOut,
    BackfillPage,
    SentPage,
    BackfillPreview,
)


def correction_out(one: Correction) -> CorrectionOut:
    differences = [] if one.after is None else differing(one.before, one.after)
    return CorrectionOut(
        kind=one.kind,  # type: ignore[arg-type]
        at=one.made_at,
        by=one.made_by,
        reason=one.reason,
        backfill=one.backfill,
        undone_at=one.undone_at,
        undone_by=one.undone_by,
        before=event_out(one.before),
        after=None if one.after is None else event_out(one.after),
        differences=[ChangedField(field=each.field, before=each.kept, after=each.came) for each in differences],
    )


def detail_out(known: Known, preview: CorrectionPreview | None = None) -> EventDetail:
    return EventDetail(
        event=event_out(known.event),
        counts=known.counts,
        corrections=[correction_out(one) for one in known.corrections],
        conflicts=[conflict_out(Conflict(came=one, kept=known.event)) for one in known.against],
        preview=preview,
    )


def correction_preview_out(
    known: Known, event: Event | None, changes: Sequence[Change], zone: str
) -> CorrectionPreview:
    """`event`: what it would be amended to."""
    now = known.event
    differences = []
    if event is not None:
        would_be = replace(now, subject=event.subject, type=event.type, at=event.at, properties=event.properties)
        differences = differing(now, would_be)
    return CorrectionPreview(
        zone=zone,
        differences=[ChangedField(field=one.field, before=one.kept, after=one.came) for one in differences],
        changes=[_change_out(one) for one in changes],
    )


def backfill_out(row: Any, n_events: int) -> BackfillOut:
    return BackfillOut(
        id=row.uuid,
        name=row.name,
        from_at=row.from_at,
        to_at=row.to_at,
        replaces=row.replaces,
        event_types=row.event_types,
        customers=row.customers,
        state=row.state,
        n_events=n_events,
        counts=row.counts,
        opened_at=row.opened_at,
        opened_by=row.opened_by,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        reverted_at=row.reverted_at,
        reverted_by=row.reverted_by,
    )


def sent_out(sent: Sequence[tuple[Shown, str | None]]) -> list[SentEvent]:
    return [SentEvent(event=event_out(event), outcome=outcome) for event, outcome in sent]  # type: ignore[arg-type]


def preview_out(found: Foreseen, zone: str) -> BackfillPreview:
    return BackfillPreview(
        zone=zone, counts=found.counts, changes=[_change_out(one) for one in found.changes], more=found.more
    )


def _change_out(one: Change) -> ForeseenChange:
    return ForeseenChange(
        day=one.day.isoformat(),
        meter=one.meter,
        customer=one.customer,
        name=one.name,
        before=one.before,
        after=one.after,
        events_before=one.n_before,
        events_after=one.n_after,
    )
