"""To whom a customer's report is mailed by itself, and what was: each period once to each address.

When one is due is decided in core/report_periods.py, how it is sent in jobs/customer_reports.py. Each function that
changes something is one transaction's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.queries import number_of
from heartfly.audit.queries import nth_newest
from heartfly.audit.record import Action, Actor, record
from heartfly.core.report_periods import Rhythm
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import projects, report_mails, report_sendings
from heartfly.db.tenant import demand_living
from heartfly.errors import ConflictError, InvalidValueError, LimitError, NotFoundError, TooManyRequestsError
from heartfly.notify.channels.email import parse_address

MOST_ADDRESSES = 10
"""Of one mailing."""
MOST_MAILS = 5
"""Of one customer."""
PER_HOUR = 60
"""Mailings that a project may make: each brings mail from our server to people who have not asked for it."""
_AN_HOUR = timedelta(hours=1)
_MOST_WORDS = 300
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Mailing:
    """`project`, `slug` and `zone`: of the project that it belongs to."""

    pid: int
    id: int
    customer: str
    rhythm: Rhythm
    since: date
    addresses: Sequence[str]
    project: str
    slug: str
    zone: str


def mail_to(
    tx: Tx,
    pid: int,
    customer: str,
    *,
    rhythm: str,
    addresses: Sequence[str],
    since: date,
    most: int,
    at: datetime,
    actor: Actor,
    ids: IdSource,
) -> int:
    """`customer`: the id of one that there is. `since`: the project's today. `most`: addresses of the project, of all
    its mailings together. Its number.

    InvalidValueError; ConflictError: see MOST_MAILS; LimitError; TooManyRequestsError: see PER_HOUR.
    """
    if rhythm not in list(Rhythm):
        raise InvalidValueError("rhythm", f"must be one of {', '.join(Rhythm)}")
    if not 1 <= len(addresses) <= MOST_ADDRESSES:
        raise InvalidValueError("addresses", f"must be 1 to {MOST_ADDRESSES}")
    found = list(
        dict.fromkeys(parse_address(text, field=f"addresses[{place}]") for place, text in enumerate(addresses))
    )
    demand_living(tx, pid)
    its = (report_mails.c.pid == pid, report_mails.c.customer == customer)
    count = sa.select(sa.func.count()).select_from(report_mails).where(*its)
    if tx.conn.execute(count).scalar_one() >= MOST_MAILS:
        raise ConflictError(f"his report is mailed in {MOST_MAILS} ways, which is all that there may be; end one")
    all_lists = sa.select(report_mails.c.addresses).where(report_mails.c.pid == pid)
    if sum(map(len, tx.conn.execute(all_lists).scalars())) + len(found) > most:
        raise LimitError("the project could then mail reports to more addresses than", most, "reports.addresses")
    _demand_pace(tx, pid, at)
    number = ids.next(at)
    fixed = {"pid": pid, "id": number, "customer": customer, "made_by": actor.name, "created_at": at}
    tx.conn.execute(sa.insert(report_mails).values(fixed | {"rhythm": rhythm, "since": since, "addresses": found}))
    # How many they are: an address is somebody's, and entries stay.
    record(
        tx, pid, actor=actor, action=Action.REPORT_MAIL, of=f"customer:{customer}", before=None,
        after={"mail": str(number), "rhythm": rhythm, "n_addresses": len(found)}, at=at, ids=ids,
    )  # fmt: skip
    return number


def _demand_pace(tx: Tx, pid: int, at: datetime) -> None:
    of_the_last = nth_newest(tx, pid, (Action.REPORT_MAIL,), since=at - _AN_HOUR, n=PER_HOUR)
    if of_the_last is not None:
        wait = of_the_last + _AN_HOUR - at
        raise TooManyRequestsError(
            f"a project may make {PER_HOUR} mailings an hour", retry_after=int(wait.total_seconds()) + 1
        )


def end(tx: Tx, pid: int, customer: str, mail_id: str, *, at: datetime, actor: Actor, ids: IdSource) -> None:
    """Nothing is mailed by it any more. NotFoundError: the customer has no such one."""
    number = number_of(mail_id)
    its = (report_mails.c.pid == pid, report_mails.c.customer == customer, report_mails.c.id == number)
    was = sa.delete(report_mails).where(*its).returning(report_mails.c.rhythm, report_mails.c.addresses)
    row = None if number is None else tx.conn.execute(was).first()
    if row is None:
        raise NotFoundError("there is no such mailing")
    sent = (report_sendings.c.pid == pid, report_sendings.c.mail_id == number)
    tx.conn.execute(sa.delete(report_sendings).where(*sent))
    record(
        tx, pid, actor=actor, action=Action.REPORT_MAIL_END, of=f"customer:{customer}",
        before={"mail": str(number), "rhythm": row.rhythm, "n_addresses": len(row.addresses)}, after=None,
        at=at, ids=ids,
    )  # fmt: skip


async def mails_of(main: AsyncConnection, pid: int, customer: str) -> Sequence[tuple[Row[Any], Sequence[Row[Any]]]]:
    """Each with what was sent of it last, to each address; their number is bounded."""
    its = (report_mails.c.pid == pid, report_mails.c.customer == customer)
    rows = (await main.execute(sa.select(report_mails).where(*its).order_by(report_mails.c.id))).all()
    found = []
    for row in rows:
        sent = sa.select(report_sendings).where(report_sendings.c.pid == pid, report_sendings.c.mail_id == row.id)
        newest = sent.order_by(report_sendings.c.first_day.desc(), report_sendings.c.address).limit(MOST_ADDRESSES)
        last = (await main.execute(newest)).all()
        found.append((row, [one for one in last if one.first_day == last[0].first_day]))
    return found


async def all_mails(main: AsyncConnection, *, after: tuple[int, int] | None = None) -> Sequence[Mailing]:
    """Of all projects that live, the next ones behind that key (project and number)."""
    query = (
        sa.select(report_mails, projects.c.name.label("project"), projects.c.slug, projects.c.zone)
        .join(projects, projects.c.id == report_mails.c.pid)
        .order_by(report_mails.c.pid, report_mails.c.id)
        .limit(_AT_ONCE)
    )
    if after is not None:
        query = query.where(sa.tuple_(report_mails.c.pid, report_mails.c.id) > sa.tuple_(*after))
    return [
        Mailing(
            row.pid,
            row.id,
            row.customer,
            Rhythm(row.rhythm),
            row.since,
            list(row.addresses),
            row.project,
            row.slug,
            row.zone,
        )
        for row in await main.execute(query)
    ]


async def dealt_with(main: AsyncConnection, mailing: Mailing, first: date) -> set[str]:
    """The addresses to which the period that begins then was sent, or will not be any more."""
    query = sa.select(report_sendings.c.address).where(
        report_sendings.c.pid == mailing.pid,
        report_sendings.c.mail_id == mailing.id,
        report_sendings.c.first_day == first,
        report_sendings.c.trying_since.is_(None),
    )
    return set((await main.execute(query)).scalars())


async def addresses_now(main: AsyncConnection, mailing: Mailing) -> Sequence[str]:
    """None of one that was ended since it was read, or whose customer was erased."""
    query = sa.select(report_mails.c.addresses).where(*_row_of(mailing))
    found: Sequence[str] | None = (await main.execute(query)).scalar_one_or_none()
    return found or ()


def is_there(tx: Tx, mailing: Mailing, address: str = "") -> bool:
    """False once it was ended, for this address if one is named, or its customer erased."""
    found = tx.conn.execute(sa.select(report_mails.c.addresses).where(*_row_of(mailing))).scalar_one_or_none()
    return found is not None and (not address or address in found)


def _row_of(mailing: Mailing) -> tuple[sa.ColumnElement[bool], ...]:
    return report_mails.c.pid == mailing.pid, report_mails.c.id == mailing.id


def mark(tx: Tx, mailing: Mailing, first: date, address: str, *, at: datetime, wrong: str = "") -> None:
    """After it was sent, or given up. What was ended meanwhile leaves no trace."""
    if is_there(tx, mailing, address):
        _put(tx, mailing, first, address, {"at": at, "wrong": wrong[:_MOST_WORDS], "trying_since": None})


def failed(tx: Tx, mailing: Mailing, first: date, address: str, *, at: datetime, wrong: str) -> datetime:
    """It is tried again. Since when it has failed: the first time counts."""
    if not is_there(tx, mailing, address):
        return at
    known = sa.select(report_sendings.c.trying_since).where(
        report_sendings.c.pid == mailing.pid,
        report_sendings.c.mail_id == mailing.id,
        report_sendings.c.first_day == first,
        report_sendings.c.address == address,
    )
    since: datetime = tx.conn.execute(known).scalar_one_or_none() or at
    _put(tx, mailing, first, address, {"at": at, "wrong": wrong[:_MOST_WORDS], "trying_since": since})
    return since


def _put(tx: Tx, mailing: Mailing, first: date, address: str, told: dict[str, Any]) -> None:
    key = {"pid": mailing.pid, "mail_id": mailing.id, "first_day": first, "address": address}
    tx.conn.execute(
        tx.insert(report_sendings).values(key | told).on_conflict_do_update(index_elements=list(key), set_=told)
    )
