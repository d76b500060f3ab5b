"""The job that brings new entries of the audit into its chain, and then looks at the next piece of the chain.

Run by run it goes through all of it and begins anew. Where something does not hold it stays, and fails each time: an
alarm that ended by itself would say that all is well again. New entries come into the chain all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit import verify
from heartfly.audit.chain import ChainKey, Link
from heartfly.audit.chain_key import key_in
from heartfly.audit.fasten import fasten
from heartfly.audit.verify import Fault, Found
from heartfly.db.changes import Tx
from heartfly.db.models import audit_chain, audit_clasps
from heartfly.jobs.kind import Done, Work
from heartfly.sealing import Sealer

LOOKED_AT = 5000
"""Entries that one run looks at, at least, where there are so many: some 150 ms of computing, 210 on PostgreSQL."""
CLASPS_LOOKED_AT = 500
_MOST = 5
"""Faults that are told by name."""


def chaining(*, sealer: Sealer) -> Callable[[Work], Awaitable[Done]]:
    # The newest clasp that this process has seen: whoever has only the database cannot make that anything else.
    seen = verify.START

    async def chain(work: Work) -> Done:
        nonlocal seen
        key = await work.write(lambda tx: key_in(tx, sealer))
        at, n_fastened, last = work.now, 0, verify.START
        while (made := await work.write(lambda tx: fasten(tx, key, at=at))) is not None:
            n_fastened += made.n_entries
            last = made.link
        found = await _look_on(work, key)
        # At the end, and of one state: what is cut off while the job runs would else be seen as what there was.
        async with work.read() as read:
            newest = (await read.execute(verify.newest_clasp())).first()
            lost = [link for link in (seen, last) if link != verify.START and await _link(read, link.number) != link]
        for link in lost:
            when = "at the last run" if link == seen else "in this run"
            found.faults.insert(0, Fault(f"was there {when}, and is not as it was then", link.number))
        n_looked = found.n_holding + found.n_redacted + found.n_gone
        figures: dict[str, int | float | str] = {"fastened": n_fastened, "looked_at": n_looked}
        figures |= {"redacted": found.n_redacted, "faults": len(found.faults)}
        if newest is not None:
            figures["newest"] = f"{newest.number}:{newest.hash.hex()}"
        if lost:
            seen = lost[0]
        elif newest is not None:
            seen = Link(newest.number, newest.hash)
        return Done(figures=figures, failure=_told(found))

    return chain


async def _look_on(work: Work, key: ChainKey) -> Found:
    """Go on where the last run has stopped; with the end of the chain a round ends, and the next run begins one."""
    found = Found()
    async with work.read() as read:
        behind = await _link(read, (await read.execute(sa.select(audit_chain.c.looked))).scalar_one())
        began = (await read.execute(sa.select(audit_clasps.c.at).where(audit_clasps.c.number == 1))).scalar()
        newest = (await read.execute(verify.newest_clasp())).first()
        strays = verify.strays(0 if newest is None else newest.number).limit(_MOST + 1)
        found.faults += verify.told_strays((await read.execute(strays)).all())
    while not found.faults and found.n_clasps < CLASPS_LOOKED_AT:
        reached = await _batch(work, key, behind, began, found)
        if found.faults:
            break
        behind = verify.START if reached is None else reached
        await work.write(lambda tx, number=behind.number: _looked(tx, number))  # type: ignore[misc]
        if reached is None or found.n_holding + found.n_redacted + found.n_gone >= LOOKED_AT:
            break
    return found


async def _batch(work: Work, key: ChainKey, behind: Link, began: datetime | None, found: Found) -> Link | None:
    """None: there are no more."""
    async with work.read() as read:
        clasps = verify.batch_of((await read.execute(verify.next_clasps(behind.number))).all())
        if not clasps:
            return None
        entries = (await read.execute(verify.entries_of(behind.number, clasps[-1].number))).all()
        marks = (await read.execute(verify.projects_gone())).all()
    gone = verify.truly_gone(key, marks)
    return await asyncio.to_thread(verify.look, key, clasps, entries, gone, behind=behind, began=began, into=found)


async def _link(read: AsyncConnection, number: int) -> Link:
    """That clasp; the chain's beginning, if it is not there: whoever goes on from that finds what is missing."""
    query = sa.select(audit_clasps.c.hash).where(audit_clasps.c.number == number)
    found = (await read.execute(query)).scalar()
    return verify.START if found is None else Link(number, found)


def _looked(tx: Tx, number: int) -> None:
    tx.conn.execute(sa.update(audit_chain).values(looked=number))


def _told(found: Found) -> str:
    if not found.faults:
        return ""
    told = "; ".join(fault.words() for fault in found.faults[:_MOST])
    more = f"; and {len(found.faults) - _MOST} more" if len(found.faults) > _MOST else ""
    return f"the audit is not what its chain holds: {told}{more}. `heartfly audit verify` tells all"
