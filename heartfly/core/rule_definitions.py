"""Alert rules as they are written down: in the database, in the API, in forms. JSON in, a rule out, and back.

What a rule means is decided in alert_rules.py, how it is told in rule_words.py. Numbers are decimal texts, durations
whole seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from heartfly.core.alert_rules import (
    GROUPS,
    METRICS,
    Against,
    Condition,
    Family,
    Match,
    Metric,
    Op,
    Rule,
)
from heartfly.core.amounts import ONE, amount, text_of
from heartfly.errors import InvalidValueError

MOST_CONDITIONS = 5
MOST_VALUES = 50
_MOST_NAME = 100
_MINUTE = 60
_MOST_WINDOW = 31 * 86_400
_MOST_BASELINE = 31 * 86_400
_MOST_WAIT = 7 * 86_400
_MOST_COUNT = 10**12
_FIELDS = frozenset({"match", "by", "for", "cooldown", "conditions"})
_OF_CONDITION = frozenset(
    {
        "of", "metric", "window", "threshold", "op", "against", "windows_before", "least", "clear", "name",
        "percentile", "where",
    }
)  # fmt: skip


def rule_from(definition: Mapping[str, Any]) -> Rule:
    """InvalidValueError names the field, such as `conditions[0].window`."""
    _only(definition, _FIELDS, "")
    raw = definition.get("conditions")
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not 1 <= len(raw) <= MOST_CONDITIONS:
        raise InvalidValueError("conditions", f"must be a list of 1 to {MOST_CONDITIONS}")
    conditions = tuple(_condition(one, f"conditions[{place}]") for place, one in enumerate(raw))
    by = _by(definition.get("by") or (), conditions)
    return Rule(
        conditions=conditions,
        match=_word(definition.get("match", Match.ALL.value), Match, "match"),
        by=by,
        wait=_span(definition.get("for", 0), "for", least=0, most=_MOST_WAIT),
        cooldown=_span(definition.get("cooldown", 0), "cooldown", least=0, most=_MOST_WAIT),
    )


def definition_of(rule: Rule) -> dict[str, Any]:
    """The one way to write it."""
    return {
        "match": rule.match.value,
        "by": list(rule.by),
        "for": _seconds(rule.wait),
        "cooldown": _seconds(rule.cooldown),
        "conditions": [_written(one) for one in rule.conditions],
    }


def _written(one: Condition) -> dict[str, Any]:
    found: dict[str, Any] = {
        "of": one.of.value,
        "metric": one.metric.value,
        "window": _seconds(one.window),
        "op": one.op.value,
        "threshold": text_of(one.threshold),
        "against": one.against.value,
    }
    if one.against is Against.BEFORE:
        found["windows_before"] = one.n_before
    if one.least:
        found["least"] = one.least
    if one.clear is not None:
        found["clear"] = text_of(one.clear)
    if one.name:
        found["name"] = one.name
    if one.metric is Metric.LATENCY:
        found["percentile"] = text_of(one.percent)
    if one.where:
        found["where"] = {group: list(values) for group, values in one.where}
    return found


def _condition(raw: Any, path: str) -> Condition:
    if not isinstance(raw, Mapping):
        raise InvalidValueError(path, "must be an object")
    _only(raw, _OF_CONDITION, f"{path}.")
    of = _word(raw.get("of"), Family, f"{path}.of")
    metric = _word(raw.get("metric"), Metric, f"{path}.metric")
    if metric not in METRICS[of]:
        known = ", ".join(METRICS[of])
        raise InvalidValueError(f"{path}.metric", f"is nothing that {of} have; they have {known}")
    against = _word(raw.get("against", Against.NUMBER.value), Against, f"{path}.against")
    window = _span(raw.get("window"), f"{path}.window", least=_MINUTE, most=_MOST_WINDOW)
    made = Condition(
        of=of,
        metric=metric,
        window=window,
        threshold=_threshold(raw, against, path),
        op=_word(raw.get("op", Op.ABOVE.value), Op, f"{path}.op"),
        against=against,
        n_before=_n_before(raw, against, window, path),
        least=_whole(raw.get("least", 0), f"{path}.least", least=0, most=_MOST_COUNT),
        clear=_number(raw["clear"], f"{path}.clear") if raw.get("clear") is not None else None,
        name=_name(raw.get("name", ""), metric, f"{path}.name"),
        percent=_percent(raw, metric, path),
        where=_where(raw.get("where") or {}, of, f"{path}.where"),
    )
    _demand_sense(made, path)
    return made


def _demand_sense(made: Condition, path: str) -> None:
    if made.of is Family.LIMITS and made.name not in {"", "rate", "cost"}:
        raise InvalidValueError(f"{path}.name", "must be rate, cost, or left out for all limits")
    if made.against is not Against.NUMBER and made.metric in {Metric.USE, Metric.CONSECUTIVE_ERRORS}:
        raise InvalidValueError(f"{path}.against", f"must be number: {made.metric.value} has no past to compare with")
    if made.against is Against.BURN and made.window != timedelta(days=1):
        raise InvalidValueError(f"{path}.window", "must be a day (86400) for a burn rate")
    if made.metric is Metric.USE and made.least:
        raise InvalidValueError(f"{path}.least", "means nothing for a share that is used")
    if made.clear is None:
        return
    if made.against is Against.ABSENCE:
        raise InvalidValueError(f"{path}.clear", "means nothing for an absence, which ends when something comes")
    # What ends it must not be beyond what begins it, or it would begin and end at once.
    if made.clear > made.threshold if made.op.is_upward else made.clear < made.threshold:
        side = "at most" if made.op.is_upward else "at least"
        raise InvalidValueError(f"{path}.clear", f"must be {side} the threshold")


def _threshold(raw: Mapping[str, Any], against: Against, path: str) -> int:
    if raw.get("threshold") is None:
        if against is Against.ABSENCE:
            return 0
        raise InvalidValueError(f"{path}.threshold", "is required")
    found = _number(raw["threshold"], f"{path}.threshold")
    if against in {Against.BEFORE, Against.BURN} and found <= 0:
        raise InvalidValueError(f"{path}.threshold", "must be more than 0: it is a factor")
    return found


def _n_before(raw: Mapping[str, Any], against: Against, window: timedelta, path: str) -> int:
    field = f"{path}.windows_before"
    if against is not Against.BEFORE:
        if raw.get("windows_before"):
            raise InvalidValueError(field, "is only for against=before")
        return 0
    most = _MOST_BASELINE // _seconds(window)
    return _whole(raw.get("windows_before"), field, least=1, most=max(1, most))


def _name(raw: Any, metric: Metric, field: str) -> str:
    if not isinstance(raw, str):
        raise InvalidValueError(field, "must be a text")
    what = {Metric.UNITS: "the kind of unit", Metric.VALUE: "the id of a meter", Metric.COST: "the currency"}
    if metric in what and not raw:
        raise InvalidValueError(field, f"is required: {what[metric]}")
    if metric not in {*what, Metric.USE} and raw:
        raise InvalidValueError(field, f"means nothing for {metric.value}")
    if len(raw) > _MOST_NAME or not raw.isprintable():
        raise InvalidValueError(field, f"must be one line of at most {_MOST_NAME} characters")
    return raw


def _percent(raw: Mapping[str, Any], metric: Metric, path: str) -> int:
    field = f"{path}.percentile"
    if metric is not Metric.LATENCY:
        if raw.get("percentile") is not None:
            raise InvalidValueError(field, "is only for latency")
        return 95 * ONE
    found = _number(raw.get("percentile", "95"), field)
    if not 0 < found <= 100 * ONE:
        raise InvalidValueError(field, "must be above 0 and at most 100")
    return found


def _where(raw: Any, of: Family, field: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(raw, Mapping):
        raise InvalidValueError(field, "must be an object of lists")
    found = []
    for group in sorted(raw):
        values = raw[group]
        _demand_group(str(group), of, field)
        if isinstance(values, str):
            values = [values]
        if not isinstance(values, Sequence) or not 1 <= len(values) <= MOST_VALUES:
            raise InvalidValueError(f"{field}.{group}", f"must be a list of 1 to {MOST_VALUES} texts")
        if any(not isinstance(one, str) or len(one) > 1_000 or "\x00" in one for one in values):
            raise InvalidValueError(f"{field}.{group}", "must be texts of at most 1000 characters")
        found.append((str(group), tuple(sorted(set(values)))))
    return tuple(found)


def _by(raw: Any, conditions: Sequence[Condition]) -> tuple[str, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or any(not isinstance(one, str) for one in raw):
        raise InvalidValueError("by", "must be a list of texts")
    if len(set(raw)) < len(raw):
        raise InvalidValueError("by", "names something twice")
    for condition in conditions:
        for group in raw:
            _demand_group(group, condition.of, "by")
        if condition.of is Family.REQUESTS and len({*raw, *(group for group, _ in condition.where)}) > 1 < len(raw):
            raise InvalidValueError("by", "must be the endpoint or the customer of requests, not both")
    return tuple(raw)


def _demand_group(group: str, of: Family, field: str) -> None:
    known = GROUPS[of]
    if known is None:
        if not 0 < len(group) <= _MOST_NAME or not group.isprintable():
            raise InvalidValueError(field, "must name groups of the meter")
    elif group not in known:
        told = ", ".join(known) if known else "nothing"
        raise InvalidValueError(field, f"cannot be {group[:_MOST_NAME]!r} for {of.value}; known: {told}")


def _only(raw: Mapping[str, Any], known: frozenset[str], path: str) -> None:
    for name in raw:
        if name not in known:
            raise InvalidValueError(f"{path}{str(name)[:_MOST_NAME]}", "is not known")


def _word(raw: Any, kind: Any, field: str) -> Any:
    if raw not in list(kind):
        raise InvalidValueError(field, f"must be one of {', '.join(kind)}")
    return kind(raw)


def _span(raw: Any, field: str, *, least: int, most: int) -> timedelta:
    return timedelta(seconds=_whole(raw, field, least=least, most=most))


def _whole(raw: Any, field: str, *, least: int, most: int) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not least <= raw <= most:
        raise InvalidValueError(field, f"must be a whole number, {least} to {most}")
    return raw


def _number(raw: Any, field: str) -> int:
    """A decimal text, or a whole number; a float may have lost its last digits."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw)
    found = amount(raw) if isinstance(raw, str) else None
    if found is None:
        raise InvalidValueError(field, 'must be a number as text, such as "12.5"')
    return found


def _seconds(duration: timedelta) -> int:
    return duration // timedelta(seconds=1)
