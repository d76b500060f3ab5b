"""Checks of limits as the API takes and gives them, and how their reservations end.

Amounts are decimals as text, or whole numbers; a JSON number with places is refused, for it may have lost digits on its
way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.core.amounts import MOST_DIGITS, PLACES, Amount, amount, text_of
from heartfly.core.limits.ledger import Standing
from heartfly.core.limits.rules import COST, Limit
from heartfly.core.limits.scope import MAX_VALUE, MOST_TAGS, Call, tags_of
from heartfly.errors import InvalidValueError
from heartfly.limits.batch import Checked, Ended
from heartfly.limits.book import Rules
from heartfly.limits.names import name_of

AmountIn = str | int
_MOST_UNITS = 50
_MOST_CURRENCIES = 10
_MOST_REMEMBERED = 5_000


class CallScope(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose call it is, as far as that is known."""

    provider: str = ""
    model: str = ""
    key: str = ""
    customer: str = ""
    user: str = ""
    tags: list[str] = []


class LimitCheckIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A call that somebody would make. What it will take of `tokens` and cost may be left out: then it is let through
    unless nothing at all is left.
    """

    scope: CallScope = msgspec.field(default_factory=CallScope)
    units: dict[str, AmountIn] = {}
    """By kind, such as `input_tokens`; `requests` is 1, if nothing is said."""
    cost: dict[str, AmountIn] = {}
    """By currency."""
    reserve: bool = True
    """False: only look, take nothing."""
    ttl: int | float = 60
    """Seconds until what is reserved is given back, if nobody ends it; up to a day."""
    idempotency_key: str = ""
    """Your name for this check: sent again, it is answered with the same reservation."""


class ReachedOut(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str


class HoldingOut(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that holds for the call, and how the counter stands that the call goes to."""

    id: str
    name: str
    unit: str
    values: dict[str, str]
    limit: str
    used: str
    remaining: str
    approaching: bool


class LimitCheckOut(msgspec.Struct, frozen=True, kw_only=True):
    """`limit`: which denies. `retry_after`: seconds until it has room, if nobody else comes; null: it never has for so
    much, or nothing is denied. `unseen`: nothing could be looked up, and the limits that hold allow calls then.
    """

    allowed: bool
    reservation: str | None
    expires_at: Instant | None
    limit: ReachedOut | None
    retry_after: float | None
    remaining: dict[str, str]
    """By unit, the least of all limits that hold."""
    limits: list[HoldingOut]
    repeated: bool
    unseen: bool


class EndIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What was really used; of what is left out, as much as was reserved."""

    units: dict[str, AmountIn] = {}
    cost: dict[str, AmountIn] = {}


class EndOut(msgspec.Struct, frozen=True, kw_only=True):
    """`late`: it had expired, and what it used counts from now. `repeated`: it had ended so before."""

    reservation: str
    state: str
    late: bool
    repeated: bool
    limits: list[HoldingOut]


SHAPES = (LimitCheckIn, LimitCheckOut, EndIn, EndOut)


def call_of(scope: CallScope) -> Call:
    """InvalidValueError."""
    return _call(Call(scope.provider, scope.model, scope.key, scope.customer, scope.user, tuple(scope.tags)))


@lru_cache(_MOST_REMEMBERED)
def _call(said: Call) -> Call:
    """The same calls come again and again."""
    call = said._replace(provider=said.provider.strip().lower(), tags=tags_of(said.tags))
    for name, value in zip(("provider", "model", "key", "customer", "user"), call[:5], strict=True):
        _demand_value(f"scope.{name}", value)
    if len(call.tags) > MOST_TAGS:
        raise InvalidValueError("scope.tags", f"must be at most {MOST_TAGS}")
    for tag in call.tags:
        _demand_value("scope.tags", tag)
    return call


def _demand_value(field: str, value: str) -> None:
    if len(value) > MAX_VALUE or not value.isprintable():
        raise InvalidValueError(field, f"must be at most {MAX_VALUE} printable characters")


def units_of(units: Mapping[str, AmountIn], cost: Mapping[str, AmountIn]) -> dict[str, Amount]:
    """InvalidValueError."""
    if len(units) > _MOST_UNITS:
        raise InvalidValueError("units", f"must be at most {_MOST_UNITS}")
    if len(cost) > _MOST_CURRENCIES:
        raise InvalidValueError("cost", f"must be at most {_MOST_CURRENCIES} currencies")
    found = {name: _amount(value, "units", name) for name, value in units.items()}
    for currency, value in cost.items():
        found[COST + currency] = _amount(value, "cost", currency)
    return found


def _amount(value: AmountIn, of: str, name: str) -> Amount:
    text = value if isinstance(value, str) else str(value)
    found = _known_amount(text) if len(text) <= _LONGEST_AMOUNT else None
    if found is None or found < 0:
        field = f"{of}.{name[:100]}"
        raise InvalidValueError(field, "must be a decimal of up to 20 digits and 18 places, as text, not negative")
    return found


_LONGEST_AMOUNT = MOST_DIGITS + PLACES + len("-.")
_known_amount = lru_cache(_MOST_REMEMBERED)(amount)


def checked_out(told: Checked) -> LimitCheckOut:
    denied = told.denied_by
    wait = None if denied is None or denied.wait_us is None else denied.wait_us
    limits = _holding(told.rules, told.standings)
    least: dict[str, tuple[Amount, str]] = {}
    for one, out in zip(told.standings, limits, strict=True):
        remaining = one.remaining
        if out.unit not in least or remaining < least[out.unit][0]:
            least[out.unit] = remaining, out.remaining
    return LimitCheckOut(
        allowed=denied is None,
        reservation=None if told.reservation is None else name_of(told.reservation),
        expires_at=told.expires_at,
        limit=None if denied is None else _reached(told.rules, denied.applied.limit),
        retry_after=None if wait is None else -(-wait // 1_000) / 1_000,
        remaining={unit: text for unit, (_, text) in least.items()},
        limits=limits,
        repeated=told.repeated,
        unseen=told.opened,
    )


def ended_out(told: Ended) -> EndOut:
    return EndOut(
        reservation=name_of(told.number),
        state=told.state,
        late=told.late,
        repeated=told.repeated,
        limits=_holding(told.rules, told.standings),
    )


def _holding(rules: Rules | None, standings: Sequence[Standing]) -> list[HoldingOut]:
    if rules is None:
        return []
    found = []
    for one in standings:
        applied = one.applied
        limit = applied.limit
        row = rules.rows[limit.id]
        found.append(
            HoldingOut(
                id=row.uuid,
                name=row.name,
                unit=limit.unit,
                values=values_in(limit, applied.values),
                limit=_text_of_limit(limit.most),
                used=text_of(one.used),
                remaining=text_of(one.remaining),
                approaching=one.approaching,
            )
        )
    return found


_text_of_limit = lru_cache(10_000)(text_of)


def _reached(rules: Rules | None, limit: Limit) -> ReachedOut:
    assert rules is not None
    row = rules.rows[limit.id]
    return ReachedOut(id=row.uuid, name=row.name)


def values_in(limit: Limit, values: tuple[str, ...]) -> dict[str, str]:
    """By dimension, what a limit counts apart."""
    if not values:
        return {}
    return dict(zip((dimension for dimension, value in limit.scope if value is None), values, strict=True))
