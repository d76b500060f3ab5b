"""Calls about checks: list, create or update by `unique`, get, update, delete, pause, resume.

What each does is checks/commands.py's; a check that is due is judged first, as with the native API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from heartfly.api.compat.healthchecks.asked import Answer, Asked, SaidNoError, no, told
from heartfly.api.compat.healthchecks.reading import around_of, find, form_of, forms, pages
from heartfly.api.compat.healthchecks.spec import (
    Spec,
    asked_of,
    read_spec,
    sent_of,
    told_in_theirs,
    touches_filters,
    with_spec,
)
from heartfly.audit.record import Actor
from heartfly.checks import commands, history
from heartfly.checks.config import CheckConfig, merged
from heartfly.checks.turn import in_turn
from heartfly.core.schedule import Kind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, checks, projects
from heartfly.errors import ConflictError, InvalidValueError, LimitError


async def list_checks(asked: Asked) -> Answer:
    """With `?slug=`, of that slug; with `?tag=`, with all of these tags. All of them: this API has no pages."""
    slugs, tags = asked.query.get("slug"), asked.query.get("tag", ())
    found: list[dict[str, Any]] = []
    async with asked.api.database.read() as read:
        around = await around_of(read, asked)
        async for page in pages(read, asked.caller.pid):
            rows = [
                row for row in page if (slugs is None or row.slug == slugs[-1]) and all(tag in row.tags for tag in tags)
            ]
            found += await forms(read, asked, rows, around)
    return told({"checks": found})


async def create_check(asked: Asked) -> Answer:
    """201; or 200 if all that `unique` names is as in a check that there is, which is updated."""
    api, pid, spec = asked.api, asked.caller.pid, read_spec(asked.body)

    def command(tx: Tx, at: datetime) -> tuple[str, bool]:
        row = _like(tx, pid, spec, at)
        if row is not None:
            update(tx, pid, row.uuid, spec, version=asked.version, actor=asked.actor, at=at, ids=api.ids)
            return row.uuid, False
        most = api.settings.limits.checks
        made = create(tx, pid, spec, version=asked.version, actor=asked.actor, most=most, at=at, ids=api.ids)
        return made, True

    try:
        uuid, is_new = await in_turn(api.database, api.clock, command)
    except LimitError as error:
        raise SaidNoError(Answer(status=403)) from error
    return told(await form_of(asked, uuid), status=201 if is_new else 200)


async def get_check(asked: Asked) -> Answer:
    async with asked.api.database.read() as read:
        return told((await forms(read, asked, [await find(read, asked)]))[0])


async def update_check(asked: Asked) -> Answer:
    """What is left out stays."""
    api, spec, uuid = asked.api, read_spec(asked.body), await _named(asked)

    def command(tx: Tx, at: datetime) -> None:
        pid = asked.caller.pid
        update(tx, pid, uuid, spec, version=asked.version, actor=asked.actor, at=at, ids=api.ids)

    await in_turn(api.database, api.clock, command)
    return told(await form_of(asked, uuid))


async def delete_check(asked: Asked) -> Answer:
    """Answered with the check as it was."""
    api, pid, at = asked.api, asked.caller.pid, asked.api.clock.now()
    uuid = await _named(asked)
    was = await form_of(asked, uuid)
    try:
        gone = await api.database.write(
            lambda tx: commands.delete(tx, pid, uuid, at=at, ids=api.ids, actor=asked.actor)
        )
    except ConflictError as error:
        raise no(409, str(error)) from error
    await history.remove(api.database, pid, gone)
    return told(was)


async def pause_check(asked: Asked) -> Answer:
    api, pid, uuid = asked.api, asked.caller.pid, await _named(asked)

    def command(tx: Tx, at: datetime) -> None:
        commands.pause(tx, pid, uuid, at=at, ids=api.ids, actor=asked.actor)

    await in_turn(api.database, api.clock, command)
    return told(await form_of(asked, uuid))


async def resume_check(asked: Asked) -> Answer:
    api, pid, uuid = asked.api, asked.caller.pid, await _named(asked)

    def command(tx: Tx, at: datetime) -> None:
        commands.resume(tx, pid, uuid, at=at, ids=api.ids, actor=asked.actor)

    try:
        await in_turn(api.database, api.clock, command)
    except ConflictError as error:
        raise SaidNoError(Answer(status=409, body=b"check is not paused")) from error
    return told(await form_of(asked, uuid))


async def list_channels(asked: Asked) -> Answer:
    query = sa.select(channels.c.uuid, channels.c.name, channels.c.kind).where(channels.c.pid == asked.caller.pid)
    async with asked.api.database.read() as read:
        rows = (await read.execute(query.order_by(channels.c.id))).all()
    return told({"channels": [{"id": row.uuid, "name": row.name, "kind": row.kind} for row in rows]})


# --- in one transaction ------------------------------------------------------------------------------


def create(
    tx: Tx,
    pid: int,
    spec: Spec,
    *,
    version: int,
    actor: Actor,
    most: int,
    at: datetime,
    ids: IdSource,
    ping_uuid: str | None = None,
    first_ping_by: datetime | None = None,
) -> str:
    """Its public id. Without `channels` nobody hears of it, as there. SaidNoError, LimitError."""
    sent = with_spec(sent_of(None), spec)
    wanted = asked_of(spec, version=version, row=None, sent=sent, at=at)
    heard = _channels(tx, pid, spec.get("channels", ""))
    wanted = msgspec.structs.replace(wanted, channels=heard, first_ping_by=first_ping_by)
    try:
        uuid = commands.create(
            tx, pid, wanted, at=at, ids=ids, actor=actor, most=most, ping_uuid=ping_uuid
        )  # fmt: skip
    except InvalidValueError as error:
        raise told_in_theirs(error) from error
    _keep_sent(tx, pid, uuid, spec, sent)
    return uuid


def update(tx: Tx, pid: int, uuid: str, spec: Spec, *, version: int, actor: Actor, at: datetime, ids: IdSource) -> None:
    """SaidNoError."""
    row = commands.locked(tx, pid, uuid, None).row
    sent = with_spec(sent_of(row), spec)
    wanted = asked_of(spec, version=version, row=row, sent=sent, at=at)
    if "channels" in spec:
        wanted = msgspec.structs.replace(wanted, channels=_channels(tx, pid, spec["channels"]))
    try:
        commands.edit(tx, pid, uuid, wanted, at=at, ids=ids, actor=actor)
    except InvalidValueError as error:
        raise told_in_theirs(error) from error
    except ConflictError as error:
        raise no(409, str(error)) from error
    _keep_sent(tx, pid, uuid, spec, sent)


def _keep_sent(tx: Tx, pid: int, uuid: str, spec: Spec, sent: Mapping[str, Any]) -> None:
    """So that a client reads what it wrote, also of filters that look at mails, which do not come here."""
    if touches_filters(spec):
        its = sa.update(checks).where(checks.c.pid == pid, checks.c.uuid == uuid)
        tx.conn.execute(its.values(filters_as_sent=dict(sent)))


def _like(tx: Tx, pid: int, spec: Spec, at: datetime) -> Any | None:
    """The oldest check that equals the request in every field that `unique` names; None: there is none to update.

    A field that is named and not given equals no check.
    """
    names: Sequence[str] = spec.get("unique", ())
    if not names or not all(name in spec for name in names):
        return None
    if tx.on_postgres:
        # Two scripts at once would each find none, and make two.
        tx.conn.execute(sa.select(projects.c.id).where(projects.c.id == pid).with_for_update(key_share=True))
    wanted = asked_of(spec, version=3, row=None, sent=sent_of(None), at=at)
    try:
        like = merged(CheckConfig(), wanted, at=at)
    except InvalidValueError as error:
        raise told_in_theirs(error) from error
    query = sa.select(checks).where(checks.c.pid == pid).order_by(checks.c.id)
    if "name" in names:
        query = query.where(checks.c.name == like.name)
    if "slug" in names:
        query = query.where(checks.c.slug == like.slug)
    if "grace" in names:
        query = query.where(checks.c.grace_s == like.grace_s)
    if "timeout" in names:
        query = query.where(checks.c.kind == Kind.PERIOD.value, checks.c.period_s == spec["timeout"])
    found = tx.conn.execute(query)
    return next((row for row in found if "tags" not in names or tuple(row.tags) == like.tags), None)


def _channels(tx: Tx, pid: int, text: str) -> list[str]:
    """Of names and ids, by public id. SaidNoError."""
    if text == commands.ALL_CHANNELS:
        return [commands.ALL_CHANNELS]
    known = tx.conn.execute(sa.select(channels.c.uuid, channels.c.name).where(channels.c.pid == pid)).all()
    found: list[str] = []
    for name in text.split(",") if text else ():
        if not name:
            raise no(400, "empty channel identifier")
        its = [row.uuid for row in known if name in {row.uuid, row.name}]
        if len(its) != 1:
            what = "non-unique" if its else "invalid"
            raise no(400, f"{what} channel identifier: {name}")
        found += its
    return list(dict.fromkeys(found))


async def _named(asked: Asked) -> str:
    """The public id of the check that the path names."""
    async with asked.api.database.read() as read:
        uuid: str = (await find(read, asked)).uuid
        return uuid
