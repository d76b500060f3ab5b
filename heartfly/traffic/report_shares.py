"""Links by which who is not in the project reads one report: for so long, until somebody takes them back.

A link's secret is stored as a hash and told once. What it shows is the report of one customer and these days, as it is
when somebody looks, and nothing else of the project. Each function that changes something is one transaction's work.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.queries import number_of
from heartfly.audit.record import HEARTFLY, Action, Actor, record
from heartfly.core.report_periods import Period
from heartfly.core.zones import is_zone
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import projects, report_shares
from heartfly.db.tenant import demand_living
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.sealing import digest

SHORTEST_S, USUAL_S, LONGEST_S = 300, 2_592_000, 31_622_400
"""Five minutes, 30 days, a year of 366."""
MOST_SHARES = 20
"""Of one customer that people made, counted without those that have ended."""
_TOKEN = 43  # 32 bytes in base64
_SHOWN = [column for column in report_shares.c if column.name != "token_hash"]


@dataclass(frozen=True, slots=True)
class Shared:
    """`token`: the secret of the link, the only time that it is seen."""

    id: int
    made_by: str
    created_at: datetime
    expires_at: datetime
    first_day: Any
    last_day: Any
    token: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a link shows."""

    pid: int
    project: str
    customer: str
    period: Period
    expires_at: datetime


def share(
    tx: Tx,
    pid: int,
    customer: str,
    period: Period,
    *,
    lasts_s: int,
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> Shared:
    """`customer`: the id of one that there is. Heartfly's own are bounded by the mails that they stand in.

    InvalidValueError: it cannot last as long as that. ConflictError: see MOST_SHARES.
    """
    if not SHORTEST_S <= lasts_s <= LONGEST_S:
        raise InvalidValueError("lasts", f"must be {SHORTEST_S} to {LONGEST_S} seconds (366 days)")
    demand_living(tx, pid)
    its = (report_shares.c.pid == pid, report_shares.c.customer == customer)
    tx.conn.execute(sa.delete(report_shares).where(*its, report_shares.c.expires_at <= at))
    of_people = report_shares.c.made_by != HEARTFLY.name
    count = sa.select(sa.func.count()).select_from(report_shares).where(*its, of_people)
    if actor != HEARTFLY and tx.conn.execute(count).scalar_one() >= MOST_SHARES:
        raise ConflictError(f"the customer has {MOST_SHARES} links, which is all that he may have; take one back")
    made = Shared(
        id=ids.next(at),
        made_by=actor.name,
        created_at=at,
        expires_at=at + timedelta(seconds=lasts_s),
        first_day=period.first,
        last_day=period.last,
        token=secrets.token_urlsafe(32),
    )
    told = {"first_day": period.first, "last_day": period.last, "expires_at": made.expires_at}
    fixed = {"id": made.id, "made_by": made.made_by, "created_at": at, "token_hash": digest(made.token)}
    tx.conn.execute(sa.insert(report_shares).values({"pid": pid, "customer": customer} | fixed | told))
    record(
        tx, pid, actor=actor, action=Action.REPORT_SHARE, of=f"customer:{customer}", before=None,
        after={"share": str(made.id)} | _told(told), at=at, ids=ids,
    )  # fmt: skip
    return made


def _told(values: dict[str, Any]) -> dict[str, Any]:
    return values | {"first_day": values["first_day"].isoformat(), "last_day": values["last_day"].isoformat()}


def address(base_url: str, token: str) -> str:
    return f"{base_url}/shared/report/{token}"


def unshare(tx: Tx, pid: int, customer: str, share_id: str, *, at: datetime, actor: Actor, ids: IdSource) -> None:
    """Its link shows nothing any more. NotFoundError: the customer has no such link."""
    number = number_of(share_id)
    its = (report_shares.c.pid == pid, report_shares.c.customer == customer, report_shares.c.id == number)
    was = (report_shares.c.first_day, report_shares.c.last_day, report_shares.c.expires_at)
    row = None if number is None else tx.conn.execute(sa.delete(report_shares).where(*its).returning(*was)).first()
    if row is None:
        raise NotFoundError("there is no such link")
    record(
        tx, pid, actor=actor, action=Action.REPORT_UNSHARE, of=f"customer:{customer}",
        before={"share": str(number)} | _told(row._asdict()), after=None, at=at, ids=ids,
    )  # fmt: skip


async def shares_of(main: AsyncConnection, pid: int, customer: str, *, now: datetime) -> Sequence[Row[Any]]:
    """Those that still show a report of his, oldest first; their number is bounded."""
    its = (report_shares.c.pid == pid, report_shares.c.customer == customer, report_shares.c.expires_at > now)
    return (await main.execute(sa.select(*_SHOWN).where(*its).order_by(report_shares.c.id))).all()


async def seen(main: AsyncConnection, token: str, *, now: datetime) -> Seen | None:
    """None for a link that never was, has ended, or was taken back: all read the same."""
    if len(token) != _TOKEN or not token.isascii():
        return None
    query = (
        sa.select(*_SHOWN, projects.c.name.label("project"), projects.c.zone)
        .join(projects, projects.c.id == report_shares.c.pid)
        .where(report_shares.c.token_hash == digest(token), report_shares.c.expires_at > now)
    )
    row = (await main.execute(query)).first()
    if row is None:
        return None
    zone = ZoneInfo(row.zone if is_zone(row.zone) else "UTC")
    return Seen(row.pid, row.project, row.customer, Period(row.first_day, row.last_day, zone), row.expires_at)


def remove_ended(tx: Tx, *, at: datetime, most: int) -> int:
    """How many went, of all projects; `most` at a time."""
    names = sa.tuple_(report_shares.c.pid, report_shares.c.id)
    piece = sa.select(report_shares.c.pid, report_shares.c.id).where(report_shares.c.expires_at <= at).limit(most)
    return tx.conn.execute(sa.delete(report_shares).where(names.in_(piece))).rowcount
