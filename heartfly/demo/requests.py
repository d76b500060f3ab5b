"""Requests of the demo's API: 30 days of eight endpoints and forty customers, with nights, weekends, an hour in which
the search failed, and a customer who asks too often. And a few more each minute while the demo serves.

The same seed and the same `now` make the same requests. How they are summed up is decided in usage/, what is told of
them in traffic/.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from heartfly.accounts.commands import NewProject
from heartfly.audit.record import Actor
from heartfly.clock import Clock
from heartfly.core.access.as_event import TYPE
from heartfly.core.days import ONE, day_in, day_of
from heartfly.core.events import Event, event_of, read, written
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.demo.fill import EMAIL, ZONE
from heartfly.demo.goes_on import GoesOn
from heartfly.usage.apply import Batch, EventApplier, Refused
from heartfly.usage.customers import create_customer
from heartfly.usage.ingest import EventIngest

DAYS = 30
PER_DAY = 1_000
"""On a workday; on others a third of it."""
_LAST_OF_OLD = 12
"""So many days ago the old endpoint was called last."""
_BAD_HOUR = 14
"""Of two days ago: the search failed."""
_OFTEN_S = 10.0
"""More than before, so that something happens while one looks; and not so much more that the hour dwarfs the others."""
_BATCHES = 24


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`weight`: how much it is called. `ms`: how long half of its requests take at most."""

    method: str
    route: str
    weight: int
    ms: float


ENDPOINTS = (
    Endpoint("GET", "/v1/items/{id}", 30, 18.0),
    Endpoint("GET", "/v1/orders/{id}", 22, 31.0),
    Endpoint("POST", "/v1/orders", 14, 95.0),
    Endpoint("GET", "/v1/search", 12, 140.0),
    Endpoint("GET", "/v1/customers/{id}", 8, 24.0),
    Endpoint("POST", "/v1/payments", 6, 260.0),
    Endpoint("PATCH", "/v1/items/{id}", 5, 60.0),
    Endpoint("GET", "/v1/exports/{id}", 3, 420.0),
)
_SEARCH, _OLD = ENDPOINTS[3], ENDPOINTS[7]
_KNOWN = ("acme", "globex", "initech")
"""Who has a customer already (usage.py)."""
_NAMES = (
    "Hooli", "Umbrella", "Stark", "Wayne", "Wonka", "Tyrell", "Cyberdyne", "Soylent", "Oscorp", "Gringotts", "Duff",
    "Aperture", "Vandelay", "Dunder", "Sirius", "Nakatomi", "Octan", "Yoyodyne", "Zorg", "Virtucon", "Monarch",
    "Prestige", "Bluth", "Pied Piper", "Massive", "Rekall", "Weyland", "Lexcorp", "Kramerica", "Gekko", "Sterling",
    "Biffco", "Spacely", "Cogswell", "Ollivander", "Los Pollos",
)  # fmt: skip
SENT_AS = (*_KNOWN, *(name.lower().replace(" ", "-") for name in _NAMES), "anonymous")
_SHARES = tuple(1 / (n + 2) for n in range(len(SENT_AS)))
_TOO_OFTEN = SENT_AS[4]
_WHO = Actor(f"user:{EMAIL}", "192.0.2.7")


def fill_requests(tx: Tx, project: NewProject, *, seed: int, now: datetime, ids: IdSource) -> None:
    """Into the usage part of the database, after fill_usage with its ids: each hour's as if they came in at its end."""
    zone, pid = ZoneInfo(ZONE), project.pid
    today = day_of(zone, now)
    since = day_in(zone, today - DAYS * ONE).from_at
    for name, alias in zip(_NAMES, SENT_AS[len(_KNOWN) :], strict=False):
        create_customer(tx, pid, name=name, wanted=[alias], actor=_WHO, at=since, ids=ids)
    applier = EventApplier(ids)
    batches = [
        _batch(pid, found, min(from_at + HOUR, now), since)
        for back in range(DAYS - 1, -1, -1)
        for from_at, found in _hours(today - back * ONE, zone, seed=seed, back=back, now=now)
        if found
    ]
    for start in range(0, len(batches), _BATCHES):
        applier.apply(tx, batches[start : start + _BATCHES])


def _batch(pid: int, found: Sequence[dict[str, Any]], at: datetime, oldest: datetime) -> Batch:
    made = [event_of(one, now=at, oldest=oldest - ONE) for one in read(json.dumps(found))]
    return Batch(pid, "native", at, [one if isinstance(one, Event) else Refused(one, written(one)) for one in made])


def _hours(
    day: date, zone: ZoneInfo, *, seed: int, back: int, now: datetime
) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    chance = Random(f"{seed} requests {day}")  # noqa: S311 - it shall be foreseeable
    span = day_in(zone, day)
    n_day = PER_DAY * (1 if day.weekday() < 5 else 1 / 3) * chance.uniform(0.9, 1.1)
    from_at = span.from_at
    while from_at < span.to_at:
        hour = from_at.astimezone(zone).hour
        n = round(n_day / 24 * (1 + 0.85 * math.sin(math.pi * (hour - 8) / 12)) * chance.uniform(0.9, 1.1))
        bad = back == 2 and hour == _BAD_HOUR
        found = [
            request(f"{day}-{hour}-{place}", from_at + chance.random() * HOUR, chance, old=back > _LAST_OF_OLD, bad=bad)
            for place in range(n)
        ]
        yield from_at, [one for at, one in found if at <= now]
        from_at += HOUR


def request(
    name: str, at: datetime, chance: Random, *, old: bool = False, bad: bool = False
) -> tuple[datetime, dict[str, Any]]:
    """When, and the event. `old`: the old endpoint is called, too; `bad`: the search fails."""
    endpoints = ENDPOINTS if old else ENDPOINTS[:-1]
    endpoint = chance.choices(endpoints, [one.weight for one in endpoints])[0]
    customer = chance.choices(SENT_AS, _SHARES)[0]
    fails = bad and endpoint is _SEARCH
    status = _status(endpoint, customer, chance, fails=fails)
    ms = chance.lognormvariate(math.log(endpoint.ms), 0.55) * (6 if fails else 1)
    if status == 429:
        ms = chance.uniform(0.4, 1.5)
    number = chance.randrange(1, 9_000)
    return at, {
        "transaction_id": f"demo-request-{name}",
        "customer_id": customer,
        "event_type": TYPE,
        "timestamp": at.isoformat(),
        "properties": {
            "method": endpoint.method,
            "route": endpoint.route,
            "path": endpoint.route.replace("{id}", str(number)),
            "status": status,
            "status_class": f"{status // 100}xx",
            "latency_ms": round(ms, 3),
            "request_bytes": chance.randrange(300, 900),
            "response_bytes": chance.randrange(200, 40_000),
            "key": f"hf_live_{'ab' if customer in _KNOWN else 'cd'}",
            "source": f"nginx-{1 + number % 2}",
            "request_id": f"{chance.getrandbits(48):012x}",
        },
    }


def _status(endpoint: Endpoint, customer: str, chance: Random, *, fails: bool) -> int:
    if fails and chance.random() < 0.4:
        return chance.choice((500, 503, 504))
    if customer == _TOO_OFTEN and chance.random() < 0.08:
        return 429
    usual = (201 if endpoint.method == "POST" else 200, 304, 400, 404, 500, 502)
    return chance.choices(usual, (940, 20, 10, 25, 3, 2))[0]


def requests_go_on(project: NewProject, ingest: EventIngest, clock: Clock, *, seed: int) -> GoesOn:
    """Beside the server: the API goes on being called, some times a minute."""
    chance = Random(seed)  # noqa: S311 - nothing secret
    return GoesOn(
        project.pid, ingest, clock,
        often_s=_OFTEN_S, chance=chance, make=lambda name, at, chance: request(name, at, chance)[1],
    )  # fmt: skip
