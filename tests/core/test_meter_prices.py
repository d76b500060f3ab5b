"""Which price a figure of a meter is charged by: the one that says most about its group, at its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from heartfly.core.meter_prices import MeterPrice, pieces, price_for
from heartfly.core.prices import ALWAYS
from heartfly.core.windows import Window

AT = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEYS = ("region", "plan")


def a_price(
    number: int, *, to_at: datetime | None = None, from_at: datetime = ALWAYS, **only: str | None
) -> MeterPrice:
    return MeterPrice(id=number, only=only, from_at=from_at, to_at=to_at, amount=number, currency="USD")


PRICES = [
    a_price(1),
    a_price(2, region="eu"),
    a_price(3, plan="pro"),
    a_price(4, region="us", plan="pro"),
    a_price(5, region=None),
]


@pytest.mark.parametrize(
    ("region", "plan", "number"),
    [
        ("asia", "free", 1),
        ("eu", "free", 2),
        ("asia", "pro", 3),
        ("eu", "pro", 2),  # as the meter's first key tells more
        ("us", "pro", 4),
        (None, "free", 5),
    ],
)
def test_the_one_that_says_most_about_the_group_counts(region: str | None, plan: str, number: int) -> None:
    found = price_for(reversed(PRICES), KEYS, {"region": region, "plan": plan}, AT)

    assert found is not None
    assert number == found.id


def test_it_must_be_in_force() -> None:
    prices = [a_price(1, to_at=AT), a_price(2, from_at=AT, to_at=AT + DAY)]

    found = [price_for(prices, KEYS, {}, at) for at in (AT - DAY, AT, AT + DAY)]
    assert [1, 2, None] == [None if one is None else one.id for one in found]


def test_what_names_a_key_is_no_price_of_a_group_without_it() -> None:
    assert None is price_for([a_price(1, region="eu")], KEYS, {}, AT)
    assert None is price_for([a_price(1, region="eu")], KEYS, {"region": "us"}, AT)


def test_a_time_is_parted_where_a_price_begins_or_ends() -> None:
    whole = Window(AT, AT + 9 * DAY)
    prices = [
        a_price(1, to_at=AT + DAY),
        a_price(2, from_at=AT + DAY),
        a_price(3, from_at=AT - DAY, to_at=AT + 5 * DAY),
    ]

    assert [(0, 1), (1, 5), (5, 9)] == [
        ((one.from_at - AT) // DAY, (one.to_at - AT) // DAY) for one in pieces(prices, whole)
    ]
    assert [whole] == list(pieces([], whole))
