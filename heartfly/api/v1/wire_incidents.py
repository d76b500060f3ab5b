"""The shapes of incidents: what they are, what happened in them, and what people said about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Row

from heartfly.api.v1.wire import FlipOut, Instant, flip_out
from heartfly.api.v1.wire_channels import NotificationOut, notification_out
from heartfly.core.incident import Fact, What
from heartfly.core.words import IncidentEnd, Reason
from heartfly.incidents.queries import Note
from heartfly.incidents.shares import USUAL_S, Shared
from heartfly.incidents.spans import OF_CHECK
from heartfly.notify.queries import NotificationView


class IncidentOut(msgspec.Struct, kw_only=True):
    """A span in which a check is or was down, or in which an alert rule or a budget tells of something; or a cause:
    a `host`, or a check that others need (`upstream`), which explains several of checks. What it is of may have been
    deleted since.
    """

    id: str
    source: Literal["check", "rule", "budget", "host", "upstream"]
    source_id: str
    """The id of what it is of; of a host, which has none, that of the incident."""
    check: str | None
    """Null: it is of no check."""
    check_name: str
    """The name of what it is of, whatever that is."""
    state: Literal["open", "closed"]
    opened_at: Instant
    closed_at: Instant | None
    duration: float | None
    """In seconds; null while it is open."""
    cause: Reason
    explain: str
    ended_by: IncidentEnd | None
    disproved: bool
    """The alarm was not true: what was missed had come, and reached Heartfly late."""
    acknowledged_at: Instant | None
    acknowledged_by: str | None
    part_of: str | None
    """The incident of the cause that explains it."""
    joined_at: Instant | None
    """Since when it is known to be part of that."""


class CauseMemberOut(msgspec.Struct, kw_only=True):
    """A check that a cause explains, and the incident of its own."""

    incident: str
    check: str
    check_name: str
    state: Literal["down", "up"]
    down_at: Instant
    joined_at: Instant | None
    up_at: Instant | None
    """When it was up again, or nobody watched it any more."""
    acknowledged_by: str | None


class IncidentPage(msgspec.Struct):
    items: list[IncidentOut]
    next: str | None


class FactOut(msgspec.Struct):
    at: Instant
    what: What
    text: str


class NoteOut(msgspec.Struct, kw_only=True):
    """A comment. `by`: whose key it was."""

    id: str
    at: Instant
    by: str
    text: str


class WholeIncidentOut(IncidentOut, kw_only=True):
    """With all that belongs to it: facts, flips and notes oldest first, notifications newest first."""

    facts: list[FactOut]
    flips: list[FlipOut]
    notifications: list[NotificationOut]
    notes: list[NoteOut]
    members: list[CauseMemberOut]
    """Of a cause, those that are down first."""


class CommentIn(msgspec.Struct, forbid_unknown_fields=True):
    text: str


class ShareIn(msgspec.Struct, forbid_unknown_fields=True):
    lasts: int = USUAL_S
    """In seconds, 300 (five minutes) to 2592000 (30 days)."""
    with_comments: bool = False
    """What people said is shown, too, without their names."""


class ShareOut(msgspec.Struct, kw_only=True):
    """A link by which everybody who has it may read the incident."""

    id: str
    by: str
    """Who made it."""
    created_at: Instant
    expires_at: Instant
    with_comments: bool


class MadeShareOut(ShareOut, kw_only=True):
    """With its address, in this answer and in no other."""

    url: str


class SharePage(msgspec.Struct):
    items: list[ShareOut]
    next: str | None


def incident_out(row: Row[Any]) -> IncidentOut:
    return IncidentOut(**_fields(row))


def whole_incident_out(
    row: Row[Any],
    *,
    facts: Sequence[Fact],
    flips: Sequence[Row[Any]],
    notifications: Sequence[NotificationView],
    notes: Sequence[Note],
    members: Sequence[Row[Any]],
) -> WholeIncidentOut:
    return WholeIncidentOut(
        **_fields(row),
        facts=[FactOut(fact.at, fact.what, fact.text) for fact in facts],
        flips=[flip_out(flip, incident=row.uuid) for flip in flips],
        notifications=[notification_out(view) for view in notifications],
        notes=[note_out(note) for note in notes],
        members=[_member(one) for one in members],
    )


def _fields(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.uuid,
        "source": row.source_kind,
        "source_id": row.source_uuid,
        "check": row.source_uuid if row.source_kind == OF_CHECK else None,
        "check_name": row.check_name,
        "state": "open" if row.closed_at is None else "closed",
        "opened_at": row.opened_at,
        "closed_at": row.closed_at,
        "duration": None if row.closed_at is None else (row.closed_at - row.opened_at).total_seconds(),
        "cause": Reason(row.cause),
        "explain": row.explain,
        "ended_by": IncidentEnd(row.ended_by) if row.ended_by else None,
        "disproved": row.disproved,
        "acknowledged_at": row.acked_at,
        "acknowledged_by": row.acked_by,
        "part_of": row.cause_uuid,
        "joined_at": row.joined_at,
    }


def _member(row: Row[Any]) -> CauseMemberOut:
    return CauseMemberOut(
        incident=row.uuid,
        check=row.source_uuid,
        check_name=row.check_name,
        state="down" if row.closed_at is None else "up",
        down_at=row.opened_at,
        joined_at=row.joined_at,
        up_at=row.closed_at,
        acknowledged_by=row.acked_by,
    )


def note_out(note: Note) -> NoteOut:
    return NoteOut(id=str(note.id), at=note.at, by=note.actor, text=note.text)


def share_out(row: Row[Any]) -> ShareOut:
    return ShareOut(**_share(row))


def made_share_out(made: Shared, url: str) -> MadeShareOut:
    return MadeShareOut(**_share(made), url=url)


def _share(row: Row[Any] | Shared) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "by": row.made_by,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "with_comments": row.with_comments,
    }


SHAPES = (IncidentPage, WholeIncidentOut, CommentIn, ShareIn, SharePage)
