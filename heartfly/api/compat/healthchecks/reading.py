"""Checks as a client names them, and as it reads them: always of the project of its key, and of no other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.api.compat.healthchecks.asked import Asked, not_found
from heartfly.api.compat.healthchecks.forms import Around, check_form, unique_key
from heartfly.checks.queries import UUID, channels_of
from heartfly.checks.unjudged import Left, as_left, unjudged_in
from heartfly.db.models import addresses, badge_addresses, checks, projects, runs
from heartfly.notify.silences import in_force, running
from heartfly.public.badge_keys import key_of
from heartfly.public.badges import CHECK

_UNIQUE_KEY = re.compile(r"[0-9a-f]{40}", re.ASCII)
_AT_ONCE = 500
_PAGE = (
    sa.select(checks)
    .where(checks.c.pid == sa.bindparam("pid"), checks.c.id > sa.bindparam("after"))
    .order_by(checks.c.id)
    .limit(_AT_ONCE)
)


async def find(read: AsyncConnection, asked: Asked) -> Any:
    """The check that the path names: by its ping address, or by its unique key. SaidNoError: there is none."""
    name, pid, now = asked.parts["check"].lower(), asked.caller.pid, asked.api.clock.now()
    if UUID.fullmatch(name):
        joined = sa.and_(addresses.c.pid == checks.c.pid, addresses.c.check_id == checks.c.id)
        lasting = sa.or_(addresses.c.until.is_(None), addresses.c.until > now)
        query = sa.select(checks).join(addresses, joined).where(checks.c.pid == pid, addresses.c.key == name, lasting)
        row = (await read.execute(query)).first()
    elif _UNIQUE_KEY.fullmatch(name):
        ids = (await read.execute(sa.select(checks.c.id, checks.c.ping_uuid).where(checks.c.pid == pid))).all()
        its = next((one.id for one in ids if unique_key(one.ping_uuid) == name), None)
        row = (await read.execute(sa.select(checks).where(checks.c.pid == pid, checks.c.id == its))).first()
    else:
        row = None
    if row is None:
        raise not_found()
    return row


async def pages(read: AsyncConnection, pid: int) -> AsyncIterator[Sequence[Any]]:
    """All checks of a project in the order in which they were made, some at a time: others are served in between."""
    after = 0
    while rows := (await read.execute(_PAGE, {"pid": pid, "after": after})).all():
        yield rows
        after = rows[-1].id


async def around_of(read: AsyncConnection, asked: Asked) -> Around:
    """But for channels, which come with the checks."""
    api, pid = asked.api, asked.caller.pid
    project = (await read.execute(sa.select(projects).where(projects.c.id == pid))).one()
    return Around(
        base_url=api.base_url,
        version=asked.version,
        now=api.clock.now(),
        with_secret=asked.may_write,
        started=await _started(read, pid),
        badges=await addresses_of_checks(read, pid),
        key=key_of(project, api.sealer),
    )


async def forms(
    read: AsyncConnection, asked: Asked, rows: Sequence[Any], around: Around | None = None
) -> list[dict[str, Any]]:
    """`rows`: at most a page of them."""
    around = await around_of(read, asked) if around is None else around
    channels = await channels_of(read, asked.caller.pid, [row.id for row in rows]) if around.with_secret else {}
    left = await left_of(read, asked.caller.pid, rows, now=around.now)
    around = replace(around, channels=channels, left=left)
    return [check_form(row, around) for row in rows]


async def left_of(read: AsyncConnection, pid: int, rows: Sequence[Any], *, now: datetime) -> Mapping[int, Left]:
    """By the number of the check, of those that maintenance leaves unjudged now."""
    silences = await in_force(read, pid, now=now)
    windows = {row.id: unjudged_in(running(silences, row, now=now)) for row in rows} if silences else {}
    return await as_left(read, pid, rows, windows)


async def form_of(asked: Asked, uuid: str) -> dict[str, Any]:
    """Of the check with this public id."""
    async with asked.api.database.read() as read:
        query = sa.select(checks).where(checks.c.pid == asked.caller.pid, checks.c.uuid == uuid)
        row = (await read.execute(query)).first()
        if row is None:
            raise not_found()
        return (await forms(read, asked, [row]))[0]


async def addresses_of_checks(read: AsyncConnection, pid: int) -> dict[int, str]:
    """The address that each check's badge had elsewhere, if it had one."""
    query = sa.select(badge_addresses.c.check_id, badge_addresses.c.address).where(
        badge_addresses.c.pid == pid, badge_addresses.c.of == CHECK
    )
    return {row.check_id: row.address for row in await read.execute(query.order_by(badge_addresses.c.address.desc()))}


async def _started(read: AsyncConnection, pid: int) -> dict[int, datetime]:
    """When the newest of each check's open runs began."""
    query = (
        sa.select(runs.c.check_id, sa.func.max(runs.c.started_at).label("at"))
        .where(runs.c.pid == pid, runs.c.outcome.is_(None))
        .with_hint(runs, "INDEXED BY ix_runs_open", "sqlite")
    )
    return {row.check_id: row.at for row in await read.execute(query.group_by(runs.c.check_id))}
