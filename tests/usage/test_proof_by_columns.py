"""What proves a day asks many events at once, and is told what each of them would have told."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from heartfly.core.meters import Meter, PropertyFilter, meter_of
from heartfly.core.versions import Version
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.asked import Lacks, Lookers, Question
from heartfly.usage.close_day import Closer
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant
from tests.usage.oracle import Sent

AMOUNTS = [{"size": text} for text in ("0", "12", "-2.5", "9" * 20, f"0.{'0' * 17}1")]
OTHERS: list[dict[str, Any]] = [
    *({"size": text} for text in ("1\n2", "", "1e3", "1.", "9" * 21, "\u0661", None, True, {"a": "1"})),
    {},
    {"request": {"size": "4"}, "region": "eu"},
    {"size": "3", "region": "eu"},
]
METERS = [
    meter_of(types=["t"], aggregation="count"),
    meter_of(types=["t"], aggregation="sum", value="size"),
    meter_of(types=["t"], aggregation="sum", value="request.size"),
    meter_of(types=["t"], aggregation="sum", value="size * 3"),
    meter_of(types=["t"], aggregation="sum", value="size", filters=[PropertyFilter("region", exists=True)]),
    meter_of(types=["t"], aggregation="unique", value="region"),
]


@pytest.mark.parametrize("meter", METERS, ids=lambda meter: f"{meter.aggregation}-{len(meter.filters)}")
@pytest.mark.parametrize("rows", [AMOUNTS, OTHERS, AMOUNTS + OTHERS, [{"size": "1\n2"}], [{"size": "1"}]])
def test_many_are_asked_as_one_after_the_other(meter: Meter, rows: list[dict[str, Any]]) -> None:
    question = Question(meter)

    assert [question.ask(row) for row in rows] == list(question.ask_all(rows))


def test_two_amounts_in_one_text_are_none() -> None:
    assert [Lacks.AMOUNT, Decimal(1)] == list(Question(METERS[1]).ask_all([{"size": "1\n2"}, {"size": "1"}]))


def test_times_matter_where_another_version_begins_within_the_span_only() -> None:
    versions = [
        Version(id=n, meter_id=1, meter=METERS[0], from_at=at)
        for n, at in enumerate([None, NOW, NOW + HOUR, NOW - HOUR])
    ]
    edge = NOW + timedelta(microseconds=1)

    assert [] == Lookers(versions, NOW, NOW + HOUR).edges
    assert [NOW + HOUR] == Lookers(versions, NOW, NOW + HOUR + (edge - NOW)).edges


@pytest.mark.anyio
async def test_an_empty_text_is_a_value_like_others(usage_db: Database, ids: IdSource) -> None:
    plant = Plant(usage_db, SimClock(NOW), ids)
    await plant.meter("users", {"event_types": ["api"], "aggregation": "unique", "value": "user"})
    day = date(2026, 11, 27)
    at = NOW - timedelta(days=1)
    await plant.send(*(Sent(n, at, "c-1", "api", None, "1", user) for n, user in enumerate(["", "", "u-1"])))

    closed = await Closer(plant.usage, plant.folder, plant.clock, plant.ids).close(PID, day, ZoneInfo("UTC"))

    assert ("final", "") == (closed.state, closed.mismatch)
