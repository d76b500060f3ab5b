"""The shapes of a project and its keys. The secret of an API key is in the answers that make it, and in no other."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Row

from heartfly.accounts.keys import OVERLAP_S, Scope
from heartfly.accounts.members import Role
from heartfly.api.v1.wire import Instant
from heartfly.errors import StoreError
from heartfly.sealing import Sealer


class KeyIn(msgspec.Struct, forbid_unknown_fields=True):
    """`scopes`: of `read`, `write`, `admin` and `ingest`, at most those of the key that asks.

    `expires_at` null: never. `form` `apitally`: a secret that Apitally's client takes, of 24 characters behind `apt_`.
    """

    name: str
    scopes: list[str]
    expires_at: Instant | None = None
    form: Literal["heartfly", "apitally"] = "heartfly"


class KeyEdit(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays. The scopes of a key cannot be changed: make another one."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    expires_at: Instant | msgspec.UnsetType | None = msgspec.UNSET


class RotateIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`overlap`: for how many seconds the old secret works on, up to 30 days; 0: it ends at once."""

    overlap: int = OVERLAP_S


class KeyOut(msgspec.Struct, kw_only=True):
    """An API key. `prefix` is how its secret begins, and how the audit names it."""

    id: str
    name: str
    prefix: str
    scopes: list[Scope]
    created_at: Instant
    expires_at: Instant | None
    """From then on it does not work; null: never."""
    used_at: Instant | None
    """When it was last used, to the minute; null: never."""
    revoked_at: Instant | None
    old_prefix: str | None
    old_until: Instant | None
    """While the secret before the last rotation still works: how it begins, and until when. Else both null."""
    secret: str | None = None
    """In the answers to creation and rotation only: the key itself."""


class KeyPage(msgspec.Struct):
    items: list[KeyOut]
    next: str | None


def key_out(row: Row[Any], *, now: datetime, secret: str | None = None) -> KeyOut:
    overlaps = row.old_until is not None and row.old_until > now
    return KeyOut(
        id=str(row.id),
        name=row.name,
        prefix=row.prefix,
        scopes=[Scope(scope) for scope in row.scopes],
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
        old_prefix=row.old_prefix if overlaps else None,
        old_until=row.old_until if overlaps else None,
        secret=secret,
    )


class ProjectEdit(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays. The slug cannot be changed: addresses are made of it."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    zone: str | msgspec.UnsetType = msgspec.UNSET
    create_by_ping: bool | msgspec.UnsetType = msgspec.UNSET
    """False: no ping makes a check, whatever it asks for; it is told 404."""


class ProjectOut(msgspec.Struct, kw_only=True):
    """The project of the key that asks. `ping_key` null: it cannot be opened any more; rotate it."""

    id: str
    slug: str
    name: str
    zone: str
    create_by_ping: bool
    """Whether `?create=1` makes the check if there is none."""
    ping_key: str | None
    old_ping_key_until: Instant | None
    """Until when the ping key before the last rotation still works; null: it does not."""
    created_at: Instant


def project_out(row: Row[Any], *, sealer: Sealer, now: datetime) -> ProjectOut:
    try:
        ping_key = sealer.open(row.ping_key_enc).decode()
    except StoreError:
        ping_key = None
    return ProjectOut(
        id=row.uuid,
        slug=row.slug,
        name=row.name,
        zone=row.zone,
        create_by_ping=row.create_by_ping,
        ping_key=ping_key,
        old_ping_key_until=row.old_until if row.old_until is not None and row.old_until > now else None,
        created_at=row.created_at,
    )


class ProjectIn(msgspec.Struct, forbid_unknown_fields=True):
    """`slug`: 1 to 30 of `a-z 0-9 - _`, which no other project of this server has. `name`: the slug if left out."""

    slug: str
    name: str | None = None
    zone: str = "UTC"


class NewProjectOut(msgspec.Struct, kw_only=True):
    """A new project with its keys, in this answer and in no other: one that may do everything, one that may read."""

    project: ProjectOut
    api_key: str
    read_key: str


class ProjectPage(msgspec.Struct):
    items: list[ProjectOut]
    next: str | None


class MemberIn(msgspec.Struct, forbid_unknown_fields=True):
    """`email`: of somebody who is a user. `role`: owner, admin, member or viewer."""

    email: str
    role: str


class MemberEdit(msgspec.Struct, forbid_unknown_fields=True):
    role: str


class MemberOut(msgspec.Struct, kw_only=True):
    """Somebody who may sign in to the project. `id`: the user's."""

    id: str
    email: str
    role: Role


class MemberPage(msgspec.Struct):
    items: list[MemberOut]
    next: str | None


def member_out(row: Row[Any]) -> MemberOut:
    return MemberOut(id=str(row.user_id), email=row.email, role=Role(row.role))


class InviteIn(msgspec.Struct, forbid_unknown_fields=True):
    """`email`: of anybody. `role`: owner, admin, member or viewer."""

    email: str
    role: str


class InviteOut(msgspec.Struct, kw_only=True):
    """Somebody who was asked to join, and has not yet. `invited_by`: as the audit names him."""

    id: str
    email: str
    role: Role
    invited_by: str
    created_at: Instant
    expires_at: Instant
    """From then on its link does not work."""


class SentInviteOut(InviteOut, kw_only=True):
    sent: bool
    """The mail server took the mail."""
    link: str | None
    """If no mail server is set: to pass on by hand. In this answer and in no other."""
    mail_error: str | None
    """Why it was not sent although a mail server is set; send it again then. Null: it was sent, or none is set."""


class InvitePage(msgspec.Struct):
    items: list[InviteOut]
    next: str | None


def invite_out(row: Row[Any]) -> InviteOut:
    return InviteOut(
        id=str(row.id),
        email=row.email,
        role=Role(row.role),
        invited_by=row.invited_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


SHAPES = (
    *(KeyIn, KeyEdit, RotateIn, KeyPage, ProjectEdit, ProjectIn, NewProjectOut, ProjectPage),
    *(MemberIn, MemberEdit, MemberPage, InviteIn, InvitePage, SentInviteOut),
)
