"""Pings: throughput beside the bare prototype in the same run, latency, CPU and memory.

Rounds alternate between the two servers, so that whatever else the machine does meets both alike. The ratio is
the median of the rounds; absolute figures are those of the quietest round.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench import load
from bench.load import CLOCK, Answers
from bench.procstat import Meter, Used, megabytes
from bench.report import Figure
from bench.seed import seed
from bench.served import Served, Store, Stores, heartfly, prototype, stores

CONNECTIONS = 64
OPEN_PER_S = 500


@dataclass(frozen=True, slots=True)
class Round:
    answers: Answers
    used: Used

    @property
    def cpu_ms(self) -> float:
        return 1000 * (self.used.cpu_s + self.used.extra_cpu_s) / max(1, self.answers.n)


@dataclass(frozen=True, slots=True)
class Target:
    served: Served
    paths: Sequence[str]

    async def closed(self, seconds: float, connections: int = CONNECTIONS) -> Round:
        meter = Meter(self.served.pid, self.served.extra)
        answers = await load.closed_loop(self.served.port, self.paths, connections=connections, seconds=seconds)
        return Round(answers, meter.read())

    async def open(self, seconds: float) -> Round:
        meter = Meter(self.served.pid, self.served.extra)
        latencies = await load.open_loop(self.served.port, self.paths, per_s=OPEN_PER_S, seconds=seconds)
        return Round(latencies.answers(seconds), meter.read())


@dataclass(frozen=True, slots=True)
class Compared:
    """Rounds of Heartfly and of what it is compared to, in turns."""

    ours: list[Round]
    base: list[Round]

    @property
    def throughput(self) -> float:
        return statistics.median(a.answers.per_s / b.answers.per_s for a, b in zip(self.ours, self.base, strict=True))

    @property
    def cpu(self) -> float:
        return statistics.median(a.cpu_ms / b.cpu_ms for a, b in zip(self.ours, self.base, strict=True))


async def compare(
    ours: Target, base: Target, *, rounds: int, seconds: float, connections: int = CONNECTIONS
) -> Compared:
    for target in (ours, base):
        await target.closed(min(seconds, 2), connections)  # caches fill, statements are prepared
    compared = Compared([], [])
    for _ in range(rounds):
        compared.ours.append(await ours.closed(seconds, connections))
        compared.base.append(await base.closed(seconds, connections))
    return compared


async def start_heartfly(stack: AsyncExitStack, store: Store, n_checks: int) -> Target:
    seeded = seed(store, n_checks)
    served = await stack.enter_async_context(heartfly(store, seeded.paths[0]))
    return Target(served, seeded.paths)


async def start_prototype(stack: AsyncExitStack, store: Store, n_checks: int) -> Target:
    return Target(*await stack.enter_async_context(prototype(store.folder, n_checks)))


async def measure(made: Stores, *, n_checks: int, rounds: int, seconds: float) -> list[Figure]:
    async with AsyncExitStack() as stack:
        store = made.fresh()
        ours = await start_heartfly(stack, store, n_checks)
        if made.database == "sqlite":
            base = await start_prototype(stack, store, n_checks)
            what, least = "the bare prototype", 0.5
        else:
            files = stack.enter_context(stores("sqlite"))
            base = await start_heartfly(stack, files.fresh(), n_checks)
            what, least = "ours on SQLite", 0.7
        compared = await compare(ours, base, rounds=rounds, seconds=seconds)
        opened: list[Round] = []
        base_opened: list[Round] = []
        for _ in range(rounds):
            for target, found in ((ours, opened), (base, base_opened)):
                await CLOCK.sleep(0.5)
                found.append(await target.open(seconds))
        used_mb = megabytes([ours.served.pid])
    quiet = _quietest(compared.ours)
    at_rate, base_at_rate = _quietest(opened), _quietest(base_opened)
    base_quiet = _quietest(compared.base)
    others, rate_others = quiet.used.others, at_rate.used.others
    wrong = sum(one.answers.errors for one in [*compared.ours, *opened])
    return [
        Figure(name=f"pings: throughput, ratio to {what}", value=compared.throughput, at_least=least, others=others),
        Figure(name=f"pings: CPU, ratio to {what}", value=compared.cpu, others=others),
        Figure(name="pings: throughput", value=quiet.answers.per_s, unit="/s", others=others),
        Figure(
            name=f"pings: throughput of {what}",
            value=base_quiet.answers.per_s,
            unit="/s",
            others=base_quiet.used.others,
            note=f"p99 {base_quiet.answers.p99_ms:.1f} ms, {base_quiet.cpu_ms:.3f} ms CPU each",
        ),
        Figure(
            name=f"pings: p99 at {CONNECTIONS} connections",
            value=quiet.answers.p99_ms,
            unit="ms",
            at_most=40,
            others=others,
            note=f"p50 {quiet.answers.p50_ms:.1f}, max {quiet.answers.max_ms:.1f}",
        ),
        Figure(name="pings: CPU each, all in all", value=quiet.cpu_ms, unit="ms", at_most=0.3, others=others),
        Figure(
            name=f"pings: p99 at {OPEN_PER_S}/s",
            value=at_rate.answers.p99_ms,
            unit="ms",
            at_most=5,
            others=rate_others,
            note=f"p50 {at_rate.answers.p50_ms:.1f}, max {at_rate.answers.max_ms:.1f}, CPU {at_rate.cpu_ms:.2f} each",
        ),
        Figure(
            name=f"pings: p99 at {OPEN_PER_S}/s of {what}",
            value=base_at_rate.answers.p99_ms,
            unit="ms",
            others=base_at_rate.used.others,
            note=f"p50 {base_at_rate.answers.p50_ms:.1f}, CPU {base_at_rate.cpu_ms:.2f} each",
        ),
        Figure(name="pings: answers that were none", value=wrong, at_most=0),
        Figure(name="memory after the pings", value=used_mb, unit="MB", at_most=150),
    ]


def _quietest(rounds: Sequence[Round]) -> Round:
    return min(rounds, key=lambda one: one.used.others)
