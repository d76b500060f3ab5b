"""Checks, commits and releases that came together, in one transaction: the handler that the group commit calls.

All that a batch needs is read with a statement each, and what has expired is given back before anybody is answered.
What becomes of each is decided in batch.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from heartfly.core.limits.ledger import Ledger
from heartfly.core.limits.scope import Call
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.types import micros
from heartfly.errors import HeartflyError, NotFoundError
from heartfly.limits import rows
from heartfly.limits.batch import EXPIRED, Ask, Batch, Checked, End, Ended, Known, Units
from heartfly.limits.book import Book
from heartfly.limits.pricing import Pricing

MOST_EXPIRED = 500
"""Given back with one batch; the others with the next. Until then they count as used."""


class LimitApplier:
    def __init__(self, book: Book, ids: IdSource) -> None:
        self._book = book
        self._ids = ids
        self.pricing = Pricing()

    def apply(self, tx: Tx, items: Sequence[Ask | End]) -> list[Checked | Ended | HeartflyError]:
        told: dict[int, Checked | Ended | HeartflyError] = {}
        by_project: dict[int, list[int]] = {}
        for place, item in enumerate(items):
            by_project.setdefault(item.pid, []).append(place)
        for pid in sorted(by_project):
            told |= self._of_project(tx, pid, {place: items[place] for place in by_project[pid]})
        return [told[place] for place in range(len(items))]

    def expire(self, tx: Tx, pid: int, now: datetime) -> int:
        """Give back what nobody has ended in time. How many there were, at most MOST_EXPIRED."""
        batch = self.opened(tx, pid, now)
        if batch is None:
            return 0
        batch.write(tx)
        return len(batch.ended)

    def _of_project(
        self, tx: Tx, pid: int, items: Mapping[int, Ask | End]
    ) -> dict[int, Checked | Ended | HeartflyError]:
        batch = self.opened(tx, pid, max(item.at for item in items.values()), items=items.values())
        if batch is None:
            return {
                place: Checked(rules=None)
                if isinstance(item, Ask)
                else NotFoundError("there is no such reservation, or it ended long ago")
                for place, item in items.items()
            }
        told: dict[int, Checked | Ended | HeartflyError] = {
            place: batch.check(item, self._priced(tx, batch, item)) if isinstance(item, Ask) else batch.end(item)
            for place, item in items.items()
        }
        batch.write(tx)
        return told

    def _priced(self, tx: Tx, batch: Batch, ask: Ask) -> Units:
        applied = batch.rules.holding(ask.call)
        return self.pricing.priced(tx, batch.pid, ask.call, ask.units, applied, at=batch.now)

    def opened(
        self,
        tx: Tx,
        pid: int,
        now: datetime,
        *,
        items: Collection[Ask | End] = (),
        numbers: Iterable[int] = (),
        calls: Iterable[Call] = (),
    ) -> Batch | None:
        """A batch with all that these need; what has expired is given back. None: the project has no limits.

        `numbers`: of reservations; `calls`: what is counted without one. Whoever opens a batch writes it.
        """
        rows.hold_limits(tx, pid)
        opened = rows.OPENED.rows(tx, pid=pid, now=now, most=MOST_EXPIRED)
        if not opened:
            return None
        rules = self._book.current(tx, pid, opened[0].rev)
        overdue = [_known(row) for row in opened if row.id is not None]
        found = {one.number: one for one in overdue}
        wanted_numbers = {item.number for item in items if isinstance(item, End)} | set(numbers)
        keys = {item.key_hash for item in items if isinstance(item, Ask) and item.key_hash is not None}
        _add(found, lambda: rows.BY_ID.rows(tx, pid=pid, numbers=sorted(wanted_numbers)), wanted_numbers)
        _add(found, lambda: rows.BY_KEY.rows(tx, pid=pid, keys=sorted(keys)), keys)
        asked = [item.call for item in items if isinstance(item, Ask)]
        needed = {one.key for call in (*asked, *calls) for one in rules.holding(call)}
        needed |= {hold.key for one in found.values() for hold in one.holds}
        ledger = Ledger(rules.bounds, micros(now), rows.texts_of(tx, pid, needed))
        by_key = {one.key_hash: one for one in found.values() if one.key_hash is not None}
        batch = Batch(pid, now, rules, self._ids, ledger, found, by_key)
        for one in overdue:
            batch.settle(one, None, EXPIRED)
        return batch


def _add(found: dict[int, Known], read: Callable[[], Iterable[Any]], needed: Collection[object]) -> None:
    if needed:
        for row in read():
            found.setdefault(row.id, _known(row))


def _known(row: Any) -> Known:
    told = None if row.told is None else bytes(row.told)
    return Known(row.id, row.state, row.key_hash, bytes(row.asked), told, row.expires_at, rows.holds_of(row.holds))
