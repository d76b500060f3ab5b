"""Prices of calls: what a call costs, by what it used, at its tier, under its conditions, at its instant.

A price is of one kind of unit. Which of a project's prices a call is charged by is decided here, and nowhere else; a
kind that has none makes the cost unknown, never 0. What calls are, and where prices are kept, is not known here.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from heartfly.core.amounts import ONE, Amount
from heartfly.core.money import Money, Rate

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
"""From when on a price is in force that always was: no call happens before."""
EVERY = "*"
"""As a product: each of the provider that has no price of that kind of its own."""
STANDARD = ""
STANDARD_TIERS = frozenset({"", "auto", "default", "on_demand", "standard"})
"""How providers call the tier that is none."""
REQUESTS = "requests"
"""The kind that counts calls themselves. It is free where no price names it and another kind of the call is priced."""
CONTEXT = "tokens"
"""In a condition: all tokens that a call put in, whether read from a cache, written to one, or neither."""
CONTEXT_KINDS = frozenset(
    {
        "input_tokens",
        "cached_tokens",
        "explicit_cached_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "cache_write_12h_tokens",
        "input_audio_tokens",
        "cached_audio_tokens",
        "cache_write_audio_tokens",
        "input_image_tokens",
        "cached_image_tokens",
        "input_video_tokens",
    }
)
STAND_INS: Mapping[str, str] = {"reasoning_tokens": "output_tokens"}
"""Kinds that providers charge as another one, unless a price names them."""
KIND = re.compile(r"[a-z0-9][a-z0-9_.]{0,59}", re.ASCII)
_CONDITION = re.compile(r"(above|from)_(\d{1,15})([km]?)_([a-z0-9][a-z0-9_.]{0,59})", re.ASCII)
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}


class Condition(NamedTuple):
    """That a call used more than `threshold` of `kind` (or, `inclusive`, as much). `tokens`: of its CONTEXT_KINDS."""

    threshold: Amount
    inclusive: bool
    kind: str

    def holds(self, units: Mapping[str, Amount]) -> bool:
        used = context_of(units) if self.kind == CONTEXT else units.get(self.kind, 0)
        return used > self.threshold or (self.inclusive and used == self.threshold)


def condition_of(text: str) -> Condition | None:
    """`above_200k_tokens`, `from_128k_tokens`, `above_8_video_seconds`. None: it is no such text."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        return None
    return Condition(int(found[2]) * _TIMES[found[3]] * ONE, found[1] == "from", found[4])


def condition_text(condition: Condition) -> str:
    """The one spelling of it: 200000 is 200k."""
    n = condition.threshold // ONE
    amount = f"{n // 1_000}k" if n and n % 1_000 == 0 else str(n)
    return f"{'from' if condition.inclusive else 'above'}_{amount}_{condition.kind}"


def context_of(units: Mapping[str, Amount]) -> Amount:
    return sum(amount for kind, amount in units.items() if kind in CONTEXT_KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """In force in [from_at, to_at); None: until further notice. `provider`: in small letters.

    `condition`: empty, or what `condition_of` reads.
    """

    provider: str
    product: str
    unit: str
    tier: str = STANDARD
    condition: str = ""
    from_at: datetime = ALWAYS
    to_at: datetime | None = None
    amount: Rate
    currency: str

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """Of one key at most one price is in force at an instant."""
        return self.provider, self.product, self.unit, self.tier, self.condition

    def at(self, instant: datetime) -> bool:
        return self.from_at <= instant and (self.to_at is None or instant < self.to_at)


@dataclass(frozen=True, slots=True)
class Cost:
    """By currency. `unpriced`: the kinds, in order, of which no price is known; the cost is unknown if there are any,
    and `amounts` is what the others come to.
    """

    amounts: Mapping[str, Money]
    unpriced: Sequence[str] = ()

    @property
    def known(self) -> bool:
        return not self.unpriced


class _Choice(NamedTuple):
    condition: Condition | None
    rate: Rate
    currency: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a product costs at a tier, in [from_at, to_at): for each kind its prices, the first that holds counts."""

    from_at: datetime | None
    to_at: datetime | None
    choices: Mapping[str, Sequence[_Choice]] = field(default_factory=dict)

    def cost(self, units: Mapping[str, Amount], *, failed: bool = False) -> Cost:
        """`failed`: the call came to nothing; if it tells of no more than that it was made, and no price is set for
        that, it cost nothing.
        """
        amounts: dict[str, Money] = {}
        unpriced: list[str] = []
        used = [kind for kind, amount in units.items() if amount]
        for kind in used:
            choice = self._choice(kind, units)
            if choice is None:
                unpriced.append(kind)
            else:
                amounts[choice.currency] = amounts.get(choice.currency, 0) + choice.rate * units[kind]
        if REQUESTS in unpriced and (failed if len(used) == 1 else len(unpriced) < len(used)):
            unpriced.remove(REQUESTS)
        return Cost(amounts, tuple(sorted(unpriced)))

    def _choice(self, kind: str, units: Mapping[str, Amount]) -> _Choice | None:
        for name in (kind, STAND_INS.get(kind)):
            for choice in self.choices.get(name, ()) if name is not None else ():
                if choice.condition is None or choice.condition.holds(units):
                    return choice
        return None


class Book:
    """A project's prices. `version`: another one whenever any of them has changed."""

    def __init__(self, prices: Iterable[Price], version: str = "") -> None:
        self.version = version
        self._prices: dict[tuple[str, str], list[Price]] = {}
        self._tiers: dict[tuple[str, str], set[str]] = {}
        for price in prices:
            place = (price.provider, price.product)
            self._prices.setdefault(place, []).append(price)
            self._tiers.setdefault(place, set()).add(price.tier)
        self._sheets: dict[tuple[str, str, str], tuple[list[datetime], list[Sheet | None]]] = {}

    def foresee(self, products: Iterable[tuple[str, str]]) -> None:
        """Whoever reads prices as they are asked for reads these at once; here all are at hand."""

    def cost(
        self,
        provider: str,
        product: str,
        tier: str,
        units: Mapping[str, Amount],
        at: datetime,
        *,
        failed: bool = False,
    ) -> Cost:
        """As `Sheet.cost`, of the sheet in force at that instant."""
        return self.sheet(provider, product, tier, at).cost(units, failed=failed)

    def sheet(self, provider: str, product: str, tier: str, at: datetime) -> Sheet:
        """Of kinds that the product has at its tier, those; of others what it has at the standard tier; of others what
        every product of the provider has. A tier that no price of the product or the provider knows has none at all.
        """
        provider, tier = provider.lower(), STANDARD if tier in STANDARD_TIERS else tier
        # Names that no price has are many, and are all the same: a sheet for each would fill the memory.
        own = product if (provider, product) in self._prices else EVERY
        places = [(provider, own)] if own == EVERY else [(provider, own), (provider, EVERY)]
        if tier != STANDARD and not any(tier in self._tiers.get(place, ()) for place in places):
            return _NOTHING
        if not any(place in self._prices for place in places):
            return _NOTHING
        kept = self._sheets.get((provider, own, tier))
        if kept is None:
            known = [price for place in places for price in self._prices.get(place, ())]
            known = [price for price in known if price.tier in {tier, STANDARD}]
            ends = {end for price in known for end in (price.from_at, price.to_at) if end is not None}
            bounds = sorted(ends)
            kept = self._sheets[provider, own, tier] = (bounds, [None] * (len(bounds) + 1))
        bounds, sheets = kept
        n = bisect.bisect_right(bounds, at)
        found = sheets[n]
        if found is None:
            found = sheets[n] = self._made(places, tier, at, bounds, n)
        return found

    def _made(
        self, places: Sequence[tuple[str, str]], tier: str, at: datetime, bounds: Sequence[datetime], n: int
    ) -> Sheet:
        here = [price for place in places for price in self._prices.get(place, ()) if price.at(at)]
        tiers = (tier,) if tier == STANDARD else (tier, STANDARD)
        if tier not in {price.tier for price in here}:
            here = []  # the tier is not known at this instant
        choices: dict[str, list[_Choice]] = {}
        for _, product in places:
            for of_tier in tiers:
                some = [
                    (_Choice(condition_of(price.condition), price.amount, price.currency), price.unit)
                    for price in here
                    if price.product == product and price.tier == of_tier
                ]
                for choice, unit in sorted(some, key=lambda one: _rank(one[0])):
                    choices.setdefault(unit, []).append(choice)
        return Sheet(
            bounds[n - 1] if n else None,
            bounds[n] if n < len(bounds) else None,
            choices,
        )


def _rank(choice: _Choice) -> tuple[bool, Amount, bool, str]:
    """The highest threshold first; without a condition last."""
    if choice.condition is None:
        return True, 0, False, ""
    return False, -choice.condition.threshold, choice.condition.inclusive, choice.condition.kind


_NOTHING = Sheet(None, None)
