"""Who receives alerts: 10,000 of them to a hundred slow receivers, or to one, and what one that never answers costs the
others.

Each receiver has an address of its own, as each host has. Lateness is from the deadline, which an alert tells, to the
first whole request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from bench.alerts import MEDIAN_S, P99_S, STARTS_S, TOO_LATE, soon, too_late
from bench.load import CLOCK
from bench.procstat import Meter, Used
from bench.report import Figure
from bench.seed import GRACE, make_due, seed
from bench.served import Stores, heartfly
from bench.sink import Arrivals, Sink, sink

Receiving = tuple[list[str], Sink]
"""Where alerts go, and which of the receivers is looked at."""

N_ALERTS, N_RECEIVERS, DELAY_S = 10_000, 100, 0.05
N_BESIDE = 10
"""Receivers of which one may never answer, each with as many alerts."""
_NEVER_S = 3600.0
_APART_S = 0.4
_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Drained:
    late_s: list[float]
    """In order."""
    n_doubled: int
    used: Used

    def quantile_s(self, share: float) -> float:
        return self.late_s[min(len(self.late_s) - 1, int(len(self.late_s) * share))]


async def many(made: Stores, *, n_alerts: int = N_ALERTS) -> list[Figure]:
    found = await _drained(made, _a_hundred, [n_alerts], n_heard=n_alerts)
    return _all_of(found, f"{n_alerts:,} alerts to {N_RECEIVERS} of {1000 * DELAY_S:.0f} ms", n_alerts, at_most=12)


async def one_host(made: Stores, *, n_alerts: int = N_ALERTS) -> list[Figure]:
    """All to one, which is asked by so many connections at once as one host may be."""
    found = await _drained(made, _one, [n_alerts], n_heard=n_alerts)
    return _all_of(found, f"{n_alerts:,} alerts to one host of {1000 * DELAY_S:.0f} ms", n_alerts, at_most=60)


async def spread(made: Stores, *, n_checks: int, n_alerts: int = 1000) -> list[Figure]:
    """As on a day on which nothing else happens: few fall due at each moment, of many that do not."""
    each = 2 * N_BESIDE
    found = await _drained(made, _at_once, [each] * (n_alerts // each), n_heard=n_alerts, n_checks=n_checks)
    name = f"alerts: {each} due at each of {n_alerts // each} moments, of {n_checks:,} checks"
    others, late = found.used.others, found.late_s
    return [
        Figure(name=f"{name}: first", value=late[0], unit="s", at_most=0.5, others=others),
        Figure(name=f"{name}: p50", value=found.quantile_s(0.5), unit="s", at_most=MEDIAN_S, others=others),
        Figure(name=f"{name}: p99", value=found.quantile_s(0.99), unit="s", at_most=P99_S, others=others),
        Figure(name=f"{name}: last", value=late[-1], unit="s", at_most=3, others=others),
    ]


def _all_of(found: Drained, what: str, n_alerts: int, *, at_most: float) -> list[Figure]:
    others = found.used.others
    spent = 1000 * (found.used.cpu_s + found.used.extra_cpu_s) / n_alerts
    note = f"first {found.late_s[0]:.2f}, median {found.quantile_s(0.5):.2f}, {spent:.2f} ms CPU each"
    return [
        Figure(
            name=f"receivers: {what}: last",
            value=found.late_s[-1],
            unit="s",
            at_most=at_most,
            others=others,
            note=note,
        ),
        Figure(name="receivers: sent more than once", value=found.n_doubled, at_most=0),
    ]


async def one_dead(made: Stores, *, n_alerts: int = 1000, tries: int = 1) -> list[Figure]:
    """The same alerts to the same receivers, of which one is dead, or none: the quietest try of each."""
    alive = [await _beside(made, n_alerts, dead=False) for _ in range(tries)]
    dead = [await _beside(made, n_alerts, dead=True) for _ in range(tries)]
    without, beside = (min(found, key=lambda one: one.used.others) for found in (alive, dead))
    p99_ms = [1000 * one.quantile_s(0.99) for one in (beside, without)]
    return [
        Figure(
            name=f"receivers: what one of {N_BESIDE} that never answers adds for the others, p99",
            value=p99_ms[0] - p99_ms[1],
            unit="ms",
            at_most=100,
            others=max(beside.used.others, without.used.others),
            note=f"p99 {p99_ms[0]:.0f} beside it, {p99_ms[1]:.0f} without; "
            f"p50 {1000 * beside.quantile_s(0.5):.0f} and {1000 * without.quantile_s(0.5):.0f}",
        ),
        Figure(name="receivers: sent more than once", value=beside.n_doubled + without.n_doubled, at_most=0),
    ]


@contextmanager
def _a_hundred() -> Iterator[Receiving]:
    with sink(delay_s=DELAY_S, n_hosts=N_RECEIVERS) as receiver:
        yield receiver.urls, receiver


@contextmanager
def _at_once() -> Iterator[Receiving]:
    with sink() as receiver:
        yield receiver.urls, receiver


@contextmanager
def _one() -> Iterator[Receiving]:
    with sink(delay_s=DELAY_S) as receiver:
        yield receiver.urls, receiver


async def _beside(made: Stores, n_alerts: int, *, dead: bool) -> Drained:
    """What the living ones heard. The dead one takes the last place; alive, it is not looked at either."""

    @contextmanager
    def ten() -> Iterator[Receiving]:
        with sink(n_hosts=N_BESIDE - 1) as living, sink(delay_s=_NEVER_S if dead else 0.0) as last:
            yield [*living.urls, last.url], living

    each = 2 * N_BESIDE
    groups = [each] * (n_alerts // each)
    return await _drained(made, ten, groups, n_heard=sum(groups) * (N_BESIDE - 1) // N_BESIDE)


async def _drained(
    made: Stores,
    receivers: Callable[[], AbstractContextManager[Receiving]],
    groups: Sequence[int],
    *,
    n_heard: int,
    n_checks: int = 0,
) -> Drained:
    """`groups`: how many fall due at each instant, some apart. `n_heard`: of how many will be heard where is looked.

    `n_checks`: so many there are, if that is more than fall due.
    """
    for start_s in STARTS_S:
        store = made.fresh()
        with receivers() as (urls, looked_at):  # anew, as a server that started too late may have told of some
            seeded = seed(store, max(n_checks, sum(groups) + 1), hooks=urls)
            first = soon(start_s)
            make_due(store, seeded, [(n, first + timedelta(seconds=_APART_S * i)) for i, n in enumerate(groups)])
            async with heartfly(store, seeded.paths[-1]) as served:
                if too_late(first):
                    continue
                await CLOCK.sleep((first - CLOCK.now()).total_seconds() - 0.5)
                meter = Meter(served.pid, served.extra)
                arrivals = await _heard(looked_at, n_heard)
                used = meter.read()
        return Drained(sorted(lateness_s(arrivals)), len(arrivals.at) - len(arrivals.ids), used)
    raise RuntimeError(TOO_LATE)


async def _heard(receiver: Sink, n: int) -> Arrivals:
    until = CLOCK.monotonic() + _LIMIT_S
    while CLOCK.monotonic() < until:
        found = await asyncio.to_thread(receiver.arrivals)
        if len(found.ids) >= n:
            return found
        await CLOCK.sleep(0.2)
    raise RuntimeError(f"{len(found.ids)} of {n} were told after {_LIMIT_S:.0f} s")


def lateness_s(arrivals: Arrivals) -> list[float]:
    return [
        at - (datetime.fromisoformat(expected) + GRACE).timestamp()
        for at, expected in zip(arrivals.at, arrivals.expected, strict=True)
    ]
