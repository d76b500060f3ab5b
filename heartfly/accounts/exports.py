"""What Heartfly has of a project, or of a person, as a file: a line of JSON for each row. Nothing that is a secret."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.queries import Wanted, list_entries
from heartfly.audit.record import Action
from heartfly.db import tenant
from heartfly.db.database import Database
from heartfly.db.models import (
    email_changes,
    incident_notes,
    members,
    passkeys,
    projects,
    sessions,
    users,
    wrong_passwords,
)

_PIECE = 500
_PIECE_OF_BODIES = 20
"""Rows that have up to 100 kB each."""


async def project_lines(database: Database, usage: Database, pid: int) -> AsyncIterator[str]:
    """All of it, its usage too, piece by piece; what is written meanwhile may be in it or not."""
    async with database.read() as read:
        columns = [column for column in projects.c if not tenant.is_secret(column)]
        row = (await read.execute(sa.select(*columns).where(projects.c.id == pid))).one()
    yield _line("projects", row._asdict())
    for part in (database, usage):
        async for lines in _tables(part, pid):
            yield lines


async def _tables(database: Database, pid: int) -> AsyncIterator[str]:
    for table in tenant.tables(database.part):
        keys, after = tenant.keys_of(table), None
        names = {column.name for column in keys}
        rest = [column for column in table.c if column.name not in names and not tenant.is_secret(column)]
        # The key is read to go on after it, but is not told if it is a secret.
        hidden = {column.name for column in keys if tenant.is_secret(column)}
        most = min(_PIECE, _PIECE_OF_BODIES) if "body" in table.c else _PIECE
        while True:
            async with database.read() as read:
                rows = (await read.execute(tenant.piece(table, pid, columns=rest, after=after, limit=most))).all()
            if rows:
                yield await asyncio.to_thread(_lines, table.name, rows, hidden)
            if len(rows) < most:
                break
            after = tuple(rows[-1])[: len(keys)]


async def user_lines(database: Database, user_id: int) -> AsyncIterator[str]:
    """Of one person: himself, where he is signed in, which projects he is in, what he said, and what he changed."""
    async with database.read() as read:
        shown = [column for column in users.c if not tenant.is_secret(column) and column.name != "totp_step"]
        me = (await read.execute(sa.select(*shown).where(users.c.id == user_id))).one()
        yield _line("users", me._asdict())
        for table in (sessions, passkeys, email_changes, wrong_passwords):
            columns = [column for column in table.c if not tenant.is_secret(column)]
            if his := _lines(table.name, await read.execute(sa.select(*columns).where(table.c.user_id == user_id))):
                yield his
        mine = sa.select(projects.c.slug, projects.c.name, members.c.role).join(members, members.c.pid == projects.c.id)
        if projects_of_his := _lines("members", await read.execute(mine.where(members.c.user_id == user_id))):
            yield projects_of_his
        pids = (await read.execute(sa.select(members.c.pid).where(members.c.user_id == user_id))).scalars().all()
    for pid in pids:
        for email in [me.email, *await _earlier_addresses(database, pid, user_id)]:
            async for line in _said(database, pid, f"user:{email}"):
                yield line
            async for line in _changed(database, pid, f"user:{email}"):
                yield line


async def _earlier_addresses(database: Database, pid: int, user_id: int) -> list[str]:
    """Under which he has acted in this project, too, as far as its audit knows. Newest first."""
    wanted = Wanted(action=Action.MEMBER_CHANGE_EMAIL, object=f"user:{user_id}")
    async with database.read() as read:
        rows = await list_entries(read, pid, wanted, before=None, limit=_PIECE)
    return [row.before["email"] for row in rows]


async def _said(database: Database, pid: int, by: str) -> AsyncIterator[str]:
    """His comments on incidents."""
    table, after = incident_notes, None
    n_keys = len(table.primary_key.columns)
    rest = [column for column in table.c if not column.primary_key]
    while True:
        query = tenant.piece(table, pid, columns=rest, after=after, limit=_PIECE)
        async with database.read() as read:
            rows = (await read.execute(query.where(table.c.actor == by))).all()
        if rows:
            yield _lines(table.name, rows)
        if len(rows) < _PIECE:
            return
        after = tuple(rows[-1])[:n_keys]


async def _changed(database: Database, pid: int, by: str) -> AsyncIterator[str]:
    """His entries of the audit, newest first."""
    before: tuple[datetime, int] | None = None
    while True:
        async with database.read() as read:
            rows = await list_entries(read, pid, Wanted(actor=by), before=before, limit=_PIECE)
        if rows:
            yield _lines("audit", rows)
        if len(rows) < _PIECE:
            return
        before = (rows[-1].at, rows[-1].id)


def _lines(table: str, rows: Iterable[Any], hidden: Collection[str] = ()) -> str:
    told = ({name: value for name, value in row._asdict().items() if name not in hidden} for row in rows)
    return "".join(_line(table, row) for row in told)


def _line(table: str, row: dict[str, Any]) -> str:
    return (
        json.dumps({"table": table} | {name: _plain(value) for name, value in row.items()}, ensure_ascii=False) + "\n"
    )


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case bytes():
            return {"base64": base64.b64encode(value).decode()}
        case str() | int() | float() | bool() | None | dict() | list():
            return value
        case _:
            return str(value)
