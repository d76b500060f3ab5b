"""Limits of the demo: requests of 30 days to one provider, of which 82 % are used; a month's cost at another; a rate
for each customer; and one for load tests, which has denied some calls.

They are made before the calls come, and count them as in earnest; how much each lets through is fitted to that
afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.amounts import ONE, Amount
from heartfly.core.limits.ledger import Ledger
from heartfly.core.limits.rules import Kind, Limit, Span
from heartfly.core.limits.scope import Call, scope_of
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import limits
from heartfly.db.types import micros
from heartfly.demo.fill import WHO, ZONE
from heartfly.limits import rows
from heartfly.limits.apply import LimitApplier
from heartfly.limits.batch import Ask, Checked, End
from heartfly.limits.book import limit_of, rules_of
from heartfly.limits.commands import Edit, Wanted, create, edit

_MICROS_OF_HOUR = 3_600_000_000
_MANY: Amount = 10**9 * ONE
"""Until it is fitted."""
_LOAD_TEST = "load-test"
_ALLOWED, _ASKED = 10, 14
_ASKED_AGO, _APART = timedelta(hours=3), timedelta(seconds=7)


@dataclass(frozen=True, slots=True)
class _Made:
    """`used`: so many per cent shall be; None: it stays as it is. `step`: what its amount is rounded to."""

    name: str
    limit: Limit
    used: int | None = None
    step: Amount = ONE


def _limits() -> Sequence[_Made]:
    def limit(unit: str, kind: Kind, amount: Amount, scope: dict[str, str], **more: Any) -> Limit:
        return Limit(id=0, scope=scope_of(scope), unit=unit, kind=kind, amount=amount, **more)

    days = 30 * 24 * _MICROS_OF_HOUR  # a day would be full soon: while the demo serves, calls are more than before
    return (
        _Made(
            "OpenAI, 30 days",
            limit("requests", Kind.ROLLING, _MANY, {"provider": "openai"}, period_us=days),
            used=82,
        ),
        _Made(
            "Anthropic, a month",
            limit("cost:USD", Kind.CALENDAR, _MANY, {"provider": "anthropic"}, span=Span.MONTH, zone=ZONE),
            used=61,
            step=ONE // 100,
        ),
        _Made(
            "Each customer",
            limit(
                "requests", Kind.RATE, 60 * ONE, {"customer": "each"}, period_us=_MICROS_OF_HOUR // 60, burst=60 * ONE
            ),
        ),
        _Made(
            "Load tests",
            limit("requests", Kind.ROLLING, _ALLOWED * ONE, {"key": _LOAD_TEST}, period_us=_MICROS_OF_HOUR),
        ),
    )


def make_limits(tx: Tx, pid: int, *, at: datetime, ids: IdSource) -> None:
    for one in _limits():
        create(tx, pid, Wanted(name=one.name, limit=one.limit), actor=WHO, at=at, ids=ids)


def be_denied(tx: Tx, applier: LimitApplier, pid: int, *, now: datetime) -> None:
    """A load test some hours ago: the last of its calls were stopped."""
    call = Call(provider="mapbox", model="geocoding", key=_LOAD_TEST)
    for place in range(_ASKED):
        at = now - _ASKED_AGO + place * _APART
        ask = Ask(
            pid=pid, at=at, call=call, units={"requests": ONE}, reserve=True, ttl=HOUR, key_hash=None, asked=b"",
        )  # fmt: skip
        (found,) = applier.apply(tx, [ask])
        if isinstance(found, Checked) and found.reservation is not None:
            applier.apply(tx, [End(pid=pid, at=at, number=found.reservation, units={"requests": ONE}, told=b"")])


def fit_limits(tx: Tx, pid: int, *, now: datetime, ids: IdSource) -> None:
    """After the calls: so that as much of each is used as it says."""
    for one in _limits():
        if one.used is None:
            continue
        row = tx.conn.execute(sa.select(limits).where(limits.c.pid == pid, limits.c.name == one.name)).one()
        amount = max(one.step, _used(tx, row, now) * 100 // one.used // one.step * one.step)
        edit(tx, pid, row.uuid, Edit(amount=amount), rev=None, actor=WHO, at=row.created_at, ids=ids)


def _used(tx: Tx, row: sa.Row[Any], now: datetime) -> Amount:
    limit = limit_of(row)
    ledger = Ledger(rules_of(0, [row]).bounds, micros(now), rows.texts_of(tx, row.pid, [(limit.id, ())]))
    return ledger.standing(limit, ()).used
