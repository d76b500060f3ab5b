"""Sources of events: how far each has come, and to retire one that sends no more.

Which of them a day waits for is decided in core/watermarks.py. A source is whoever a request says it is from, or what
events of requests say in `source`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action, Actor
from heartfly.core.access.as_event import TYPE
from heartfly.core.by_column import EventColumns
from heartfly.core.data_silence import floor
from heartfly.core.events import Event
from heartfly.core.watermarks import Source, Standing, is_live, is_name, standing
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import source_hours, usage_sources
from heartfly.db.prepared import among
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.usage.audit import note

HEADER = "Heartfly-Source"
MOST = 1_000
"""Of a project. Others are not kept, and no day waits for them."""
FORGOTTEN = timedelta(days=90)
"""One that was not heard for so long is removed."""
HOURS_KEPT = timedelta(days=35)
"""What is usual for a source is told by its last four weeks."""


class _Says(msgspec.Struct, gc=False):
    """Of the properties of a request."""

    source: msgspec.Raw = msgspec.Raw()


_SAYS = msgspec.json.Decoder(_Says)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a batch says of a source. `newest_at`: of its events, never later than they came. `n`: how many they are."""

    newest_at: datetime
    at: datetime
    n: int = 0


def demand_name(text: str) -> str:
    """As a header has it; empty: none is said. InvalidValueError."""
    if text and not is_name(text):
        raise InvalidValueError(HEADER, "must be 1 to 128 printable characters, without space around them")
    return text


def heard_of(found: Iterable[object], source: str, at: datetime) -> Mapping[str, Heard]:
    """What each source told. `found`: what events were made of what came; anything else tells nothing.

    `source`: of all; empty: it is what requests say themselves.
    """
    if isinstance(found, EventColumns):
        return _heard_of_columns(found, source, at)
    newest: dict[str, datetime] = {}
    count: dict[str, int] = {}
    for made in found:
        if not isinstance(made, Event):
            continue
        name = source
        if not name:
            # To look for the name first spares nearly all from being read.
            if made.type != TYPE or '"source"' not in made.properties:
                continue
            name = _own_name(made.properties)
            if not is_name(name):
                continue
        if (known := newest.get(name)) is None or made.at > known:
            newest[name] = made.at
        count[name] = count.get(name, 0) + 1
    return {name: Heard(min(newest_at, at), at, count[name]) for name, newest_at in newest.items()}


def _heard_of_columns(found: EventColumns, source: str, at: datetime) -> Mapping[str, Heard]:
    if source:
        return {source: Heard(min(max(found.ats), at), at, len(found))} if len(found) else {}
    told: dict[str, list[datetime]] = {}
    if found.sources is not None:
        for name, type_, when in zip(found.sources, found.types, found.ats, strict=True):
            if type_ == TYPE:
                told.setdefault(name, []).append(when)
    return {name: Heard(min(max(ats), at), at, len(ats)) for name, ats in told.items() if is_name(name)}


def _own_name(properties: str) -> str:
    """What a request calls its source: a text, or a number as it was written. Empty: nothing of both."""
    raw = bytes(_SAYS.decode(properties).source)
    if raw.startswith(b'"'):
        return str(msgspec.json.decode(raw, type=str))
    return raw.decode() if raw[:1].isdigit() or raw.startswith(b"-") else ""


def hear(tx: Tx, pid: int, heard: Sequence[tuple[str, Heard]]) -> None:
    """In the transaction that writes their events. One name may come several times."""
    by_name: dict[str, Heard] = {}
    for name, one in heard:
        before = by_name.get(name)
        by_name[name] = one if before is None else _later(before, one)
    s = usage_sources.c
    known = set(
        tx.conn.execute(
            sa.select(s.name).where(s.pid == pid, among(tx, s.name, "names")), {"names": [*by_name]}
        ).scalars()
    )
    new = by_name.keys() - known
    if new:
        n: int = tx.conn.execute(sa.select(sa.func.count()).select_from(usage_sources).where(s.pid == pid)).scalar_one()
        for name in sorted(new)[max(0, MOST - n) :]:
            del by_name[name]
    rows = [
        {
            "pid": pid,
            "name": name,
            "first_at": one.at,
            "seen_at": one.at,
            "newest_at": one.newest_at,
            "live_at": one.at if is_live(one.newest_at, one.at) else None,
        }
        for name, one in sorted(by_name.items())
    ]
    if rows:
        tx.conn.execute(_upsert(tx), rows)
        _count(tx, pid, [(name, one) for name, one in heard if name in by_name])


def _count(tx: Tx, pid: int, heard: Sequence[tuple[str, Heard]]) -> None:
    """By the hour in which it came, whenever it happened: silence is of whoever sends nothing."""
    sums: dict[tuple[str, datetime], list[int]] = {}
    for name, one in heard:
        came = sums.setdefault((name, floor(one.at)), [0, 0])
        came[0] += 1
        came[1] += one.n
    insert, s = tx.insert(source_hours), source_hours.c
    new = insert.excluded
    added = {"turns": s.turns + new.turns, "n": s.n + new.n}
    tx.conn.execute(
        insert.on_conflict_do_update(index_elements=["pid", "name", "hour"], set_=added),
        [
            {"pid": pid, "name": name, "hour": hour, "turns": turns, "n": n}
            for (name, hour), (turns, n) in sorted(sums.items())
        ],
    )


def _later(one: Heard, other: Heard) -> Heard:
    return Heard(max(one.newest_at, other.newest_at), max(one.at, other.at), one.n + other.n)


def _upsert(tx: Tx) -> Any:
    insert = tx.insert(usage_sources)
    new, s = insert.excluded, usage_sources.c
    later = sa.func.greatest if tx.on_postgres else sa.func.max
    # Who was retired and brings what was left is retired still; who tells what happens now is not.
    values = {
        "seen_at": later(s.seen_at, new.seen_at),
        "newest_at": later(s.newest_at, new.newest_at),
        "live_at": sa.func.coalesce(new.live_at, s.live_at),
        **{name: sa.case((new.live_at.is_(None), s[name]), else_=None) for name in ("retired_at", "retired_by")},
    }
    return insert.on_conflict_do_update(index_elements=["pid", "name"], set_=values)


def standing_of(tx: Tx, pid: int, end_at: datetime, now: datetime) -> Standing:
    """Of the day that ends then."""
    return standing(map(source_of, tx.conn.execute(_all(pid))), end_at, now)


def told_of(sources: Standing) -> Mapping[str, Any] | None:
    """As it is kept with a day; None: it has no sources."""
    if sources.watermark is None:
        return None
    return {
        "waits_for": list(sources.waits_for),
        "without": list(sources.without),
        "watermark": sources.watermark.isoformat(),
    }


def standing_in(kept: Mapping[str, Any] | None) -> Standing:
    """Of what `told_of` told."""
    if kept is None:
        return Standing()
    return Standing(tuple(kept["waits_for"]), tuple(kept["without"]), datetime.fromisoformat(kept["watermark"]))


def source_of(row: Any) -> Source:
    return Source(
        name=row.name,
        first_at=row.first_at,
        newest_at=row.newest_at,
        live_at=row.live_at,
        retired_at=row.retired_at,
    )


def _all(pid: int) -> sa.Select[Any]:
    return sa.select(usage_sources).where(usage_sources.c.pid == pid).order_by(usage_sources.c.name)


async def list_sources(read: AsyncConnection, pid: int, *, after: str | None, limit: int) -> Sequence[Any]:
    """By name. `after`: behind that one."""
    query = _all(pid)
    if after is not None:
        query = query.where(usage_sources.c.name > after)
    rows: Sequence[Any] = (await read.execute(query.limit(limit))).all()
    return rows


def retire(tx: Tx, pid: int, name: str, *, actor: Actor, at: datetime, ids: IdSource) -> Any:
    """The row as it is then. No day waits for it any more, until it tells again what happens. NotFoundError."""
    this = (usage_sources.c.pid == pid, usage_sources.c.name == name)
    row = tx.conn.execute(sa.select(usage_sources).where(*this)).first() if is_name(name) else None
    if row is None:
        raise NotFoundError("there is no such source")
    if row.retired_at is not None:
        return row
    tx.conn.execute(sa.update(usage_sources).where(*this).values(retired_at=at, retired_by=actor.name))
    note(
        tx, pid, actor=actor, action=Action.SOURCE_RETIRE, of=f"source:{name}",
        before={"retired": False}, after={"retired": True}, at=at, ids=ids,
    )  # fmt: skip
    return tx.conn.execute(sa.select(usage_sources).where(*this)).one()


def forget_silent(tx: Tx, pid: int, now: datetime) -> int:
    s = usage_sources.c
    h = source_hours.c
    tx.conn.execute(sa.delete(source_hours).where(h.pid == pid, h.hour < now - HOURS_KEPT))
    return tx.conn.execute(sa.delete(usage_sources).where(s.pid == pid, s.seen_at < now - FORGOTTEN)).rowcount
