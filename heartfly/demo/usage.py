"""Usage in the demo: customers, three meters and 30 days of events, some of them corrected, a backfill that counts and
one that waits. The real job closes the days once the demo serves.

The same seed and the same `now` make the same events. Who is met in them, and how much of what, is decided here; how
it is counted and proved, in usage/.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from heartfly.accounts.commands import NewProject
from heartfly.audit.record import Actor
from heartfly.clock import Clock
from heartfly.core.days import ONE, day_in, day_of
from heartfly.core.definitions import meter_from
from heartfly.core.events import Event, event_of, read, written
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.demo.fill import EMAIL, ZONE
from heartfly.errors import HeartflyError
from heartfly.jobs import commands, queries
from heartfly.jobs.daily_usage import NAME as DAILY_USAGE
from heartfly.logs import logger
from heartfly.usage.apply import Batch, EventApplier, Refused
from heartfly.usage.backfills import Wanted as Backfill
from heartfly.usage.backfills import close_set, fill, items_of, open_set
from heartfly.usage.corrections import Amended, amend, void
from heartfly.usage.customers import create_customer
from heartfly.usage.meters import Wanted, create_meter

log = logger("heartfly.demo")

DAYS = 30
CUSTOMERS: Mapping[str, tuple[str, ...]] = {
    "Acme": ("acme", "acct-17"),
    "Globex": ("globex",),
    "Initech": ("initech",),
}
"""And what senders call them. One more name comes in events, by which nobody is known yet."""
_SENT_AS = (("acme", 5), ("acct-17", 1), ("globex", 4), ("initech", 2), ("umbrella-trial", 1))
_METERS: tuple[tuple[str, str, str, Mapping[str, Any]], ...] = (
    ("api-calls", "API calls", "calls", {"aggregation": "count", "group_keys": ["endpoint", "region"]}),
    ("traffic", "Traffic", "bytes", {"aggregation": "sum", "value": "bytes", "group_keys": ["region"]}),
    (
        "latency-p95", "Latency, 95 of 100", "ms",
        {"aggregation": "percentile", "value": "ms", "percentile": "95", "group_keys": ["endpoint"]},
    ),
)  # fmt: skip
_TYPE = "api.request"
_ENDPOINTS = ("/v1/orders", "/v1/items", "/v1/search")
_HOURS = range(9, 15)
_WHO = Actor(f"user:{EMAIL}", "192.0.2.7")
_LOOK_S = 1.0


def fill_usage(tx: Tx, project: NewProject, *, seed: int, now: datetime, ids: IdSource) -> None:
    """Into the usage part of the database, each hour's events as if they had come in at its end."""
    zone, pid = ZoneInfo(ZONE), project.pid
    today = day_of(zone, now)
    since = day_in(zone, today - DAYS * ONE).from_at
    for name, sent_as in CUSTOMERS.items():
        create_customer(tx, pid, name=name, wanted=sent_as, actor=_WHO, at=since, ids=ids)
    for slug, name, unit, definition in _METERS:
        meter = meter_from({"event_types": [_TYPE]} | dict(definition))
        create_meter(tx, pid, Wanted(slug=slug, name=name, unit=unit, meter=meter), actor=_WHO, at=since, ids=ids)
    applier = EventApplier(ids)
    batches = [
        _batch(pid, found, at)
        for n in range(DAYS + 1)
        for at, found in _hours(today - (DAYS - n) * ONE, zone, seed=seed)
        if at <= now
    ]
    for start in range(0, len(batches), len(_HOURS)):
        applier.apply(tx, batches[start : start + len(_HOURS)])
    _set_right(tx, pid, today, zone, seed=seed, now=now, ids=ids)


def _set_right(tx: Tx, pid: int, today: date, zone: ZoneInfo, *, seed: int, now: datetime, ids: IdSource) -> None:
    """Of two days ago: two events, and an hour by a backfill. One of yesterday nobody has closed yet."""
    oldest, day, at = now - 2 * DAYS * ONE, today - 2 * ONE, now - 3 * HOUR
    void(tx, pid, f"demo-{day}-{_HOURS[0]}-0", reason="a load test of ours", actor=_WHO, at=at, ids=ids)
    change = Amended({"customer_id": "globex"})
    amend(
        tx, pid, f"demo-{day}-{_HOURS[1]}-0", change, reason="wrong account", oldest=oldest, actor=_WHO, at=at, ids=ids
    )
    for name, of, replaces in (
        ("Noon of the proxy, once more", day, True),
        ("The proxy’s missing hour", day + ONE, False),
    ):
        from_at = day_in(zone, of).from_at + 12 * HOUR
        wanted = Backfill(name=name, from_at=from_at, to_at=from_at + HOUR, replaces=replaces)
        public_id = open_set(tx, pid, wanted, oldest=oldest, actor=_WHO, at=at, ids=ids)
        chance = Random(f"{seed} {name}")  # noqa: S311 - it shall be foreseeable
        sent = [_event(f"{of}-12-{'' if replaces else 'more-'}{place}", from_at, chance) for place in range(20)]
        fill(tx, pid, public_id, items_of(read(json.dumps(sent)), now=now, oldest=oldest), actor=_WHO, at=at, ids=ids)
        if replaces:
            close_set(tx, pid, public_id, empty=False, actor=_WHO, at=at + HOUR, ids=ids)


def _batch(pid: int, found: list[dict[str, Any]], at: datetime) -> Batch:
    made = [event_of(one, now=at, oldest=at - DAYS * ONE) for one in read(json.dumps(found))]
    return Batch(pid, "native", at, [one if isinstance(one, Event) else Refused(one, written(one)) for one in made])


def _hours(day: date, zone: ZoneInfo, *, seed: int) -> Iterator[tuple[datetime, list[dict[str, Any]]]]:
    """Office hours, on weekends hardly any; and when each ends."""
    chance = Random(f"{seed} {day}")  # noqa: S311 - it shall be foreseeable
    quiet = day.weekday() > 4
    for hour in _HOURS:
        n = round(chance.uniform(1, 3) if quiet else 24 * math.sin(math.pi * (hour - 7) / 9) + chance.uniform(0, 6))
        from_at = day_in(zone, day).from_at + hour * HOUR
        yield from_at + HOUR, [_event(f"{day}-{hour}-{place}", from_at, chance) for place in range(n)]


def _event(name: str, from_at: datetime, chance: Random) -> dict[str, Any]:
    endpoint = chance.choice(_ENDPOINTS)
    return {
        "transaction_id": f"demo-{name}",
        "customer_id": chance.choices([name for name, _ in _SENT_AS], [weight for _, weight in _SENT_AS])[0],
        "event_type": _TYPE,
        "timestamp": (from_at + timedelta(seconds=chance.randrange(3_600))).isoformat(),
        "properties": {
            "endpoint": endpoint,
            "region": chance.choice(("eu", "eu", "us")),
            "bytes": chance.randrange(200, 40_000),
            "ms": round(chance.lognormvariate(4.8 if endpoint == "/v1/search" else 3.6, 0.5), 1),
        },
    }


class UsageGoesOn:
    """Beside the server: asks for the run that closes the days, as people do who cannot wait for the night."""

    def __init__(self, project: NewProject, main: Database, clock: Clock, ids: IdSource) -> None:
        self._pid, self._main, self._clock, self._ids = project.pid, main, clock, ids

    async def run(self, stop: asyncio.Event) -> None:
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set() and not await self.asked():
                await asyncio.wait([stopping], timeout=_LOOK_S)
        except HeartflyError as error:
            log.warning("demo", error=str(error))
        try:
            await stopping
        finally:
            stopping.cancel()

    async def asked(self) -> bool:
        """False: the job is not planned yet, which Heartfly does when it sees usage."""
        async with self._main.read() as read:
            job = await queries.find_kind(read, self._pid, DAILY_USAGE)
        if job is None:
            return False
        await self._main.write(
            lambda tx: commands.ask_for_run(tx, self._pid, job.uuid, at=self._clock.now(), ids=self._ids, actor=_WHO)
        )
        return True
