"""API keys: a random secret shown once, stored as its hash, with scopes and an end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import api_keys, projects
from heartfly.errors import UnauthenticatedError
from heartfly.sealing import digest, new_api_key


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: one project, with what the key allows. Every query is bound to `pid`."""

    pid: int
    project_slug: str
    scopes: frozenset[Scope]
    actor: str


def make_key(
    tx: Tx,
    pid: int,
    *,
    name: str,
    scopes: frozenset[Scope],
    at: datetime,
    ids: IdSource,
    expires_at: datetime | None = None,
) -> str:
    """Store a new key and return it: the only time that it is seen."""
    secret = new_api_key()
    tx.conn.execute(
        sa.insert(api_keys).values(
            pid=pid,
            id=ids.next(at),
            hash=digest(secret),
            prefix=secret[:10],
            name=name,
            scopes=sorted(scopes),
            created_at=at,
            expires_at=expires_at,
        )
    )
    return secret


async def caller_of(read: AsyncConnection, secret: str, *, now: datetime) -> Caller:
    """The project and scopes of a key. UnauthenticatedError for one unknown, expired or revoked: all read the same."""
    query = (
        sa.select(api_keys.c.pid, api_keys.c.prefix, api_keys.c.scopes, projects.c.slug)
        .join(projects, projects.c.id == api_keys.c.pid)
        .where(
            api_keys.c.hash == digest(secret),
            api_keys.c.revoked_at.is_(None),
            sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now),
        )
    )
    row = (await read.execute(query)).first()
    if row is None:
        raise UnauthenticatedError("the API key is not known")
    return Caller(row.pid, row.slug, frozenset(Scope(scope) for scope in row.scopes), f"key:{row.prefix}")
