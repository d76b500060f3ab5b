"""The form of an alert rule: what is typed, as a rule, and back; and the example that a new one begins with.

What a rule may be is decided in core/rule_definitions.py; errors come back under the field that they are about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from heartfly.core.alert_rules import Rule
from heartfly.core.rule_definitions import MOST_CONDITIONS, rule_from
from heartfly.core.words import Severity
from heartfly.errors import InvalidValueError
from heartfly.web.request import Form

MOST = MOST_CONDITIONS
"""Conditions that the form has."""
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"(\d{1,9})\s*(s|min|m|h|d)?", re.ASCII)
_MOST_TEXT = 2_000
RULE_LABELS = {
    "name": "Name", "severity": "Severity", "by": "For each", "match": "Fires when", "for": "It must hold for",
    "cooldown": "Cooldown",
}  # fmt: skip
CONDITION_LABELS = {
    "of": "Numbers of", "metric": "Metric", "what": "Unit, currency or meter", "window": "Window",
    "op": "Fires if it is", "threshold": "Threshold", "against": "Compared with", "windows_before": "Windows before",
    "least": "Least requests", "clear": "Ends at", "percentile": "Percentile", "where": "Only",
}  # fmt: skip
_FIELDS = {"name": "what"}
"""Of a condition as it is written: how the form calls it, as the rule has a name of its own."""


@dataclass(slots=True, kw_only=True)
class Values:
    """As typed. `conditions`: MOST of them, of which those without a metric are left out."""

    name: str = ""
    severity: str = Severity.MEDIUM.value
    by: str = ""
    match: str = "all"
    wait: str = ""
    cooldown: str = "1h"
    channels: list[str] = field(default_factory=list)
    conditions: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        blank = dict.fromkeys(CONDITION_LABELS, "") | {"of": "calls", "op": ">", "against": "number"}
        self.conditions = [blank | one for one in self.conditions[:MOST]]
        self.conditions += [dict(blank) for _ in range(MOST - len(self.conditions))]

    @classmethod
    def sent(cls, form: Form) -> Values:
        def text(name: str) -> str:
            return form[name].strip()[:_MOST_TEXT]

        return cls(
            name=text("name"),
            severity=text("severity") or Severity.MEDIUM.value,
            by=text("by"),
            match=text("match") or "all",
            wait=text("for"),
            cooldown=text("cooldown"),
            channels=[one[:100] for one in form.many("channels")],
            conditions=[{name: text(f"{name}_{n}") for name in CONDITION_LABELS} for n in range(MOST)],
        )

    @classmethod
    def of(cls, name: str, severity: str, definition: Mapping[str, Any], channels: Sequence[str] | None) -> Values:
        return cls(
            name=name,
            severity=severity,
            by=", ".join(definition["by"]),
            match=definition["match"],
            wait=span_text(definition["for"]),
            cooldown=span_text(definition["cooldown"]),
            channels=list(channels or ()),
            conditions=[_typed(one) for one in definition["conditions"]],
        )

    def rule(self) -> Rule:
        """InvalidValueError names a field of this form, such as `window_0`."""
        places = [n for n, one in enumerate(self.conditions) if one["metric"]]
        if not places:
            raise InvalidValueError("metric_0", "must be chosen")
        definition = {
            "match": self.match,
            "by": [one.strip() for one in self.by.split(",") if one.strip()],
            "for": _seconds(self.wait or "0", "for"),
            "cooldown": _seconds(self.cooldown or "0", "cooldown"),
            "conditions": [_written(self.conditions[n], n) for n in places],
        }
        try:
            return rule_from(definition)
        except InvalidValueError as error:
            raise InvalidValueError(_place(error.field, places), error.message) from None


def _typed(one: Mapping[str, Any]) -> dict[str, str]:
    found = {name: str(one[name]) for name in ("of", "metric", "op", "threshold", "against")}
    found |= {"what": one.get("name", ""), "window": span_text(one["window"])}
    found |= {name: str(one[name]) for name in ("windows_before", "least", "clear", "percentile") if name in one}
    found["where"] = "\n".join(f"{group} = {', '.join(values)}" for group, values in one.get("where", {}).items())
    return found


def _written(one: Mapping[str, str], n: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "of": one["of"],
        "metric": one["metric"],
        "op": one["op"] or ">",
        "against": one["against"] or "number",
        "window": _seconds(one["window"] or "1h", f"window_{n}"),
        "where": _where(one["where"], f"where_{n}"),
        "name": one["what"],
    }
    found |= {name: one[name] for name in ("threshold", "clear", "percentile") if one[name]}
    for name in ("windows_before", "least"):
        if one[name]:
            if not one[name].isdecimal() or len(one[name]) > 15:
                raise InvalidValueError(f"{name}_{n}", "must be a whole number")
            found[name] = int(one[name])
    return found


def _where(text: str, name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        group, equals, values = line.partition("=")
        if not equals:
            raise InvalidValueError(name, "must be lines such as provider = openai, azure")
        found.setdefault(group.strip(), []).extend(one.strip() for one in values.split(",") if one.strip())
    return found


def _place(path: str, places: Sequence[int]) -> str:
    """`conditions[1].name` as this form calls it."""
    found = re.fullmatch(r"conditions\[(\d)\]\.?(\w*).*", path)
    if found is None:
        return path if path in RULE_LABELS else "metric_0"
    name = _FIELDS.get(found[2], found[2]) or "metric"
    return f"{name}_{places[int(found[1])]}"


def _seconds(text: str, name: str) -> int:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise InvalidValueError(name, "must be such as 5m, 1h or 1d")
    return int(found[1]) * _UNITS[found[2] or "s"]


def span_text(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s" if seconds else ""


def labels() -> dict[str, str]:
    found = dict(RULE_LABELS)
    for n in range(MOST):
        found |= {f"{name}_{n}": label for name, label in CONDITION_LABELS.items()}
    return found


@dataclass(frozen=True, slots=True)
class Busy:
    """What real traffic a new project has: the calls or requests of a day, and who most of them were for."""

    of: str
    group: str
    value: str
    n: int


def example(busy: Busy | None) -> Values:
    """One rule, made of real traffic; nothing of it is saved."""
    if busy is None:
        condition = {"of": "calls", "metric": "error_rate", "window": "1h", "threshold": "10", "least": "20"}
        return Values(name="Error rate of a provider", by="provider", severity="high", conditions=[condition])
    condition = {"of": busy.of, "metric": "error_rate", "window": "1h", "threshold": "10", "least": "20"}
    named = f" of {busy.value}" if busy.value else ""
    if busy.value:
        condition["where"] = f"{busy.group} = {busy.value}"
    return Values(name=f"Errors{named}"[:100], severity="high", conditions=[condition])
