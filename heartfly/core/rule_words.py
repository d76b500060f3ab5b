"""Alert rules, their figures and scopes in words, for people. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from heartfly.core.alert_rules import BURN_DAYS, IN_PERCENT, Against, Condition, Family, Metric, Op
from heartfly.core.amounts import Amount, text_of
from heartfly.core.money import MONEY_ONE
from heartfly.core.rounded import money_words, number_words, percent_words
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
_WHOLE_MS = 100
"""From here on nobody reads a tenth of a millisecond."""
_NO_PART = frozenset({Metric.REQUESTS, Metric.COUNT, Metric.VALUE, Metric.USE, Metric.CONSECUTIVE_ERRORS})
"""Of nothing else: of how many it was seen says nothing more."""


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


def threshold_words(one: Condition, limit: Fraction | None = None) -> str:
    """Such as `more than 10 %`, or `more than 2 × the mean of the 23 windows before`. `limit`: what that came to."""
    if one.against is Against.ABSENCE:
        return "something came before"
    op = _OP_WORDS[one.op]
    if one.against is Against.NUMBER:
        return f"{op} {asked_words(one, one.threshold)}"
    windows = f"{one.n_before} windows" if one.n_before > 1 else "window"
    usual = f"mean day of the last {BURN_DAYS}" if one.against is Against.BURN else f"mean of the {windows} before"
    told = f"{text_of(one.threshold)} × the {usual}"
    return f"{op} {told}" if limit is None else f"{op} {figure_words(one, limit)}, {told}"


def window_words(one: Condition) -> str:
    """Empty: its figure is of now."""
    return "" if one.metric is Metric.USE else span(one.window)


def seen_words(one: Condition, value: Fraction | None, n: int) -> str:
    """What was seen, such as `Error rate of calls in 1 h: 12.4 %, of 1,210 calls`."""
    what, window = what_words(one), window_words(one)
    told = f"{what[:1].upper()}{what[1:]}{f' in {window}' if window else ''}: {figure_words(one, value)}"
    return told if one.metric in _NO_PART else f"{told}, of {_counted(n, _FAMILY_WORDS[one.of])}"


def too_few_words(one: Condition, n: int) -> str:
    """Why nothing follows from a figure that is past its threshold, or not known."""
    if not n:
        return f"no {_FAMILY_WORDS.get(one.of, 'events')}"
    return f"of {_counted(n, _FAMILY_WORDS.get(one.of, 'events'))}, too few to judge by"


def figure_words(one: Condition, value: Fraction | None) -> str:
    """With its unit: `12.4 %`, `401.20 USD`, `187 ms`. None: `not known`."""
    if value is None:
        return "not known"
    if one.metric is Metric.COST:
        return money_words(round(value * MONEY_ONE), one.name)
    if one.metric is Metric.LATENCY:  # it is wrong by up to a hundredth of itself
        return _with_unit(one, number_words(Fraction(round(value)) if value >= _WHOLE_MS else round(value, 1)))
    return percent_words(value) if one.metric in IN_PERCENT else number_words(value)


def asked_words(one: Condition, number: Amount) -> str:
    """What somebody asked for, such as a threshold: to the last digit."""
    before, _, after = text_of(number).partition(".")
    after = after.ljust(2, "0") if one.metric is Metric.COST else after
    return _with_unit(one, f"{int(before):,}{'.' if after else ''}{after}")


def _with_unit(one: Condition, text: str) -> str:
    if one.metric in IN_PERCENT:
        return f"{text} %"
    return f"{text} ms" if one.metric is Metric.LATENCY else f"{text} {one.name}" if one.metric is Metric.COST else text


def condition_words(one: Condition) -> str:
    """In a line, such as `error rate of calls in 1 h more than 10 %, with at least 20 requests`."""
    where = "".join(f", {group} {' or '.join(values)}" for group, values in one.where)
    least = f", with at least {_counted(one.least, _FAMILY_WORDS.get(one.of, 'events'))}" if one.least else ""
    clear = f", until {asked_words(one, one.clear)}" if one.clear is not None else ""
    window = f" in {window_words(one)}" if window_words(one) else ""
    if one.against is Against.ABSENCE:
        return f"no {what_words(one)}{window}, where some came before{where}{least}"
    return f"{what_words(one)}{window} {threshold_words(one)}{where}{least}{clear}"


def scope_words(by: Sequence[str], names: Sequence[str]) -> str:
    """Such as `provider openai, model gpt`; empty: of the whole project."""
    return ", ".join(f"{group} {name or '(none)'}" for group, name in zip(by, names, strict=True))


def _counted(n: int, what: str) -> str:
    """`what`: in the plural."""
    return f"1 {what.removesuffix('s')}" if n == 1 else f"{n:,} {what}"
