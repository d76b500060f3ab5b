"""What there is to watch, and what a watch would find at this moment: what is usual, and from when on it would alarm.

For who is about to make a watch or to change one: nothing is written. When it alarms is decided in core, by the same
functions that each look asks (data_silence.py, degradation.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core import data_silence
from heartfly.core.data_silence import GIVEN_UP, LOOKED_BACK, Limits, apart, floor, silence, usual
from heartfly.core.degradation import degraded, expected
from heartfly.core.windows import HOUR
from heartfly.db.models import customers, usage_sources
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.traffic.ranked import endpoint_names
from heartfly.traffic.watched import Quiet, deaf, endpoints_before, endpoints_now, quiet_customers, quiet_sources
from heartfly.traffic.watches import ALL, Kind
from heartfly.usage.customer_queries import one_customer

MOST_NAMES = 500
"""That a form offers."""
MOST_ROWS = 50
_NO_GAP = timedelta(seconds=-1)
"""Also who was heard at this very moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A source or a customer. `gap` and `rate`: between two times that something comes, and how much of it comes in
    an hour, as is usual now; None: it is not known for long enough, or nothing is usual now.

    `alarms_after`: so long a silence, if it went on as is usual now; None: none, as it is not busy enough.
    `words`: what an alarm would say at this moment; empty: there is none.
    """

    name: str
    last_at: datetime
    gap: timedelta | None
    rate: Fraction | None
    alarms_after: timedelta | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """An endpoint in the last minutes: now, what is usual, and from where on it would alarm; None: not known.
    `is_enough`: it had as many requests as tell something.
    """

    name: str
    n: int
    is_enough: bool
    p95_ms: tuple[Fraction | None, Fraction | None, Fraction | None]
    share: tuple[Fraction, Fraction | None, Fraction | None]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The worst first, and at most MOST_ROWS. `n`: how many are watched; `n_wrong`: how many would alarm now."""

    n: int
    n_wrong: int
    heard: Sequence[Heard] = ()
    called: Sequence[Called] = ()


async def demand_known(usage: AsyncConnection, pid: int, kind: Kind, what: str) -> None:
    """A source may be heard for the first time yet; of others there is nothing to watch before they were.

    InvalidValueError.
    """
    if what == ALL or kind is Kind.SOURCE:
        return
    if kind is Kind.ENDPOINT:
        if what not in await endpoint_names(usage, pid):
            raise InvalidValueError("what", "is no endpoint that was ever asked for; one is as `GET /v1/orders`")
        return
    try:
        await one_customer(usage, pid, what)
    except NotFoundError:
        raise InvalidValueError("what", "is the id of no customer") from None


async def names(usage: AsyncConnection, pid: int, kind: Kind) -> Sequence[tuple[str, str]]:
    """What can be watched, and what people call it; at most MOST_NAMES."""
    if kind is Kind.ENDPOINT:
        return [(name, name) for name in sorted(await endpoint_names(usage, pid))[:MOST_NAMES]]
    s, c = usage_sources.c, customers.c
    if kind is Kind.SOURCE:
        own = sa.select(s.name, s.name.label("called")).where(s.pid == pid, s.retired_at.is_(None)).order_by(s.name)
    else:
        own = sa.select(c.uuid, c.name).where(c.pid == pid, c.archived_at.is_(None)).order_by(c.name, c.id)
    return [(row[0], row[1]) for row in await usage.execute(own.limit(MOST_NAMES))]


async def customers_called(usage: AsyncConnection, pid: int, ids: Sequence[str]) -> Mapping[str, str]:
    """What people call them; who is not there any more is left out."""
    c = customers.c
    found = await usage.execute(sa.select(c.uuid, c.name).where(c.pid == pid, c.uuid.in_(ids))) if ids else ()
    return {row.uuid: row.name for row in found}


async def preview(
    main: AsyncConnection,
    usage: AsyncConnection,
    pid: int,
    *,
    kind: Kind,
    what: str,
    limits: Mapping[str, int],
    now: datetime,
    zone: ZoneInfo,
) -> Preview:
    if kind is Kind.ENDPOINT:
        return await _called(usage, pid, what, limits, now=now, zone=zone)
    ask = quiet_sources if kind is Kind.SOURCE else quiet_customers
    told = data_silence.of_source if kind is Kind.SOURCE else data_silence.of_customer
    found, n = await ask(usage, pid, what, now=now, gap=_NO_GAP, zone=zone)
    own = Limits(gap=timedelta(seconds=limits["gap_s"]), factor=limits["factor"], least=limits["least"])
    blind = apart(await deaf(main, now - GIVEN_UP))
    rows = []
    for one in found.values():
        wrong = silence(one.last_at, now=now, expected=_expected(one, zone), deaf=blind, limits=own)
        rows.append(_heard(one, own, "" if wrong is None else told(one.name, wrong), now=now, zone=zone))
    rows.sort(key=lambda row: (not row.words, -(row.rate or 0), row.name))
    return Preview(n=n, n_wrong=sum(bool(row.words) for row in rows), heard=rows[:MOST_ROWS])


def _expected(one: Quiet, zone: ZoneInfo) -> data_silence.Expected:
    return lambda hour: usual(hour, one.came, one.first_at, zone)


def _heard(one: Quiet, limits: Limits, words: str, *, now: datetime, zone: ZoneInfo) -> Heard:
    here = _expected(one, zone)(floor(now))
    if here is None or not here.n or not here.turns:
        return Heard(name=one.name, last_at=one.last_at, gap=None, rate=None, alarms_after=None, words=words)
    gap, missing = _share(1 / here.turns), _share(limits.least / here.n)
    after = max(limits.gap, limits.factor * gap, missing)
    alarms_after = after if after < LOOKED_BACK else None
    return Heard(name=one.name, last_at=one.last_at, gap=gap, rate=here.n, alarms_after=alarms_after, words=words)


def _share(of_an_hour: Fraction) -> timedelta:
    return timedelta(microseconds=round(of_an_hour * (HOUR // timedelta(microseconds=1))))


async def _called(
    usage: AsyncConnection, pid: int, what: str, limits: Mapping[str, int], *, now: datetime, zone: ZoneInfo
) -> Preview:
    factor, least = limits["factor"], limits["least"]
    seen = await endpoints_now(usage, pid, what, now=now, zone=zone, least=1)
    past = await endpoints_before(usage, pid, seen, now=now, zone=zone, least=least)
    rows = []
    for name, one in seen.items():
        p95, share = expected(past[name], factor=factor, least=least)
        words = degraded(one, past[name], factor=factor, least=least)
        p95_ms, shares, is_enough = (one.p95_ms, *p95), (one.share, *share), one.n >= least
        rows.append(Called(name=name, n=one.n, is_enough=is_enough, p95_ms=p95_ms, share=shares, words=words))
    rows.sort(key=lambda row: (not row.words, -row.n, row.name))
    n_wrong = sum(bool(row.words) for row in rows)
    return Preview(n=len(rows), n_wrong=n_wrong, called=rows[:MOST_ROWS])
