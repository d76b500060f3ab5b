"""Alert rules: how long a look at a thousand of them takes, over live rollups of calls and requests.

Calls of the last two hours come as events and are folded, as in production; requests are those of the last days, as the
fold writes them. What is timed is a whole look: reading, judging, and writing what follows.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bench.load import CLOCK
from bench.report import Figure
from bench.seed import seed
from bench.served import Stores
from bench.traffic_seed import opened, seed_traffic
from heartfly.audit.record import CLI
from heartfly.core.calls import TYPE
from heartfly.core.rule_definitions import rule_from
from heartfly.db.changes import Tx
from heartfly.ground import Ground
from heartfly.rules import queries
from heartfly.rules.commands import Wanted, create
from heartfly.rules.look import Looked, judged, with_last_values, write
from heartfly.rules.rows import by_rule, stored
from heartfly.rules.seeing import Sight, deaf_times, opening, whole_minute
from heartfly.usage.apply import EventApplier
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.ingest import EventIngest

RULES = 1_000
_PROVIDERS, _MODELS, _CUSTOMERS = 10, 10, 100
_BATCH = 500
_AT_ONCE = 100
_MOST_MS = 2_000.0


async def measure(made: Stores, *, n_events: int, tries: int) -> list[Figure]:
    store = made.fresh()
    pid = seed(store, 1).pid
    ground = opened(store)
    try:
        now = CLOCK.now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        seed_traffic(ground, pid, to_at=midnight, days=2, per_day=n_events, endpoints=50, customers=_CUSTOMERS)
        ground.database.start()
        ground.usage.start()
        await _calls(ground, pid, now, n_events // 5)
        await _rules(ground, pid, now)
        looks = [await _look(ground, pid, whole_minute(CLOCK.now()) + n * timedelta(minutes=1)) for n in range(tries)]
    finally:
        await ground.usage.stop()
        await ground.database.stop()
    took_ms, cpu_ms, told, n_readings = min(looks, key=lambda one: one[0])
    first_ms = looks[0][0]
    note = (
        f"{told.scopes:,} scopes, {n_readings} readings, {cpu_ms:.0f} CPU ms; the first, which fired the most, "
        f"{first_ms:.0f} ms; {n_events // 5:,} calls in two hours"
    )
    return [Figure(name=f"a look at {told.rules:,} alert rules", value=took_ms, unit="ms", at_most=_MOST_MS, note=note)]


async def _calls(ground: Ground, pid: int, now: datetime, n: int) -> None:
    draw = random.Random(5)
    ingest = EventIngest(ground.usage, EventApplier(ground.ids), ground.clock, keep=timedelta(days=400))
    for start in range(0, n, _BATCH):
        await ingest.take(pid, [_call(draw, number, now) for number in range(start, start + _BATCH)], wire="native")
    folder = Folder(ground.usage, ground.clock, ground.ids, hands=Hands(beside=False))
    while await folder.round():
        pass


def _call(draw: random.Random, number: int, now: datetime) -> dict[str, Any]:
    return {
        "transaction_id": f"call-{number}",
        "customer_id": f"c-{draw.randrange(_CUSTOMERS)}",
        "timestamp": (now - timedelta(seconds=draw.randrange(7_200))).isoformat(),
        "event_type": TYPE,
        "properties": {
            "provider": f"provider-{draw.randrange(_PROVIDERS)}",
            "model": f"model-{draw.randrange(_MODELS)}",
            "status": "500" if draw.random() < 0.03 else "200",
            "latency_ms": str(draw.randrange(50, 3_000)),
            "units.input_tokens": str(draw.randrange(1, 4_000)),
            "cost": f"0.{draw.randrange(1, 999):03}",
            "currency": "USD",
        },
    }


def _definitions() -> Sequence[dict[str, Any]]:
    """Of each kind some: with thresholds, filters and groups of their own, as people make them."""
    calls = {"of": "calls", "window": 3_600}
    spike = {"against": "before", "windows_before": 23, "threshold": "2", "least": 101}
    found: list[dict[str, Any]] = []
    for n in range(RULES):
        provider, model = f"provider-{n % _PROVIDERS}", f"model-{n // 7 % _MODELS}"
        where = {"provider": [provider], "model": [model]}
        kinds: tuple[dict[str, Any], ...] = (
            {"by": ["provider"], "conditions": [calls | {"metric": "error_rate", "threshold": f"{5 + n % 20}"}]},
            {"by": ["provider", "model"], "conditions": [calls | {"metric": "requests", "threshold": f"{n}"}]},
            {"conditions": [calls | {"metric": "cost", "name": "USD", "threshold": f"{n}", "where": where}]},
            {"conditions": [calls | {"metric": "latency", "threshold": "2500", "where": where}]},
            {
                "by": ["customer"],
                "conditions": [calls | {"metric": "units", "name": "input_tokens", "threshold": "9000000"}],
            },
            {"by": ["model"], "conditions": [calls | {"metric": "requests"} | spike]},
            {
                "by": ["endpoint"],
                "conditions": [
                    {"of": "requests", "metric": "error_rate", "window": 300 * (1 + n % 12), "threshold": "50"}
                ],
            },
            {
                "match": "all",
                "by": ["provider"],
                "conditions": [
                    calls | {"metric": "errors", "threshold": "10"},
                    calls | {"metric": "requests", "threshold": "1", "against": "absence"},
                ],
            },
        )
        found.append(kinds[n % len(kinds)])
    return found


async def _rules(ground: Ground, pid: int, at: datetime) -> None:
    wanted = [
        Wanted(name=f"rule {n}", rule=rule_from(definition), origin="own")
        for n, definition in enumerate(_definitions())
    ]
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]

        def command(tx: Tx, some: Sequence[Wanted] = some) -> None:
            for one in some:
                create(tx, pid, one, at=at, actor=CLI, ids=ground.ids)

        await ground.database.write(command)


async def _look(ground: Ground, pid: int, now: datetime) -> tuple[float, float, Looked, int]:
    """As the job does it: milliseconds on the clock and of computing, what it came to, and how much was read."""
    begun, computed = time.perf_counter(), time.process_time()
    async with ground.database.read() as main:
        rules = [stored(row) for row in await queries.looked_at(main, pid)]
        standings = by_rule(await queries.standings(main, pid))
        sight = Sight(now, await deaf_times(main, now=now))
    opened_reads = opening(ground.database.read, ground.usage.read, pid, now=now)
    await sight.read(opened_reads, (one.rule for one in rules))
    found, looked = await judged(rules, sight, standings)
    found = await with_last_values(opened_reads, now, found)
    await ground.database.write(lambda tx: write(tx, pid, rules, found, looked, now=now, ids=ground.ids))
    took, cpu = time.perf_counter() - begun, time.process_time() - computed
    return took * 1_000, cpu * 1_000, looked, len(sight.tables)
