"""Reads about a project and its keys, each bound to it. What of them may be seen is the wire's to decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.models import api_keys, members, projects
from heartfly.errors import NotFoundError

_LARGEST = 2**63 - 1
_SHOWN = [column for column in api_keys.c if column.name not in {"hash", "old_hash"}]


def number_of(text: str) -> int | None:
    """A public id that is a number, as it is stored. None for what cannot be one."""
    if text.isascii() and text.isdigit() and len(text) < 20 and (number := int(text)) <= _LARGEST:
        return number
    return None


def key_id_of(text: str) -> int:
    """A key's public id as it is stored. NotFoundError for what cannot be one."""
    number = number_of(text)
    if number is None:
        raise NotFoundError("there is no such key")
    return number


async def project_of(read: AsyncConnection, pid: int) -> Row[Any]:
    return (await read.execute(sa.select(projects).where(projects.c.id == pid))).one()


async def operates(read: AsyncConnection, user_id: int) -> bool:
    """Whether he looks after the installation: who owns the first project, in which Heartfly's own jobs are."""
    home = sa.select(sa.func.min(projects.c.id)).scalar_subquery()
    query = sa.select(members.c.role).where(members.c.user_id == user_id, members.c.pid == home)
    return (await read.execute(query)).scalar() == "owner"


async def home_project(read: AsyncConnection) -> Row[Any]:
    """The first one, in which Heartfly's own jobs are."""
    return (await read.execute(sa.select(projects).order_by(projects.c.id).limit(1))).one()


async def list_keys(
    read: AsyncConnection, pid: int, *, revoked: bool, after: int | None, limit: int
) -> Sequence[Row[Any]]:
    """In the order in which they were made; `revoked`: those that were revoked, too."""
    query = sa.select(*_SHOWN).where(api_keys.c.pid == pid).order_by(api_keys.c.id).limit(limit)
    if not revoked:
        query = query.where(api_keys.c.revoked_at.is_(None))
    if after is not None:
        query = query.where(api_keys.c.id > after)
    return (await read.execute(query)).all()


async def one_key(read: AsyncConnection, pid: int, key_id: str) -> Row[Any]:
    """NotFoundError, for one of another project too."""
    query = sa.select(*_SHOWN).where(api_keys.c.pid == pid, api_keys.c.id == key_id_of(key_id))
    row = (await read.execute(query)).first()
    if row is None:
        raise NotFoundError("there is no such key")
    return row
