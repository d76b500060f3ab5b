"""A project's rules for paths: what routes its requests have, now and, folded anew, in history.

How rules are written and what they say of a path is core/paths.py's; which routes they leave alone, core/routing.py's.
Each set of rules is kept, under the version that events name which were made by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action, Actor
from heartfly.core.paths import PathRuleError, Rules, rules_of
from heartfly.core.text import one_line
from heartfly.core.traffic import Cube
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import dirty_hours, path_rules, request_rollups, windows
from heartfly.errors import ChangedMeanwhileError, InvalidValueError, NotFoundError
from heartfly.usage.apply import hold_events
from heartfly.usage.audit import note

MOST_LINES, MOST_CHARACTERS = 500, 300
_FIELD = "lines"


@dataclass(frozen=True, slots=True)
class PathRules:
    """`rev`: how many sets the project has had; 0: none, and only what is built in holds."""

    rev: int
    version: str
    lines: Sequence[str]
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class PathRulesSet:
    """One that holds or held. `at`: from when on."""

    id: int
    version: str
    lines: Sequence[str]
    at: datetime


def checked(lines: Sequence[str]) -> tuple[Sequence[str], Rules]:
    """As they are kept. InvalidValueError: it names the line."""
    if len(lines) > MOST_LINES:
        raise InvalidValueError(_FIELD, f"must be up to {MOST_LINES} lines")
    clean = [
        one_line(line.replace("\t", " "), field=f"{_FIELD}[{place}]", most=MOST_CHARACTERS)
        for place, line in enumerate(lines)
    ]
    try:
        return clean, rules_of(clean)
    except PathRuleError as error:
        raise InvalidValueError(_FIELD, str(error)) from error


def save_rules(
    tx: Tx, pid: int, given: Sequence[str], *, rev: int | None, actor: Actor, at: datetime, ids: IdSource
) -> int:
    """The newest of the project from now on. How many hours are folded anew for it; 0, too, if it is as it was.

    InvalidValueError; ChangedMeanwhileError: `rev` is not that of the rules any more.
    """
    lines, rules = checked(given)
    hold_events(tx, pid)
    newest = _of(tx.conn.execute(_newest(pid)).first(), tx.conn.execute(_count(pid)).scalar_one())
    if rev is not None and rev != newest.rev:
        raise ChangedMeanwhileError("the rules were changed meanwhile; read them again")
    if list(lines) == list(newest.lines):
        return 0
    number = ids.next(at)
    row = {"pid": pid, "id": number, "version": rules.version, "lines": "\n".join(lines), "created_at": at}
    tx.conn.execute(sa.insert(path_rules).values(row))
    note(
        tx, pid, actor=actor, action=Action.PATH_RULES_EDIT, of="path_rules",
        before={"lines": list(newest.lines)}, after={"lines": list(lines)}, at=at, ids=ids,
    )  # fmt: skip
    if rules.version == newest.version:
        return 0  # other comments
    return _mark(tx, pid, seq=ids.next(at))


def _mark(tx: Tx, pid: int, *, seq: int) -> int:
    """All hours that hold requests and whose events are kept."""
    w, r = windows.c, request_rollups.c
    here = sa.exists().where(r.pid == pid, r.cube == int(Cube.TOTAL), r.tier == "hour", r.start_at == w.start_at)
    hours = sa.select(w.pid, w.start_at, sa.literal(seq, sa.BigInteger)).where(
        w.pid == pid, w.tier == "hour", w.sealed_at.is_(None), sa.or_(w.thinned, here)
    )
    insert = tx.insert(dirty_hours).from_select(["pid", "hour", "seq"], hours)
    upsert = insert.on_conflict_do_update(index_elements=["pid", "hour"], set_={"seq": seq})
    return tx.conn.execute(upsert.execution_options(preserve_rowcount=True)).rowcount


async def kept_rules(read: AsyncConnection, pid: int) -> PathRules:
    newest = (await read.execute(_newest(pid))).first()
    return _of(newest, (await read.execute(_count(pid))).scalar_one())


async def list_sets(read: AsyncConnection, pid: int, *, after: int | None, limit: int) -> Sequence[PathRulesSet]:
    """The newest first, which is the one that holds. `after`: the id of the one before the first."""
    query = sa.select(path_rules).where(path_rules.c.pid == pid).order_by(path_rules.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(path_rules.c.id < after)
    return [_set(row) for row in await read.execute(query)]


async def one_set(read: AsyncConnection, pid: int, number: int) -> PathRulesSet:
    """NotFoundError."""
    row = (await read.execute(sa.select(path_rules).where(path_rules.c.pid == pid, path_rules.c.id == number))).first()
    if row is None:
        raise NotFoundError("there are no such rules")
    return _set(row)


def _set(row: Any) -> PathRulesSet:
    return PathRulesSet(row.id, row.version, _lines(row.lines), row.created_at)


def _lines(text: str) -> Sequence[str]:
    return text.split("\n") if text else ()


def _of(row: Any, n: int) -> PathRules:
    if row is None:
        return PathRules(0, Rules().version, (), None)
    return PathRules(n, row.version, _lines(row.lines), row.created_at)


def _newest(pid: int) -> sa.Select[Any]:
    return sa.select(path_rules).where(path_rules.c.pid == pid).order_by(path_rules.c.id.desc()).limit(1)


def _count(pid: int) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(path_rules).where(path_rules.c.pid == pid)
