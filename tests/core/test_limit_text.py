"""Limits as a line of text, as gateways write them, and in words for people."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from heartfly.core.amounts import ONE
from heartfly.core.limits.rules import Kind, Limit, Span
from heartfly.core.limits.scope import scope_of
from heartfly.core.limits.text import Policy, policy
from heartfly.core.limits.words import amount_words, described
from heartfly.errors import InvalidValueError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000;w=3600", Policy(1000 * ONE, 3600, "requests", {})),
        ("1000;w=3600;u=request;s=user", Policy(1000 * ONE, 3600, "requests", {"user": "each"})),
        (" 250 ; w=86400 ; u=cents ", Policy(5 * ONE // 2, 86400, "cost:USD", {})),
        ("1;w=60;u=cents", Policy(ONE // 100, 60, "cost:USD", {})),
        ("50000;w=60;u=token;s=model", Policy(50_000 * ONE, 60, "tokens", {"model": "each"})),
        ("7;s=tag;w=60;u=images", Policy(7 * ONE, 60, "images", {"tag": "each"})),
    ],
)
def test_a_policy_is_read(text: str, expected: Policy) -> None:
    assert expected == policy(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "w=60",
        "10",
        "-1;w=60",
        "10;w=",
        "10;w=1e3",
        "10;w=60;w=61",
        "10;w=60;x=1",
        "10;w=60;s=planet",
        "10;w=60;u",
        "1e3;w=60",
        "10;w=-60",
        "10;w=1234567890",
    ],
)
def test_what_is_no_policy_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InvalidValueError) as told:
        policy(text)

    assert "policy" == told.value.field


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (
            Limit(
                id=1, scope=scope_of({"customer": "each", "provider": "openai"}), unit="requests", kind=Kind.ROLLING,
                amount=1000 * ONE, period_us=3_600_000_000,
            ),
            "1,000 requests in any hour for each customer, provider openai",
        ),
        (
            Limit(id=1, scope=(), unit="cost:USD", kind=Kind.CALENDAR, amount=5 * ONE // 2, span=Span.MONTH),
            "2.50 USD each month",
        ),
        (
            Limit(
                id=1, scope=(), unit="input_tokens", kind=Kind.RATE, amount=60 * ONE, period_us=90_000_000,
                burst=10 * ONE,
            ),
            "60 input tokens per 90 seconds, at most 10 at once",
        ),
        (
            Limit(id=1, scope=(), unit="tokens", kind=Kind.RATE, amount=ONE, period_us=86_400_000_000, burst=ONE),
            "1 token per day",
        ),
        (
            Limit(
                id=1, scope=(), unit="requests", kind=Kind.BETWEEN, amount=ONE,
                from_at=datetime(2026, 1, 1, tzinfo=UTC), to_at=datetime(2026, 2, 1, tzinfo=UTC),
            ),
            "1 request from 2026-01-01 to 2026-02-01",
        ),
        (
            Limit(
                id=1, scope=(), unit="cost:EUR", kind=Kind.BETWEEN, amount=10 * ONE,
                from_at=datetime(2025, 12, 31, 23, tzinfo=UTC), to_at=datetime(2026, 12, 31, 23, tzinfo=UTC),
            ),
            "10.00 EUR from 2025-12-31 23:00 to 2026-12-31 23:00 UTC",
        ),
    ],
)  # fmt: skip
def test_a_limit_says_what_it_is(limit: Limit, expected: str) -> None:
    assert expected == described(limit)


def test_an_odd_period_is_told_in_seconds() -> None:
    limit = Limit(id=1, scope=(), unit="requests", kind=Kind.ROLLING, amount=ONE, period_us=1_500_000)

    assert "1 request in any second" == described(limit)


def test_how_much_of_a_limit_is_used_is_told_with_its_currency() -> None:
    assert ["12.55 USD", "0.277 EUR", "1,234.5"] == [
        amount_words(12_545_103 * ONE // 10**6, "cost:USD"),
        amount_words(2773 * ONE // 10**4, "cost:EUR"),
        amount_words(12345 * ONE // 10, "requests"),
    ]
