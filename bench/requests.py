"""Requests: what folding one costs, how quickly histograms add up, and what a day of them takes on the disk."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

from bench.load import CLOCK
from bench.report import Figure
from bench.seed import seed
from bench.served import Store, Stores
from bench.traffic_seed import CUSTOMERS, drawn, opened, seed_traffic
from heartfly.core.columns import Amounts, Page
from heartfly.core.packed import merged, packed
from heartfly.core.routing import Router
from heartfly.db.parts import USAGE
from heartfly.usage.request_fold import RequestTally
from heartfly.usage.requests import Limits, Requests

_BLOBS = 2_400
"""A histogram of each of 20 endpoints with 4 statuses, for 30 days."""
_PAGE = 5_000
_DAYS = 2


async def measure(made: Stores, *, per_day: int, tries: int) -> list[Figure]:
    costs = [_folded(per_day // 24) for _ in range(tries)]
    cost_us, parsing_us, n_cells = min(costs)
    blobs = _histograms()
    add_ms = min(_cpu_s(lambda: merged(blobs)) for _ in range(tries)) * 1_000
    found = [
        Figure(
            name="a request, folded", value=cost_us, unit="CPU us", at_most=6.0,
            note=f"besides {parsing_us:.1f} us for its JSON, which meters share; {n_cells} rows",
        ),
        Figure(name="histograms of 30 days, added up", value=add_ms, unit="CPU ms", at_most=15.0, note=f"{_BLOBS}"),
    ]  # fmt: skip
    if made.server:
        return found
    return [*found, _on_disk(made.fresh(), per_day)]


def _folded(n: int) -> tuple[float, float, int]:
    """Of each of an hour's requests, microseconds without and for its JSON; and how many rows they came to."""
    at = CLOCK.now().replace(minute=0, second=0, microsecond=0)
    rows = list(drawn(random.Random(3), at, range(1, CUSTOMERS + 1), n=n))
    pages = [rows[start : start + _PAGE] for start in range(0, n, _PAGE)]
    known, tally = Amounts(), RequestTally(Limits(), Router(), {}, at)
    read: list[Page] = []
    parsing_s = _cpu_s(lambda: read.extend(Page([row[5] for row in page], known) for page in pages))
    came_to: list[Requests] = []

    def fold() -> None:
        for page, some in zip(read, pages, strict=True):
            tally.take(page, some)
        came_to.append(tally.found())

    cost_s = _cpu_s(fold)
    return cost_s / n * 1e6, parsing_s / n * 1e6, len(came_to[0].cells)


def _histograms() -> list[bytes]:
    """Of some thousand times each."""
    draw, made = random.Random(7), []
    for _ in range(_BLOBS // 40):
        counts: dict[int, int] = {}
        for _ in range(2_000):
            bucket = round(draw.gauss(170, 30))
            counts[bucket] = counts.get(bucket, 0) + draw.randrange(1, 9)
        made.append(packed(0, counts))
    return made * 40


def _on_disk(store: Store, per_day: int) -> Figure:
    seeded = seed(store, 1)
    before = _size(store)
    ground = opened(store)
    try:
        midnight = CLOCK.now().replace(hour=0, minute=0, second=0, microsecond=0)
        written = seed_traffic(ground, seeded.pid, to_at=midnight - timedelta(days=1), days=_DAYS, per_day=per_day)
    finally:
        ground.close()
    megabytes = (_size(store) - before) / 1e6 / _DAYS
    note = f"{written.n_rows // _DAYS} rows, of {per_day} requests"
    return Figure(name="rows of a day of requests", value=megabytes, unit="MB", note=note)


def _size(store: Store) -> int:
    path = store.folder / USAGE.file
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        n_pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(n_pages * size)


def _cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
