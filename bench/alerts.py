"""Alerts: a thousand of many checks fall due at one moment, or say themselves that they failed. And the storm: all of
them fall due, while others go on to ping.

Several groups fall due one after another in one run; the quietest one counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import load
from bench.load import CLOCK, Answers
from bench.procstat import Meter, Used, megabytes
from bench.report import Figure
from bench.seed import GRACE, Seeded, make_due, seed
from bench.served import Served, Store, Stores, heartfly
from bench.sink import Sink, sink
from heartfly.db.models import blind_intervals, flips
from heartfly.db.postgres import reading_engine as reading_postgres
from heartfly.db.sqlite import reading_engine as reading_sqlite

PINGS_PER_S = 60
_LIMIT_S, _STORM_LIMIT_S = 60.0, 240.0
STARTS_S = (12.0, 60.0)
"""From the writing of deadlines to the first of them: the server starts meanwhile, and then rests a little. On a busy
machine the first may be too short.
"""
_APART_S = 15.0
MEDIAN_S, P99_S = 0.15, 1.0
"""From the deadline to the first whole request at the receiver, of checks that fall due at one moment."""
FAILURES, FAILURES_PER_S = 600, 20.0
FAILURE_P99_MS = 500.0
STORM_PINGS_PER_S = 300
N_PINGED = 300
"""Checks that are pinged in a storm, none of which falls due."""


@dataclass(frozen=True, slots=True)
class Told:
    """Lateness in seconds after the deadline."""

    n: int
    first_s: float
    median_s: float
    p99_s: float
    last_s: float
    pings: Answers
    used: Used


async def measure(
    made: Stores, *, n_checks: int, n_due: int, groups: int, delay_s: float = 0.0, n_hooks: int = 1
) -> list[Figure]:
    for start_s in STARTS_S:
        store = made.fresh()
        with sink(delay_s=delay_s) as receiver:
            seeded = seed(store, n_checks, hooks=[f"{receiver.url}/{i}" for i in range(n_hooks)])
            first = soon(start_s)
            instants = [first + timedelta(seconds=_APART_S * i) for i in range(groups)]
            make_due(store, seeded, [(n_due, at) for at in instants])
            async with heartfly(store, seeded.paths[-1]) as served:
                if too_late(first):
                    continue
                told = [
                    await _told(served, receiver, seeded.paths[groups * n_due :], at, n_due=n_due, before=i * n_due)
                    for i, at in enumerate(instants)
                ]
                used_mb = megabytes([served.pid])
            deaf = await _deaf(store)
            distinct = len(receiver.arrivals().ids)
        return [
            *_figures(told, n_due=n_due, delay_s=delay_s, n_hooks=n_hooks),
            Figure(name="alerts: sent more or less than once", value=abs(distinct - groups * n_due), at_most=0),
            Figure(name="alerts: times we thought ourselves deaf", value=deaf, at_most=0),
            Figure(name="memory after the alerts", value=used_mb, unit="MB", at_most=150),
        ]
    raise RuntimeError(TOO_LATE)


def too_late(first: datetime) -> bool:
    """A server that starts when slots are open has not heard all of them, and excuses each: nobody would be alerted."""
    return CLOCK.now() >= first - GRACE


TOO_LATE = f"the server did not start within {STARTS_S[-1] - GRACE.seconds:.0f} s: others take too much of this machine"


def _figures(told: Sequence[Told], *, n_due: int, delay_s: float, n_hooks: int) -> list[Figure]:
    quiet = min(told, key=lambda one: one.used.others)
    receiver = f"receiver of {1000 * delay_s:.0f} ms" if delay_s else "receiver at once"
    name = f"alerts: {n_due:,} due, {n_hooks} webhook{'s' if n_hooks > 1 else ''}, {receiver}"
    others = quiet.used.others
    spent = 1000 * (quiet.used.cpu_s + quiet.used.extra_cpu_s) / n_due
    return [
        Figure(name=f"{name}: first", value=quiet.first_s, unit="s", at_most=0.5, others=others),
        # Of a slow receiver most wait for those before them, not for us.
        Figure(
            name=f"{name}: p50", value=quiet.median_s, unit="s", at_most=None if delay_s else MEDIAN_S, others=others
        ),
        Figure(name=f"{name}: p99", value=quiet.p99_s, unit="s", at_most=None if delay_s else P99_S, others=others),
        Figure(
            name=f"{name}: last",
            value=quiet.last_s,
            unit="s",
            at_most=5 if delay_s else 2,
            others=others,
            note=f"{spent:.2f} ms CPU each, with the pings",
        ),
        Figure(
            name=f"{name}: p99 of pings meanwhile",
            value=quiet.pings.p99_ms,
            unit="ms",
            at_most=25,
            others=others,
            note=f"p50 {quiet.pings.p50_ms:.1f}, max {quiet.pings.max_ms:.1f}",
        ),
    ]


async def _told(
    served: Served, receiver: Sink, paths: Sequence[str], due_at: datetime, *, n_due: int, before: int
) -> Told:
    await CLOCK.sleep((due_at - CLOCK.now()).total_seconds() - 0.5)
    meter = Meter(served.pid, served.extra)
    pinging = asyncio.create_task(load.open_loop(served.port, paths, per_s=PINGS_PER_S, seconds=5.0))
    await _until(lambda: len(receiver.arrivals().at) >= before + n_due)
    latencies = await pinging
    used = meter.read()
    late = sorted(at - due_at.timestamp() for at in receiver.arrivals().at[before : before + n_due])
    median, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
    return Told(len(late), late[0], median, p99, late[-1], latencies.answers(5.0), used)


# --- jobs that say themselves that they failed


async def failures(made: Stores, *, n_checks: int) -> list[Figure]:
    """From when a ping to /fail was meant to leave to the first whole request at the receiver."""
    store = made.fresh()
    n = min(FAILURES, n_checks - 1)
    with sink() as receiver:
        seeded = seed(store, n_checks, hooks=[receiver.url])
        async with heartfly(store, seeded.paths[-1]) as served:
            meter = Meter(served.pid, served.extra)
            sent = await load.each_once(served.port, [f"{path}/fail" for path in seeded.paths[:n]], FAILURES_PER_S)
            await _until(lambda: len(receiver.arrivals().ids) >= n)
            used, arrivals = meter.read(), receiver.arrivals()
    late = sorted(
        1000 * (at - sent[int(name.removeprefix("Job "))]) for at, name in zip(arrivals.at, arrivals.names, strict=True)
    )
    return [
        Figure(
            name=f"alerts: /fail to the receiver, {FAILURES_PER_S:.0f}/s of {n_checks:,} checks: p99",
            value=late[int(len(late) * 0.99)],
            unit="ms",
            at_most=FAILURE_P99_MS,
            others=used.others,
            note=f"p50 {late[len(late) // 2]:.0f}, max {late[-1]:.0f}, of {len(late)}",
        ),
        Figure(name="alerts: failures told more or less than once", value=abs(len(late) - n), at_most=0),
    ]


# --- the storm


async def storm(made: Stores, *, n_checks: int, tries: int, with_hook: bool, n_hosts: int = 0) -> list[Figure]:
    found = [await _storm(made, n_checks, with_hook=with_hook, n_hosts=n_hosts) for _ in range(tries)]
    took_s, used, deaf, pinged = min(found, key=lambda one: one[1].others)
    what = ("each with a webhook" if with_hook else "no channels") + (f", on {n_hosts} hosts" if n_hosts else "")
    note = f"{1e6 * (used.cpu_s + used.extra_cpu_s) / n_checks:.0f} us CPU each"
    return [
        Figure(
            name=f"storm: {n_checks:,} due in one second, {what}: all flips",
            value=took_s,
            unit="s",
            at_most=5,
            others=used.others,
            note=note,
        ),
        Figure(
            name=f"storm: {what}: p99 of {STORM_PINGS_PER_S} pings/s meanwhile",
            value=pinged.p99_ms,
            unit="ms",
            at_most=50,
            others=used.others,
            note=f"p50 {pinged.p50_ms:.1f}, max {pinged.max_ms:.1f}, of {pinged.n}, {pinged.errors} not answered",
        ),
        Figure(name="storm: times we thought ourselves deaf", value=deaf, at_most=0),
    ]


async def _storm(made: Stores, n_checks: int, *, with_hook: bool, n_hosts: int) -> tuple[float, Used, int, Answers]:
    for start_s in STARTS_S:
        store = made.fresh()
        with sink() as receiver:
            seeded = seed(store, n_checks + N_PINGED, hooks=[receiver.url] if with_hook else (), n_hosts=n_hosts)
            due_at = soon(start_s + n_checks / 10_000)
            make_due(store, seeded, _spread(n_checks, due_at))
            async with heartfly(store, seeded.paths[-1]) as served:
                if too_late(due_at):
                    continue
                took_s, used, pinged = await _flipped(store, served, seeded, due_at)
            return took_s, used, await _deaf(store), pinged
    raise RuntimeError(TOO_LATE)


def _spread(n_checks: int, due_at: datetime) -> list[tuple[int, datetime]]:
    """A hundred instants of one second: deadlines are not all the same one."""
    each = max(1, n_checks // 100)
    return [
        (min(each, n_checks - start), due_at + timedelta(seconds=start / n_checks))
        for start in range(0, n_checks, each)
    ]


async def _flipped(store: Store, served: Served, seeded: Seeded, due_at: datetime) -> tuple[float, Used, Answers]:
    """Seconds from the first deadline, a second before the last one, until all flips can be read."""
    wanted, enough = len(seeded.check_ids) - N_PINGED, asyncio.Event()
    await CLOCK.sleep((due_at - CLOCK.now()).total_seconds())
    pinging = asyncio.create_task(
        load.open_loop(
            served.port, seeded.paths[wanted:], per_s=STORM_PINGS_PER_S, seconds=_STORM_LIMIT_S, enough=enough
        )
    )
    meter = Meter(served.pid, served.extra)
    engine = reading_of(store)

    async def count() -> int:
        async with engine.connect() as connection:
            return int((await connection.execute(sa.select(sa.func.count()).select_from(flips))).scalar_one())

    begun = CLOCK.monotonic()
    while await count() < wanted and CLOCK.monotonic() < begun + _STORM_LIMIT_S:
        await CLOCK.sleep(0.05)
    took_s = (CLOCK.now() - due_at).total_seconds()
    used = meter.read()
    enough.set()
    pinged = (await pinging).answers(took_s)
    n = await count()
    await engine.dispose()
    if n < wanted:
        raise RuntimeError(f"{n} of {wanted} checks were told of after {_STORM_LIMIT_S} s")
    return took_s, used, pinged


async def _deaf(store: Store) -> int:
    engine = reading_of(store)
    async with engine.connect() as connection:
        found = (await connection.execute(sa.select(sa.func.count()).select_from(blind_intervals))).scalar_one()
    await engine.dispose()
    return int(found)


def reading_of(store: Store) -> AsyncEngine:
    return reading_postgres(store.url) if store.url else reading_sqlite(store.folder / "heartfly.db", CLOCK)


def soon(after_s: float) -> datetime:
    return (CLOCK.now() + timedelta(seconds=after_s)).replace(microsecond=0)


async def _until(done: Callable[[], bool]) -> None:
    begun = CLOCK.monotonic()
    while CLOCK.monotonic() < begun + _LIMIT_S:
        if await asyncio.to_thread(done):
            return
        await CLOCK.sleep(0.1)
    raise RuntimeError(f"not done after {_LIMIT_S} s")
