"""The shapes of budgets, and how what is kept and seen of one becomes them. Money is exact decimal text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.budgets import words
from heartfly.budgets.config import AllocationIn, BudgetIn, SpikeIn, told
from heartfly.budgets.history import Past
from heartfly.budgets.rows import Stored, Told
from heartfly.budgets.spending import Standing
from heartfly.budgets.summary import Sum
from heartfly.core.budget_periods import Period
from heartfly.core.budgets import Kind, Mark, allocation_key, holds, is_reached
from heartfly.core.money import Money, money_text


class BudgetOut(msgspec.Struct, kw_only=True):
    """A budget as it was agreed, which can be sent back as it is asked for, field by field.

    `state`: `active`, `paused`, `exceeded`, `expired` or `cancelled`.
    """

    id: str
    name: str
    state: str
    currency: str
    amount: str | None
    period: str
    starts_on: str
    ends_on: str | None
    every_days: int | None
    auto_renew: bool
    scope: dict[str, list[str]]
    thresholds: list[int]
    allocations: list[AllocationIn]
    spike: SpikeIn | None
    low_days: int | None
    hard_stop: bool
    channels: list[str]
    created_at: Instant


class BudgetPage(msgspec.Struct):
    items: list[BudgetOut]
    next: str | None


class PeriodOut(msgspec.Struct, kw_only=True):
    """`to` and `last_day` null: it has no end. `to` is not in it any more."""

    first_day: str
    last_day: str | None
    from_: Instant = msgspec.field(name="from")
    to: Instant | None


class ThresholdOut(msgspec.Struct, kw_only=True):
    """`told_at`: when it was told in this period, as far as it was not re-armed since; null: it was not."""

    percent: int
    reached: bool
    told_at: Instant | None


class AllocationStatusOut(msgspec.Struct, kw_only=True):
    by: str
    name: str
    amount: str
    spent: str
    left: str
    """Below nothing, if more was spent."""
    percent: int


class ToldOut(msgspec.Struct, kw_only=True):
    """One thing that was told of a period. What was told is not untold.

    `kind`: `threshold`, `spike`, `low` or `allocation`. `spent` and `amount`: as they were then.
    """

    kind: str
    what: str
    """A percent, a day, an allocation such as `provider:openai`, or empty."""
    words: str
    at: Instant
    spent: str
    amount: str | None
    rearmed_at: Instant | None
    """Since when a raise lets it be told anew; null: none does."""
    holds: bool | None
    """Whether it is so now; null: that is not known of a period that is over."""


class ForeseenOut(msgspec.Struct, kw_only=True):
    """What the period will have come to at its end, if it goes on so."""

    low: str
    likely: str
    high: str


class DaySpentOut(msgspec.Struct):
    day: str
    spent: str


class StatusOut(msgspec.Struct, kw_only=True):
    """What the period that is now, or was the last, has come to. Null are figures of a budget that has not begun, and
    those that an unlimited one has not.
    """

    id: str
    name: str
    state: str
    currency: str
    as_of: Instant
    period: PeriodOut | None
    amount: str | None
    spent: str | None
    left: str | None
    """Worked out of what was spent, never counted down; below nothing, if more was spent."""
    percent: int | None
    """Rounded down."""
    n_calls: int
    n_unpriced: int
    """Calls whose cost is not known, and not in what is spent."""
    other_currencies: dict[str, str]
    """What calls in its scope cost in others, which no budget of this currency counts."""
    burn_per_day: str | None
    """The mean of the last whole days, up to seven."""
    gone_on: str | None
    """The day on which it runs out at that pace, if that is within its period."""
    foreseen: ForeseenOut | None
    stops: bool
    """Whether a limit refuses calls that would cost more than is left (`hard_stop`)."""
    days: list[DaySpentOut]
    """The last whole days, and today so far."""
    thresholds: list[ThresholdOut]
    allocations: list[AllocationStatusOut]
    unallocated: str | None
    told: list[ToldOut]


class HistoryItemOut(msgspec.Struct, kw_only=True):
    """A period. `amount`: as it was agreed while it was. `spent`: with all that came late and was corrected since."""

    first_day: str
    last_day: str | None
    amount: str | None
    spent: str
    percent: int | None
    n_unpriced: int
    told: list[ToldOut]


class HistoryPage(msgspec.Struct):
    items: list[HistoryItemOut]
    next: str | None


class SumOut(msgspec.Struct, kw_only=True):
    """All budgets of a currency that are active or exceeded, in the periods that are now."""

    currency: str
    n_budgets: int
    n_unlimited: int
    amount: str
    n_allocations: int
    allocated: str
    spent: str
    """As it was last looked at, each minute; a call in the scope of two budgets is in it twice."""
    left: str
    """Of those that have an amount."""


class SummaryOut(msgspec.Struct):
    items: list[SumOut]


SHAPES = (BudgetIn, BudgetPage, StatusOut, HistoryPage, SummaryOut)


def budget_out(stored: Stored, channels: Sequence[Any]) -> BudgetOut:
    """`channels`: rows with the `budget_id` that each hears of, also those of others."""
    return BudgetOut(
        id=stored.row.uuid,
        state=stored.state.value,
        channels=[one.uuid for one in channels if one.budget_id == stored.row.id],
        created_at=stored.row.created_at,
        **{name: value for name, value in stored.agreed.as_asked().items() if name not in {"allocations", "spike"}},
        allocations=[
            AllocationIn(by=by, name=name, amount=money_text(amount))
            for (by, name), amount in stored.agreed.allocations.items()
        ],
        spike=None
        if stored.agreed.spike is None
        else SpikeIn(percent=stored.agreed.spike.percent, least=money_text(stored.agreed.spike.least)),
    )


def status_out(
    stored: Stored, standing: Standing | None, known: Sequence[Told], *, stops: bool, now: datetime
) -> StatusOut:
    """`known`: what was told of that period."""
    agreed = stored.agreed
    found = StatusOut(
        id=stored.row.uuid,
        name=agreed.name,
        state=stored.state.value,
        currency=agreed.currency,
        as_of=now,
        period=None,
        amount=told(agreed.amount),
        spent=None,
        left=None,
        percent=None,
        n_calls=0,
        n_unpriced=0,
        other_currencies={},
        burn_per_day=None,
        gone_on=None,
        foreseen=None,
        stops=stops,
        days=[],
        thresholds=[],
        allocations=[],
        unallocated=None if agreed.amount is None else money_text(agreed.amount - sum(agreed.allocations.values())),
        told=[],
    )
    if standing is None:
        return found
    seen, cost, terms = standing.seen, standing.cost, standing.terms
    at = {one.mark: one.at for one in known if one.rearmed_at is None}
    found.period = period_out(standing.period, stored)
    found.amount = told(terms.amount)
    found.spent, found.left = money_text(seen.spent), _left(terms.amount, seen.spent)
    found.percent = _percent(terms.amount, seen.spent)
    found.n_calls, found.n_unpriced = cost.n_calls, cost.n_unpriced
    found.other_currencies = {name: money_text(much) for name, much in cost.others.items()}
    found.burn_per_day = None if standing.burnt is None else money_text(standing.burnt)
    found.gone_on = _iso(standing.gone_on)
    if standing.foreseen is not None:
        low, likely, high = standing.foreseen
        found.foreseen = ForeseenOut(low=money_text(low), likely=money_text(likely), high=money_text(high))
    found.days = [DaySpentOut(day.isoformat(), money_text(much)) for day, much in standing.days]
    found.thresholds = [
        ThresholdOut(
            percent=percent,
            reached=terms.amount is not None and is_reached(seen.spent, terms.amount, percent),
            told_at=at.get(Mark(Kind.THRESHOLD, str(percent))),
        )
        for percent in terms.thresholds
    ]
    for (by, name), amount in agreed.allocations.items():
        used = standing.by_part.get(allocation_key(by, name), 0)
        found.allocations.append(
            AllocationStatusOut(
                by=by,
                name=name,
                amount=money_text(amount),
                spent=money_text(used),
                left=money_text(amount - used),
                percent=words.percent_of(used, amount),
            )
        )
    found.told = [told_out(one, is_so=holds(one.mark, terms, seen)) for one in known]
    return found


def history_out(past: Past) -> HistoryItemOut:
    return HistoryItemOut(
        first_day=past.period.first.isoformat(),
        last_day=_iso(past.period.last),
        amount=told(past.amount),
        spent=money_text(past.cost.spent),
        percent=_percent(past.amount, past.cost.spent),
        n_unpriced=past.cost.n_unpriced,
        told=[told_out(one, is_so=past.holds(one)) for one in past.told],
    )


def sum_out(one: Sum) -> SumOut:
    return SumOut(
        currency=one.currency,
        n_budgets=one.n_budgets,
        n_unlimited=one.n_unlimited,
        amount=money_text(one.amount),
        n_allocations=one.n_allocations,
        allocated=money_text(one.allocated),
        spent=money_text(one.spent),
        left=money_text(one.left),
    )


def told_out(one: Told, *, is_so: bool | None) -> ToldOut:
    return ToldOut(
        kind=one.mark.kind.value,
        what=one.mark.what,
        words=words.title(one.mark),
        at=one.at,
        spent=money_text(one.spent),
        amount=told(one.amount),
        rearmed_at=one.rearmed_at,
        holds=is_so,
    )


def period_out(period: Period, stored: Stored) -> PeriodOut:
    return PeriodOut(
        first_day=period.first.isoformat(),
        last_day=_iso(period.last),
        from_=period.from_at(stored.zone),
        to=period.to_at(stored.zone),
    )


def _left(whole: Money | None, spent: Money) -> str | None:
    return None if whole is None else money_text(whole - spent)


def _percent(whole: Money | None, spent: Money) -> int | None:
    return None if whole is None else words.percent_of(spent, whole)


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
