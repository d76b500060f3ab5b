"""The link in each mailed report by which its reader ends it, for his address alone and without an account.

What it ends stands in it, sealed; nothing of it is stored. It works as long as the mailing has the address.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action, Actor, record
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import report_mails, report_sendings
from heartfly.errors import NotFoundError, StoreError
from heartfly.sealing import Sealer

_PURPOSE = "report-stop"
"""Other things are sealed with the same key."""
_LONGEST = 1_000
_GONE = "this link ends nothing: it did already, the mailing has ended, or it never was"


@dataclass(frozen=True, slots=True)
class Stop:
    pid: int
    mail_id: int
    address: str


def address(base_url: str, stop: Stop, sealer: Sealer) -> str:
    told = json.dumps([_PURPOSE, stop.pid, stop.mail_id, stop.address]).encode()
    return f"{base_url}/shared/report-stop/{sealer.seal(told).decode()}"


def meant(token: str, sealer: Sealer) -> Stop:
    """NotFoundError: it is none of ours."""
    if len(token) > _LONGEST or not token.isascii():
        raise NotFoundError(_GONE)
    try:
        purpose, *rest = json.loads(sealer.open(token.encode()))
    except (StoreError, ValueError):
        raise NotFoundError(_GONE) from None
    if purpose != _PURPOSE:
        raise NotFoundError(_GONE)
    return Stop(*rest)


async def demand_there(main: AsyncConnection, stop: Stop) -> None:
    """NotFoundError: the mailing does not go there, or not any more."""
    found = (await main.execute(sa.select(report_mails.c.addresses).where(*_its(stop)))).scalar_one_or_none()
    if found is None or stop.address not in found:
        raise NotFoundError(_GONE)


def end(tx: Tx, stop: Stop, *, ip: str, at: datetime, ids: IdSource) -> None:
    """Nothing is mailed there by it any more; with its last address the mailing ends. NotFoundError: nothing was."""
    columns = (report_mails.c.addresses, report_mails.c.customer, report_mails.c.rhythm)
    row = tx.conn.execute(sa.select(*columns).where(*_its(stop)).with_for_update()).first()
    if row is None or stop.address not in row.addresses:
        raise NotFoundError(_GONE)
    left = [one for one in row.addresses if one != stop.address]
    sent = (report_sendings.c.pid == stop.pid, report_sendings.c.mail_id == stop.mail_id)
    tx.conn.execute(sa.delete(report_sendings).where(*sent, report_sendings.c.address == stop.address))
    if left:
        tx.conn.execute(sa.update(report_mails).where(*_its(stop)).values(addresses=left))
    else:
        tx.conn.execute(sa.delete(report_mails).where(*_its(stop)))
    told = {"mail": str(stop.mail_id), "rhythm": row.rhythm}
    record(
        tx, stop.pid, actor=Actor("link", ip or None), action=Action.REPORT_MAIL_END, of=f"customer:{row.customer}",
        before=told | {"n_addresses": len(row.addresses)}, after=told | {"n_addresses": len(left)} if left else None,
        at=at, ids=ids,
    )  # fmt: skip


def _its(stop: Stop) -> tuple[sa.ColumnElement[bool], ...]:
    return report_mails.c.pid == stop.pid, report_mails.c.id == stop.mail_id
