"""Alert rules, their figures and scopes in words, for people. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from heartfly.core.alert_rules import BURN_DAYS, IN_PERCENT, Against, Condition, Family, Metric, Op
from heartfly.core.amounts import ONE, text_of
from heartfly.core.spans import span

_METRIC_WORDS = {
    Metric.COST: "cost",
    Metric.REQUESTS: "requests",
    Metric.ERRORS: "errors",
    Metric.ERROR_RATE: "error rate",
    Metric.CONSECUTIVE_ERRORS: "errors in a row",
    Metric.UNPRICED: "calls without a price",
    Metric.VALUE: "value",
    Metric.COUNT: "dead letters",
}
_OP_WORDS = {Op.ABOVE: "more than", Op.AT_LEAST: "at least", Op.BELOW: "less than", Op.AT_MOST: "at most"}
_FAMILY_WORDS = {Family.CALLS: "calls", Family.REQUESTS: "requests"}


def what_words(one: Condition) -> str:
    """What its figure is of, such as `error rate of calls`."""
    match one.metric:
        case Metric.LATENCY:
            return f"p{text_of(one.percent)} latency of {_FAMILY_WORDS[one.of]}"
        case Metric.UNITS:
            return f"{one.name.replace('_', ' ')} of calls"
        case Metric.USE:
            of = "limit" if one.of is Family.LIMITS else "budget"
            return f"{one.name} {of} use".strip()
        case Metric.REQUESTS if one.of is Family.CALLS:
            return "calls"
        case Metric.REQUESTS | Metric.UNPRICED | Metric.COUNT | Metric.VALUE:
            return _METRIC_WORDS[one.metric]
        case _:
            return f"{_METRIC_WORDS[one.metric]} of {_FAMILY_WORDS[one.of]}"


def threshold_words(one: Condition) -> str:
    """Such as `more than 10 %`, or `more than 2 × the mean of the 23 windows before`."""
    op = _OP_WORDS[one.op]
    match one.against:
        case Against.ABSENCE:
            return "nothing comes, where something came before"
        case Against.BEFORE:
            windows = f"{one.n_before} windows" if one.n_before > 1 else "window"
            return f"{op} {text_of(one.threshold)} × the mean of the {windows} before"
        case Against.BURN:
            return f"{op} {text_of(one.threshold)} × the mean day of the last {BURN_DAYS}"
        case _:
            return f"{op} {figure_words(one, Fraction(one.threshold, ONE))}"


def window_words(one: Condition) -> str:
    return span(one.window)


def figure_words(one: Condition, value: Fraction | None) -> str:
    """With its unit: `12.4 %`, `401.2 USD`, `187 ms`. None: `not known`."""
    if value is None:
        return "not known"
    text = short(value)
    if one.metric in IN_PERCENT:
        return f"{text} %"
    if one.metric is Metric.COST:
        return f"{text} {one.name}"
    return f"{text} ms" if one.metric is Metric.LATENCY else text


def short(value: Fraction) -> str:
    """To four places at most, for people; whole numbers as they are."""
    whole = round(value * 10_000)
    return text_of(whole * ONE // 10_000)


def condition_words(one: Condition) -> str:
    """In a line, such as `error rate of calls in 1 h more than 10 %, with at least 20 requests`."""
    where = "".join(f", {group} {' or '.join(values)}" for group, values in one.where)
    least = f", with at least {one.least:,}" if one.least else ""
    clear = f", until {figure_words(one, Fraction(one.clear, ONE))}" if one.clear is not None else ""
    window = "" if one.metric is Metric.USE else f" in {window_words(one)}"
    return f"{what_words(one)}{window} {threshold_words(one)}{where}{least}{clear}"


def scope_words(by: Sequence[str], names: Sequence[str]) -> str:
    """Such as `provider openai, model gpt`; empty: of the whole project."""
    return ", ".join(f"{group} {name or '(none)'}" for group, name in zip(by, names, strict=True))
