"""Checks, commits and releases that came together, in one transaction: the handler that the group commit calls.

All that a batch needs is read at once, and what has expired is given back before anybody is answered.
What becomes of each is decided in batch.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from heartfly.core.limits.ledger import Ledger
from heartfly.core.limits.rules import Key
from heartfly.core.limits.scope import Call
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.types import micros
from heartfly.errors import HeartflyError, NotFoundError
from heartfly.limits import rows
from heartfly.limits.batch import EXPIRED, Ask, Batch, Checked, End, Ended, Known, Units
from heartfly.limits.book import Book, Rules
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
        wanted_numbers = {item.number for item in items if isinstance(item, End)} | set(numbers)
        keys = {item.key_hash for item in items if isinstance(item, Ask) and item.key_hash is not None}
        asked_for = [*(item.call for item in items if isinstance(item, Ask)), *calls]
        # Nearly always the limits are still those, and nothing but what is asked for has to be known.
        likely = _keys(self._book.remembered(pid), asked_for)
        known = rows.read(tx, pid, now, most=MOST_EXPIRED, numbers=wanted_numbers, keys=keys, likely=likely)
        if known is None:
            return None
        rules = self._book.current(tx, pid, known.rev)
        overdue = [_known(row) for row in known.overdue]
        found = {one.number: one for one in overdue}
        for row in known.wanted:
            found.setdefault(row.id, _known(row))
        needed = _keys(rules, asked_for) | {hold.key for one in found.values() for hold in one.holds}
        texts = known.texts | rows.texts_of(tx, pid, needed - likely)
        ledger = Ledger(rules.bounds, micros(now), texts)
        by_key = {one.key_hash: one for one in found.values() if one.key_hash is not None}
        batch = Batch(pid, now, rules, self._ids, ledger, found, by_key)
        for one in overdue:
            batch.settle(one, None, EXPIRED)
        return batch


def _keys(rules: Rules | None, calls: Iterable[Call]) -> set[Key]:
    """Of the counters that these calls touch."""
    return set() if rules is None else {one.key for call in calls for one in rules.holding(call)}


def _known(row: Any) -> Known:
    told = None if row.told is None else bytes(row.told)
    return Known(row.id, row.state, row.key_hash, bytes(row.asked), told, row.expires_at, rows.holds_of(row.holds))
