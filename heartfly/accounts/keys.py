"""API keys: a random secret shown once, stored as its hash, with scopes and an end.

After a rotation the old secret works on for a while, so that its holders can change over. What people do to keys
stands in key_commands.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import api_keys, projects
from heartfly.db.prepared import Prepared
from heartfly.errors import InvalidValueError, UnauthenticatedError
from heartfly.sealing import digest, new_api_key

PREFIX = 10
"""So many of a secret's characters name it where it must not be shown."""

OVERLAP_S = 86_400
_LONGEST_OVERLAP_S = 30 * 86_400


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"  # keys, the project, and who changed what
    INGEST = "ingest"  # events in, and nothing else; who may write may do that, too


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: one project, with what the key allows. Every query is bound to `pid`."""

    pid: int
    project_slug: str
    scopes: frozenset[Scope]
    actor: str
    key_id: int
    used_at: datetime | None
    """When the key was used before, as far as that has been written."""
    secret_hash: str = field(repr=False)
    """Of the secret that was sent, by which the key is found again."""
    until: datetime | None = None
    """When the secret ends by itself, exclusive."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret`: the only time that it is seen."""

    id: int
    secret: str


def make_key(
    tx: Tx,
    pid: int,
    *,
    name: str,
    scopes: frozenset[Scope],
    at: datetime,
    ids: IdSource,
    expires_at: datetime | None = None,
    like: str = "",
    secret: str = "",
) -> NewKey:
    """`like`: see `new_api_key`. `secret`: one that programs have already, of another server."""
    key_id, secret = ids.next(at), secret or new_api_key(like=like)
    tx.conn.execute(
        sa.insert(api_keys).values(
            pid=pid,
            id=key_id,
            hash=digest(secret),
            prefix=secret[:PREFIX],
            name=name,
            scopes=[scope.value for scope in Scope if scope in _bare(scopes)],
            created_at=at,
            expires_at=expires_at,
        )
    )
    return NewKey(key_id, secret)


async def caller_of(read: AsyncConnection, secret: str, *, now: datetime) -> Caller:
    """The project and scopes of a key. UnauthenticatedError for one unknown, expired or revoked: all read the same."""
    hashed = digest(secret)
    return _caller((await read.execute(_OF_SECRET, {"hashed": hashed, "now": now})).first(), hashed)


async def caller_now(database: Database, secret_hash: str, *, now: datetime) -> Caller:
    """The same, for who asks at each request. UnauthenticatedError."""
    found = await database.look_up(_ASKED, hashed=secret_hash, now=now)
    return _caller(found[0] if found else None, secret_hash)


def caller_in(tx: Tx, secret_hash: str, *, now: datetime) -> Caller:
    """The same, inside a transaction. UnauthenticatedError."""
    return _caller(tx.conn.execute(_OF_SECRET, {"hashed": secret_hash, "now": now}).first(), secret_hash)


# Made once: it is asked at each request, and to put it together takes longer than to find the row.
_OF_SECRET: sa.Select[Any] = (
    sa.select(
        api_keys.c.pid,
        api_keys.c.id,
        api_keys.c.hash,
        api_keys.c.prefix,
        api_keys.c.old_prefix,
        api_keys.c.old_until,
        api_keys.c.expires_at,
        api_keys.c.scopes,
        api_keys.c.used_at,
        projects.c.slug,
    )
    .join(projects, projects.c.id == api_keys.c.pid)
    .where(
        sa.or_(
            api_keys.c.hash == sa.bindparam("hashed"),
            sa.and_(api_keys.c.old_hash == sa.bindparam("hashed"), api_keys.c.old_until > sa.bindparam("now")),
        ),
        api_keys.c.revoked_at.is_(None),
        sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > sa.bindparam("now")),
    )
)


_ASKED = Prepared(lambda _: _OF_SECRET)


def _bare(scopes: frozenset[Scope]) -> frozenset[Scope]:
    """Without what is meant anyway."""
    return scopes - {Scope.INGEST} if Scope.WRITE in scopes else scopes


def _caller(row: Any, hashed: str) -> Caller:
    if row is None:
        raise UnauthenticatedError("the API key is not known")
    is_new = row.hash == hashed
    prefix, ends = row.prefix if is_new else row.old_prefix, [row.expires_at, None if is_new else row.old_until]
    scopes = frozenset(Scope(scope) for scope in row.scopes)
    if Scope.WRITE in scopes:
        scopes |= {Scope.INGEST}
    if not is_new:
        # Whoever got hold of a secret that is on its way out must not take the key over, or make himself another.
        scopes -= {Scope.ADMIN}
    until = min((end for end in ends if end is not None), default=None)
    return Caller(row.pid, row.slug, scopes, f"key:{prefix}", row.id, row.used_at, hashed, until)


def overlap(seconds: int) -> timedelta:
    """How long an old secret works on beside the new one. InvalidValueError names the field `overlap`."""
    if not 0 <= seconds <= _LONGEST_OVERLAP_S:
        raise InvalidValueError("overlap", f"must be 0 to {_LONGEST_OVERLAP_S} seconds (30 days)")
    return timedelta(seconds=seconds)
