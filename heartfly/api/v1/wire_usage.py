"""The shapes of customers, of events as they are read, and of dead letters. Properties stay as they were written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.usage.apply import Outcome
from heartfly.usage.customer_queries import MOST_COUNTED
from heartfly.usage.customers import Moved
from heartfly.usage.event_queries import Conflict, Shown


class CustomerIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`aliases`: what senders call him, to the letter. One that is another customer's moves, with its usage."""

    name: str
    aliases: list[str] = []


class CustomerEdit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays. `aliases` replaces all; or `add_aliases` and `remove_aliases` change some."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    aliases: list[str] | msgspec.UnsetType = msgspec.UNSET
    add_aliases: list[str] = []
    remove_aliases: list[str] = []
    archived: bool | msgspec.UnsetType = msgspec.UNSET


class MovedOut(msgspec.Struct, frozen=True, kw_only=True):
    """An alias that was another customer's until now."""

    alias: str
    from_id: str
    from_name: str


class CustomerOut(msgspec.Struct, kw_only=True):
    """A customer. His `id` may be sent as `customer_id`, too. `moved`: in the answer that moved aliases to him."""

    id: str
    name: str
    aliases: list[str]
    created_at: Instant
    archived_at: Instant | None
    moved: list[MovedOut]


class CustomerPage(msgspec.Struct):
    items: list[CustomerOut]
    next: str | None


class UnknownSubject(msgspec.Struct, kw_only=True):
    """A `customer_id` in events that is nobody's alias. `n_events` is counted up to 10,000; `more`: there are more."""

    customer_id: str
    n_events: int
    more: bool
    last_at: Instant


class UnknownPage(msgspec.Struct):
    items: list[UnknownSubject]
    next: str | None


class ErasedOut(msgspec.Struct):
    """`n_events`: how many events went with him."""

    n_events: int


class EventOut(msgspec.Struct, kw_only=True):
    """An event as it came. `customer`: the id of whose it is; null: nobody has said so."""

    transaction_id: str
    customer_id: str
    customer: str | None
    timestamp: Instant
    event_type: str
    properties: Any
    received_at: Instant


class EventPage(msgspec.Struct):
    items: list[EventOut]
    next: str | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field, such as `properties.bytes`: what is kept, and what came. Null: it is not there."""

    field: str
    kept: Any
    came: Any


class ConflictOut(msgspec.Struct, kw_only=True):
    """What came under a transaction id that was taken, and in what it differs from the event that counts."""

    came: EventOut
    differences: list[Difference]


class ConflictPage(msgspec.Struct):
    items: list[ConflictOut]
    next: str | None


class LetterOut(msgspec.Struct, kw_only=True):
    """What came as an event and is none. `raw`: as it came, its first 16,384 characters. `wire`: in which format."""

    id: str
    received_at: Instant
    wire: str
    raw: str
    field: str
    reason: str
    state: Literal["open", "replayed", "dropped"]


class LetterPage(msgspec.Struct):
    """A page of a search may be short, or empty, although `next` is not null."""

    items: list[LetterOut]
    next: str | None


class ReplayIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """`event`: what to send in its place; left out: what came."""

    event: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ReplayOut(msgspec.Struct, frozen=True):
    outcome: Outcome


class ReplayAllIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which of the open ones: `field` that was wrong, `q` within what came or the reason. `cursor`: where to go on."""

    field: str | None = None
    q: str = ""
    limit: int = 500
    cursor: str | None = None


class ReplayAllOut(msgspec.Struct, frozen=True, kw_only=True):
    """`rejected` are none this time either, and stay open. `next`: send it as `cursor` to go on; null: that was all."""

    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    next: str | None


SHAPES = (
    CustomerIn,
    CustomerEdit,
    CustomerPage,
    UnknownPage,
    ErasedOut,
    EventPage,
    ConflictPage,
    LetterPage,
    ReplayIn,
    ReplayOut,
    ReplayAllIn,
    ReplayAllOut,
)


def customer_out(row: Any, aliases: Sequence[str], moved: Sequence[Moved] = ()) -> CustomerOut:
    return CustomerOut(
        id=row.uuid,
        name=row.name,
        aliases=list(aliases),
        created_at=row.created_at,
        archived_at=row.archived_at,
        moved=[MovedOut(alias=one.alias, from_id=one.from_uuid, from_name=one.from_name) for one in moved],
    )


def unknown_out(customer_id: str, n: int, last_at: datetime) -> UnknownSubject:
    return UnknownSubject(
        customer_id=customer_id, n_events=min(n, MOST_COUNTED), more=n > MOST_COUNTED, last_at=last_at
    )


def event_out(shown: Shown) -> EventOut:
    return EventOut(
        transaction_id=shown.transaction_id,
        customer_id=shown.subject,
        customer=shown.customer,
        timestamp=shown.at,
        event_type=shown.type,
        # As text, so that no number passes through a float.
        properties=msgspec.Raw(shown.properties.encode()),
        received_at=shown.received_at,
    )


def conflict_out(conflict: Conflict) -> ConflictOut:
    differences = [] if conflict.kept is None else differing(conflict.kept, conflict.came)
    return ConflictOut(came=event_out(conflict.came), differences=differences)


def differing(kept: Shown, came: Shown) -> list[Difference]:
    """Field by field. A number and the text of it are the same."""
    pairs: list[tuple[str, Any, Any]] = [
        ("customer_id", kept.subject, came.subject),
        ("timestamp", kept.at, came.at),
        ("event_type", kept.type, came.type),
    ]
    had, has = _properties(kept), _properties(came)
    pairs += [(f"properties.{name}", had.get(name), has.get(name)) for name in sorted(had.keys() | has.keys())]
    return [Difference(field=field, kept=before, came=now) for field, before, now in pairs if before != now]


def _properties(shown: Shown) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shown.properties, parse_float=str, parse_int=str)
    return found


def letter_out(row: Any) -> LetterOut:
    return LetterOut(
        id=str(row.id),
        received_at=row.received_at,
        wire=row.wire,
        raw=row.raw,
        field=row.field,
        reason=row.reason,
        state=row.state,
    )
