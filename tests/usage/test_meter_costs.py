"""What a customer's use of meters costs: by group, at the price of its time, in lines that add up to the last digit."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.core.money import money_text, rate
from heartfly.core.tiles import State
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import aliases, customers, usage_audit
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage.meter_costs import MeterCosts, costs_of
from heartfly.usage.meter_prices import (
    Wanted,
    create_meter_price,
    delete_meter_price,
    end_meter_price,
    prices_of_meters,
)
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant

pytestmark = pytest.mark.anyio

FROM = NOW.replace(minute=0) - 40 * HOUR
CHANGE = FROM + 17 * HOUR
UTC_ZONE = ZoneInfo("UTC")
ACME = "3f0f8f9e-6a1c-4a55-8d4c-0000000000ac"
SUM = {"event_types": ["served"], "aggregation": "sum", "value": "size", "group_keys": ["region", "domain"]}


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
async def plant(usage_db: Database, clock: SimClock, ids: IdSource) -> Plant:
    made = Plant(usage_db, clock, ids)
    await made.meter("bytes", SUM)
    await made.meter("peak", {"event_types": ["served"], "aggregation": "max", "value": "size"})
    return made


async def add(plant: Plant, amount: str, meter: str = "bytes", currency: str = "USD", **more: Any) -> int:
    only: Mapping[str, str | None] = more.pop("only", {})
    of_one = rate(amount)
    assert of_one is not None
    wanted = Wanted(only=only, amount=of_one, currency=currency, **more)
    return await plant.usage.write(
        lambda tx: create_meter_price(tx, PID, meter, wanted, actor=Actor("test"), at=NOW, ids=plant.ids)
    )


async def ask(plant: Plant, customer: str | None = None, **asked: Any) -> MeterCosts:
    usual: dict[str, Any] = {"from_at": FROM, "to_at": NOW, "zone": UTC_ZONE, "now": NOW}
    async with plant.usage.read() as read:
        return await costs_of(read, PID, customer=customer, **usual | asked)


async def known(plant: Plant, name: str, alias: str) -> None:
    def work(tx: Tx) -> None:
        number = plant.ids.next(NOW)
        tx.conn.execute(
            sa.insert(customers).values(pid=PID, id=number, uuid=ACME, name=name, rev=1, created_at=NOW)
        )
        tx.conn.execute(sa.insert(aliases).values(pid=PID, text=alias, customer_id=number))

    await plant.usage.write(work)


async def test_lines_add_up_to_what_decimals_say(plant: Plant) -> None:
    draw = random.Random(7)
    events, wire = [], []
    for n in range(600):
        at = FROM + timedelta(seconds=draw.randrange(40 * 3600))
        size = f"{draw.randrange(10**6)}.{draw.randrange(10**18):018d}"
        told = {"size": size, "region": draw.choice(["eu", "us", "asia"])}
        events.append((at, draw.choice(["acme", "bolt"]), told))
        event = {"transaction_id": f"t-{n}", "customer_id": events[-1][1], "timestamp": at.isoformat()}
        wire.append(event | {"event_type": "served", "properties": told})
    for start in range(0, len(wire), 100):
        await plant.ingest.take(PID, wire[start : start + 100], wire="native")
    await known(plant, "Acme", "acme")
    await plant.fold()
    await add(plant, "0.01", only={"region": "eu"}, to_at=CHANGE)
    await add(plant, "0.020000000000000000000000000001", only={"region": "eu"}, from_at=CHANGE)
    await add(plant, "0.005", currency="EUR", only={"region": "us"})

    found = await ask(plant, ACME)

    totals = {"USD": Decimal(0), "EUR": Decimal(0)}
    with localcontext(Context(prec=120)):
        for at, who, told in events:
            if who == "acme" and told["region"] == "eu":
                of_one = Decimal("0.01") if at < CHANGE else Decimal("0.020000000000000000000000000001")
                totals["USD"] += Decimal(told["size"]) * of_one
            elif who == "acme" and told["region"] == "us":
                totals["EUR"] += Decimal(told["size"]) * Decimal("0.005")
        assert totals == {name: Decimal(money_text(value)) for name, value in found.totals.items()}
        lines = [(line.price.currency, line.cost) for line in found.lines if line.price is not None]
        for name, total in found.totals.items():
            assert total == sum(cost for currency, cost in lines if currency == name and cost is not None)
    assert (2, 6) == (found.n_unpriced, len(found.lines))
    assert sum(who == "acme" for _, who, _ in events) == sum(line.n for line in found.lines)
    everybody = await ask(plant)
    assert len(events) == sum(line.n for line in everybody.lines)


async def test_a_meter_without_a_price_and_a_time_without_use_are_no_lines(plant: Plant) -> None:
    assert ([], {}) == (list((await ask(plant)).lines), (await ask(plant)).totals)
    await add(plant, "1")
    assert [] == list((await ask(plant)).lines)
    with pytest.raises(NotFoundError):
        await ask(plant, meter="nobody")
    with pytest.raises(InvalidValueError):
        await ask(plant, to_at=FROM)


async def test_what_is_not_proved_says_so(plant: Plant) -> None:
    event = {"transaction_id": "t", "customer_id": "a", "timestamp": FROM.isoformat(), "event_type": "served"}
    await plant.ingest.take(PID, [event | {"properties": {"size": "3"}}], wire="native")
    await plant.fold()
    await add(plant, "2")

    (line,) = (await ask(plant)).lines
    assert ("6", 1) == (money_text(line.cost or 0), line.n)
    assert line.state is not State.FINAL


@pytest.mark.parametrize(
    ("meter", "more", "field"),
    [
        ("bytes", {"from_at": CHANGE.replace(minute=30)}, "from_at"),
        ("bytes", {"to_at": CHANGE.replace(second=1)}, "to_at"),
        ("bytes", {"from_at": CHANGE, "to_at": CHANGE}, "to_at"),
        ("bytes", {"only": {"colour": "red"}}, "only"),
        ("bytes", {"only": {"region": "x" * 257}}, "only.region"),
        ("peak", {}, "meter"),
        ("bytes", {"from_at": datetime.max.replace(tzinfo=NOW.tzinfo, microsecond=0, second=0, minute=0)}, "from_at"),
    ],
)
async def test_what_can_be_no_price_is_refused_by_its_field(
    plant: Plant, meter: str, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidValueError) as refused:
        await add(plant, "1", meter, **more)

    assert field == refused.value.field


async def test_prices_of_a_group_do_not_overlap_and_are_ended_and_deleted(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await add(plant, "1", only={"region": "eu"})
    await add(plant, "1", only={"region": "us"})
    with pytest.raises(InvalidValueError, match="overlaps"):
        await add(plant, "2", only={"region": "eu"}, from_at=CHANGE)

    async def end(number: int, to_at: datetime | None) -> None:
        await plant.usage.write(
            lambda tx: end_meter_price(tx, PID, "bytes", number, to_at, actor=Actor("test"), at=NOW, ids=plant.ids)
        )

    await end(first, CHANGE)
    second = await add(plant, "2", only={"region": "eu"}, from_at=CHANGE)
    with pytest.raises(InvalidValueError, match="reaches into"):
        await end(first, None)
    with pytest.raises(InvalidValueError, match="must be after"):
        await end(second, CHANGE)
    with pytest.raises(NotFoundError):
        await plant.usage.write(
            lambda tx: delete_meter_price(tx, PID, "peak", first, actor=Actor("test"), at=NOW, ids=plant.ids)
        )
    await plant.usage.write(
        lambda tx: delete_meter_price(tx, PID, "bytes", second, actor=Actor("test"), at=NOW, ids=plant.ids)
    )
    await end(first, None)
    async with plant.usage.read() as read:
        kept = await prices_of_meters(read, PID, [plant.meter_ids["bytes"]])
        others = await prices_of_meters(read, PID + 1, [plant.meter_ids["bytes"]])
        actions = (await read.execute(sa.select(usage_audit.c.action).order_by(usage_audit.c.id))).scalars().all()
    assert [[first, "eu", None], []] == [
        [kept[plant.meter_ids["bytes"]][0].price.id, kept[plant.meter_ids["bytes"]][0].price.only["region"], None],
        others[plant.meter_ids["bytes"]],
    ]
    assert (3, 1) == (actions.count("meter_price.create"), actions.count("meter_price.delete"))
    monkeypatch.setattr("heartfly.usage.meter_prices.MOST_PRICES", 2)
    with pytest.raises(ConflictError):
        await add(plant, "1", only={"region": "asia"})
