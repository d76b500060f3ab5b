"""A project's prices while somebody changes them: what a change makes of them, and in which span of time it tells.

Of one key (core/prices.py) no two spans overlap. A price is added where there is none; or laid over what is there,
which then ends where it begins, and goes on where it ends. Nothing is written here: `plan` says what is to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from heartfly.core.money import Rate
from heartfly.core.prices import ALWAYS, Price
from heartfly.errors import InvalidValueError, NotFoundError

Key = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """`id` below 0: it is not kept yet. `source`: where it came from."""

    id: int
    price: Price
    source: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`changed`: as they shall be. `touched`: the prices whose span or amount is another one, as they were and as they
    shall be.
    """

    added: Sequence[Held] = ()
    changed: Sequence[Held] = ()
    gone: Sequence[Held] = ()
    touched: Sequence[Price] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.gone)

    @property
    def from_at(self) -> datetime:
        """From when on a call may cost otherwise."""
        return min(price.from_at for price in self.touched)

    @property
    def to_at(self) -> datetime | None:
        ends = [price.to_at for price in self.touched]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None


@dataclass(frozen=True, slots=True)
class Add:
    price: Price


@dataclass(frozen=True, slots=True)
class Reprice:
    """From `from_at` on; None: all of it, which lies ahead. `amount` and `currency` None: as it is."""

    id: int
    amount: Rate | None = None
    currency: str | None = None
    from_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class End:
    """None: until further notice."""

    id: int
    to_at: datetime | None


@dataclass(frozen=True, slots=True)
class Remove:
    id: int


Change = Add | Reprice | End | Remove


@dataclass(slots=True)
class Shelf:
    """`held`: all of each key that will be changed, or more."""

    held: Iterable[Held]
    _now: dict[Key, list[Held]] = field(default_factory=dict, init=False)
    _before: dict[int, Held] = field(default_factory=dict, init=False)
    _next: int = field(default=-1, init=False)

    def __post_init__(self) -> None:
        for one in self.held:
            self._before[one.id] = one
            self._now.setdefault(one.price.key, []).append(one)
        for some in self._now.values():
            some.sort(key=_start)

    def of_key(self, key: Key) -> Sequence[Held]:
        """In the order of their times."""
        return self._now.get(key, [])

    def in_force(self, key: Key, at: datetime) -> Held | None:
        return next((one for one in self.of_key(key) if one.price.at(at)), None)

    def in_span(self, price: Price) -> Sequence[Held]:
        """Of its key, those that hold at some time of its own."""
        return [one for one in self.of_key(price.key) if _overlap(one.price, price)]

    def one(self, number: int) -> Held:
        """NotFoundError."""
        found = self._before.get(number)
        if found is None:
            raise NotFoundError("there is no such price")
        return found

    def add(self, wanted: Price, source: str) -> None:
        """InvalidValueError: one of that key is in force then already."""
        _demand_span(wanted.from_at, wanted.to_at)
        for one in self.of_key(wanted.key):
            if _overlap(one.price, wanted):
                field_name = "from_at" if one.price.at(wanted.from_at) else "to_at"
                raise InvalidValueError(field_name, f"overlaps the price of the same kind that holds {span(one.price)}")
        self._put(Held(self._number(), wanted, source))

    def lay(self, wanted: Price, source: str) -> bool:
        """Over what is there in its span; False: that is the same already."""
        _demand_span(wanted.from_at, wanted.to_at)
        here = self.in_span(wanted)
        if len(here) == 1 and _same(here[0].price, wanted) and _covers(here[0].price, wanted):
            return False
        for one in here:
            was = one.price
            self._now[was.key].remove(one)
            if was.from_at < wanted.from_at:
                self._put(replace(one, price=replace(was, to_at=wanted.from_at)))
            if wanted.to_at is not None and (was.to_at is None or wanted.to_at < was.to_at):
                # The part before, if there is one, keeps the number.
                kept = self._number() if was.from_at < wanted.from_at else one.id
                self._put(Held(kept, replace(was, from_at=wanted.to_at), one.source))
        known = {one.id for one in self._now.get(wanted.key, [])}
        reused = next((one.id for one in here if one.id not in known and one.price.from_at == wanted.from_at), None)
        self._put(Held(self._number() if reused is None else reused, wanted, source))
        return True

    def until_next(self, wanted: Price) -> Price:
        """One without an end, up to where a later one of its key begins."""
        later = [one.price.from_at for one in self.of_key(wanted.key) if one.price.from_at > wanted.from_at]
        return replace(wanted, to_at=min(later)) if wanted.to_at is None and later else wanted

    def reprice(
        self, number: int, amount: Rate, currency: str, source: str, *, from_at: datetime | None, now: datetime
    ) -> None:
        """From `from_at` on, to where it ends. None: all of it, which only one that lies ahead may be."""
        one = self.one(number)
        was = one.price
        if from_at is None:
            if was.from_at <= now:
                raise InvalidValueError(
                    "from_at", "is required, as the price is in force already: say from when on the other one holds"
                )
            from_at = was.from_at
        if not was.at(from_at):
            raise InvalidValueError("from_at", f"must lie within the time of the price, which holds {span(was)}")
        self.lay(replace(was, amount=amount, currency=currency, from_at=from_at), source)

    def end(self, number: int, to_at: datetime | None) -> None:
        """None: it goes on until further notice, or until the next one of its key."""
        one = self.one(number)
        _demand_span(one.price.from_at, to_at)
        wanted = replace(one.price, to_at=to_at)
        others = [other.price for other in self.of_key(wanted.key) if other.id != number]
        if (hit := next((other for other in others if _overlap(other, wanted)), None)) is not None:
            raise InvalidValueError("to_at", f"reaches into the price of the same kind that holds {span(hit)}")
        self._now[wanted.key].remove(one)
        self._put(replace(one, price=wanted))

    def remove(self, number: int) -> None:
        one = self.one(number)
        self._now[one.price.key].remove(one)

    def apply(self, change: Change, source: str, now: datetime) -> None:
        """What a person does. InvalidValueError, NotFoundError."""
        match change:
            case Add(price):
                self.add(price, source)
            case Reprice(number, amount, currency, from_at):
                was = self.one(number).price
                of_one = was.amount if amount is None else amount
                self.reprice(number, of_one, currency or was.currency, source, from_at=from_at, now=now)
            case End(number, to_at):
                self.end(number, to_at)
            case Remove(number):  # pragma: no branch - there are no others
                self.remove(number)

    def plan(self) -> Plan:
        now = {one.id: one for some in self._now.values() for one in some}
        added = [one for number, one in now.items() if number < 0]
        changed = [one for number, one in now.items() if number >= 0 and one != self._before[number]]
        gone = [one for number, one in self._before.items() if number not in now]
        touched = [one.price for one in (*added, *gone)]
        for one in changed:
            touched += _difference(self._before[one.id].price, one.price)
        return Plan(sorted(added, key=lambda one: -one.id), changed, gone, touched)

    def prices(self) -> Iterable[Price]:
        """All, as they shall be."""
        return (one.price for some in self._now.values() for one in some)

    def _put(self, one: Held) -> None:
        some = self._now.setdefault(one.price.key, [])
        some.append(one)
        some.sort(key=_start)

    def _number(self) -> int:
        self._next -= 1
        return self._next


def span(price: Price) -> str:
    """For people: `from 2026-11-01T00:00:00Z on`, `always`."""
    start = "" if price.from_at <= ALWAYS else f"from {_iso(price.from_at)}"
    if price.to_at is None:
        return f"{start} on" if start else "always"
    return f"{start} until {_iso(price.to_at)}".strip()


def _difference(was: Price, becomes: Price) -> list[Price]:
    """Pieces that stand for the time in which the two are not the same; of one key."""
    if not _same(was, becomes):
        return [was, becomes]
    found: list[Price] = []
    if was.from_at != becomes.from_at:
        found.append(replace(was, from_at=min(was.from_at, becomes.from_at), to_at=max(was.from_at, becomes.from_at)))
    if was.to_at != becomes.to_at:
        ends = sorted(end for end in (was.to_at, becomes.to_at) if end is not None)
        found.append(replace(was, from_at=ends[0], to_at=ends[1] if len(ends) == 2 else None))
    return found


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _start(one: Held) -> datetime:
    return one.price.from_at


def _same(one: Price, other: Price) -> bool:
    return (one.amount, one.currency) == (other.amount, other.currency)


def _covers(one: Price, other: Price) -> bool:
    return one.from_at <= other.from_at and (
        one.to_at is None or (other.to_at is not None and other.to_at <= one.to_at)
    )


def _overlap(one: Price, other: Price) -> bool:
    return (other.to_at is None or one.from_at < other.to_at) and (one.to_at is None or other.from_at < one.to_at)


def _demand_span(from_at: datetime, to_at: datetime | None) -> None:
    if to_at is not None and to_at <= from_at:
        raise InvalidValueError("to_at", "must be after from_at")
