"""A limit as somebody asks for it, in texts and numbers, made into one; the error names the field.

For every door: the API, and through it the command line, and the page. What makes a limit usable is decided in
core/limits/rules.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from heartfly.core.amounts import Amount, amount
from heartfly.core.limits.rules import APPROACHING, LONGEST_US, Kind, Limit, Span, usable
from heartfly.core.limits.scope import scope_of
from heartfly.core.limits.text import policy
from heartfly.core.limits.words import described
from heartfly.errors import InvalidValueError
from heartfly.limits.commands import Wanted

FAILURES: Mapping[str, bool] = {"allow": True, "deny": False}
"""What holds where nothing can be looked up, in the words of the API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`policy`: a line of text in place of kind, amount, unit, window and scope. What is empty or None is not said."""

    name: str = ""
    policy: str = ""
    scope: Mapping[str, str] = field(default_factory=dict)
    unit: str = "requests"
    kind: str = ""
    amount: str = ""
    period_s: int | None = None
    burst: str = ""
    window: str = ""
    zone: str = ""
    from_at: datetime | None = None
    to_at: datetime | None = None
    always: bool = False
    on_failure: str = "allow"
    approaching: int = APPROACHING
    active: bool = True


def wanted_of(asked: Asked, *, zone: str) -> Wanted:
    """`zone`: the project's. InvalidValueError."""
    if asked.policy:
        return _of_policy(asked, zone=zone)
    if not asked.kind and not asked.amount:
        raise InvalidValueError("kind", f"must be one of {', '.join(Kind)}; or say it all by a policy")
    kind = _kind(asked.kind)
    _demand_fitting(kind, asked)
    much = amount_of(asked.amount, "amount")
    burst = amount_of(asked.burst, "burst") if asked.burst else much if kind is Kind.RATE else 0
    limit = Limit(
        id=0,
        scope=scope_of(asked.scope),
        unit=asked.unit,
        kind=kind,
        amount=much,
        period_us=period_us_of(asked.period_s or 0),
        burst=burst,
        span=_span(asked.window) if kind is Kind.CALENDAR else None,
        zone=asked.zone or zone,
        from_at=asked.from_at,
        to_at=asked.to_at,
        always=asked.always,
        opens=opens_of(asked.on_failure),
        approaching=asked.approaching,
    )
    return _named(asked, usable(limit))


def amount_of(text: str, name: str) -> Amount:
    """InvalidValueError names the field."""
    found = amount(text.strip())
    if found is None or found < 0:
        raise InvalidValueError(name, "must be a decimal of up to 20 digits and 18 places, such as 1000 or 2.50")
    return found


def opens_of(text: str) -> bool:
    if text not in FAILURES:
        raise InvalidValueError("on_failure", f"must be one of {', '.join(FAILURES)}")
    return FAILURES[text]


def period_us_of(seconds: int) -> int:
    """What is too large for a database is as wrong as what is too long."""
    return min(seconds * 1_000_000, LONGEST_US + 1)


def _of_policy(asked: Asked, *, zone: str) -> Wanted:
    said = [name for name in ("kind", "amount", "burst", "window", "zone") if getattr(asked, name)]
    if said or asked.period_s is not None or asked.from_at is not None or asked.to_at is not None:
        raise InvalidValueError(said[0] if said else "period_s", "is told by the policy")
    told = policy(asked.policy)
    scope = {**asked.scope, **told.scope}
    as_texts = replace(
        asked, policy="", kind=Kind.ROLLING.value, amount="0", unit=told.unit, period_s=told.period_s, scope=scope
    )
    made = wanted_of(as_texts, zone=zone)
    return _named(asked, usable(replace(made.limit, amount=told.amount)))


def _named(asked: Asked, limit: Limit) -> Wanted:
    return Wanted(name=asked.name or described(limit)[:100], limit=limit, active=asked.active)


_TAKES: Mapping[Kind, frozenset[str]] = {
    Kind.RATE: frozenset({"period_s", "burst"}),
    Kind.ROLLING: frozenset({"period_s"}),
    Kind.CALENDAR: frozenset({"window", "zone"}),
    Kind.BETWEEN: frozenset({"from_at", "to_at"}),
}


def _demand_fitting(kind: Kind, asked: Asked) -> None:
    """What the kind has no use for would be forgotten without a word."""
    for name in ("period_s", "burst", "window", "zone", "from_at", "to_at"):
        if name not in _TAKES[kind] and getattr(asked, name) not in {None, ""}:
            raise InvalidValueError(name, f"is nothing that a limit of kind {kind} has")


def _kind(text: str) -> Kind:
    if text not in list(Kind):
        raise InvalidValueError("kind", f"must be one of {', '.join(Kind)}")
    return Kind(text)


def _span(text: str) -> Span:
    if text not in list(Span):
        raise InvalidValueError("window", f"must be one of {', '.join(Span)}")
    return Span(text)
