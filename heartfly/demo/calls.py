"""Calls of the demo to other people's APIs: 30 days of four providers, with prices in two currencies, one of which goes
up half-way, and a product that nobody has set a price for. One provider failed for a while yesterday, and was asked
again and again. And a few more come each minute while the demo serves.

The same seed and the same `now` make the same calls. What they cost is worked out by the fold, as in earnest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.accounts.commands import NewProject
from heartfly.clock import Clock
from heartfly.core.calls import TYPE
from heartfly.core.days import ONE, day_in, day_of
from heartfly.core.events import Event, event_of, read, written
from heartfly.core.money import rate
from heartfly.core.prices import ALWAYS, EVERY, Price
from heartfly.core.prices import Book as PriceBook
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import price_books, prices
from heartfly.demo.fill import ZONE
from heartfly.demo.goes_on import GoesOn
from heartfly.demo.limits import be_denied, fit_limits, make_limits
from heartfly.demo.requests import SENT_AS
from heartfly.limits.apply import LimitApplier
from heartfly.limits.book import Book
from heartfly.limits.tracked import TrackedCalls
from heartfly.usage.apply import Batch, EventApplier, Refused
from heartfly.usage.ingest import EventIngest

DAYS = 30
PER_DAY = 160
"""On a workday; on others a third of it."""
_DEARER_SINCE = 12
"""So many days ago a price went up."""
_OFTEN_S = 20.0
_BATCHES = 48
FAILED = "openai"
_FAILED_HOUR = 14
_FAILED_FROM, _FAILED_FOR = timedelta(minutes=5), timedelta(minutes=35)
_TRIED_AGAIN = 60


@dataclass(frozen=True, slots=True)
class Product:
    """`units`: of each kind how many half of its calls use at most. `ms`: how long half of them take at most."""

    provider: str
    model: str
    endpoint: str
    weight: int
    ms: float
    units: Mapping[str, int]
    tag: str


PRODUCTS = (
    Product("openai", "gpt-5", "/v1/responses", 22, 2_400, {"input_tokens": 1_800, "output_tokens": 420}, "support"),
    Product("openai", "gpt-5-mini", "/v1/responses", 30, 900, {"input_tokens": 900, "output_tokens": 160}, "search"),
    Product(
        "openai", "text-embedding-3-small", "/v1/embeddings", 20, 140, {"input_tokens": 600}, "search"
    ),
    Product(
        "anthropic", "claude-sonnet-4-5", "/v1/messages", 18, 3_100, {"input_tokens": 2_600, "output_tokens": 700},
        "summary",
    ),
    Product("mapbox", "geocoding", "/search/geocode/v6/forward", 14, 85, {}, "checkout"),
    Product("deepl", "translate", "/v2/translate", 6, 310, {"characters": 900}, "support"),
)  # fmt: skip
_PRICES: Sequence[tuple[str, str, str, str, str]] = (
    ("openai", "gpt-5", "input_tokens", "0.00000125", "USD"),
    ("openai", "gpt-5", "output_tokens", "0.00001", "USD"),
    ("openai", "gpt-5-mini", "input_tokens", "0.00000025", "USD"),
    ("openai", "gpt-5-mini", "output_tokens", "0.000002", "USD"),
    ("openai", "text-embedding-3-small", "input_tokens", "0.00000002", "USD"),
    ("anthropic", "claude-sonnet-4-5", "input_tokens", "0.000003", "USD"),
    ("anthropic", "claude-sonnet-4-5", "output_tokens", "0.000015", "USD"),
    ("mapbox", EVERY, "requests", "0.0005", "EUR"),
)
_DEARER = ("mapbox", "0.0007")
_USERS = ("ada", "grace", "joan", "edith", "radia", "")


def fill_calls(tx: Tx, project: NewProject, *, seed: int, now: datetime, ids: IdSource) -> None:
    """Into the usage part of the database, after fill_requests: each hour's as if they came in at its end."""
    zone, pid = ZoneInfo(ZONE), project.pid
    today = day_of(zone, now)
    since = day_in(zone, today - DAYS * ONE).from_at
    _fill_prices(tx, pid, since=since, dearer_at=day_in(zone, today - _DEARER_SINCE * ONE).from_at, ids=ids)
    limits = LimitApplier(Book(), ids)
    make_limits(tx, pid, at=since, ids=ids)
    be_denied(tx, limits, pid, now=now)
    applier = EventApplier(ids, calls=TrackedCalls(limits))
    batches = [
        _batch(pid, found, min(from_at + HOUR, now), since)
        for from_at, found in made(DAYS, seed=seed, now=now)
        if found
    ]
    for start in range(0, len(batches), _BATCHES):
        applier.apply(tx, batches[start : start + _BATCHES])
    fit_limits(tx, pid, now=now, ids=ids)


def made(days: int, *, seed: int, now: datetime) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    """Hour by hour, up to now: when it began, and the events."""
    zone = ZoneInfo(ZONE)
    today = day_of(zone, now)
    for back in range(days - 1, -1, -1):
        yield from _hours(today - back * ONE, zone, seed=seed, failed=back == 1, now=now)


def usual_book() -> PriceBook:
    """What calls cost in dollars, all the time."""
    return PriceBook(
        [
            Price(provider=provider, product=product, unit=unit, amount=rate(amount) or 0, currency=currency)
            for provider, product, unit, amount, currency in _PRICES
            if currency == "USD"
        ]
    )


def _fill_prices(tx: Tx, pid: int, *, since: datetime, dearer_at: datetime, ids: IdSource) -> None:
    def row(provider: str, product: str, unit: str, amount: str, currency: str) -> dict[str, Any]:
        return {
            "pid": pid, "id": ids.next(since), "provider": provider, "product": product, "unit": unit, "tier": "",
            "condition": "", "from_at": ALWAYS, "to_at": None, "amount": rate(amount), "currency": currency,
            "source": "hand", "created_at": since,
        }  # fmt: skip

    rows = [row(*one) for one in _PRICES]
    for one in [one for one in rows if one["provider"] == _DEARER[0]]:
        rows.append(one | {"id": ids.next(dearer_at), "from_at": dearer_at, "amount": rate(_DEARER[1])})
        one["to_at"] = dearer_at
    tx.conn.execute(sa.insert(prices), rows)
    tx.conn.execute(sa.insert(price_books).values(pid=pid, seq=ids.next(dearer_at), changed_at=dearer_at))


def _batch(pid: int, found: Sequence[dict[str, Any]], at: datetime, oldest: datetime) -> Batch:
    made = [event_of(one, now=at, oldest=oldest - ONE) for one in read(json.dumps(found))]
    return Batch(pid, "native", at, [one if isinstance(one, Event) else Refused(one, written(one)) for one in made])


def _hours(
    day: date, zone: ZoneInfo, *, seed: int, failed: bool, now: datetime
) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    chance = Random(f"{seed} calls {day}")  # noqa: S311 - it shall be foreseeable
    span = day_in(zone, day)
    n_day = PER_DAY * (1 if day.weekday() < 5 else 1 / 3) * chance.uniform(0.85, 1.15)
    from_at = span.from_at
    while from_at < span.to_at:
        hour = from_at.astimezone(zone).hour
        n = round(n_day / 24 * (1 + 0.85 * math.sin(math.pi * (hour - 8) / 12)) * chance.uniform(0.8, 1.2))
        found = [call(f"{day}-{hour}-{place}", from_at + chance.random() * HOUR, chance) for place in range(n)]
        if failed and hour == _FAILED_HOUR:
            found += _failed(f"{day}-again", from_at + _FAILED_FROM, chance)
        yield from_at, [one for at, one in found if at <= now]
        from_at += HOUR


def _failed(name: str, from_at: datetime, chance: Random) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """Tries at a provider that does not answer."""
    mine = [one for one in PRODUCTS if one.provider == FAILED]
    for place in range(_TRIED_AGAIN):
        at = from_at + chance.random() * _FAILED_FOR
        yield call(f"{name}-{place}", at, chance, products=mine, statuses={503: 85, 200: 15})


_STATUSES: Mapping[int, int] = {200: 970, 429: 18, 500: 8, 503: 4}


def call(
    name: str,
    at: datetime,
    chance: Random,
    *,
    products: Sequence[Product] = PRODUCTS,
    statuses: Mapping[int, int] = _STATUSES,
) -> tuple[datetime, dict[str, Any]]:
    """When, and the event. `statuses`: how often each of them comes."""
    product = chance.choices(products, [one.weight for one in products])[0]
    status = chance.choices(list(statuses), list(statuses.values()))[0]
    units = {
        f"units.{kind}": str(max(1, round(chance.lognormvariate(math.log(middle), 0.6))))
        for kind, middle in product.units.items()
    }
    told = {
        "provider": product.provider,
        "model": product.model,
        "endpoint": product.endpoint,
        "user": chance.choice(_USERS),
        "key": "prod" if chance.random() < 0.9 else "nightly",
        "tags": product.tag,
        "status": str(status),
        "latency_ms": f"{chance.lognormvariate(math.log(product.ms), 0.5):.1f}",
        "request_id": f"req_{chance.getrandbits(56):014x}",
    }
    failed = {"error": "rate limit reached" if status == 429 else "the provider failed"} if status >= 400 else units
    return at, {
        "transaction_id": f"demo-call-{name}",
        "customer_id": chance.choices(SENT_AS[:12], [12 - n for n in range(12)])[0],
        "event_type": TYPE,
        "timestamp": at.isoformat(),
        "properties": {key: value for key, value in (told | failed).items() if value},
    }


def calls_go_on(project: NewProject, ingest: EventIngest, clock: Clock, *, seed: int) -> GoesOn:
    """Beside the server: calls go on being made, some times a minute."""
    chance = Random(f"{seed} calls")  # noqa: S311 - nothing secret
    return GoesOn(
        project.pid, ingest, clock,
        often_s=_OFTEN_S, chance=chance, make=lambda name, at, chance: call(name, at, chance)[1],
    )  # fmt: skip
