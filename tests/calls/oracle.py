"""Calls of a test, and what they come to by brute force: Python's Decimal, and nothing of what Heartfly has."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, localcontext
from typing import Any

EXACT = Context(prec=300, traps=[Inexact])
_ROUNDS = Context(prec=60)
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """A price. `above`: of calls with more input tokens than so many."""

    provider: str
    product: str
    unit: str
    amount: str
    currency: str = "USD"
    tier: str = ""
    above: int | None = None
    from_at: datetime = ALWAYS
    to_at: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return self.from_at <= at and (self.to_at is None or at < self.to_at)


@dataclass(frozen=True, kw_only=True)
class Call:
    """`told`: its properties, as they are sent."""

    number: int
    at: datetime
    subject: str
    told: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"call-{self.number}"

    def wire(self) -> dict[str, Any]:
        return {
            "transaction_id": self.name,
            "customer_id": self.subject,
            "timestamp": self.at.isoformat(),
            "event_type": "api.call",
            "properties": dict(self.told),
        }

    def but(self, **told: Any) -> Call:
        return replace(self, told={**self.told, **told})


@dataclass
class Sums:
    n: int = 0
    errors: int = 0
    unpriced: int = 0
    odd: int = 0
    units: dict[str, Decimal] = field(default_factory=dict)
    cost: dict[str, Decimal] = field(default_factory=dict)
    given: dict[str, Decimal] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    us: list[int] = field(default_factory=list)


def number(text: object) -> Decimal | None:
    """Of 1 to 20 digits with up to 18 places, and not negative."""
    if not isinstance(text, str):
        return None
    whole, dot, places = text.partition(".")
    fine = whole.isdecimal() and len(whole) <= 20 and (not dot or (places.isdecimal() and len(places) <= 18))
    return Decimal(text) if fine else None


def units_of(call: Call) -> tuple[dict[str, Decimal], int]:
    """And how many values could not be read."""
    found: dict[str, Decimal] = {}
    odd = 0
    for name, value in call.told.items():
        if name.startswith("units."):
            amount = number(value)
            if amount is None:
                odd += 1
            else:
                found[name.removeprefix("units.")] = amount
    found.setdefault("requests", Decimal(1))
    return found, odd


def rate_of(tariffs: Sequence[Tariff], call: Call, kind: str, units: Mapping[str, Decimal]) -> Tariff | None:
    provider, product = call.told.get("provider") or "unknown", call.told.get("model", "")
    tier = call.told.get("tier", "")
    mine = [one for one in tariffs if one.provider == provider and one.holds(call.at)]
    named = any(one.product == product for one in tariffs if one.provider == provider)
    products = [product, "*"] if named else ["*"]
    if tier and not any(one.tier == tier and one.product in products for one in mine):
        return None
    context = sum((amount for name, amount in units.items() if name in {"input_tokens", "cached_tokens"}), Decimal(0))
    for of_product in products:
        for of_tier in dict.fromkeys([tier, ""]):
            some = [one for one in mine if (one.product, one.tier, one.unit) == (of_product, of_tier, kind)]
            for one in sorted(some, key=lambda one: -1 if one.above is None else one.above, reverse=True):
                if one.above is None or context > one.above:
                    return one
    return None


def has_failed(call: Call) -> bool:
    status = call.told.get("status", "")
    return (status.isdecimal() and len(status) == 3 and int(status) >= 400) or bool(call.told.get("error"))


def cost_of(
    tariffs: Sequence[Tariff], call: Call, units: Mapping[str, Decimal]
) -> tuple[dict[str, Decimal], list[str]]:
    """By currency; and the kinds without a price, when the cost is not known."""
    used = [kind for kind, amount in units.items() if amount]
    rates = {kind: rate_of(tariffs, call, kind, units) for kind in used}
    unpriced = [kind for kind, rate in rates.items() if rate is None]
    if "requests" in unpriced and ((len(used) == 1 and has_failed(call)) or len(unpriced) < len(used)):
        unpriced.remove("requests")
    if unpriced:
        return {}, sorted(unpriced)
    found: dict[str, Decimal] = {}
    for kind, rate in rates.items():
        if rate is not None:
            found[rate.currency] = found.get(rate.currency, Decimal(0)) + Decimal(rate.amount) * units[kind]
    return found, []


def tags_of(call: Call) -> list[str]:
    return sorted({tag.strip() for tag in call.told.get("tags", "").split(",")} - {""}) or [""]


def status_of(call: Call) -> str:
    status = call.told.get("status", "")
    return status if len(status) == 3 and status.isdecimal() and status[0] != "0" else "unknown"


def values_of(call: Call, dimension: str) -> list[str]:
    match dimension:
        case "provider":
            return [call.told.get("provider") or "unknown"]
        case "customer":
            return [call.subject]
        case "tag":
            return tags_of(call)
        case "status":
            return [status_of(call)]
        case _:
            return [call.told.get(dimension, "")]


def add(into: Sums, tariffs: Sequence[Tariff], call: Call) -> None:
    units, odd = units_of(call)
    into.n += 1
    into.errors += has_failed(call)
    into.odd += odd
    for kind, amount in units.items():
        into.units[kind] = into.units.get(kind, Decimal(0)) + amount
    took = number(call.told.get("latency_ms"))
    if took is not None:
        into.us.append(int((took * 1000).quantize(Decimal(1), ROUND_HALF_UP, _ROUNDS)))
    if "cost" in call.told:
        money, currency = number(call.told["cost"]), call.told.get("currency", "")
        if money is not None and currency in {"USD", "EUR"}:
            for where in (into.cost, into.given):
                where[currency] = where.get(currency, Decimal(0)) + money
            return
        into.odd += 1
    cost, unpriced = cost_of(tariffs, call, units)
    into.unpriced += bool(unpriced)
    for kind in unpriced:
        into.kinds[kind] = into.kinds.get(kind, 0) + 1
    for currency, amount in cost.items():
        into.cost[currency] = into.cost.get(currency, Decimal(0)) + amount


def brute_force(
    calls: Iterable[Call], tariffs: Sequence[Tariff], by: Sequence[str], from_at: datetime, to_at: datetime
) -> dict[tuple[str, ...], Sums]:
    found: dict[tuple[str, ...], Sums] = {}
    with localcontext(EXACT):
        for call in calls:
            if from_at <= call.at < to_at:
                keys: list[tuple[str, ...]] = [()]
                for dimension in by:
                    keys = [(*key, value) for key in keys for value in values_of(call, dimension)]
                for key in keys:
                    add(found.setdefault(key, Sums()), tariffs, call)
    return found


TARIFFS = [
    Tariff(provider="openai", product="gpt", unit="input_tokens", amount="0.00000375"),
    Tariff(provider="openai", product="gpt", unit="output_tokens", amount="0.000015"),
    Tariff(provider="openai", product="gpt", unit="cached_tokens", amount="0.000000000000000000000000000001"),
    Tariff(provider="openai", product="gpt", unit="input_tokens", amount="0.0000075", above=1_000),
    Tariff(provider="openai", product="gpt", unit="output_tokens", amount="0.0000075", tier="batch"),
    Tariff(provider="openai", product="*", unit="images", amount="0.04", currency="EUR"),
    Tariff(provider="scraper", product="*", unit="requests", amount="0.0033333333333333"),
    Tariff(provider="scraper", product="page", unit="gb", amount="0"),
]


def calls_of(n: int, *, seed: int, from_at: datetime, to_at: datetime) -> list[Call]:
    draw = random.Random(seed)
    span = (to_at - from_at) // timedelta(microseconds=1)
    found = []
    for place in range(n):
        provider = draw.choice(["openai", "openai", "scraper", "nobody", ""])
        told = {
            "provider": provider,
            "model": draw.choice(["gpt", "gpt", "page", "other", ""]),
            "endpoint": draw.choice(["/chat", "/images", ""]),
            "tier": draw.choice(["", "", "batch", "nowhere"]),
            "user": draw.choice(["ada", "grace", ""]),
            "key": draw.choice(["k-1", "k-2", ""]),
            "tags": draw.choice(["", "blue", "blue, red", "red,red"]),
            "status": draw.choice(["200", "200", "201", "429", "500", "", "0", "no"]),
            "error": draw.choice(["", "", "", "timed out"]),
            "latency_ms": draw.choice(["12", "0", "3.4567", "900.0005", "slow", "", "-1"]),
            "units.input_tokens": draw.choice(["100", "1000", "5000", "0", "x", ""]),
            "units.output_tokens": draw.choice(["7", "99999999999999999999", "0.000000000000000001", ""]),
            "units.cached_tokens": draw.choice(["", "", "12", "1e3", "-4"]),
            "units.images": draw.choice(["", "", "2"]),
            "units.gb": draw.choice(["", "", "0.25"]),
            "units.requests": draw.choice(["", "", "", "3"]),
        }
        told = {name: value for name, value in told.items() if value}
        if draw.random() < 0.15:
            told["cost"] = draw.choice(["0.1", "2", "free", "-1", "0.000000000000000001"])
            told["currency"] = draw.choice(["USD", "EUR", "XXX"])
        at = from_at + timedelta(microseconds=draw.randrange(span))
        found.append(Call(number=place, at=at, subject=f"c-{draw.randrange(4)}", told=told))
    return found
