"""What is asked of a budget, in the words of the API, and the columns that it becomes.

Each value is judged here, and the whole once more after an edit. What follows from it is decided in core/budgets.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from heartfly.core import text
from heartfly.core.budget_periods import Plan, Rhythm, plan_of
from heartfly.core.budgets import MILLIONTH, USUAL_THRESHOLDS, Spike, Terms, allocation_key, sum_of, thresholds_of
from heartfly.core.calls import Dimension, cube_for
from heartfly.core.money import Money, currency_of, money_text
from heartfly.errors import InvalidValueError

METER = "meter"
"""In a scope: the budget is of what the use of our own meters costs, and of no calls."""
ALL_METERS = "*"
SCOPES = ("provider", "model", "customer", "key", "user", "tag", METER)
"""By what a budget's calls are told from others."""
PARTS = ("provider", "model", "customer", METER)
"""By what a budget is divided. A model is what the provider sells: a model, a product, a service."""
MOST_ALLOCATIONS = 500
MOST_VALUES = 50
"""Of one part of a scope."""
_MOST_NAME, _MOST_VALUE = 100, 200
_MOST_LOW_DAYS = 366
_LEAST_SPIKE, _MOST_SPIKE = 101, 100_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class AllocationIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """`by`: `provider`, `model` or `customer`; in a budget of meters `meter`.

    `name`: which one; of a customer his id or one of his aliases.
    """

    by: str
    name: str
    amount: str


class SpikeIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """`percent`: of the mean of the week before, such as 200. `least`: no day that costs less is one."""

    percent: int
    least: str


class BudgetIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is left out is as usual on creation, and stays on an edit."""

    name: str | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    amount: str | UnsetType | None = UNSET
    """An exact decimal, to 12 digits and 6 places; null for an unlimited one."""
    period: str | UnsetType = UNSET
    """`monthly`, `quarterly`, `yearly`, `project`, `custom` or `unlimited`; `monthly` if not said."""
    starts_on: str | UnsetType = UNSET
    """The first day that counts, in the project's zone; today if not said."""
    ends_on: str | UnsetType | None = UNSET
    every_days: int | UnsetType | None = UNSET
    auto_renew: bool | UnsetType = UNSET
    scope: dict[str, list[str]] | UnsetType = UNSET
    """Which calls count: by `provider`, `model`, `customer`, `key`, `user` and `tag`, any of the values of each. With
    `meter` (slugs, or `*` for all) it is of what our own meters' use costs.
    """
    thresholds: list[int] | UnsetType = UNSET
    """Percents, each of which is told once a period; 50, 80, 90 and 100 if not said."""
    allocations: list[AllocationIn] | UnsetType = UNSET
    """Parts of it, which come to no more than the whole. Those that are given take the place of all that there were."""
    spike: SpikeIn | UnsetType | None = UNSET
    low_days: int | UnsetType | None = UNSET
    """Told when what is left lasts for so many days or less, and not until the period ends."""
    hard_stop: bool | UnsetType = UNSET
    channels: list[str] | UnsetType = UNSET
    """UUIDs of the channels that hear of it, or `["*"]` for all that there are; all when left out on creation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What a budget is to be, whole. `scope`: without what does not limit it."""

    name: str
    currency: str
    amount: Money | None
    plan: Plan
    scope: Mapping[str, Sequence[str]]
    thresholds: Sequence[int]
    allocations: Mapping[tuple[str, str], Money]
    spike: Spike | None
    low_days: int | None
    hard_stop: bool

    @property
    def terms(self) -> Terms:
        return Terms(
            amount=self.amount,
            thresholds=self.thresholds,
            allocations={allocation_key(*part): amount for part, amount in self.allocations.items()},
            spike=self.spike,
            low_days=self.low_days,
        )

    def columns(self) -> dict[str, Any]:
        """Of its row; its parts have rows of their own."""
        return {
            "name": self.name,
            "currency": self.currency,
            "amount": _millionths(self.amount),
            "rhythm": self.plan.rhythm.value,
            "starts_on": self.plan.starts_on,
            "ends_on": self.plan.ends_on,
            "every_days": self.plan.every_days,
            "renews": self.plan.renews,
            "scope": {name: list(values) for name, values in self.scope.items()},
            "thresholds": list(self.thresholds),
            "spike_percent": None if self.spike is None else self.spike.percent,
            "spike_least": None if self.spike is None else _millionths(self.spike.least),
            "low_days": self.low_days,
            "hard_stop": self.hard_stop,
        }

    def as_asked(self) -> dict[str, Any]:
        """In the words of `BudgetIn`, but for the channels."""
        return {
            "name": self.name,
            "currency": self.currency,
            "amount": told(self.amount),
            "period": self.plan.rhythm.value,
            "starts_on": self.plan.starts_on.isoformat(),
            "ends_on": None if self.plan.ends_on is None else self.plan.ends_on.isoformat(),
            "every_days": self.plan.every_days,
            "auto_renew": self.plan.renews,
            "scope": {name: list(values) for name, values in self.scope.items()},
            "thresholds": list(self.thresholds),
            "allocations": [
                {"by": by, "name": name, "amount": money_text(amount)}
                for (by, name), amount in self.allocations.items()
            ],
            "spike": None
            if self.spike is None
            else {"percent": self.spike.percent, "least": money_text(self.spike.least)},
            "low_days": self.low_days,
            "hard_stop": self.hard_stop,
        }


def agreed(asked: BudgetIn, *, today: date) -> Agreed:
    """A new one, with what is usual for what was not said. InvalidValueError."""
    rhythm = "monthly" if isinstance(asked.period, UnsetType) else asked.period
    usual: dict[str, Any] = {
        "name": "",
        "currency": "",
        "amount": None,
        "period": rhythm,
        "starts_on": today.isoformat(),
        "ends_on": None,
        "every_days": None,
        "auto_renew": None,
        "scope": {},
        "thresholds": [] if rhythm == Rhythm.UNLIMITED else list(USUAL_THRESHOLDS),
        "allocations": [],
        "spike": None,
        "low_days": None,
        "hard_stop": False,
    }
    return _whole(usual | _given(asked))


def edited(now: Agreed, asked: BudgetIn) -> Agreed:
    """What was not said stays. InvalidValueError."""
    given = _given(asked)
    if "currency" in given and currency_of(given["currency"]) != now.currency:
        raise InvalidValueError("currency", "stays what it is; make another budget in that currency")
    as_it_is = now.as_asked()
    if given.get("period", as_it_is["period"]) != as_it_is["period"]:
        as_it_is |= {"ends_on": None, "every_days": None, "auto_renew": None}
    return _whole(as_it_is | given)


def _given(asked: BudgetIn) -> dict[str, Any]:
    found = {name: getattr(asked, name) for name in asked.__struct_fields__ if name != "channels"}
    return {name: msgspec.to_builtins(value) for name, value in found.items() if not isinstance(value, UnsetType)}


def _whole(asked: Mapping[str, Any]) -> Agreed:
    plan = plan_of(
        asked["period"],
        starts_on=_day(asked["starts_on"], "starts_on"),
        ends_on=None if asked["ends_on"] is None else _day(asked["ends_on"], "ends_on"),
        every_days=asked["every_days"],
        renews=asked["auto_renew"],
    )
    amount = None if asked["amount"] is None else sum_of(asked["amount"], "amount")
    if (amount is None) != (plan.rhythm is Rhythm.UNLIMITED):
        raise InvalidValueError(
            "amount", "is needed, such as 500" if amount is None else "must be null of what is unlimited"
        )
    thresholds = thresholds_of(asked["thresholds"])
    if amount is None and thresholds:
        raise InvalidValueError("thresholds", "are percents of an amount, and an unlimited budget has none")
    low_days = asked["low_days"]
    if low_days is not None and not 1 <= low_days <= _MOST_LOW_DAYS:
        raise InvalidValueError("low_days", f"must be 1 to {_MOST_LOW_DAYS}")
    if asked["hard_stop"] and amount is None:
        raise InvalidValueError("hard_stop", "needs an amount, and an unlimited budget has none")
    scope, allocations = _scope(asked["scope"]), _allocations(asked["allocations"])
    _demand_told_apart(scope, allocations)
    return Agreed(
        name=text.name(asked["name"], field="name", most=_MOST_NAME),
        currency=currency_of(asked["currency"]),
        amount=amount,
        plan=plan,
        scope=scope,
        thresholds=thresholds,
        allocations=allocations,
        spike=_spike(asked["spike"]),
        low_days=low_days,
        hard_stop=asked["hard_stop"],
    )


def _scope(asked: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    for name in asked:
        if name not in SCOPES:
            raise InvalidValueError("scope", f"has only {', '.join(SCOPES)}")
    found: dict[str, Sequence[str]] = {}
    for name in SCOPES:
        values = asked.get(name, ())
        if len(values) > MOST_VALUES:
            raise InvalidValueError(f"scope.{name}", f"must be {MOST_VALUES} at most")
        kept = [
            text.one_line(value, field=f"scope.{name}[{n}]", most=_MOST_VALUE, least=1)
            for n, value in enumerate(values)
        ]
        if kept:  # a provider is the same in capitals and small letters, as calls and prices have it
            found[name] = sorted({one.lower() for one in kept} if name == Dimension.PROVIDER.value else set(kept))
    return found


def _demand_told_apart(scope: Mapping[str, Sequence[str]], parts: Collection[tuple[str, str]]) -> None:
    """What no sum tells apart would have to be counted call by call, each minute. InvalidValueError."""
    if len(scope.get("tag", ())) > 1:
        raise InvalidValueError("scope.tag", "must be one: a call with two of them would count twice")
    if METER in scope:
        if set(scope) - {METER, "customer"}:
            raise InvalidValueError("scope", "of meters may name customers besides, and nothing of calls")
        if any(by != METER for by, _ in parts):
            raise InvalidValueError("allocations", "of a budget of meters are by meter")
        return
    if any(by == METER for by, _ in parts):
        raise InvalidValueError("allocations", "by meter are of a budget whose scope names meters")
    names = [Dimension(name) for name in scope]
    if cube_for(names) is None:
        raise InvalidValueError("scope", "may name one of customer, user, key and tag, beside provider and model")
    for by in sorted({by for by, _ in parts}):
        if cube_for([*names, Dimension(by)]) is None:
            raise InvalidValueError("allocations", f"by {by} cannot be told apart within a scope of another kind")


def _allocations(asked: Sequence[Mapping[str, str]]) -> Mapping[tuple[str, str], Money]:
    if len(asked) > MOST_ALLOCATIONS:
        raise InvalidValueError("allocations", f"must be {MOST_ALLOCATIONS} at most")
    found: dict[tuple[str, str], Money] = {}
    for n, one in enumerate(asked):
        field = f"allocations[{n}]"
        if one["by"] not in PARTS:
            raise InvalidValueError(f"{field}.by", f"must be one of {', '.join(PARTS)}")
        part = one["by"], text.one_line(one["name"], field=f"{field}.name", most=_MOST_VALUE, least=1)
        if part in found:
            raise InvalidValueError(f"{field}.name", "has a part already")
        found[part] = sum_of(one["amount"], f"{field}.amount")
    return found


def _spike(asked: Mapping[str, Any] | None) -> Spike | None:
    if asked is None:
        return None
    if not _LEAST_SPIKE <= asked["percent"] <= _MOST_SPIKE:
        raise InvalidValueError("spike.percent", f"must be {_LEAST_SPIKE} to {_MOST_SPIKE}")
    return Spike(percent=asked["percent"], least=sum_of(asked["least"], "spike.least"))


def _day(asked: str, field: str) -> date:
    try:
        found = date.fromisoformat(asked) if _DAY.fullmatch(asked) else None
    except ValueError:
        found = None
    if found is None:
        raise InvalidValueError(field, "must be a day such as 2026-03-01")
    return found


def told(amount: Money | None) -> str | None:
    return None if amount is None else money_text(amount)


def _millionths(amount: Money | None) -> int | None:
    return None if amount is None else amount // MILLIONTH


def of_millionths(amount: int | None) -> Money | None:
    return None if amount is None else amount * MILLIONTH
