"""How much of a limit is used: by a rate, or within a window; what is reserved counts as used until it is given back.

A counter is read from text, asked and charged, and written again. It never lets through more than the limit says: where
something is not known exactly (what of a bucket is in the window, what of a reservation has drained) it counts more,
not less. Time is whole microseconds since 1970. Which limits hold for a call is decided in rules.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from heartfly.core.amounts import Amount
from heartfly.core.limits.rules import Kind, Limit


@dataclass(frozen=True, slots=True)
class Frame:
    """When a counter is looked at. [from_us, to_us): the window of a quota that holds once or by the calendar."""

    now_us: int
    from_us: int = 0
    to_us: int = 0


_UNSEEN = Frame(0)


class Counter(Protocol):
    """Of one limit, for one value of what it counts apart. `look` comes before everything else."""

    @property
    def used(self) -> Amount:
        """With what is reserved."""
        ...

    @property
    def held(self) -> Amount:
        """Of it, what is reserved."""
        ...

    def look(self, frame: Frame) -> None:
        """It is now: let go of what is past."""
        ...

    def waits_us(self, amount: Amount) -> int | None:
        """How long until there is room for so much, if nobody else comes; 0: now. None: never, it is more than all."""
        ...

    def reserve(self, amount: Amount) -> str:
        """Use so much, whether there is room or not, until it is given back; what `give_back` must know of it."""
        ...

    def count(self, amount: Amount, at_us: int) -> None:
        """So much was used then, for good, whether there was room or not."""
        ...

    def give_back(self, mark: str, amount: Amount, *, back: Amount) -> None:
        """A reservation of `amount` ends, of which `back` was not used."""
        ...

    def forget(self) -> None:
        """What is used and not reserved."""
        ...

    def ends_us(self) -> int:
        """When nothing of it will count any more, exclusive: from then on it can be forgotten."""
        ...

    def written(self) -> str: ...


def counter_of(limit: Limit, text: str = "") -> Counter:
    """`text`: as `written` told it; empty: nothing is used."""
    return _Rate.read(limit, text) if limit.kind is Kind.RATE else _Quota.read(limit, text)


@dataclass(slots=True)
class _Quota:
    """What was used and what is reserved: [used, held] by the instant at which a bucket begins.

    A rolling window has buckets of a sixtieth of it, one of the calendar is a bucket.
    """

    limit: Limit
    buckets: dict[int, list[Amount]] = field(default_factory=dict)
    used: Amount = 0
    held: Amount = 0
    frame: Frame = _UNSEEN

    @staticmethod
    def read(limit: Limit, text: str) -> _Quota:
        found: dict[int, list[Amount]] = {}
        for part in text.split(",") if text else ():
            at, used, held = part.split(":")
            found[int(at)] = [int(used), int(held)]
        return _Quota(limit, found)

    def written(self) -> str:
        return ",".join([f"{at}:{one[0]}:{one[1]}" for at, one in sorted(self.buckets.items()) if one[0] or one[1]])

    def look(self, frame: Frame) -> None:
        self.frame = frame
        first = self._first()
        for at in [at for at in self.buckets if at < first]:
            del self.buckets[at]
        self.held = sum([one[1] for one in self.buckets.values()])
        self.used = sum([one[0] for one in self.buckets.values()]) + self.held

    def waits_us(self, amount: Amount) -> int | None:
        amount, limit, frame = amount or _LEAST, self.limit, self.frame
        if self.used + amount <= limit.amount or not self._holds(frame.now_us):
            return 0
        if amount > limit.amount or limit.kind is Kind.BETWEEN:
            return None
        if limit.kind is Kind.CALENDAR:
            return frame.to_us - frame.now_us
        left = self.used
        gone = next(
            at for at, one in sorted(self.buckets.items()) if (left := left - one[0] - one[1]) + amount <= limit.amount
        )
        return gone + limit.bucket_us + limit.period_us - frame.now_us

    def reserve(self, amount: Amount) -> str:
        at = self._bucket(self.frame.now_us)
        if at is None:
            return _NOWHERE
        if amount:
            self._add(at, 0, amount)
        return str(at)

    def count(self, amount: Amount, at_us: int) -> None:
        at = self._bucket(min(at_us, self.frame.now_us))
        if at is not None:
            self._add(at, amount, 0)

    def give_back(self, mark: str, amount: Amount, *, back: Amount) -> None:
        at = int(mark)
        if at in self.buckets:  # else it is past, and so is what was reserved in it
            self._add(at, amount - back, -amount)

    def forget(self) -> None:
        for one in self.buckets.values():
            one[0] = 0
        self.used = self.held

    def ends_us(self) -> int:
        counting = [at for at, one in self.buckets.items() if one[0] or one[1]]
        if not counting:
            return self.frame.now_us
        if self.limit.kind is not Kind.ROLLING:
            return self.frame.to_us
        return max(counting) + self.limit.bucket_us + self.limit.period_us

    def _add(self, at: int, used: Amount, held: Amount) -> None:
        one = self.buckets.setdefault(at, [0, 0])
        one[0] += used
        one[1] += held
        self.used += used + held
        self.held += held

    def _first(self) -> int:
        """The first bucket of which some part counts."""
        if self.limit.kind is not Kind.ROLLING:
            return self.frame.from_us
        return self.frame.now_us - self.limit.period_us - self.limit.bucket_us + 1

    def _bucket(self, at_us: int) -> int | None:
        """None: what happened then does not count."""
        if self.limit.kind is not Kind.ROLLING:
            return self.frame.from_us if self._holds(at_us) else None
        at = at_us // self.limit.bucket_us * self.limit.bucket_us
        return at if at >= self._first() else None

    def _holds(self, at_us: int) -> bool:
        return self.limit.kind is Kind.ROLLING or self.frame.from_us <= at_us < self.frame.to_us


_LEAST: Amount = 1
"""What takes nothing, or nobody knows how much, needs something to be left."""
_NOWHERE = "-1"


@dataclass(slots=True)
class _Rate:
    """GCRA. `ahead`: the theoretical arrival time in microseconds, times `amount`, so that it is a whole number.

    `amount`, `period_us`: of the limit as it was then; where that was edited, what had not drained counts by the new.
    """

    limit: Limit
    ahead: int = 0
    amount: Amount = 0
    period_us: int = 1
    held: Amount = 0
    now_us: int = 0

    @staticmethod
    def read(limit: Limit, text: str) -> _Rate:
        return _Rate(limit, *map(int, text.split(":"))) if text else _Rate(limit)

    def written(self) -> str:
        return f"{self.ahead}:{self.amount}:{self.period_us}:{self.held}"

    @property
    def used(self) -> Amount:
        return _up(max(0, self._over), self.period_us)

    def look(self, frame: Frame) -> None:
        self.now_us = frame.now_us
        if (self.amount, self.period_us) != (self.limit.amount, self.limit.period_us):
            left = self.used
            self.amount, self.period_us = self.limit.amount, self.limit.period_us
            self.ahead = self.now_us * self.amount + left * self.period_us
        self.ahead = max(self.now_us * self.amount, min(self.ahead, self._farthest))

    def waits_us(self, amount: Amount) -> int | None:
        amount = amount or _LEAST
        if amount > self.limit.burst:
            return None
        return _up(max(0, self._over + (amount - self.limit.burst) * self.period_us), self.amount)

    def reserve(self, amount: Amount) -> str:
        self.ahead += amount * self.period_us
        self.held += amount
        return f"{self.ahead}/{self.amount}/{self.period_us}"

    def count(self, amount: Amount, at_us: int) -> None:
        more = amount * self.period_us
        if not self._over:  # nothing else: what has drained since then does not count any more
            more = max(0, more - max(0, self.now_us - at_us) * self.amount)
        self.ahead = max(self.ahead, min(self.ahead + more, self._farthest))

    def give_back(self, mark: str, amount: Amount, *, back: Amount) -> None:
        """At most what has not drained since: what has is used up by time, and cannot be used again. Nothing if the
        limit was edited meanwhile: by its new pace it cannot be told what has.
        """
        ahead, *pace = map(int, mark.split("/"))
        if pace == [self.amount, self.period_us]:
            undrained = max(0, ahead - self.now_us * self.amount) // self.period_us
            self.ahead = max(self.ahead - min(back, undrained) * self.period_us, self.now_us * self.amount)
        self.held = max(0, self.held - amount)

    def forget(self) -> None:
        self.ahead = self.now_us * self.amount + self.held * self.period_us

    def ends_us(self) -> int:
        return max(self.now_us, _up(self.ahead, self.amount)) + 1

    @property
    def _over(self) -> int:
        return self.ahead - self.now_us * self.amount

    @property
    def _farthest(self) -> int:
        """A period beyond a full burst: however much was used, or the limit was lowered, it lasts no longer."""
        return self.now_us * self.amount + (self.limit.burst + self.amount) * self.period_us


def _up(value: int, n: int) -> int:
    return -(-value // n)
