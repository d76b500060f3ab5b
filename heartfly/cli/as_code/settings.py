"""What of each kind of thing a file may set, and the one way to write it: two that mean the same are equal.

The rules are those of the rooms whose things they are; InvalidValueError names the field, as it does everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from heartfly.budgets.config import BudgetIn, agreed
from heartfly.checks.config import CheckConfig, CheckIn, as_asked, merged
from heartfly.cli.as_code.near import named, unknown
from heartfly.core import text
from heartfly.core.causes import MOST_NEEDS
from heartfly.core.definitions import definition_of as meter_definition
from heartfly.core.definitions import meter_from
from heartfly.core.rule_definitions import definition_of as rule_definition
from heartfly.core.rule_definitions import rule_from
from heartfly.core.words import AlertKind, Severity
from heartfly.core.zones import zone
from heartfly.errors import InvalidValueError
from heartfly.notify.channels import CHANNELS
from heartfly.notify.policies import AskedPolicy, OwnWords, to_store

ALL = ["*"]
UNSET = "\x00"
"""Stands for what an unset variable holds; nothing that is sent can hold it."""
KINDS = ("project", "channels", "meters", "checks", "alert_rules", "budgets")
"""Sections of a file, in the order in which they are made: later ones name earlier ones."""
DEFINING = ("event_types", "aggregation", "filters", "value", "percentile", "group_keys")
"""What of a meter counts, and so makes a version of it."""
POLICY = ("tags", "least", "after", "every", "title", "text", "words")
_MOST_NAME = 100
_CHECK = (
    "name", "tags", "description", "schedule", "grace", "max_run", "methods", "filters", "gates", "tolerance", "bounds",
    "slo", "sticky", "unverified_is_down", "host", "needs", "channels",
)  # fmt: skip
_RULE = ("severity", "enabled", "channels", "match", "by", "for", "cooldown", "conditions")
_BUDGET = (
    "currency", "amount", "period", "starts_on", "ends_on", "every_days", "auto_renew", "scope", "thresholds",
    "allocations", "spike", "low_days", "hard_stop", "channels",
)  # fmt: skip
FIELDS: Mapping[str, Sequence[str]] = {
    "project": ("name", "zone", "create_by_ping"),
    "channels": ("kind", "config", "events", "policy"),
    "meters": ("name", "unit", *DEFINING),
    "checks": _CHECK,
    "alert_rules": _RULE,
    "budgets": _BUDGET,
}
_TIMING = ("cron", "oncalendar", "period", "zone", "dialect", "kind", "expression")
_TIMED_BY: Mapping[str, Sequence[str]] = {
    "period": ("kind", "period"),
    "cron": ("kind", "expression", "zone", "dialect"),
    "oncalendar": ("kind", "expression", "zone"),
}
_DURATION = re.compile(r"(\d{1,9})(s|m|h|d|w)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AT = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)
_VARIABLE = re.compile(r"\$(\$)?\{([A-Z_][A-Z0-9_]{0,99})\}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A thing as a file wants it. `settings`: what it names, in the one way to write it, channels by name.

    `body`: what is sent where that is written another way. `usual`: what a new one gets besides.
    `missing`: variables that are not set. `config`: of a channel, with UNSET in their place.
    """

    settings: Mapping[str, Any]
    body: Mapping[str, Any] = field(default_factory=dict)
    usual: Mapping[str, Any] = field(default_factory=dict)
    missing: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def project(_key: str, raw: Mapping[str, Any], _now: datetime) -> Entry:
    found: dict[str, Any] = {}
    if "name" in raw:
        found["name"] = text.name(_text(raw, "name"), field="name", most=_MOST_NAME)
    if "zone" in raw:
        found["zone"] = zone(_text(raw, "zone"), field="zone").key
    if "create_by_ping" in raw:
        if not isinstance(raw["create_by_ping"], bool):
            raise InvalidValueError("create_by_ping", "must be true or false")
        found["create_by_ping"] = raw["create_by_ping"]
    return Entry(settings=found)


def channel(_key: str, raw: Mapping[str, Any], env: Mapping[str, str]) -> Entry:
    kind = _text(raw, "kind")
    if kind not in CHANNELS:
        raise InvalidValueError("kind", f"must be one of {', '.join(CHANNELS)}")
    written = raw.get("config")
    if not isinstance(written, dict):
        raise InvalidValueError("config", "must be a mapping")
    missing: list[str] = []
    config = _filled(written, env, missing)
    found: dict[str, Any] = {"kind": kind}
    if not missing:
        found["config"] = shown_config(kind, CHANNELS[kind].public_config(CHANNELS[kind].parse_config(config)))
    if "events" in raw:
        found["events"] = _events(raw["events"])
    if "policy" in raw:
        found["policy"] = _policy(raw["policy"])
    return Entry(settings=found, body={"config": config}, missing=missing, config=config)


def shown_config(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with its secrets masked; without the beginnings of signing secrets, which the server made."""
    return {name: value for name, value in config.items() if (kind, name) != ("webhook", "secrets")}


def meter(key: str, raw: Mapping[str, Any], _now: datetime) -> Entry:
    if text.slugify(key, most=60) != key:
        raise InvalidValueError("", "must be called by 1 to 60 of: a-z, 0-9, - and _")
    found = {name: _text(raw, name) for name in ("name", "unit") if name in raw}
    return Entry(settings=found | counted({"aggregation": "count"} | {n: raw[n] for n in DEFINING if n in raw}))


def counted(definition: Mapping[str, Any]) -> dict[str, Any]:
    """How a meter counts, whole."""
    percent = definition.get("percentile")
    written = dict(definition) | {"percentile": None if percent is None else str(percent)}
    return dict.fromkeys(DEFINING) | meter_definition(meter_from(written))


def check(key: str, raw: Mapping[str, Any], now: datetime) -> Entry:
    given = {name: value for name, value in raw.items() if name not in {"channels", "needs"}}
    if "schedule" in given:
        given["schedule"] = _schedule(given["schedule"])
    for name in ("grace", "max_run"):
        if given.get(name) is not None:
            given[name] = _seconds(given[name], name)
    if "filters" in given:
        given["filters"] = given["filters"] or {}
    if isinstance(given.get("slo"), dict):
        # YAML reads 99.5 as a float, which is told as it is written.
        given["slo"] = {name: str(one) if isinstance(one, float) else one for name, one in given["slo"].items()}
    asked = _converted({"name": key} | given | {"slug": key}, CheckIn)
    whole = as_asked(merged(CheckConfig(), asked, at=now))
    found = {name: whole[name] for name in given}
    if "schedule" in found:
        found["schedule"] = timing(found["schedule"])
    if "filters" in found:
        found["filters"] = keywords(found["filters"])
    if "channels" in raw:
        found["channels"] = _names(raw["channels"])
    if "needs" in raw:
        found["needs"] = _needed(raw["needs"])
    no_words = "filters" in found and found["filters"] is None
    return Entry(
        settings=found, body={"filters": {}} if no_words else {}, usual={"slug": key, "name": found.get("name", key)}
    )


def timing(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule in the words of the API, without what means nothing for its kind."""
    return {name: schedule[name] for name in _TIMED_BY[schedule["kind"]]}


def keywords(filters: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return filters if filters and any(filters.values()) else None


def alert_rule(key: str, raw: Mapping[str, Any], _now: datetime) -> Entry:
    text.name(key, field="", most=_MOST_NAME)
    definition = {name: raw[name] for name in ("match", "by", "for", "cooldown", "conditions") if name in raw}
    for name in ("for", "cooldown"):
        if name in definition:
            definition[name] = _seconds(definition[name], name)
    if isinstance(definition.get("conditions"), list):
        definition["conditions"] = [_condition(one, n) for n, one in enumerate(definition["conditions"])]
    whole = rule_definition(rule_from(definition))
    found: dict[str, Any] = {name: whole[name] for name in definition}
    if "severity" in raw:
        if raw["severity"] not in list(Severity):
            raise InvalidValueError("severity", f"must be one of {', '.join(Severity)}")
        found["severity"] = str(raw["severity"])
    if "enabled" in raw:
        if not isinstance(raw["enabled"], bool):
            raise InvalidValueError("enabled", "must be true or false")
        found["enabled"] = raw["enabled"]
    if "channels" in raw:
        found["channels"] = _names(raw["channels"])
    return Entry(settings=found, usual={"name": key})


def conditions_there(conditions: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Of a rule as the API tells it, in the one way to write them."""
    plain = [
        {name: value for name, value in one.items() if name != "words" and value is not None} for one in conditions
    ]
    found: list[Any] = rule_definition(rule_from({"conditions": plain}))["conditions"]
    return found


def budget(key: str, raw: Mapping[str, Any], now: datetime) -> Entry:
    given = {name: value for name, value in raw.items() if name != "channels"}
    given = _amounts_as_text(given)
    asked = _converted({"name": key} | given, BudgetIn)
    whole = agreed(asked, today=now.date()).as_asked()
    found = {name: whole[name] for name in given}
    if "channels" in raw:
        found["channels"] = _names(raw["channels"])
    return Entry(settings=found, usual={"name": key})


READERS: Mapping[str, Callable[[str, Mapping[str, Any], datetime], Entry]] = {
    "project": project,
    "meters": meter,
    "checks": check,
    "alert_rules": alert_rule,
    "budgets": budget,
}
"""All but channels, which need to know variables."""


# --- parts -------------------------------------------------------------------------------------------


def _schedule(raw: Any) -> Any:
    """`cron: "30 2 * * *"`, `period: 1h` or `oncalendar: daily`, beside the words of the API."""
    if not isinstance(raw, dict):
        raise InvalidValueError("schedule", 'must be a mapping, such as {cron: "30 2 * * *", zone: Europe/Berlin}')
    wrong = [InvalidValueError(f"schedule.{name}", unknown(name, _TIMING)) for name in raw if name not in _TIMING]
    if wrong:
        first, *others = wrong
        raise InvalidValueError(first.field, first.message, others=others)
    given = dict(raw)
    short = [name for name in ("cron", "oncalendar", "period") if name in given] if "kind" not in given else []
    if len(short) > 1:
        raise InvalidValueError(f"schedule.{short[1]}", f"must not stand beside {short[0]}")
    if not short and "kind" not in given:
        raise InvalidValueError("schedule", "must say cron, oncalendar or period")
    if short and short[0] != "period":
        value = given.pop(short[0])
        lines = isinstance(value, list) and short[0] == "oncalendar" and all(isinstance(one, str) for one in value)
        given |= {"kind": short[0], "expression": "\n".join(value) if lines else value}
    elif short:
        given["kind"] = "period"
    if given.get("period") is not None:
        given["period"] = _seconds(given["period"], "schedule.period")
    return given


def _condition(raw: Any, place: int) -> Any:
    if isinstance(raw, dict) and "window" in raw:
        return raw | {"window": _seconds(raw["window"], f"conditions[{place}].window")}
    return raw


def _amounts_as_text(given: Mapping[str, Any]) -> dict[str, Any]:
    """A whole number is an amount, too."""

    def as_text(value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    found = dict(given)
    if "amount" in found:
        found["amount"] = as_text(found["amount"])
    if isinstance(found.get("spike"), dict) and "least" in found["spike"]:
        found["spike"] = found["spike"] | {"least": as_text(found["spike"]["least"])}
    if isinstance(found.get("allocations"), list):
        found["allocations"] = [
            one | {"amount": as_text(one["amount"])} if isinstance(one, dict) and "amount" in one else one
            for one in found["allocations"]
        ]
    return found


def _converted(raw: Mapping[str, Any], shape: Any) -> Any:
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        parts = _AT.fullmatch(str(error))
        said, path = (parts[1], parts[2] or "") if parts else (str(error), "")
        raise InvalidValueError(*named(said, path, shape)) from None


def _seconds(value: Any, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    written = str(value).replace(" ", "")
    parts = _DURATION.findall(written)
    if not isinstance(value, str) or not parts or "".join(n + unit for n, unit in parts) != written:
        raise InvalidValueError(name, "must be seconds, or a duration such as 90s, 10m, 2h or 1d")
    return sum(int(n) * _UNITS[unit] for n, unit in parts)


def _names(raw: Any) -> list[str]:
    if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
        raise InvalidValueError("channels", 'must be a list of names of channels; ["*"] is all of them')
    if "*" in raw and len(raw) > 1:
        raise InvalidValueError("channels", 'must be names, or ["*"] alone')
    return sorted(set(raw))


def _needed(raw: Any) -> list[str]:
    if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
        raise InvalidValueError("needs", "must be a list of slugs of checks")
    if len(raw) > MOST_NEEDS:
        raise InvalidValueError("needs", f"must be at most {MOST_NEEDS}")
    return sorted(set(raw))


def _events(raw: Any) -> list[str]:
    if not isinstance(raw, list) or not all(one in list(AlertKind) for one in raw):
        raise InvalidValueError("events", f"must be a list of any of {', '.join(AlertKind)}")
    return sorted(set(raw))


def _policy(raw: Any) -> dict[str, Any]:
    """Whole: what of it is not said is as if it had never been said."""
    given = {} if raw is None else raw
    if not isinstance(given, dict):
        raise InvalidValueError("policy", "must be a mapping, such as {tags: [db], after: 15m, every: 1h}")
    for name in given:
        if name not in POLICY:
            raise InvalidValueError(f"policy.{name}", unknown(name, POLICY))
    given = {name: value for name, value in given.items() if value is not None}
    for name in ("after", "every"):
        if name in given:
            given[name] = _seconds(given[name], f"policy.{name}")
    for name in ("title", "text"):
        given[name] = _text({name: given.get(name, "")}, name, field=f"policy.{name}")
    tags = given.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidValueError("policy.tags", "must be a list of tags")
    asked = AskedPolicy(
        tags=tags,
        least=given.get("least"),
        after_s=given.get("after"),
        every_s=given.get("every"),
        title=given["title"],
        text=given["text"],
        words=_words_of_events(given.get("words", {})),
    )
    kept = to_store(asked) or {}
    return policy_as_told({name.removesuffix("_s"): value for name, value in kept.items()})


def _words_of_events(raw: Any) -> dict[str, OwnWords]:
    if not isinstance(raw, dict) or not all(isinstance(one, dict) for one in raw.values()):
        raise InvalidValueError("policy.words", "must be a mapping, such as {check.up: {title: $NAME is back}}")
    found = {}
    for event, said in raw.items():
        for name in said:
            if name not in {"title", "text"}:
                raise InvalidValueError(f"policy.words.{event}.{name}", "is none of title, text")
        texts = [
            _text({"of": said.get(name, "")}, "of", field=f"policy.words.{event}.{name}") for name in ("title", "text")
        ]
        found[str(event)] = OwnWords(*texts)
    return found


def policy_as_told(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a channel is for, in the one way to write it: all of it, or nothing."""
    said = {name: told[name] for name in POLICY if told.get(name)}
    return {} if not said else dict.fromkeys(POLICY) | {"tags": [], "title": "", "text": "", "words": {}} | said


def _text(raw: Mapping[str, Any], name: str, *, field: str = "") -> str:
    value = raw.get(name)
    if not isinstance(value, str):
        raise InvalidValueError(field or name, "must be a text")
    return value


def _filled(value: Any, env: Mapping[str, str], missing: list[str]) -> Any:
    """With `${NAME}` replaced by that variable; `$${NAME}` is the text `${NAME}`."""
    if isinstance(value, dict):
        return {name: _filled(one, env, missing) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, env, missing) for one in value]
    if not isinstance(value, str):
        return value

    def of(found: re.Match[str]) -> str:
        if found[1]:
            return f"${{{found[2]}}}"
        if found[2] not in env:
            missing.append(found[2])
        return env.get(found[2], UNSET)

    return _VARIABLE.sub(of, value)
