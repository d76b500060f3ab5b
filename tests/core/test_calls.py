"""Which cube tells calls apart, and that what they come to adds up in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from heartfly.core.amounts import ONE
from heartfly.core.calls import (
    GIVEN,
    PRICED,
    UNITS,
    UNPRICED,
    CallFigures,
    Cube,
    Dimension,
    amount_text,
    cube_for,
    measure,
)
from heartfly.core.money import money

D = Dimension
T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "cube"),
    [
        ((), Cube.TOTAL),
        ((D.STATUS,), Cube.TOTAL),
        ((D.PROVIDER,), Cube.PRODUCT),
        ((D.MODEL, D.STATUS), Cube.PRODUCT),
        ((D.ENDPOINT,), Cube.ENDPOINT),
        ((D.PROVIDER, D.ENDPOINT, D.STATUS), Cube.ENDPOINT),
        ((D.CUSTOMER,), Cube.CUSTOMER),
        ((D.CUSTOMER, D.MODEL), Cube.CUSTOMER_PRODUCT),
        ((D.USER,), Cube.USER),
        ((D.USER, D.PROVIDER, D.MODEL), Cube.USER_PRODUCT),
        ((D.KEY,), Cube.KEY),
        ((D.TAG, D.PROVIDER), Cube.TAG_PRODUCT),
        ((D.CUSTOMER, D.STATUS), None),
        ((D.CUSTOMER, D.USER), None),
        ((D.TAG, D.ENDPOINT), None),
    ],
)
def test_the_smallest_cube_that_tells_them_apart_is_asked_and_else_the_events(
    asked: tuple[Dimension, ...], cube: Cube | None
) -> None:
    assert {cube} == {cube_for(some) for some in permutations(asked)}


@pytest.mark.parametrize(
    ("of", "amount", "text"),
    [
        (UNITS, 3 * ONE // 2, "1.5"),
        (UNPRICED, 7, "7"),
        (PRICED, money("0.000001"), "0.000001"),
        (GIVEN, money("2"), "2"),
    ],
)
def test_each_measure_has_one_spelling(of: str, amount: int, text: str) -> None:
    assert text == amount_text(of, amount)


def some(n: int, *, at: datetime | None, **amounts: int) -> CallFigures:
    made = CallFigures(n=n, n_errors=1, n_unpriced=n - 1, n_odd=2)
    made.add([measure(of, "tokens" if of in {UNITS, UNPRICED} else "USD") for of in amounts], [*amounts.values()])
    made.note(at, None if at is None else at + timedelta(minutes=1))
    return made


def test_whatever_comes_first_all_is_added_up() -> None:
    def parts() -> list[CallFigures]:
        return [
            some(3, at=T0, u=5, c=7, g=1),
            some(2, at=T0 - timedelta(hours=1), u=6, x=4),
            some(1, at=None, c=2),
            some(4, at=T0 - timedelta(minutes=30), g=8),
        ]

    for order in permutations(range(4)):
        whole, each = CallFigures(), parts()
        for n in order:
            whole.merge(each[n])

        assert (10, 4, 6, 8) == (whole.n, whole.n_errors, whole.n_unpriced, whole.n_odd)
        assert ({"tokens": 11}, {"tokens": 4}) == (whole.units, whole.unpriced)
        assert ({"USD": 9}, {"USD": 9}) == (whole.priced, whole.given)
        assert (T0 - timedelta(hours=1), T0 + timedelta(minutes=1)) == (whole.first_unpriced, whole.last_unpriced)


def test_what_it_cost_is_what_was_priced_and_what_was_told_by_currency() -> None:
    figures = CallFigures(priced={"USD": 5, "EUR": 1}, given={"USD": 2, "CHF": 4})

    assert [("CHF", 4), ("EUR", 1), ("USD", 7)] == list(figures.cost.items())
    assert {"USD": 5, "EUR": 1} == figures.priced
