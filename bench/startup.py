"""How long a start takes with many checks: from exec to the first ping that was answered, durable."""

from __future__ import annotations

from bench.procstat import megabytes
from bench.report import Figure
from bench.seed import seed
from bench.served import Stores, heartfly


async def measure(made: Stores, *, n_checks: int, tries: int) -> list[Figure]:
    store = made.fresh()
    seeded = seed(store, n_checks)
    seconds, used_mb = [], 0.0
    for _ in range(tries):
        async with heartfly(store, seeded.paths[0]) as served:
            seconds.append(served.started_s)
            used_mb = megabytes([served.pid])
    tried = ", ".join(f"{each:.2f}" for each in seconds)
    return [
        Figure(
            name=f"start: first ping answered, {n_checks:,} checks",
            value=min(seconds),
            unit="s",
            at_most=2,
            note=f"of {tried}",
        ),
        Figure(name="memory after the start", value=used_mb, unit="MB", at_most=150),
    ]
