"""Rules as they are written: what is wrong is named by its field, what is right comes back as it was meant."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from heartfly.core.alert_rules import Against, Condition, Family, Match, Metric, Op, Rule
from heartfly.core.amounts import ONE
from heartfly.core.rule_definitions import definition_of, rule_from
from heartfly.core.rule_words import (
    condition_words,
    figure_words,
    scope_words,
    seen_words,
    threshold_words,
    too_few_words,
    what_words,
)
from heartfly.errors import InvalidValueError

BASE: dict[str, Any] = {"of": "calls", "metric": "error_rate", "window": 3600, "threshold": "10"}


def one(**changes: Any) -> dict[str, Any]:
    return {"conditions": [{name: value for name, value in (BASE | changes).items() if value is not ...}]}


def test_a_rule_is_what_was_written() -> None:
    told = rule_from(
        {
            "match": "any",
            "by": ["provider"],
            "for": 120,
            "cooldown": 3600,
            "conditions": [
                BASE | {"least": 20, "clear": "8.5", "where": {"provider": ["openai", "azure"], "tag": "prod"}},
                BASE | {"metric": "latency", "percentile": "99.9", "op": ">="},
            ],
        }
    )
    assert (
        Rule(
            match=Match.ANY,
            by=("provider",),
            wait=timedelta(minutes=2),
            cooldown=timedelta(hours=1),
            conditions=(
                Condition(
                    of=Family.CALLS,
                    metric=Metric.ERROR_RATE,
                    window=timedelta(hours=1),
                    threshold=10 * ONE,
                    least=20,
                    clear=85 * ONE // 10,
                    where=(("provider", ("azure", "openai")), ("tag", ("prod",))),
                ),
                Condition(
                    of=Family.CALLS,
                    metric=Metric.LATENCY,
                    window=timedelta(hours=1),
                    threshold=10 * ONE,
                    op=Op.AT_LEAST,
                    percent=999 * ONE // 10,
                ),
            ),
        )
        == told
    )


@pytest.mark.parametrize(
    "written",
    [
        one(),
        one(against="before", windows_before=23, threshold="2", least=101),
        one(metric="cost", name="USD", against="burn", window=86400, threshold="1.5"),
        one(metric="units", name="input_tokens", op="<="),
        one(metric="requests", against="absence", threshold=...),
        one(metric="latency"),
        one(of="meter", metric="value", name="3f0c"),
        one(of="limits", metric="use", name="rate"),
        one(clear=5, op=">"),
        one(of="meter", metric="value", name="3f0c", where={"region": "eu"}) | {"by": ["region"]},
    ],
)
def test_what_is_written_again_means_the_same(written: dict[str, Any]) -> None:
    assert rule_from(written) == rule_from(definition_of(rule_from(written)))


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("conditions", {}),
        ("conditions", {"conditions": []}),
        ("conditions", {"conditions": [BASE] * 6}),
        ("conditions", {"conditions": "no"}),
        ("conditions[0]", {"conditions": ["no"]}),
        ("colour", one() | {"colour": "red"}),
        ("conditions[0].colour", one(colour="red")),
        ("match", one() | {"match": "some"}),
        ("for", one() | {"for": -1}),
        ("cooldown", one() | {"cooldown": 1.5}),
        ("cooldown", one() | {"cooldown": True}),
        ("conditions[0].of", one(of="weather")),
        ("conditions[0].metric", one(metric="colour")),
        ("conditions[0].metric", one(of="requests", metric="cost")),
        ("conditions[0].window", one(window=...)),
        ("conditions[0].window", one(window=59)),
        ("conditions[0].threshold", one(threshold=...)),
        ("conditions[0].threshold", one(threshold="ten")),
        ("conditions[0].threshold", one(threshold=1.5)),
        ("conditions[0].threshold", one(threshold=True)),
        ("conditions[0].threshold", one(against="before", windows_before=2, threshold="0")),
        ("conditions[0].op", one(op="=")),
        ("conditions[0].against", one(against="yesterday")),
        ("conditions[0].against", one(metric="consecutive_errors", against="before", windows_before=2)),
        ("conditions[0].window", one(metric="cost", name="USD", against="burn")),
        ("conditions[0].windows_before", one(windows_before=2)),
        ("conditions[0].windows_before", one(against="before")),
        ("conditions[0].windows_before", one(against="before", windows_before=745)),
        ("conditions[0].least", one(least=-1)),
        ("conditions[0].least", one(of="limits", metric="use", least=3)),
        ("conditions[0].clear", one(clear="11")),
        ("conditions[0].clear", one(clear="9", op="<")),
        ("conditions[0].clear", one(clear="1", metric="requests", against="absence")),
        ("conditions[0].name", one(name=7)),
        ("conditions[0].name", one(name="x")),
        ("conditions[0].name", one(metric="cost")),
        ("conditions[0].name", one(metric="cost", name="US\nD")),
        ("conditions[0].percentile", one(percentile="95")),
        ("conditions[0].percentile", one(metric="latency", percentile="101")),
        ("conditions[0].name", one(of="limits", metric="use", name="speed")),
        ("conditions[0].where", one(where=["provider"])),
        ("conditions[0].where", one(where={"colour": "red"})),
        ("conditions[0].where.provider", one(where={"provider": []})),
        ("conditions[0].where.provider", one(where={"provider": [7]})),
        ("by", one() | {"by": "provider"}),
        ("by", one() | {"by": ["provider", "provider"]}),
        ("by", one() | {"by": ["colour"]}),
        ("by", one(of="dead_letters", metric="count") | {"by": ["provider"]}),
        ("by", one(of="meter", metric="value", name="x") | {"by": [""]}),
        ("by", one(of="requests") | {"by": ["endpoint", "customer"]}),
    ],
)
def test_what_is_wrong_is_named(field: str, written: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError) as raised:
        rule_from(written)
    assert field == raised.value.field


def test_a_rule_of_requests_may_be_by_one_thing_and_of_another() -> None:
    written = one(of="requests", where={"customer": "c-1"}) | {"by": ["endpoint"]}
    assert rule_from(written).by == ("endpoint",)


def words(**changes: Any) -> str:
    return condition_words(rule_from(one(**changes)).conditions[0])


def test_conditions_in_words() -> None:
    assert [
        "error rate of calls in 1 h more than 10 %, with at least 20 calls",
        "calls in 1 h more than 2 × the mean of the 23 windows before, with at least 101 calls",
        "calls in 1 h more than 2 × the mean of the window before",
        "cost of calls in 1 d more than 1.5 × the mean day of the last 30",
        "input tokens of calls in 1 h less than 10, provider azure or openai",
        "no requests in 1 h, where some came before",
        "p99 latency of requests in 1 h more than 10 ms, until 8 ms",
        "rate limit use more than 10 %",
        "budget use more than 10 %",
        "dead letters in 1 h at least 10",
        "value in 1 h at most 10",
        "errors in a row of calls in 1 h more than 10",
        "calls without a price in 1 h more than 10",
    ] == [
        words(least=20),
        words(metric="requests", against="before", windows_before=23, threshold=2, least=101),
        words(metric="requests", against="before", windows_before=1, threshold=2),
        words(metric="cost", name="USD", against="burn", window=86400, threshold="1.5"),
        words(metric="units", name="input_tokens", op="<", where={"provider": ["openai", "azure"]}),
        words(of="requests", metric="requests", against="absence"),
        words(of="requests", metric="latency", percentile="99", clear="8"),
        words(of="limits", metric="use", name="rate"),
        words(of="budgets", metric="use"),
        words(of="dead_letters", metric="count", op=">="),
        words(of="meter", metric="value", name="m", op="<="),
        words(metric="consecutive_errors"),
        words(metric="unpriced"),
    ]


def condition(**changes: Any) -> Condition:
    return rule_from(one(**changes)).conditions[0]


def test_figures_have_their_units_and_are_rounded_while_thresholds_are_not() -> None:
    cost = condition(metric="cost", name="USD", threshold="12345.5")
    assert ["0.333 USD", "401.20 USD", "1,234.57 USD", "not known"] == [
        figure_words(cost, value) for value in (Fraction(1, 3), Fraction(4012, 10), Fraction(1234567, 1000), None)
    ]
    assert "more than 12,345.50 USD" == threshold_words(cost)
    assert "cost of calls" == what_words(cost)
    assert Against.NUMBER is cost.against
    slow = condition(metric="latency", percentile="95", threshold="1200")
    assert ["more than 1,200 ms", "1,235 ms", "12.3 ms", "0 ms"] == [
        threshold_words(slow),
        *(figure_words(slow, value) for value in (Fraction(123_459, 100), Fraction(1234, 100), Fraction(1, 1_000))),
    ]
    assert ["more than 10.04 %", "33.3 %"] == [
        threshold_words(condition(threshold="10.04")),
        figure_words(condition(), Fraction(100, 3)),
    ]


def test_what_is_compared_with_the_past_says_what_that_comes_to() -> None:
    more = condition(metric="requests", against="before", windows_before=23, threshold=2)
    assert "more than 46, 2 × the mean of the 23 windows before" == threshold_words(more, Fraction(46))
    burn = condition(metric="cost", name="USD", against="burn", window=86400, threshold="1.5")
    assert "more than 15.00 USD, 1.5 × the mean day of the last 30" == threshold_words(burn, Fraction(15))
    assert "something came before" == threshold_words(condition(of="requests", metric="requests", against="absence"))


def test_an_end_for_want_of_anything_to_judge_by_says_so() -> None:
    of_calls, of_events = condition(metric="error_rate"), condition(of="meter", metric="value", name="m")
    assert ["no calls", "of 1 call, too few to judge by", "of 3 events, too few to judge by"] == [
        too_few_words(of_calls, 0),
        too_few_words(of_calls, 1),
        too_few_words(of_events, 3),
    ]


def test_what_was_seen_in_a_line() -> None:
    rate = condition(metric="error_rate")
    assert [
        "Error rate of calls in 1 h: 20 %, of 50 calls",
        "Error rate of calls in 1 h: 100 %, of 1 call",
        "P99 latency of requests in 1 h: 12 ms, of 1,210 requests",
        "Calls without a price in 1 h: 5, of 30 calls",
        "Calls in 1 h: 180",
        "Rate limit use: 100 %",
    ] == [
        seen_words(rate, Fraction(20), 50),
        seen_words(rate, Fraction(100), 1),
        seen_words(condition(of="requests", metric="latency", percentile="99"), Fraction(12), 1210),
        seen_words(condition(metric="unpriced"), Fraction(5), 30),
        seen_words(condition(metric="requests"), Fraction(180), 180),
        seen_words(condition(of="limits", metric="use", name="rate"), Fraction(100), 1),
    ]


def test_scopes_in_words() -> None:
    assert "provider openai, tag (none)" == scope_words(["provider", "tag"], ["openai", ""])
    assert "" == scope_words([], [])
