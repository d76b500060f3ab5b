"""The JSON schema of a project's file, for editors and for machines. What values mean is checked by settings.py."""

from __future__ import annotations

from typing import Any

from heartfly.core.alert_rules import Against, Family, Match, Metric, Op
from heartfly.core.budget_periods import Rhythm
from heartfly.core.meters import Aggregation
from heartfly.core.schedule import Dialect, Kind
from heartfly.core.slo import DAYS
from heartfly.core.words import AlertKind, Severity
from heartfly.notify.channels import CHANNELS
from heartfly.notify.policies import WORDED

_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_DURATION: dict[str, Any] = {
    "description": "Seconds, or a duration such as 90s, 10m, 2h, 1d.",
    "oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^([0-9]+ ?[smhdw] ?)+$"}],
}
_NUMBER: dict[str, Any] = {"type": ["string", "integer"]}
_CHANNELS: dict[str, Any] = {
    "description": 'Names of channels; ["*"] is all of them.', "type": "array", "items": _TEXT, "uniqueItems": True,
}  # fmt: skip


def _or_null(shape: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [shape, {"type": "null"}]}


def _words(kind: Any) -> dict[str, Any]:
    return {"enum": [str(one) for one in kind]}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return made | ({"required": list(required)} if required else {})


def _named(shape: dict[str, Any], described: str) -> dict[str, Any]:
    return {"description": described, "type": ["object", "null"], "additionalProperties": shape}


_CHECK = _object(
    {
        "name": _TEXT,
        "tags": _TEXTS,
        "description": _TEXT,
        "schedule": _object(
            {
                "cron": _TEXT,
                "oncalendar": {"oneOf": [_TEXT, _TEXTS]},
                "period": _DURATION,
                "zone": _TEXT,
                "dialect": _words(Dialect),
                "kind": _words(Kind),
                "expression": _TEXT,
            }
        ),
        "grace": _DURATION,
        "max_run": _or_null(_DURATION),
        "methods": {"enum": ["", "POST"]},
        "filters": _or_null(
            _object({"start": _TEXTS, "success": _TEXTS, "failure": _TEXTS, "default_fail": {"type": "boolean"}})
        ),
        "gates": {
            "type": "array",
            "items": {
                "oneOf": [
                    _TEXT,
                    _object(
                        {"metric": _TEXT, "op": _TEXT, "value": _NUMBER, "level": _TEXT, "over": _TEXT, "of": _TEXT},
                        "metric",
                        "op",
                    ),
                ]
            },
        },
        "tolerance": _or_null(
            _object(dict.fromkeys(("failures", "share", "last", "recover"), _or_null({"type": "integer"})))
        ),
        "bounds": _TEXTS,
        "slo": _or_null(
            _object({"on_time": _or_null(_NUMBER), "success": _or_null(_NUMBER), "days": {"enum": list(DAYS)}})
        ),
        "sticky": {"type": "boolean"},
        "unverified_is_down": {"type": "boolean"},
        "host": _TEXT,
        "needs": {"description": "Slugs of checks.", "type": "array", "items": _TEXT, "uniqueItems": True},
        "channels": _CHANNELS,
    }
)
_METER = _object(
    {
        "name": _TEXT,
        "unit": _TEXT,
        "event_types": _TEXTS,
        "aggregation": _words(Aggregation),
        "filters": {
            "type": "array",
            "items": _object(
                {"property": _TEXT, "exists": {"type": "boolean"}, "any_of": _TEXTS, "none_of": _TEXTS}, "property"
            ),
        },
        "value": _or_null(_TEXT),
        "percentile": _or_null(_NUMBER),
        "group_keys": _TEXTS,
    },
    "event_types",
)
_RULE = _object(
    {
        "severity": _words(Severity),
        "enabled": {"type": "boolean"},
        "channels": _CHANNELS,
        "match": _words(Match),
        "by": _TEXTS,
        "for": _DURATION,
        "cooldown": _DURATION,
        "conditions": {
            "type": "array",
            "minItems": 1,
            "items": _object(
                {
                    "of": _words(Family),
                    "metric": _words(Metric),
                    "window": _DURATION,
                    "threshold": _NUMBER,
                    "op": _words(Op),
                    "against": _words(Against),
                    "windows_before": {"type": "integer"},
                    "least": {"type": "integer"},
                    "clear": _NUMBER,
                    "name": _TEXT,
                    "percentile": _NUMBER,
                    "where": {"type": "object", "additionalProperties": _TEXTS},
                },
                "of",
                "metric",
                "window",
            ),
        },
    },
    "conditions",
)
_BUDGET = _object(
    {
        "currency": _TEXT,
        "amount": _or_null(_NUMBER),
        "period": _words(Rhythm),
        "starts_on": _TEXT,
        "ends_on": _or_null(_TEXT),
        "every_days": _or_null({"type": "integer"}),
        "auto_renew": {"type": "boolean"},
        "scope": {"type": "object", "additionalProperties": _TEXTS},
        "thresholds": {"type": "array", "items": {"type": "integer"}},
        "allocations": {
            "type": "array", "items": _object({"by": _TEXT, "name": _TEXT, "amount": _NUMBER}, "by", "name", "amount"),
        },
        "spike": _or_null(_object({"percent": {"type": "integer"}, "least": _NUMBER}, "percent", "least")),
        "low_days": _or_null({"type": "integer"}),
        "hard_stop": {"type": "boolean"},
        "channels": _CHANNELS,
    },
    "currency",
)  # fmt: skip
_CHANNEL = _object(
    {
        "kind": {"enum": list(CHANNELS)},
        "config": {"type": "object", "description": "${NAME} stands for what that variable holds."},
        "events": {"type": "array", "items": _words(AlertKind)},
        "policy": _or_null(
            _object(
                {
                    "tags": _TEXTS,
                    "least": _or_null(_words(Severity)),
                    "after": _or_null(_DURATION),
                    "every": _or_null(_DURATION),
                    "title": _TEXT,
                    "text": _TEXT,
                    "words": {
                        "type": "object",
                        "additionalProperties": _object({"title": _TEXT, "text": _TEXT}),
                        "propertyNames": {"enum": list(WORDED)},
                    },
                }
            )
        ),
    },
    "kind",
    "config",
)

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A Heartfly project as a file",
    **_object(
        {
            "version": {"const": 1},
            "managed_by": {"type": "string", "maxLength": 40, "description": "Checks get the tag managed:NAME."},
            "project": _object({"name": _TEXT, "zone": _TEXT, "create_by_ping": {"type": "boolean"}}),
            "channels": _named(_CHANNEL, "By their names."),
            "meters": _named(_METER, "By their slugs."),
            "checks": _named(_CHECK, "By their slugs."),
            "alert_rules": _named(_RULE, "By their names."),
            "budgets": _named(_BUDGET, "By their names."),
        },
        "version",
    ),
}
