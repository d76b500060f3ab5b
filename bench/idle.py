"""What Heartfly takes while nothing is due: a beat a second, and a sleep until the next deadline."""

from __future__ import annotations

from bench.load import CLOCK
from bench.procstat import Meter, megabytes
from bench.report import Figure
from bench.seed import seed
from bench.served import Stores, heartfly

_SETTLE_S = 3.0


async def measure(made: Stores, *, n_checks: int, seconds: float) -> list[Figure]:
    store = made.fresh()
    seeded = seed(store, n_checks)
    async with heartfly(store, seeded.paths[0]) as served:
        await CLOCK.sleep(_SETTLE_S)
        meter = Meter(served.pid, served.extra)
        await CLOCK.sleep(seconds)
        used = meter.read()
        used_mb = megabytes([served.pid])
    note = f"and {100 * used.extra_cpu_s / seconds:.2f} % in PostgreSQL" if served.extra else ""
    return [
        Figure(
            name=f"idle: share of a core, {n_checks:,} checks",
            value=100 * used.cpu_s / seconds,
            unit="%",
            at_most=1,
            others=used.others,
            note=note,
        ),
        Figure(name="memory while idle", value=used_mb, unit="MB", at_most=150),
    ]
