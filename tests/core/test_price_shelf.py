"""What a change makes of prices: no two of a key ever hold at once, and its span is that in which something differs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.price_shelf import Add, End, Held, Remove, Reprice, Shelf
from heartfly.core.prices import ALWAYS, Price
from heartfly.errors import InvalidValueError, NotFoundError

NOW = datetime(2026, 11, 10, tzinfo=UTC)
DAY = timedelta(days=1)


def price(amount: int, from_day: int | None = None, to_day: int | None = None, *, unit: str = "requests") -> Price:
    """Days are counted from NOW; None: always."""
    return Price(
        provider="openai",
        product="gpt",
        unit=unit,
        amount=amount,
        currency="USD",
        from_at=ALWAYS if from_day is None else NOW + from_day * DAY,
        to_at=None if to_day is None else NOW + to_day * DAY,
    )


def shelf(*prices: Price) -> Shelf:
    return Shelf([Held(n, one, "hand") for n, one in enumerate(prices, 1)])


def spans(of: Shelf) -> list[tuple[int, int | None, int | None]]:
    def day(at: datetime | None) -> int | None:
        return None if at is None or at == ALWAYS else (at - NOW) // DAY

    found = sorted(of.prices(), key=lambda one: one.from_at)
    return [(one.amount, day(one.from_at), day(one.to_at)) for one in found]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [(price(2, 1, 3), "from_at"), (price(2), "to_at"), (price(2, -9, 1), "to_at"), (price(2, 0, 9), "from_at")],
)
def test_a_price_is_not_added_where_one_holds(wanted: Price, field: str) -> None:
    with pytest.raises(InvalidValueError, match="overlaps") as refused:
        shelf(price(1, 0, 5)).add(wanted, "hand")

    assert field == refused.value.field


def test_prices_that_follow_one_another_do_not_overlap() -> None:
    here = shelf(price(1, 0, 5))
    here.add(price(2, 5), "hand")
    here.add(price(3, None, 0), "hand")
    here.add(price(9, 2, unit="pages"), "hand")

    assert [(3, None, 0), (1, 0, 5), (9, 2, None), (2, 5, None)] == spans(here)


def test_another_amount_from_an_instant_on_is_a_price_of_its_own() -> None:
    here = shelf(price(1, 0, 9))
    here.apply(Reprice(1, amount=2, from_at=NOW + 3 * DAY), "hand", NOW + 5 * DAY)

    plan = here.plan()
    assert [(1, 0, 3), (2, 3, 9)] == spans(here)
    assert (1, 1, 0) == (len(plan.added), len(plan.changed), len(plan.gone))
    assert (NOW + 3 * DAY, NOW + 9 * DAY) == (plan.from_at, plan.to_at)


def test_of_a_price_in_force_an_instant_must_be_said() -> None:
    with pytest.raises(InvalidValueError) as refused:
        shelf(price(1, 0)).apply(Reprice(1, amount=2), "hand", NOW)
    assert "from_at" == refused.value.field

    ahead = shelf(price(1, 1))
    ahead.apply(Reprice(1, amount=2), "hand", NOW)
    assert [(2, 1, None)] == spans(ahead)
    assert [1] == [one.id for one in ahead.plan().changed]


@pytest.mark.parametrize("day", [-1, 5, 6])
def test_an_instant_outside_of_its_time_is_refused(day: int) -> None:
    with pytest.raises(InvalidValueError) as refused:
        shelf(price(1, 0, 5)).apply(Reprice(1, amount=2, from_at=NOW + day * DAY), "hand", NOW)

    assert "from_at" == refused.value.field


def test_a_price_is_ended_and_goes_on() -> None:
    here = shelf(price(1, 0), price(2, None, -5))
    here.apply(End(1, NOW + 2 * DAY), "hand", NOW)
    assert [(2, None, -5), (1, 0, 2)] == spans(here)
    assert (NOW + 2 * DAY, None) == (here.plan().from_at, here.plan().to_at)

    with pytest.raises(InvalidValueError, match="reaches into"):
        here.apply(End(2, None), "hand", NOW)
    with pytest.raises(InvalidValueError, match="must be after"):
        here.apply(End(1, NOW), "hand", NOW)


def test_one_that_is_removed_leaves_its_time_without_a_price() -> None:
    here = shelf(price(1, 0, 5))
    here.apply(Remove(1), "hand", NOW)

    assert [] == spans(here)
    assert (NOW, NOW + 5 * DAY) == (here.plan().from_at, here.plan().to_at)
    with pytest.raises(NotFoundError):
        here.apply(Remove(2), "hand", NOW)


def test_what_is_laid_over_others_ends_them_and_they_go_on_behind() -> None:
    here = shelf(price(1), price(7, unit="pages"))

    assert here.lay(price(2, 0, 5), "csv")
    assert [(1, None, 0), (7, None, None), (2, 0, 5), (1, 5, None)] == spans(here)
    assert not here.lay(price(2, 1, 4), "csv")
    assert here.lay(price(3, -1, 6), "csv")
    assert [(1, None, -1), (7, None, None), (3, -1, 6), (1, 6, None)] == spans(here)


def test_nothing_is_planned_where_nothing_changes() -> None:
    here = shelf(price(1, 0))
    here.lay(price(1, 3), "csv")
    here.apply(End(1, None), "hand", NOW)

    assert not here.plan()


def test_an_addition_tells_in_its_own_span() -> None:
    here = shelf(price(1, 0, 5))
    here.apply(Add(price(2, 5, 6)), "hand", NOW)

    assert (NOW + 5 * DAY, NOW + 6 * DAY) == (here.plan().from_at, here.plan().to_at)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(1, 8) | st.none()), min_size=1, max_size=8)
)
def test_whatever_is_laid_holds_in_its_span_and_nothing_overlaps(laid: list[tuple[int, int, int | None]]) -> None:
    here, expected = shelf(price(9, 2, 20)), dict.fromkeys(range(2, 20), 9)
    for amount, start, length in laid:
        here.lay(price(amount, start, None if length is None else start + length), "csv")
        expected |= dict.fromkeys(range(start, 40 if length is None else start + length), amount)

    for day in range(40):
        at = NOW + day * DAY
        holding = [one.amount for one in here.prices() if one.at(at)]
        assert ([expected[day]] if day in expected else []) == holding
    plan = here.plan()
    kept = {one.id for one in (*plan.changed, *plan.gone)}
    assert len(plan.added) == len({one.price.from_at for one in plan.added})
    assert kept <= {1}
