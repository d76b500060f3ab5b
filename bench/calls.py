"""Calls to others' APIs: what folding one costs, and how quickly a month of a million a day says what it cost.

Of each question the best of some tries: the machine is shared. Groupings are those that cubes serve (docs/costs.md).
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bench.call_seed import CUSTOMERS, book, drawn, seed_calls
from bench.load import CLOCK
from bench.report import Figure
from bench.seed import seed
from bench.served import Stores
from bench.traffic import Ask, asked_of
from bench.traffic_seed import DAYS, opened
from heartfly.calls.asked import Asked
from heartfly.calls.figures import answer
from heartfly.calls.forecasts import Period, cost_forecast, period_at
from heartfly.calls.report import costs
from heartfly.calls.series import series
from heartfly.calls.unpriced import unpriced
from heartfly.core.calls import Dimension
from heartfly.core.columns import Amounts, Page
from heartfly.core.windows import Size
from heartfly.usage.call_fold import CallTally
from heartfly.usage.requests import Limits

_MOST_MS, _MOST_US = 150.0, 15.0
_PAGE = 5_000
_DAY = timedelta(days=1)
_UTC = ZoneInfo("UTC")
_D = Dimension
_GROUPINGS: Sequence[Sequence[Dimension]] = (
    (),
    (_D.PROVIDER,),
    (_D.MODEL,),
    (_D.ENDPOINT,),
    (_D.CUSTOMER,),
    (_D.USER,),
    (_D.KEY,),
    (_D.TAG,),
    (_D.STATUS,),
    (_D.PROVIDER, _D.MODEL),
    (_D.MODEL, _D.ENDPOINT),
    (_D.PROVIDER, _D.STATUS),
    (_D.CUSTOMER, _D.PROVIDER),
    (_D.CUSTOMER, _D.MODEL),
    (_D.USER, _D.PROVIDER),
    (_D.KEY, _D.MODEL),
    (_D.TAG, _D.MODEL),
)


async def measure(made: Stores, *, per_day: int, tries: int, days: int = DAYS) -> list[Figure]:
    cost_us, parsing_us, n_rows = min(_folded(per_day // 24) for _ in range(tries))
    found = [
        Figure(
            name="a call, folded and priced", value=cost_us, unit="CPU us", at_most=_MOST_US,
            note=f"besides {parsing_us:.1f} us for its JSON, which meters share; {n_rows} rows of {per_day // 24}",
        )
    ]  # fmt: skip
    store = made.fresh()
    seeded = seed(store, 1)
    ground = opened(store)
    midnight = CLOCK.now().replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        written = seed_calls(ground, seeded.pid, to_at=midnight, days=days, per_day=per_day)
        of_day = sum(n for (tier, _), n in written.rows.items() if tier == "day")
        found.append(Figure(name="rows of calls", value=written.n_rows, unit="rows", note=f"{of_day} of a day"))
        ground.usage.start()
        try:
            for name, ask in _questions(seeded.pid, midnight, days).items():
                found.append(await asked_of(ground.usage, name, ask, tries, at_most=_MOST_MS))
        finally:
            await ground.usage.stop()
    finally:
        ground.close()
    return found


def _folded(n: int) -> tuple[float, float, int]:
    """Of each of an hour's calls, microseconds without and for its JSON; and how many rows they came to."""
    at = CLOCK.now().replace(minute=0, second=0, microsecond=0)
    rows = list(drawn(random.Random(3), at, range(1, CUSTOMERS + 1), n=n))
    pages = [rows[start : start + _PAGE] for start in range(0, n, _PAGE)]
    known, tally = Amounts(), CallTally(Limits(), book(), {}, at)
    begun = time.process_time()
    read = [Page([row[5] for row in page], known) for page in pages]
    parsed = time.process_time()
    for page, some in zip(read, pages, strict=True):
        tally.take(page, some)
    found = tally.found()
    ended = time.process_time()
    return (ended - parsed) / n * 1e6, (parsed - begun) / n * 1e6, len(found.cells)


def _questions(pid: int, midnight: datetime, days: int) -> Mapping[str, Ask]:
    asked = Asked(from_at=midnight - days * _DAY, to_at=midnight)

    def by(*of: Dimension, compare: bool = False, **filters: str) -> Ask:
        given = {Dimension(name): [value] for name, value in filters.items()}
        some = Asked(from_at=asked.from_at, to_at=midnight, filters=given)
        return lambda read: costs(read, pid, some, by=of, zone=_UTC, compare=compare, limit=100, now=midnight)

    found: dict[str, Ask] = {f"by {' and '.join(of) or 'nothing'}": by(*of) for of in _GROUPINGS}
    return found | {
        "a customer by model": by(_D.MODEL, customer="customer-0000"),
        "a model by customer": by(_D.CUSTOMER, model="model-0"),
        "a provider by tag": by(_D.TAG, provider="provider-1"),
        "statistics": lambda read: answer(read, pid, asked.from_at, midnight, by=(), now=midnight),
        "by the day": lambda read: series(read, pid, asked, size=Size.DAY, zone=_UTC, times=False, now=midnight),
        "by the day and provider": lambda read: series(
            read, pid, asked, size=Size.DAY, zone=_UTC, by=[_D.PROVIDER], times=False, now=midnight
        ),
        "without a price": lambda read: unpriced(read, pid, asked, now=midnight),
        "the forecast of a month": lambda read: cost_forecast(
            read, pid, period=period_at(Period.MONTH, _UTC, midnight), filters={}, zone=_UTC, now=midnight
        ),
    }
