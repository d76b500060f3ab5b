"""Checks of calls against their limits: all hold or nothing is taken, and the first that denies is named.

A ledger is the counters that a batch of checks needs, read before and written after it. What a single counter does is
decided in counters.py. Nothing here waits, so whoever applies one batch after another never lets two callers have the
same room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from heartfly.core.amounts import Amount
from heartfly.core.limits.counters import Counter, Frame, counter_of
from heartfly.core.limits.rules import TOKENS, Applied, Key, Kind, Limit, wanted

Bounds = Callable[[Limit, int], tuple[int, int]]
"""[from, to) of the window that holds the instant, in microseconds."""


@dataclass(slots=True)
class Standing:
    """How a counter stands. `used` is with what is `held`. `short`: it has no room for what was asked for.

    `wait_us`: until it has; None: it never will.
    """

    applied: Applied
    used: Amount
    held: Amount
    wait_us: int | None = 0

    @property
    def remaining(self) -> Amount:
        return max(0, self.applied.limit.most - self.used)

    @property
    def short(self) -> bool:
        return self.wait_us != 0

    @property
    def percent(self) -> int:
        """Whole, cut; of a limit of 0 it is all."""
        most = self.applied.limit.most
        return self.used * 100 // most if most else 100

    @property
    def approaching(self) -> bool:
        limit = self.applied.limit
        return self.used * 100 >= limit.most * limit.approaching


UNTOLD = "untold"


@dataclass(slots=True)
class Hold:
    """What one counter holds for a reservation. `mark`: what the counter must know to give it back.

    UNTOLD instead: it has been settled, by as much as was reserved, and what was really used may still be told.
    """

    key: Key
    unit: str
    amount: Amount
    mark: str


@dataclass(slots=True)
class Answer:
    """`denied_by`: the first that has no room; None: the call may be made. `holds`: if it was to be reserved."""

    standings: Sequence[Standing]
    denied_by: Standing | None
    holds: Sequence[Hold] = ()


@dataclass(slots=True)
class Ledger:
    """`texts`: the counters that are known, as they were written. `now_us` may be set forth, never back."""

    bounds: Bounds
    now_us: int
    texts: Mapping[Key, str] = field(default_factory=dict)
    changed: dict[Key, tuple[Limit, Counter]] = field(default_factory=dict)
    _counters: dict[Key, tuple[int, Counter]] = field(default_factory=dict)
    _frames: dict[int, Frame] = field(default_factory=dict)

    def ask(self, applied: Sequence[Applied], units: Mapping[str, Amount], *, reserve: bool) -> Answer:
        found = [(one, self._counter(one.limit, one.key), wanted(one.limit, units)) for one in applied]
        waits = [0 if amount is None else counter.waits_us(amount) for _, counter, amount in found]
        if waits != [0] * len(waits):
            standings = [
                Standing(one, counter.used, counter.held, wait)
                for (one, counter, _), wait in zip(found, waits, strict=True)
            ]
            return Answer(standings, next(one for one in standings if one.short))
        holds: list[Hold] = []
        for one, counter, amount in found if reserve else ():
            limit, key = one.limit, one.key
            if amount:
                self.changed[key] = (limit, counter)
            holds.append(Hold(key, limit.unit, amount or 0, counter.reserve(amount or 0)))
        return Answer([Standing(one, counter.used, counter.held) for one, counter, _ in found], None, holds)

    def count(self, applied: Sequence[Applied], units: Mapping[str, Amount], *, at_us: int) -> None:
        """A call that was made, whether it was allowed or not."""
        for one in applied:
            if amount := wanted(one.limit, units):
                self._touched(one.limit, one.values).count(amount, at_us)

    def settle(self, limit: Limit, hold: Hold, units: Mapping[str, Amount] | None) -> None:
        """A reservation ends: with what was really used (what is not told was as reserved), or None: with nothing."""
        counter = self._touched(limit, hold.key[1])
        if units is None:
            counter.give_back(hold.mark, hold.amount, back=hold.amount)
            return
        actual = _really(limit, hold, units)
        counter.give_back(hold.mark, hold.amount, back=max(0, hold.amount - actual))
        if actual > hold.amount:
            counter.count(actual - hold.amount, self.now_us)

    def count_late(self, limit: Limit, hold: Hold, units: Mapping[str, Amount]) -> None:
        """A reservation that had been given back turns out to have been used: it counts as of now."""
        if amount := _really(limit, hold, units):
            self._touched(limit, hold.key[1]).count(amount, self.now_us)

    def tell(self, limit: Limit, hold: Hold, amount: Amount, *, at_us: int) -> None:
        """So much was really used of what was settled untold. What was reserved counts already, and stays."""
        if amount > hold.amount:
            self._touched(limit, hold.key[1]).count(amount - hold.amount, at_us)

    def set_used(self, limit: Limit, values: tuple[str, ...], amount: Amount) -> None:
        """So much is used of a quota by now, whatever was counted; what is reserved stays so."""
        counter = self._touched(limit, values)
        counter.forget()
        counter.count(amount, self.now_us)

    def standing(self, limit: Limit, values: tuple[str, ...]) -> Standing:
        return self._standing(Applied(limit, values))

    def forget(self, key: Key) -> None:
        """Of a counter of which nothing is left: look for it no more."""
        self.changed.pop(key, None)
        self._counters.pop(key, None)

    def _standing(self, one: Applied) -> Standing:
        counter = self._counter(one.limit, one.key)
        return Standing(one, counter.used, counter.held)

    def _touched(self, limit: Limit, values: tuple[str, ...]) -> Counter:
        key = (limit.id, values)
        counter = self._counter(limit, key)
        self.changed[key] = (limit, counter)
        return counter

    def _counter(self, limit: Limit, key: Key) -> Counter:
        known = self._counters.get(key)
        if known is not None and known[0] == self.now_us:
            return known[1]
        counter = counter_of(limit, self.texts.get(key, "")) if known is None else known[1]
        counter.look(self._frame(limit))
        self._counters[key] = (self.now_us, counter)
        return counter

    def _frame(self, limit: Limit) -> Frame:
        frame = self._frames.get(limit.id)
        if frame is None or frame.now_us != self.now_us:
            from_us, to_us = (0, 0) if limit.kind in _WITHOUT else self.bounds(limit, self.now_us)
            frame = self._frames[limit.id] = Frame(self.now_us, from_us, to_us)
        return frame


_WITHOUT = frozenset({Kind.RATE, Kind.ROLLING})


def _really(limit: Limit, hold: Hold, units: Mapping[str, Amount]) -> Amount:
    """What was really used of a limit's unit; of what is not told, as much as was reserved."""
    if limit.unit in units:
        return units[limit.unit]
    if limit.unit == TOKENS and any(name.endswith("_tokens") for name in units):
        return wanted(limit, units) or 0
    return hold.amount
