"""Which limits hold for a call, how much it takes of each, and which window of the calendar an instant is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from heartfly.core.amounts import ONE
from heartfly.core.limits.rules import (
    LONGEST_US,
    Kind,
    Limit,
    Span,
    bounds,
    holding,
    usable,
    wanted,
)
from heartfly.core.limits.scope import Call, scope_of
from heartfly.errors import InvalidValueError

HOUR_US = 3_600_000_000


def limit(number: int, scope: Mapping[str, str], **rest: object) -> Limit:
    made = Limit(
        id=number, scope=scope_of(scope), unit="requests", kind=Kind.ROLLING, amount=10 * ONE, period_us=HOUR_US
    )
    return replace(made, **rest)  # type: ignore[arg-type]


def held(limits: list[Limit], call: Call) -> list[int]:
    return [one.limit.id for one in holding(limits, call)]


def test_the_most_special_of_one_unit_and_window_holds_and_the_general_one_for_everybody_else() -> None:
    limits = [limit(1, {}), limit(2, {"customer": "each"}), limit(3, {"customer": "acme"})]

    assert [3] == held(limits, Call(customer="acme"))
    assert [2] == held(limits, Call(customer="other"))
    assert [1] == held(limits, Call())


def test_limits_of_other_units_kinds_and_windows_hold_beside_one_another() -> None:
    limits = [
        limit(1, {}),
        limit(2, {"customer": "acme"}, unit="tokens"),
        limit(3, {"customer": "acme"}, period_us=24 * HOUR_US),
        limit(4, {"customer": "acme"}, kind=Kind.RATE, burst=ONE),
        limit(5, {"customer": "acme"}, kind=Kind.CALENDAR, period_us=0, span=Span.DAY),
    ]

    assert [1, 2, 3, 4, 5] == held(limits, Call(customer="acme"))


def test_limits_by_provider_model_key_customer_user_and_tag_all_hold_where_neither_is_more_special() -> None:
    scopes = [{"provider": "openai"}, {"model": "gpt-5"}, {"key": "each"}, {"customer": "each"}, {"user": "ann"}]
    limits = [limit(n, scope) for n, scope in enumerate([*scopes, {"tag": "each"}])]

    assert [0, 1, 2, 3, 4, 5, 5] == held(limits, Call("openai", "gpt-5", "k", "acme", "ann", ("a", "b")))


def test_one_that_always_holds_is_not_replaced() -> None:
    limits = [limit(1, {}, always=True), limit(2, {"customer": "acme"})]

    assert [1, 2] == held(limits, Call(customer="acme"))


def test_a_call_is_a_request_and_takes_of_other_units_what_it_says() -> None:
    units = {"input_tokens": 7 * ONE, "output_tokens": 2 * ONE, "cost:USD": ONE, "images": 3 * ONE}

    assert (ONE, 9 * ONE, 7 * ONE, ONE, 3 * ONE) == tuple(
        wanted(limit(1, {}, unit=unit), units) for unit in ("requests", "tokens", "input_tokens", "cost:USD", "images")
    )
    assert 5 * ONE == wanted(limit(1, {}), {"requests": 5 * ONE})
    assert 4 * ONE == wanted(limit(1, {}, unit="tokens"), {"tokens": 4 * ONE, "input_tokens": ONE})


def test_of_cost_and_tokens_that_nobody_knows_yet_it_takes_nothing_and_of_other_units_it_is_none() -> None:
    assert (0, 0, 0, None) == tuple(
        wanted(limit(1, {}, unit=unit), {}) for unit in ("tokens", "output_tokens", "cost:EUR", "images")
    )


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"unit": "Requests"}, "unit"),
        ({"unit": "cost:usd"}, "unit"),
        ({"amount": -1}, "amount"),
        ({"approaching": 0}, "approaching"),
        ({"approaching": 101}, "approaching"),
        ({"period_us": 999_999}, "period_s"),
        ({"period_us": LONGEST_US + 1}, "period_s"),
        ({"kind": Kind.RATE, "amount": 0, "burst": ONE}, "amount"),
        ({"kind": Kind.RATE}, "burst"),
        ({"kind": Kind.CALENDAR}, "window"),
        ({"kind": Kind.BETWEEN, "to_at": datetime(2026, 1, 1, tzinfo=UTC)}, "from_at"),
        ({"kind": Kind.BETWEEN, "from_at": datetime(2026, 1, 1, tzinfo=UTC)}, "from_at"),
        (
            {
                "kind": Kind.BETWEEN,
                "from_at": datetime(2026, 1, 1, tzinfo=UTC),
                "to_at": datetime(2026, 1, 1, tzinfo=UTC),
            },
            "to_at",
        ),
    ],
)
def test_what_is_no_limit_is_named_by_its_field(wrong: Mapping[str, object], field: str) -> None:
    with pytest.raises(InvalidValueError) as told:
        usable(limit(1, {}, **wrong))

    assert field == told.value.field


def test_what_is_a_limit_stays_as_it_is() -> None:
    for one in (
        limit(1, {}),
        limit(1, {}, amount=0),
        limit(1, {}, kind=Kind.RATE, burst=ONE),
        limit(1, {}, kind=Kind.CALENDAR, span=Span.DAY),
        limit(
            1, {}, kind=Kind.BETWEEN, from_at=datetime(2026, 1, 1, tzinfo=UTC), to_at=datetime(2026, 2, 1, tzinfo=UTC)
        ),
    ):
        assert one == usable(one)


def window(span: Span, at: datetime, zone: str) -> tuple[datetime, datetime]:
    made = limit(1, {}, kind=Kind.CALENDAR, span=span, zone=zone)
    from_at, to_at = bounds(made, at)
    place = ZoneInfo(zone)
    return from_at.astimezone(place).replace(tzinfo=None), to_at.astimezone(place).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("span", "from_at", "to_at"),
    [
        (Span.HOUR, datetime(2026, 11, 29, 23), datetime(2026, 11, 30, 0)),
        (Span.DAY, datetime(2026, 11, 29), datetime(2026, 11, 30)),
        (Span.WEEK, datetime(2026, 11, 23), datetime(2026, 11, 30)),
        (Span.MONTH, datetime(2026, 11, 1), datetime(2026, 12, 1)),
        (Span.QUARTER, datetime(2026, 10, 1), datetime(2027, 1, 1)),
        (Span.YEAR, datetime(2026, 1, 1), datetime(2027, 1, 1)),
    ],
)
def test_windows_of_the_calendar_are_those_of_the_zone(span: Span, from_at: datetime, to_at: datetime) -> None:
    at = datetime(2026, 11, 29, 22, 30, tzinfo=UTC)  # 23:30 in Berlin, a Sunday

    assert (from_at, to_at) == window(span, at, "Europe/Berlin")


@pytest.mark.parametrize(("day", "hours"), [(datetime(2026, 3, 29), 23), (datetime(2026, 10, 25), 25)])
def test_a_day_of_a_clock_change_has_its_own_length(day: datetime, hours: int) -> None:
    noon = day.replace(hour=12, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)

    from_at, to_at = bounds(limit(1, {}, kind=Kind.CALENDAR, span=Span.DAY, zone="Europe/Berlin"), noon)

    assert hours * 3600 == (to_at - from_at).total_seconds()


def test_what_holds_once_has_its_own_bounds() -> None:
    from_at, to_at = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)

    assert (from_at, to_at) == bounds(limit(1, {}, kind=Kind.BETWEEN, from_at=from_at, to_at=to_at), to_at)
