"""Links by which who is not in the project reads one incident: for so long, until somebody takes them back.

A link's secret is stored as a hash and told once. What it shows is the incident and nothing else of the project: what
happened and when, and what people said if its maker chose so, but never who they are or who was told. Each function
that changes something is one transaction's work.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.queries import number_of
from heartfly.audit.record import Action, Actor, record
from heartfly.core.incident import Incident
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import incident_shares
from heartfly.db.tenant import demand_living
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.incidents import queries
from heartfly.incidents.commands import locked
from heartfly.incidents.queries import Note
from heartfly.sealing import digest

SHORTEST_S, USUAL_S, LONGEST_S = 300, 604_800, 2_592_000
"""Five minutes, a week, 30 days."""
MOST_SHARES = 20
"""Of one incident, counted without those that have ended."""
_TOKEN = 43  # 32 bytes in base64
_SHOWN = [column for column in incident_shares.c if column.name != "token_hash"]


@dataclass(frozen=True, slots=True)
class Shared:
    """`token`: the secret of the link, the only time that it is seen."""

    id: int
    made_by: str
    created_at: datetime
    expires_at: datetime
    with_comments: bool
    token: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a link shows. `row`: the incident's; `notes`: empty, too, where they are not to be seen."""

    row: Row[Any]
    incident: Incident
    flips: Sequence[Row[Any]]
    run: Row[Any] | None
    notes: Sequence[Note]
    with_comments: bool
    expires_at: datetime


def share(
    tx: Tx,
    pid: int,
    uuid: str,
    *,
    lasts_s: int,
    with_comments: bool,
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> Shared:
    """InvalidValueError: it cannot last as long as that. ConflictError: see MOST_SHARES."""
    if not SHORTEST_S <= lasts_s <= LONGEST_S:
        raise InvalidValueError("lasts", f"must be {SHORTEST_S} to {LONGEST_S} seconds (30 days)")
    demand_living(tx, pid)
    found = locked(tx, pid, uuid)
    its = (incident_shares.c.pid == pid, incident_shares.c.incident_id == found.id)
    tx.conn.execute(sa.delete(incident_shares).where(*its, incident_shares.c.expires_at <= at))
    count = sa.select(sa.func.count()).select_from(incident_shares).where(*its)
    if tx.conn.execute(count).scalar_one() >= MOST_SHARES:
        raise ConflictError(f"the incident has {MOST_SHARES} links, which is all that it may have; take one back")
    made = Shared(
        id=ids.next(at),
        made_by=actor.name,
        created_at=at,
        expires_at=at + timedelta(seconds=lasts_s),
        with_comments=with_comments,
        token=secrets.token_urlsafe(32),
    )
    told = {"with_comments": with_comments, "expires_at": made.expires_at}
    fixed = {"id": made.id, "made_by": made.made_by, "created_at": at, "token_hash": digest(made.token)}
    tx.conn.execute(sa.insert(incident_shares).values({"pid": pid, "incident_id": found.id} | fixed | told))
    record(
        tx, pid, actor=actor, action=Action.INCIDENT_SHARE, of=f"incident:{found.uuid}", before=None,
        after={"share": str(made.id)} | told, at=at, ids=ids,
    )  # fmt: skip
    return made


def address(base_url: str, token: str) -> str:
    return f"{base_url}/shared/{token}"


def unshare(tx: Tx, pid: int, uuid: str, share_id: str, *, at: datetime, actor: Actor, ids: IdSource) -> None:
    """Its link shows nothing any more. NotFoundError: the incident has no such link."""
    found, number = locked(tx, pid, uuid), number_of(share_id)
    its = (incident_shares.c.pid == pid, incident_shares.c.incident_id == found.id, incident_shares.c.id == number)
    was = (incident_shares.c.with_comments, incident_shares.c.expires_at)
    row = None if number is None else tx.conn.execute(sa.delete(incident_shares).where(*its).returning(*was)).first()
    if row is None:
        raise NotFoundError("there is no such link")
    record(
        tx, pid, actor=actor, action=Action.INCIDENT_UNSHARE, of=f"incident:{found.uuid}",
        before={"share": str(number)} | row._asdict(), after=None, at=at, ids=ids,
    )  # fmt: skip


async def shares_of(read: AsyncConnection, pid: int, incident_id: int, *, now: datetime) -> Sequence[Row[Any]]:
    """Those that still show it, oldest first; their number is bounded."""
    its = (incident_shares.c.pid == pid, incident_shares.c.incident_id == incident_id)
    query = sa.select(*_SHOWN).where(*its, incident_shares.c.expires_at > now)
    return (await read.execute(query.order_by(incident_shares.c.id))).all()


async def seen(read: AsyncConnection, token: str, *, now: datetime) -> Seen | None:
    """None for a link that never was, has ended, or was taken back: all read the same."""
    if len(token) != _TOKEN or not token.isascii():
        return None
    query = sa.select(*_SHOWN).where(incident_shares.c.token_hash == digest(token), incident_shares.c.expires_at > now)
    link = (await read.execute(query)).first()
    if link is None:
        return None
    row = await queries.numbered(read, link.pid, link.incident_id)
    flips = await queries.flips_of(read, row)
    known = queries.value(row)
    return Seen(
        row=row,
        incident=replace(known, acked_by="Somebody") if known.acked_by else known,
        flips=flips,
        run=await queries.run_of(read, flips[0]) if flips else None,
        notes=await queries.notes_of(read, link.pid, row.id) if link.with_comments else [],
        with_comments=link.with_comments,
        expires_at=link.expires_at,
    )


def remove_ended(tx: Tx, *, at: datetime, most: int) -> int:
    """How many went, of all projects; `most` at a time."""
    names = sa.tuple_(incident_shares.c.pid, incident_shares.c.incident_id, incident_shares.c.id)
    piece = (
        sa.select(incident_shares.c.pid, incident_shares.c.incident_id, incident_shares.c.id)
        .where(incident_shares.c.expires_at <= at)
        .limit(most)
    )
    return tx.conn.execute(sa.delete(incident_shares).where(names.in_(piece))).rowcount
