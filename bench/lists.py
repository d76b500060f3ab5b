"""A list of 1,000 checks over the API: the first time, when all is rendered, and again, when little has changed.

Wall-clock time of who asks over one connection that stays open, and the server's own CPU beside it.
"""

from __future__ import annotations

import asyncio
import http.client
import time

from bench.procstat import Meter
from bench.report import Figure
from bench.seed import seed
from bench.served import Stores, heartfly

MANY = 1_000
_PACE = 500
"""A key may ask 600 times a minute."""


async def measure(made: Stores, *, tries: int) -> list[Figure]:
    store = made.fresh()
    seeded = seed(store, MANY - 1, hooks=["http://127.0.0.1:9/nobody-listens"])  # and the one that they are copies of
    n = min(100 * tries, _PACE)
    async with heartfly(store, seeded.paths[0]) as served:
        await asyncio.to_thread(_asked, served.port, seeded.api_key, 1, of=1)  # what a server does once is no list's
        first = (await asyncio.to_thread(_asked, served.port, seeded.api_key, 1))[0]
        meter = Meter(served.pid, served.extra)
        took = sorted(await asyncio.to_thread(_asked, served.port, seeded.api_key, n))
        used = meter.read()
    note = f"p95 {took[int(0.95 * n)] * 1000:.1f} ms, of {n}"
    return [
        Figure(name=f"a list of {MANY:,} checks, the first", value=first * 1000, unit="ms"),
        Figure(
            name=f"a list of {MANY:,} checks: p50",
            value=took[n // 2] * 1000,
            unit="ms",
            at_most=15,
            others=used.others,
            note=note,
        ),
        Figure(name="CPU of it", value=1000 * used.cpu_s / n, unit="ms", others=used.others),
    ]


def _asked(port: int, key: str, n: int, *, of: int = MANY) -> list[float]:
    """How many seconds each took, until all of it was read."""
    connection, took = http.client.HTTPConnection("127.0.0.1", port, timeout=30), []
    try:
        for _ in range(n):
            begun = time.perf_counter()
            connection.request("GET", f"/v1/checks?limit={of}", headers={"Authorization": f"Bearer {key}"})
            answer = connection.getresponse()
            body = answer.read()
            took.append(time.perf_counter() - begun)
            if answer.status != 200 or body.count(b'"ping_url"') != of:
                raise RuntimeError(f"{answer.status}: {body[:300]!r}")
    finally:
        connection.close()
    return took
