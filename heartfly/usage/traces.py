"""What is left of a customer beside his events: letters that name him, sets that were narrowed to him, the audit.

An erasure takes it along. Who changed what, when and how stays in the audit; his name and what he was called go.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from heartfly.audit.forget import forget
from heartfly.audit.marks import Redactor
from heartfly.core.events import read as read_json
from heartfly.core.limits.scope import scope_of
from heartfly.core.nesting import too_deep
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.models import (
    backfills,
    dead_letters,
    limit_books,
    limit_counters,
    limit_denials,
    limit_hours,
    limit_reservations,
    limits,
    report_mails,
    report_sendings,
    report_shares,
    usage_audit,
    watches,
)

_PIECE = 500
_OF = "erased"
"""What the audit says in the place of a name."""
_NAMED_IN = ("customer_id", "subject", "userId", "anonymousId")
"""Where the wires that events come in have the customer."""
_NAMES_SOMEBODY = re.compile(rf'"(?:{"|".join(_NAMED_IN)})"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*)')
"""In what is no JSON."""


def letter_names(raw: str, texts: frozenset[str]) -> bool:
    """Whether what came as an event was one of the customer who is called so, as far as it can be read."""
    found = None
    if not too_deep(raw.encode("utf-8", "replace")):
        try:
            found = read_json(raw)
        except (ValueError, RecursionError):
            found = None
    if isinstance(found, dict):
        return any(isinstance(found.get(name), str) and str(found[name]) in texts for name in _NAMED_IN)
    return any(_text(literal) in texts for literal in _NAMES_SOMEBODY.findall(raw))


def _text(literal: str) -> str:
    if not literal.startswith('"'):
        return literal
    try:
        return str(json.loads(literal))
    except ValueError:
        return literal[1:-1]


async def remove_letters(usage: Database, pid: int, texts: frozenset[str]) -> int:
    """Those that name him, whatever became of them; how many. Read piece by piece, in a thread."""
    after, n = 0, 0
    while True:
        query = sa.select(dead_letters.c.id, dead_letters.c.raw).where(
            dead_letters.c.pid == pid, dead_letters.c.id > after
        )
        async with usage.read() as read:
            rows = (await read.execute(query.order_by(dead_letters.c.id).limit(_PIECE))).all()
        if not rows:
            return n
        after = rows[-1].id
        his = await asyncio.to_thread(lambda rows=rows: [row.id for row in rows if letter_names(row.raw, texts)])  # type: ignore[misc]
        if his:
            those = sa.delete(dead_letters).where(dead_letters.c.pid == pid, dead_letters.c.id.in_(his))
            await usage.write(lambda tx, those=those: tx.conn.execute(those).rowcount, priority=Priority.BULK)  # type: ignore[misc]
            n += len(his)


async def sets_of(usage: Database, pid: int, texts: frozenset[str]) -> Sequence[Any]:
    """The backfills that were narrowed to him, by one of these names."""
    query = sa.select(backfills.c.id, backfills.c.uuid, backfills.c.customers).where(backfills.c.pid == pid)
    async with usage.read() as read:
        return [row for row in (await read.execute(query)).all() if texts & set(row.customers)]


def unname_sets(tx: Tx, pid: int, sets: Sequence[Any], texts: frozenset[str], uuid: str) -> None:
    """They stay narrowed: to his id, which nobody is called any more."""
    for row in sets:
        this = (backfills.c.pid == pid, backfills.c.id == row.id)
        tx.conn.execute(sa.update(backfills).where(*this).values(customers=_unnamed(row.customers, texts, uuid)))


def from_audit(
    tx: Tx,
    pid: int,
    sets: Sequence[Any],
    texts: frozenset[str],
    uuid: str,
    *,
    redactor: Redactor | None,
    **table: sa.Table,
) -> None:
    """`table`: as of `forget`."""
    forget(tx, pid, f"customer:{uuid}", _nameless, redactor=redactor, **table)

    def of_set(facts: Mapping[str, Any]) -> Mapping[str, Any]:
        named = facts.get("customers")
        return {**facts, "customers": _unnamed(named, texts, uuid)} if isinstance(named, list) else facts

    for row in sets:
        forget(tx, pid, f"backfill:{row.uuid}", of_set, redactor=redactor, **table)


def from_waiting(tx: Tx, pid: int, sets: Sequence[Any], texts: frozenset[str], uuid: str) -> None:
    """Of entries that were not carried over yet."""
    from_audit(tx, pid, sets, texts, uuid, redactor=None, table=usage_audit)


def _nameless(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: _OF if name in {"name", "aliases", "moved_from"} else value for name, value in facts.items()}


def _unnamed(given: Sequence[str], texts: frozenset[str], uuid: str) -> list[str]:
    return list(dict.fromkeys(uuid if one in texts else one for one in given))


def from_limits(tx: Tx, pid: int, texts: frozenset[str]) -> None:
    """Limits that were his alone go, and of others what was counted for him, or denied to him.

    What is reserved at this moment is given back by its time, and goes with that.
    """
    his = [row.id for row in tx.conn.execute(sa.select(limits.c.id, limits.c.scope).where(limits.c.pid == pid))
           if dict(scope_of(row.scope)).get("customer") in texts]  # fmt: skip
    for table, of in (
        (limits, "id"),
        (limit_counters, "limit_id"),
        (limit_hours, "limit_id"),
        (limit_denials, "limit_id"),
    ):
        tx.conn.execute(sa.delete(table).where(table.c.pid == pid, table.c[of].in_(his)))
    tx.conn.execute(sa.update(limit_books).where(limit_books.c.pid == pid).values(rev=limit_books.c.rev + 1))
    d, r = limit_denials.c, limit_reservations.c
    for text in texts:
        literal = json.dumps(text, ensure_ascii=False)
        counted = limit_counters.c.scope.contains(literal, autoescape=True)
        tx.conn.execute(sa.delete(limit_counters).where(limit_counters.c.pid == pid, counted))
        held = (r.pid == pid, r.state != "held", r.holds.contains(literal, autoescape=True))
        tx.conn.execute(sa.delete(limit_reservations).where(*held))
    for row in tx.conn.execute(sa.select(d.limit_id, d.minute, d.scope, d.call).where(d.pid == pid)).all():
        if row.call.get("customer") in texts or texts & set(json.loads(row.scope)):
            this = (d.pid == pid, d.limit_id == row.limit_id, d.minute == row.minute, d.scope == row.scope)
            tx.conn.execute(sa.delete(limit_denials).where(*this))


def from_reports(tx: Tx, pid: int, public_id: str) -> None:
    """All links to his reports, and to whom they are mailed."""
    tx.conn.execute(sa.delete(report_shares).where(report_shares.c.pid == pid, report_shares.c.customer == public_id))
    his = (report_mails.c.pid == pid, report_mails.c.customer == public_id)
    sent = (report_sendings.c.pid == pid, report_sendings.c.mail_id.in_(sa.select(report_mails.c.id).where(*his)))
    tx.conn.execute(sa.delete(report_sendings).where(*sent))
    tx.conn.execute(sa.delete(report_mails).where(*his))
    # What looks said, which may name him; the next one, within a minute, says what is so still.
    of_customers = (watches.c.pid == pid, watches.c.kind == "customer")
    tx.conn.execute(sa.update(watches).where(*of_customers).values(words="", standing={}))
