"""Limits of calls as the API takes and gives them: the rules, how they stand, checks, and who was denied.

Amounts are decimals as text, or whole numbers; a JSON number with places is refused, for it may have lost digits on its
way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.core.amounts import Amount, amount, text_of
from heartfly.core.limits.ledger import Standing
from heartfly.core.limits.rules import APPROACHING, COST, Limit
from heartfly.core.limits.scope import MAX_VALUE, MOST_TAGS, Call, scope_of, tags_of
from heartfly.errors import InvalidValueError
from heartfly.limits.asked import Asked
from heartfly.limits.batch import Checked, Ended
from heartfly.limits.book import Rules
from heartfly.limits.names import name_of
from heartfly.limits.queries import Shown
from heartfly.limits.rows import values_of

AmountIn = str | int
_MOST_UNITS = 50
_MOST_CURRENCIES = 10


class LimitIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Calls that a limit is for, and how much of a unit they may use within which time."""

    name: str = ""
    """What it says, if none is given."""
    policy: str = ""
    """All in one line, in place of kind, amount, unit and period: `1000;w=3600;u=request;s=user`."""
    scope: dict[str, str] = {}
    """Of `provider`, `model`, `key`, `customer`, `user`, `tag`: a value, `each` (a counter for each), or `*` (one for
    all), as what is left out. `=each` is a value, that of who is called each.
    """
    unit: str = "requests"
    """`requests`, `tokens` (of all kinds), any kind of unit such as `input_tokens`, or `cost:USD`."""
    kind: str = ""
    """`rate`, `rolling`, `calendar` or `between`."""
    amount: AmountIn = ""
    period_s: int | None = None
    """Of a rate and a rolling window."""
    burst: AmountIn = ""
    """Of a rate: how much at once; its amount, if none is given."""
    window: str = ""
    """Of the calendar: `hour`, `day`, `week`, `month`, `quarter` or `year`."""
    zone: str = ""
    """Of the calendar: whose days; the project's, if none is given."""
    from_at: Instant | None = None
    to_at: Instant | None = None
    """Of what holds once: [from_at, to_at)."""
    always: bool = False
    """Whether it holds beside more special ones of the same unit and window, too, which replace it otherwise."""
    on_failure: str = "allow"
    """`allow` or `deny` calls while nothing can be looked up."""
    approaching: int = APPROACHING
    """From how many percent on it is nearly reached."""
    active: bool = True


class LimitEdit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is left out stays, and what was used as well. Scope, unit, kind and window do not change."""

    name: str | None = None
    amount: AmountIn | None = None
    burst: AmountIn | None = None
    period_s: int | None = None
    """Of a rate."""
    always: bool | None = None
    on_failure: str | None = None
    approaching: int | None = None
    active: bool | None = None


class CounterOut(msgspec.Struct, kw_only=True):
    """Of one value of what is counted apart. `used` is with what is `reserved`."""

    values: dict[str, str]
    used: str
    reserved: str
    remaining: str
    percent: int
    approaching: bool


class LimitOut(msgspec.Struct, kw_only=True):
    id: str
    name: str
    scope: dict[str, str]
    unit: str
    kind: str
    amount: str
    period_s: int | None
    burst: str | None
    window: str | None
    zone: str | None
    from_at: Instant | None
    to_at: Instant | None
    always: bool
    on_failure: str
    approaching: int
    active: bool
    source: str
    """Empty: people; else what made it, such as `budget:…`, which is where it is changed."""
    created_at: Instant
    fullest: CounterOut | None
    """Null: nothing is used."""
    counters: int
    checked_24h: int
    denied_24h: int
    opened_24h: int
    """Let through unseen, as nothing could be looked up."""


class LimitPage(msgspec.Struct):
    items: list[LimitOut]
    next: str | None


class CounterPage(msgspec.Struct):
    items: list[CounterOut]
    next: str | None


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


class DenialOut(msgspec.Struct, kw_only=True):
    """Calls that were denied in a minute, by one counter of a limit. `call`, `wanted`, `used`: of the last of them."""

    limit: ReachedOut
    values: dict[str, str]
    n: int
    minute: Instant
    last_at: Instant
    call: dict[str, Any]
    unit: str
    wanted: str
    used: str
    retry_after: float | None


class DenialPage(msgspec.Struct):
    items: list[DenialOut]
    next: str | None


class ProviderLimitOut(msgspec.Struct, kw_only=True):
    """What a provider said of its own limits with the newest call of that model, as its headers spelled it."""

    provider: str
    model: str
    at: Instant
    told: dict[str, str]


class ProviderLimitPage(msgspec.Struct):
    items: list[ProviderLimitOut]
    next: str | None


SHAPES = (
    LimitIn, LimitEdit, LimitOut, LimitPage, CounterPage, LimitCheckIn, LimitCheckOut, EndIn, EndOut, DenialPage,
    ProviderLimitPage,
)  # fmt: skip


def asked_of(data: LimitIn) -> Asked:
    fields = msgspec.structs.asdict(data)
    return Asked(**(fields | {"amount": str(data.amount), "burst": str(data.burst)}))


def call_of(scope: CallScope) -> Call:
    """InvalidValueError."""
    call = Call(scope.provider, scope.model, scope.key, scope.customer, scope.user, tags_of(scope.tags))
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
    found = {name: _amount(value, f"units.{name[:100]}") for name, value in units.items()}
    for currency, value in cost.items():
        found[COST + currency] = _amount(value, f"cost.{currency[:100]}")
    return found


def _amount(value: AmountIn, field: str) -> Amount:
    found = amount(value if isinstance(value, str) else str(value))
    if found is None or found < 0:
        raise InvalidValueError(field, "must be a decimal of up to 20 digits and 18 places, as text, not negative")
    return found


def checked_out(told: Checked) -> LimitCheckOut:
    denied = told.denied_by
    wait = None if denied is None or denied.wait_us is None else denied.wait_us
    least: dict[str, Amount] = {}
    for one in told.standings:
        unit, remaining = one.applied.limit.unit, one.remaining
        if unit not in least or remaining < least[unit]:
            least[unit] = remaining
    return LimitCheckOut(
        allowed=denied is None,
        reservation=None if told.reservation is None else name_of(told.reservation),
        expires_at=told.expires_at,
        limit=None if denied is None else _reached(told.rules, denied.applied.limit),
        retry_after=None if wait is None else -(-wait // 1_000) / 1_000,
        remaining={unit: text_of(value) for unit, value in least.items()},
        limits=_holding(told.rules, told.standings),
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


def limit_out(shown: Shown) -> LimitOut:
    row = shown.row
    is_rate, is_calendar = row.kind == "rate", row.kind == "calendar"
    return LimitOut(
        id=row.uuid,
        name=row.name,
        scope=row.scope,
        unit=row.unit,
        kind=row.kind,
        amount=text_of(row.amount),
        period_s=row.period_us // 1_000_000 or None,
        burst=text_of(row.burst) if is_rate else None,
        window=row.span or None,
        zone=row.zone if is_calendar else None,
        from_at=row.from_at,
        to_at=row.to_at,
        always=row.always,
        on_failure="allow" if row.opens else "deny",
        approaching=row.approaching,
        active=row.active,
        source=row.source,
        created_at=row.created_at,
        fullest=None if shown.fullest is None else counter_out(shown.fullest),
        counters=shown.n_counters,
        checked_24h=shown.checked,
        denied_24h=shown.denied,
        opened_24h=shown.opened,
    )


def counter_out(standing: Standing) -> CounterOut:
    return CounterOut(
        values=_values(standing.applied.limit, standing.applied.values),
        used=text_of(standing.used),
        reserved=text_of(standing.held),
        remaining=text_of(standing.remaining),
        percent=standing.percent,
        approaching=standing.approaching,
    )


def denial_out(row: Any) -> DenialOut:
    each = [dimension for dimension, value in scope_of(row.limit_scope) if value is None]
    return DenialOut(
        limit=ReachedOut(id=row.uuid, name=row.name),
        values=dict(zip(each, values_of(row.scope), strict=True)),
        n=row.n,
        minute=row.minute,
        last_at=row.last_at,
        call=row.call,
        unit=row.unit,
        wanted=text_of(row.wanted),
        used=text_of(row.used),
        retry_after=None if row.wait_us is None else -(-row.wait_us // 1_000) / 1_000,
    )


def _holding(rules: Rules | None, standings: Sequence[Standing]) -> list[HoldingOut]:
    if rules is None:
        return []
    found = []
    for one in standings:
        applied, used = one.applied, one.used
        limit = applied.limit
        row = rules.rows[limit.id]
        found.append(
            HoldingOut(
                id=row.uuid,
                name=row.name,
                unit=limit.unit,
                values=_values(limit, applied.values),
                limit=_text_of_limit(limit.most),
                used=text_of(used),
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


def _values(limit: Limit, values: tuple[str, ...]) -> dict[str, str]:
    if not values:
        return {}
    return dict(zip((dimension for dimension, value in limit.scope if value is None), values, strict=True))
