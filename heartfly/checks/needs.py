"""What a check needs: others of its project without whose success it cannot go well.

What follows when one of them is down is decided in core/causes.py. A check is `linked` if it needs others or others
need it, so that those that go down without such ties are not looked at further.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.queries import UUID
from heartfly.core.causes import MOST_NEEDS, a_cycle
from heartfly.db.changes import Tx
from heartfly.db.models import check_needs, checks, projects
from heartfly.errors import InvalidValueError
from heartfly.notify.upstream import wake_waiting

FIELD = "needs"


def needed_ids(tx: Tx, pid: int, asked: Sequence[str] | msgspec.UnsetType, *, check_id: int | None) -> list[int] | None:
    """The checks asked for, by slug or id; None: nothing was asked. InvalidValueError names the one that is wrong.

    `check_id`: of which check they are; None: of one that is not made yet, which nobody can need.
    """
    if isinstance(asked, msgspec.UnsetType):
        return None
    if len(asked) > MOST_NEEDS:
        raise InvalidValueError(FIELD, f"must be at most {MOST_NEEDS}")
    found: list[int] = []
    known = _named(tx, pid, asked)
    for n, name in enumerate(asked):
        ids = known.get(name, ())
        if not ids:
            raise InvalidValueError(f"{FIELD}[{n}]", "there is no such check in this project")
        if len(ids) > 1:
            raise InvalidValueError(f"{FIELD}[{n}]", "two checks have this slug: name the one that you mean by its id")
        found += ids
    if check_id is not None and found:
        # Two edits at one time could close a circle that neither of them sees.
        tx.conn.execute(sa.select(projects.c.id).where(projects.c.id == pid).with_for_update(key_share=True))
        others = _all(tx, pid)
        for n, needed in enumerate(found):
            way = a_cycle(check_id, [needed], others)
            if way is not None:
                raise InvalidValueError(f"{FIELD}[{n}]", _circle(tx, pid, way))
    return list(dict.fromkeys(found))


def _named(tx: Tx, pid: int, asked: Sequence[str]) -> Mapping[str, Sequence[int]]:
    c = checks.c
    plain = [name for name in asked if name and "\x00" not in name]
    uuids = [name.lower() for name in plain if UUID.fullmatch(name.lower())]
    query = sa.select(c.id, c.uuid, c.slug).where(c.pid == pid, sa.or_(c.slug.in_(plain), c.uuid.in_(uuids)))
    by_slug: dict[str, list[int]] = {}
    by_uuid: dict[str, list[int]] = {}
    for row in tx.conn.execute(query.order_by(c.id)):
        by_slug.setdefault(row.slug, []).append(row.id)
        by_uuid[row.uuid] = [row.id]
    return {name: by_uuid.get(name.lower()) or by_slug.get(name, []) for name in plain}


def _all(tx: Tx, pid: int) -> Mapping[int, Sequence[int]]:
    n = check_needs.c
    found: dict[int, list[int]] = {}
    for row in tx.conn.execute(sa.select(n.check_id, n.needed_id).where(n.pid == pid)):
        found.setdefault(row.check_id, []).append(row.needed_id)
    return found


def _circle(tx: Tx, pid: int, way: Sequence[int]) -> str:
    if len(way) == 2:
        return "a check cannot need itself"
    c = checks.c
    query = sa.select(c.id, c.name).where(c.pid == pid, c.id.in_(way))
    names = {row.id: row.name for row in tx.conn.execute(query)}
    return f"that is a circle: {' needs '.join(names[one] for one in way)}"


def assign(tx: Tx, pid: int, check_id: int, needed: Collection[int] | None, *, at: datetime) -> None:
    """Exactly these, which `needed_ids` found. None: as it is."""
    if needed is None:
        return
    n = check_needs.c
    mine = (n.pid == pid, n.check_id == check_id)
    before = {*tx.conn.execute(sa.select(n.needed_id).where(*mine)).scalars()}
    gone, new = before - {*needed}, {*needed} - before
    if gone:
        tx.conn.execute(sa.delete(check_needs).where(*mine, n.needed_id.in_(gone)))
    if new:
        rows = [{"pid": pid, "check_id": check_id, "needed_id": one} for one in sorted(new)]
        tx.conn.execute(sa.insert(check_needs), rows)
    if gone or new:
        _link(tx, pid, {check_id} | gone | new, whose={check_id})
        wake_waiting(tx, gone, now=at)


def edit(
    tx: Tx, pid: int, check_id: int, asked: Sequence[str] | msgspec.UnsetType, *, at: datetime
) -> tuple[list[str], list[str]] | None:
    """What it needed, and needs from now on, by public id. None: nothing was asked."""
    needed = needed_ids(tx, pid, asked, check_id=check_id)
    if needed is None:
        return None
    before = of(tx, pid, check_id)
    assign(tx, pid, check_id, needed, at=at)
    return before, of(tx, pid, check_id)


def forget(tx: Tx, pid: int, check_id: int, *, at: datetime) -> None:
    """It leaves the project: nobody needs it any more, nor does it need anybody."""
    n = check_needs.c
    mine = sa.or_(n.check_id == check_id, n.needed_id == check_id)
    rows = tx.conn.execute(sa.select(n.check_id, n.needed_id).where(n.pid == pid, mine)).all()
    if rows:
        tx.conn.execute(sa.delete(check_needs).where(n.pid == pid, mine))
        _link(tx, pid, {one for row in rows for one in row}, whose={row.check_id for row in rows})
        wake_waiting(tx, {check_id}, now=at)


def _link(tx: Tx, pid: int, check_ids: Iterable[int], *, whose: Collection[int]) -> None:
    """`whose`: those whose needs are others now. They count a revision: what shows them is shown anew."""
    c, n = checks.c, check_needs.c
    needs = sa.exists().where(n.pid == c.pid, n.check_id == c.id)
    tied = sa.or_(needs, sa.exists().where(n.pid == c.pid, n.needed_id == c.id))
    are_others = sa.update(checks).where(c.pid == pid, c.id.in_(sorted(check_ids)), c.linked != tied)
    tx.conn.execute(are_others.values(linked=tied))
    tx.conn.execute(sa.update(checks).where(c.pid == pid, c.id.in_(sorted(whose))).values(rev=c.rev + 1))


def of(tx: Tx, pid: int, check_id: int) -> list[str]:
    """The checks that it needs by public id, in the order in which they were made."""
    c, n = checks.c, check_needs.c
    query = sa.select(c.uuid).join_from(check_needs, checks, sa.and_(c.pid == n.pid, c.id == n.needed_id))
    return list(tx.conn.execute(query.where(n.pid == pid, n.check_id == check_id).order_by(c.id)).scalars())


async def read_needs(read: AsyncConnection, pid: int, check_ids: Collection[int]) -> Mapping[int, Sequence[Any]]:
    """What each of these needs: `uuid`, `slug`, `name` and `status`. One that needs nothing is not in it."""
    return await _tied(read, pid, check_needs.c.check_id, check_needs.c.needed_id, check_ids)


async def read_needed_by(read: AsyncConnection, pid: int, check_ids: Collection[int]) -> Mapping[int, Sequence[Any]]:
    """What needs each of these."""
    return await _tied(read, pid, check_needs.c.needed_id, check_needs.c.check_id, check_ids)


async def _tied(
    read: AsyncConnection, pid: int, of: sa.Column[int], other: sa.Column[int], check_ids: Collection[int]
) -> Mapping[int, Sequence[Any]]:
    c = checks.c
    query = (
        sa.select(of.label("of"), c.id, c.uuid, c.slug, c.name, c.status)
        .join_from(check_needs, checks, sa.and_(c.pid == check_needs.c.pid, c.id == other))
        .where(check_needs.c.pid == pid, of.in_(check_ids))
        .order_by(of, c.id)
    )
    found: dict[int, list[Any]] = {}
    for row in await read.execute(query):
        found.setdefault(row.of, []).append(row)
    return found
