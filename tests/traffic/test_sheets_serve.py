"""Sheets tell what rows tell: whatever windows have one, answers are the same; where they serve, no rows are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.amounts import ONE
from heartfly.core.traffic import SHEETED
from heartfly.core.windows import Size
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import request_rollups, request_sheets
from heartfly.traffic import heat, ranked, sheets
from heartfly.traffic.asked import ByStatus, Order, Ranked
from heartfly.traffic.series import series
from heartfly.traffic.totals import n_customers, totals
from tests.traffic.city import City, make_city, statuses
from tests.traffic.oracle import hits_of
from tests.usage.factory import PID

pytestmark = pytest.mark.anyio

DAY = datetime(2026, 11, 27, tzinfo=UTC)
WHOLE_HOURS = {"from_at": DAY - timedelta(hours=2), "to_at": DAY + timedelta(hours=30)}
"""A day, and hours at both ends of it."""


@pytest.fixture
async def city(usage_db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch) -> City:
    monkeypatch.setattr(sheets, "_FEW", dict.fromkeys(SHEETED, 0))
    monkeypatch.setattr(sheets, "_AT_ONCE", 3)
    made = make_city(usage_db, ids)
    await made.sent(hits_of(300, seed=14, from_at=WHOLE_HOURS["from_at"], to_at=WHOLE_HOURS["to_at"]))
    await made.fold()
    await made.folder.fold_day(PID, DAY, DAY + timedelta(days=1))
    return made


def told(found: ByStatus) -> tuple[Any, ...]:
    return *statuses(found), *found.total().percentiles_ms([50 * ONE, 95 * ONE])


def rows(found: Ranked) -> tuple[Any, ...]:
    other = None if found.other is None else told(found.other.by_status)
    return [(row.key, row.share, told(row.by_status)) for row in found.rows], other, found.n, told(found.all)


async def answers(city: City) -> dict[str, Any]:
    async def ask(question: Callable[..., Awaitable[Any]], **asked: Any) -> Any:
        return await city.ask(question, **WHOLE_HOURS, **asked)

    found: dict[str, Any] = {"customers": await ask(n_customers)}
    for name, filters in {"all": {}, "a method": {"methods": ["GET"]}, "a customer": {"customers": ["acme"]}}.items():
        found[f"totals of {name}"] = told((await ask(totals, **filters))[0])
    for size in (Size.HOUR, Size.DAY):
        bins, _ = await ask(series, size=size)
        found[size] = [(one.window, told(one.by_status)) for one in bins]
    for order in Order:
        found[f"endpoints by {order}"] = rows(await ask(ranked.endpoints, by=order, limit=4, offset=1))
        found[f"customers by {order}"] = rows(await ask(ranked.customers, by=order, limit=2))
    found["methods"] = rows(await ask(ranked.methods, by=Order.REQUESTS, limit=9))
    found["endpoints of a method"] = rows(await ask(ranked.endpoints, by=Order.P95, limit=9, methods=["GET"]))
    for name, question in {"by time": heat.over_time, "by week": heat.over_week}.items():
        found[name] = {place: told(cell) for place, cell in (await ask(question)).cells.items()}
    return found


async def test_answers_are_the_same_whatever_has_a_sheet(city: City) -> None:
    with_all = await answers(city)

    even = request_sheets.c.start_at.in_([DAY + timedelta(hours=n) for n in range(-2, 30, 2) if n])
    await city.usage.write(lambda tx: tx.conn.execute(sa.delete(request_sheets).where(even)))
    with_some = await answers(city)
    await city.usage.write(lambda tx: tx.conn.execute(sa.delete(request_sheets)))
    with_none = await answers(city)

    assert with_none == with_all
    assert with_none == with_some


async def test_rows_are_not_read_where_sheets_serve(city: City) -> None:
    with_rows = await answers(city)

    r = request_rollups.c
    doubled = sa.update(request_rollups).where(r.tier != "minute").values(n=r.n + 7, latency_us=r.latency_us + 7)
    await city.usage.write(lambda tx: tx.conn.execute(doubled))

    assert with_rows == await answers(city)


@pytest.mark.parametrize("years", [5, 26])
async def test_years_without_any_requests_are_not_asked_for_step_by_step(city: City, years: int) -> None:
    """Of 27 years that was 5,000 statements, four seconds of computing, and an answer that came too late to be one."""
    asked: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        asked.append(statement)

    around = {"from_at": DAY - timedelta(days=366 * years), "to_at": DAY + timedelta(days=30)}
    alone = rows(await city.ask(ranked.methods, **WHOLE_HOURS, by=Order.REQUESTS, limit=9))
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        found = rows(await city.ask(ranked.methods, **around, by=Order.REQUESTS, limit=9))
        before = rows(
            await city.ask(ranked.methods, **around | {"to_at": DAY - timedelta(days=366)}, by=Order.REQUESTS, limit=9)
        )
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert alone == found
    assert 0 == before[2]
    assert 60 > len(asked)
