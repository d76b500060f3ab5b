"""One batch of checks and ends of reservations of a project: what became of each, and the rows that follow.

Each is answered in its order, so that no two callers are given the same room. What is read for it is apply.py's
business; what a check comes to is decided in core/limits/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from heartfly.core.amounts import Amount
from heartfly.core.limits.ledger import UNTOLD, Answer, Hold, Ledger, Standing
from heartfly.core.limits.rules import COST, Key, wanted
from heartfly.core.limits.scope import Call
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.types import EPOCH
from heartfly.errors import ConflictError, HeartflyError, NotFoundError
from heartfly.limits import rows
from heartfly.limits.book import Rules

HELD, COMMITTED, RELEASED, EXPIRED = "held", "committed", "released", "expired"
MINUTE = timedelta(minutes=1)
Units = Mapping[str, Amount]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """May this call be made? `key_hash`: of the caller's own name for this check; asked again, it is answered again.

    `asked`: a fingerprint of what is asked for.
    """

    pid: int
    at: datetime
    call: Call
    units: Units
    reserve: bool
    ttl: timedelta
    key_hash: str | None
    asked: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Of a reservation. `units`: what was really used; None: the call was not made. `told`: their fingerprint."""

    pid: int
    at: datetime
    number: int
    units: Units | None
    told: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """`reservation`: its number; None: nothing was reserved. `repeated`: it was made by the same check before.

    `opened`: nothing could be looked up, and all limits that hold let calls through then.
    """

    rules: Rules | None
    standings: Sequence[Standing] = ()
    denied_by: Standing | None = None
    reservation: int | None = None
    expires_at: datetime | None = None
    repeated: bool = False
    opened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """`late`: it had expired, and what it used was counted when it was told. `repeated`: it had ended so before."""

    number: int
    state: str
    rules: Rules | None
    standings: Sequence[Standing]
    late: bool = False
    repeated: bool = False


@dataclass(slots=True)
class Known:
    """A reservation as this batch knows it."""

    number: int
    state: str
    key_hash: str | None
    asked: bytes
    told: bytes | None
    expires_at: datetime
    holds: Sequence[Hold]

    def row(self, pid: int) -> Mapping[str, Any]:
        return {
            "pid": pid,
            "id": self.number,
            "state": self.state,
            "key_hash": self.key_hash,
            "asked": self.asked,
            "told": self.told,
            "expires_at": self.expires_at,
            "holds": rows.holds_text(self.holds),
        }

    def ending(self, pid: int) -> Mapping[str, Any]:
        return {
            "b_pid": pid,
            "b_id": self.number,
            "state": self.state,
            "key_hash": self.key_hash,
            "told": self.told,
            "holds": rows.holds_text(self.holds),
        }


@dataclass(slots=True)
class Batch:
    """One project's part: what was read, and what is to be written at the end."""

    pid: int
    now: datetime
    rules: Rules
    ids: IdSource
    ledger: Ledger
    by_number: dict[int, Known]
    by_key: dict[str, Known]
    made: list[Known] = field(default_factory=list)
    ended: dict[int, Known] = field(default_factory=dict)
    hours: dict[int, list[int]] = field(default_factory=dict)
    denied: dict[Key, dict[str, Any]] = field(default_factory=dict)

    def check(self, ask: Ask, units: Units) -> Checked | HeartflyError:
        """`units`: what it takes, with what that costs as far as it is known."""
        known = None if ask.key_hash is None else self.by_key.get(ask.key_hash)
        applied = self.rules.holding(ask.call)
        if known is not None:
            if known.asked != ask.asked:
                return ConflictError("something else was asked for under this idempotency key")
            standings = [self.ledger.standing(one.limit, one.values) for one in applied]
            return self._told(Answer(standings, None), known, repeated=True)
        answer = self.ledger.ask(applied, units, reserve=ask.reserve)
        if ask.reserve:
            self._tally(ask, units, answer)
        if answer.denied_by is not None or not ask.reserve or not applied:
            return self._told(answer, None)
        made = Known(self.ids.next(self.now), HELD, ask.key_hash, ask.asked, None, self.now + ask.ttl, answer.holds)
        self.made.append(made)
        self.by_number[made.number] = made
        if made.key_hash is not None:
            self.by_key[made.key_hash] = made
        return self._told(answer, made)

    def end(self, end: End) -> Ended | HeartflyError:
        known = self.by_number.get(end.number)
        if known is None:
            return NotFoundError("there is no such reservation, or it ended long ago")
        wants = RELEASED if end.units is None else COMMITTED
        if known.state in {COMMITTED, RELEASED}:
            # What its event has ended, its caller may still end: he says the same, or his event would not name it.
            if known.state == wants and known.told in {None, end.told}:
                return self._ended(known, repeated=True)
            return ConflictError(f"the reservation was {known.state} already")
        late = known.state == EXPIRED
        if end.units is not None or not late:
            self.settle(known, end.units, wants, told=end.told)
            if end.units is not None:
                # Who commits seldom knows what the call has cost: its event tells.
                for hold in known.holds:
                    if hold.unit.startswith(COST) and hold.unit not in end.units:
                        hold.mark = UNTOLD
        return self._ended(known, late=late)

    def settle(self, known: Known, units: Units | None, state: str, *, told: bytes | None = None) -> None:
        """Of one that is held or has expired."""
        for hold in known.holds:
            limit = self.rules.all.get(hold.key[0])
            if limit is None:
                continue  # the limit was deleted
            if known.state == HELD:
                self.ledger.settle(limit, hold, units)
            elif units is not None:
                self.ledger.count_late(limit, hold, units)
        known.state, known.told = state, told
        if state != COMMITTED and known.key_hash is not None:
            # The call was not made: asked for by that name again, it needs room again.
            self.by_key.pop(known.key_hash, None)
            known.key_hash = None
        self.ended[known.number] = known

    def complete(self, known: Known, units: Units, *, at_us: int) -> None:
        """Of one that was committed: its event tells what its caller has not, once."""
        untold = [hold for hold in known.holds if hold.mark == UNTOLD]
        for hold in untold:
            limit = self.rules.all.get(hold.key[0])
            if limit is not None and hold.unit in units:
                self.ledger.tell(limit, hold, units[hold.unit], at_us=at_us)
            hold.mark = ""
        if untold:
            self.ended[known.number] = known

    def write(self, tx: Tx) -> None:
        fresh = {one.number for one in self.made}
        # Before what is new: it may have the name that one of these had.
        rows.END.follow(tx, [one.ending(self.pid) for one in self.ended.values() if one.number not in fresh])
        rows.FOLLOWS.follow(
            tx,
            rows.counter_rows(self.pid, self.ledger),
            [one.row(self.pid) for one in self.made],
            list(self.denied.values()),
            rows.hour_rows(self.pid, self.now - (self.now - EPOCH) % HOUR, self.hours),
        )

    def _tally(self, ask: Ask, units: Units, answer: Answer) -> None:
        for one in answer.standings:
            counts = self.hours.setdefault(one.applied.limit.id, [0, 0, 0])
            counts[0] += 1
        denied = answer.denied_by
        if denied is None:
            return
        limit = denied.applied.limit
        self.hours[limit.id][1] += 1
        row = self.denied.setdefault((limit.id, denied.applied.values), {"n": 0})
        row |= {
            "pid": self.pid,
            "limit_id": limit.id,
            "minute": self.now - (self.now - EPOCH) % MINUTE,
            "scope": rows.scope_text(denied.applied.values),
            "n": row["n"] + 1,
            "last_at": self.now,
            "call": {name: value for name, value in ask.call._asdict().items() if value},
            "wanted": wanted(limit, units) or 0,
            "used": denied.used,
            "wait_us": None if denied.wait_us is None else min(denied.wait_us, rows.MOST_WAIT_US),
        }

    def _told(self, answer: Answer, known: Known | None, *, repeated: bool = False) -> Checked:
        return Checked(
            rules=self.rules,
            standings=answer.standings,
            denied_by=answer.denied_by,
            reservation=None if known is None else known.number,
            expires_at=None if known is None else known.expires_at,
            repeated=repeated,
        )

    def _ended(self, known: Known, *, late: bool = False, repeated: bool = False) -> Ended:
        standings = [
            self.ledger.standing(self.rules.all[one.key[0]], one.key[1])
            for one in known.holds
            if one.key[0] in self.rules.all
        ]
        return Ended(
            number=known.number,
            state=known.state,
            rules=self.rules,
            standings=standings,
            late=late,
            repeated=repeated,
        )
