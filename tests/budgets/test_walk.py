"""Months of costs, late costs, corrections, raises and cuts, drawn by a seed, against an oracle that knows little.

The oracle adds up fractions, and knows of each threshold of each period only whether it is armed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from tests.budgets.treasury import Treasury
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

PERCENTS = (50, 80, 100)
START = datetime(2026, 3, 10, 12, tzinfo=UTC)


@dataclass
class Oracle:
    amount: Fraction = Fraction(100)
    spent: dict[str, Fraction] = field(default_factory=dict)
    agreed: dict[str, Fraction] = field(default_factory=dict)
    armed: dict[tuple[str, int], bool] = field(default_factory=dict)
    told: dict[tuple[str, int], int] = field(default_factory=dict)

    def looks(self, now: datetime) -> None:
        here, before = _month(now), _month(now.replace(day=1) - timedelta(days=1))
        self.agreed[here] = self.amount
        for month in (before, here):
            if month < "2026-03-01":
                continue
            whole = self.agreed.get(month, self.amount)
            for percent in PERCENTS:
                key = (month, percent)
                if self.armed.get(key, True) and self.spent.get(month, Fraction()) / whole >= Fraction(percent, 100):
                    self.armed[key] = False
                    self.told[key] = self.told.get(key, 0) + 1

    def is_edited(self, now: datetime, amount: Fraction) -> None:
        here = _month(now)
        if amount > self.amount:
            for percent in PERCENTS:
                if self.spent.get(here, Fraction()) / amount < Fraction(percent, 100):
                    self.armed[here, percent] = True
        self.amount = amount


def _month(at: datetime) -> str:
    return f"{at:%Y-%m}-01"


@pytest.mark.parametrize("seed", range(2))
async def test_each_threshold_is_told_as_often_as_it_was_armed_and_reached(
    treasury: Treasury, clock: SimClock, seed: int
) -> None:
    draw, oracle = random.Random(seed), Oracle()
    budget = await treasury.budget(thresholds=list(PERCENTS))
    calls: list[tuple[str, datetime, Fraction]] = []
    for _ in range(40):
        now = clock.now()
        what = draw.choice(["call", "call", "late", "void", "edit", "look", "go on", "go on"])
        if what in {"call", "late"}:
            at = now if what == "call" else max(START, now - timedelta(days=draw.randrange(1, 20)))
            cost = draw.choice(["0.1", "9.999999999999999999", "25", "50", "80.000000000000000001"])
            calls.append((await treasury.call(cost, at=at), at, Fraction(cost)))
            oracle.spent[_month(at)] = oracle.spent.get(_month(at), Fraction()) + Fraction(cost)
        elif what == "void" and calls:
            name, at, gone = calls.pop(draw.randrange(len(calls)))
            await treasury.void(name)
            oracle.spent[_month(at)] -= gone
        elif what == "edit":
            amount = draw.choice(["50", "100", "100.000001", "160", "400"])
            await treasury.edit(budget, amount=amount)
            oracle.is_edited(now, Fraction(amount))
            oracle.looks(now)  # whoever edits looks
        elif what == "look":
            await treasury.fold()
        else:
            clock.move_to(now + timedelta(days=draw.randrange(1, 9), hours=draw.randrange(24)))
        await treasury.look(budget)
        oracle.looks(clock.now())

    found: dict[tuple[str, int], int] = {}
    for period, percent, nth in await treasury.told(budget):
        found[period, int(percent)] = max(nth, found.get((period, int(percent)), 0))
    assert oracle.told == found
    assert len(oracle.told) > 2
