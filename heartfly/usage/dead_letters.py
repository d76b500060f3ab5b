"""The dead letter: what came as an event and is none. It is looked at, sent once more as it is or edited, or dropped.

A replay goes the way that every event goes. What is none this time either stays where it lies, and no second letter is
written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action, Actor
from heartfly.core.events import read
from heartfly.core.nesting import too_deep
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import dead_letters
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage.apply import Outcome, Told
from heartfly.usage.audit import note
from heartfly.usage.ingest import MAX_RAW, EventIngest

STATES = ("open", "replayed", "dropped")
MOST_LOOKED_AT = 2_000
"""Letters that a search reads for one page; the next page goes on from there."""
MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Empty: any. `field`: the field that was wrong. `q`: a text within what came, or within the reason."""

    state: str = ""
    field: str | None = None
    q: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found, newest first; `last` is the number of the last letter looked at if there may be more."""

    rows: Sequence[Any]
    last: int | None


async def list_letters(source: AsyncConnection, pid: int, wanted: Wanted, *, before: int | None, limit: int) -> Looked:
    """A page may hold fewer than `limit`, or none, although there are more: no search reads the whole table."""
    query = sa.select(dead_letters).where(dead_letters.c.pid == pid)
    if wanted.state:
        query = query.where(dead_letters.c.state == wanted.state)
    if before is not None:
        query = query.where(dead_letters.c.id < before)
    narrows = wanted.field is not None or bool(wanted.q)
    most = MOST_LOOKED_AT if narrows else limit
    some = query.order_by(dead_letters.c.id.desc()).limit(most).subquery()
    rows = (await source.execute(_narrowed(some, wanted).order_by(some.c.id.desc()).limit(limit + 1))).all()
    if len(rows) > limit:
        return Looked(rows[:limit], rows[limit - 1].id)
    whole = sa.select(sa.func.count(), sa.func.min(some.c.id)).select_from(some)
    n, last = (await source.execute(whole)).one()
    if n < most or last is None:
        return Looked(rows, None)
    further = query.where(dead_letters.c.id < last).with_only_columns(dead_letters.c.id)
    more = (await source.execute(further.order_by(dead_letters.c.id.desc()).limit(1))).first()
    return Looked(rows, last if more is not None else None)


def _narrowed(some: sa.Subquery, wanted: Wanted) -> sa.Select[Any]:
    query = sa.select(some)
    if wanted.field is not None:
        query = query.where(some.c.field == wanted.field)
    if wanted.q:
        found = [column.contains(wanted.q, autoescape=True) for column in (some.c.raw, some.c.reason)]
        query = query.where(sa.or_(*found))
    return query


async def one_letter(source: AsyncConnection, pid: int, letter_id: str) -> Any:
    """NotFoundError, for one of another project too."""
    return _found((await source.execute(_one(pid, letter_id))).first())


def _one(pid: int, letter_id: str) -> sa.Select[Any]:
    if not (letter_id.isascii() and letter_id.isdigit() and len(letter_id) < 19):
        raise NotFoundError("there is no such dead letter")
    return sa.select(dead_letters).where(dead_letters.c.pid == pid, dead_letters.c.id == int(letter_id))


def _found(row: Any) -> Any:
    if row is None:
        raise NotFoundError("there is no such dead letter")
    return row


def drop(tx: Tx, pid: int, letter_id: str, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """ConflictError: it was replayed. One that was dropped stays so."""
    query = _one(pid, letter_id)
    row = _found(tx.conn.execute(query.with_for_update() if tx.on_postgres else query).first())
    if row.state == "replayed":
        raise ConflictError("it was replayed already")
    if row.state == "open":
        _settle(tx, pid, [row.id], "dropped", Action.DEAD_LETTER_DROP, actor=actor, at=at, ids=ids)


async def replay(
    usage: Database,
    ingest: EventIngest,
    pid: int,
    letter_id: str,
    *,
    edited: Any = None,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> Told:
    """Send one that is open once more; `edited` is in its place, by our own names.

    ConflictError: it is not open any more. InvalidValueError: it is no event this time either; nothing has changed.
    """
    async with usage.read() as source:
        row = await one_letter(source, pid, letter_id)
    if row.state != "open":
        raise ConflictError(f"it was {row.state} already")
    found = _content(row) if edited is None else edited
    (foretold,) = await ingest.take(pid, [found], wire=row.wire, dry_run=True)
    if foretold.outcome is Outcome.REJECTED:
        raise InvalidValueError(f"event.{foretold.field}" if foretold.field else "event", foretold.reason)
    (told,) = await ingest.take(pid, [found], wire=row.wire)
    await usage.write(
        lambda tx: _settle(tx, pid, [row.id], "replayed", Action.DEAD_LETTER_REPLAY, actor=actor, at=at, ids=ids)
    )
    return told


async def replay_all(
    usage: Database,
    ingest: EventIngest,
    pid: int,
    wanted: Wanted,
    *,
    before: int | None,
    limit: int,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> tuple[Mapping[str, int], int | None]:
    """Those that are open and fit, as they came, newest first. How many became what, and where to go on."""
    wanted = Wanted(state="open", field=wanted.field, q=wanted.q)
    async with usage.read() as source:
        looked = await list_letters(source, pid, wanted, before=before, limit=limit)
    counts = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    by_wire: dict[str, list[tuple[int, Any]]] = {}
    for row in looked.rows:
        try:
            by_wire.setdefault(row.wire, []).append((row.id, _content(row)))
        except InvalidValueError:
            counts[Outcome.REJECTED.value] += 1
    for wire, letters in by_wire.items():
        foretold = await ingest.take(pid, [found for _, found in letters], wire=wire, dry_run=True)
        good = [one for one, told in zip(letters, foretold, strict=True) if told.outcome is not Outcome.REJECTED]
        counts[Outcome.REJECTED.value] += len(letters) - len(good)
        if not good:
            continue
        for told in await ingest.take(pid, [found for _, found in good], wire=wire):
            counts[told.outcome.value] += 1
        numbers = [number for number, _ in good]
        await usage.write(
            lambda tx, numbers=numbers: _settle(  # type: ignore[misc]
                tx, pid, numbers, "replayed", Action.DEAD_LETTER_REPLAY, actor=actor, at=at, ids=ids
            )
        )
    return counts, looked.last


def _content(row: Any) -> Any:
    """InvalidValueError: what came is not JSON, or only its beginning is kept."""
    if len(row.raw) >= MAX_RAW:
        raise InvalidValueError("event", "is kept in part only, so it has to be sent whole")
    return event_in(row.raw, wrong="what came is no JSON, so it has to be edited")


def event_in(text: str, *, wrong: str = "is no JSON") -> Any:
    """What somebody typed or sent in an event's place. InvalidValueError names `event` and says `wrong`.

    What lies in the dead letter was looked at by nobody: it may be nested as deep as somebody liked.
    """
    if too_deep(text.encode("utf-8", "replace")):
        raise InvalidValueError("event", wrong)
    try:
        return read(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValueError("event", wrong) from error


def _settle(
    tx: Tx, pid: int, numbers: Sequence[int], state: str, action: Action, *, actor: Actor, at: datetime, ids: IdSource
) -> None:
    letters = sa.and_(dead_letters.c.pid == pid, dead_letters.c.id.in_(numbers), dead_letters.c.state == "open")
    settled = sa.update(dead_letters).where(letters).values(state=state).returning(dead_letters.c.id)
    # Of two who do so at one time only the first has changed anything.
    for number in sorted(tx.conn.execute(settled).scalars()):
        note(
            tx, pid, actor=actor, action=action, of=f"dead_letter:{number}",
            before={"state": "open"}, after={"state": state}, at=at, ids=ids,
        )  # fmt: skip
