"""Limits of calls as the API takes and gives them: the rules, how they stand, and who was denied.

Amounts are decimals as text, or whole numbers; a JSON number with places is refused, for it may have lost digits on its
way.
"""

from __future__ import annotations

from typing import Any

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.api.v1.wire_limit_checks import AmountIn, ReachedOut, values_in
from heartfly.core.amounts import text_of
from heartfly.core.limits.ledger import Standing
from heartfly.core.limits.rules import APPROACHING
from heartfly.core.limits.scope import scope_of
from heartfly.limits.asked import Asked
from heartfly.limits.queries import Shown
from heartfly.limits.rows import values_of


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


SHAPES = (LimitIn, LimitEdit, LimitOut, LimitPage, CounterPage, DenialPage, ProviderLimitPage)


def asked_of(data: LimitIn) -> Asked:
    fields = msgspec.structs.asdict(data)
    return Asked(**(fields | {"amount": str(data.amount), "burst": str(data.burst)}))


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
        values=values_in(standing.applied.limit, standing.applied.values),
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
