"""What meters come to, asked in all ways, is what the events come to; and each figure says how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from heartfly.audit.record import CLI
from heartfly.core.amounts import decimal_of
from heartfly.core.tiles import State
from heartfly.core.windows import Size
from heartfly.db.changes import Tx
from heartfly.db.models import aliases, customers, usage_days
from heartfly.errors import InvalidValueError
from heartfly.usage import answers as answering
from heartfly.usage.answers import Answer, Edge, Item, answer
from heartfly.usage.close_day import Closer
from heartfly.usage.corrections import void
from heartfly.usage.meter_queries import find_meter
from heartfly.usage.meters import mark_hours
from heartfly.usage.question import Question
from tests.one_database import on_sqlite
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of, within
from tests.usage.oracle import DEFINITIONS, Sent, answers

pytestmark = pytest.mark.anyio

UTC_ZONE = ZoneInfo("UTC")
FROM = datetime(2026, 11, 27, 21, 15, tzinfo=UTC)
TO = datetime(2026, 11, 28, 7, 45, tzinfo=UTC)
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
Key = tuple[Any, ...]


async def ask(plant: Plant, meter: str, *, limit: int = 10_000, after: Edge | None = None, **asked: Any) -> Answer:
    usual: dict[str, Any] = {"from_at": FROM, "to_at": TO, "size": None, "zone": UTC_ZONE}
    async with plant.usage.read() as read:
        stored = await find_meter(read, PID, meter)
        return await answer(
            read, PID, stored, Question(**usual | asked), now=plant.clock.now(), limit=limit, after=after
        )


async def figures(plant: Plant, meter: str, **asked: Any) -> dict[Key, Decimal | None]:
    """By the window's beginning and what it is grouped by."""
    told = await ask(plant, meter, **asked)
    return {
        (item.window.from_at, *(text for _, text, _ in item.place)): None
        if item.value is None
        else decimal_of(item.value)
        for item in told.items
    }


def brute(sent: Iterable[Sent], begins: Callable[[Sent], datetime], by: Sequence[str] = ()) -> dict[Key, Decimal]:
    """The sum of size * 3, as the meter `sum` has it."""
    found: dict[Key, Decimal] = {}
    for one in sent:
        if one.type in {"api", "job"} and one.size not in {"", "1e3"} and not one.size.startswith("999"):
            key = (begins(one), *(getattr(one, name) or "" for name in by))
            found[key] = found.get(key, Decimal(0)) + Decimal(one.size) * 3
    return found


@pytest.fixture
async def sent(plant: Plant) -> list[Sent]:
    await plant.all_meters()
    found = events_of(300, seed=4, from_at=FROM - HOUR, to_at=TO)
    await plant.send(*found)
    await plant.fold()
    return [one for one in found if one.at >= FROM]


def local_hour(zone: str) -> Callable[[Sent], datetime]:
    def begins(one: Sent) -> datetime:
        local = one.at.astimezone(ZoneInfo(zone)).replace(minute=0, second=0, microsecond=0)
        return max(local.astimezone(UTC), FROM)

    return begins


def local_day(zone: str) -> Callable[[Sent], datetime]:
    def begins(one: Sent) -> datetime:
        local = one.at.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        return max(local.astimezone(UTC), FROM)

    return begins


async def test_days_and_hours_of_any_zone_are_what_their_events_come_to(plant: Plant, sent: list[Sent]) -> None:
    by = ["subject", "endpoint"]
    for zone in ("UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu"):
        asked = {"zone": ZoneInfo(zone)}

        assert brute(sent, local_day(zone), by) == await figures(plant, "sum", size=Size.DAY, group_by=by, **asked)
        hours = await figures(plant, "sum", size=Size.HOUR, group_by=["endpoint"], **asked)
        assert brute(sent, local_hour(zone), ["endpoint"]) == hours
    (whole,) = (await figures(plant, "sum")).values()
    assert sum(brute(sent, local_day("UTC")).values()) == whole


async def test_days_that_are_summed_up_answer_as_their_hours_do(plant: Plant, sent: list[Sent]) -> None:
    asked: dict[str, Any] = {"size": Size.DAY, "group_by": ["subject", "endpoint"]}
    meters = ["sum", "users"]
    before = [await figures(plant, meter, **asked) for meter in meters]

    day = datetime(2026, 11, 28, tzinfo=UTC)
    await plant.folder.fold_day(PID, day, day + 7 * HOUR)

    assert before == [await figures(plant, meter, **asked) for meter in meters]
    assert brute(sent, local_day("UTC"), asked["group_by"]) == before[0]


async def test_each_aggregation_is_what_its_events_come_to(plant: Plant, sent: list[Sent]) -> None:
    counted = [one for one in sent if one.type == "api"]
    sized = sorted((one for one in counted if one.size not in {"", "1e3"}), key=lambda one: (one.at, one.number))
    sizes = [Decimal(one.size) for one in sized if not one.size.startswith("9999")]
    largest = [Decimal(one.size) for one in sized]

    assert [len(counted)] == list((await figures(plant, "count")).values())
    assert [max(largest)] == list((await figures(plant, "peak")).values())
    assert [Decimal(sized[-1].size)] == list((await figures(plant, "latest")).values())
    assert [len({one.user for one in counted})] == list((await figures(plant, "users")).values())
    await plant.meter("mean", {"event_types": ["api"], "aggregation": "average", "value": "size - 0"})
    await plant.meter("least", {"event_types": ["api"], "aggregation": "min", "value": "size"})
    await plant.meter(
        "half", {"event_types": ["api"], "aggregation": "percentile", "value": "size", "percentile": "50"}
    )
    await plant.usage.write(lambda tx: _mark_all(tx, plant))
    await plant.fold()
    assert [min(sizes)] == list((await figures(plant, "least")).values())
    (mean,) = (await figures(plant, "mean")).values()
    assert mean is not None
    assert abs(mean - sum(largest, Decimal(0)) / len(largest)) < Decimal("1e-6") * abs(mean)
    (half,) = (await figures(plant, "half")).values()
    ranked = sorted(largest)
    assert half is not None
    assert abs(half - ranked[-(-len(ranked) // 2) - 1]) <= Decimal("0.011") * abs(half)


def _mark_all(tx: Tx, plant: Plant) -> None:
    mark_hours(tx, PID, None, None, seq=plant.ids.next(NOW))


async def test_of_whole_hours_each_customer_has_what_its_events_come_to(plant: Plant, sent: list[Sent]) -> None:
    """No event is read here: what windows keep of a largest and a latest is all that there is."""
    start, end = FROM.replace(minute=0) + HOUR, TO.replace(minute=0)
    hours = [start + n * HOUR for n in range((end - start) // HOUR)]

    async def told(meter: str, size: Size | None) -> dict[Key, Decimal | None]:
        return await figures(plant, meter, size=size, from_at=start, to_at=end, group_by=["subject"])

    whole = answers(within(sent, start, end))
    by_hour = {hour: answers(within(sent, hour, hour + HOUR)) for hour in hours}
    for meter in DEFINITIONS:
        assert _by_subject(whole, meter, start) == await told(meter, None)
        expected: dict[Key, Decimal] = {}
        for hour in hours:
            expected |= _by_subject(by_hour[hour], meter, hour)
        assert expected == await told(meter, Size.HOUR)


def _by_subject(found: Any, meter: str, at: datetime) -> dict[Key, Decimal]:
    return {(at, subject): value for (name, subject, group), value in found.items() if (name, group) == (meter, None)}


async def test_hours_and_days_keep_of_each_customer_the_least_the_mean_and_the_middle(
    plant: Plant, sent: list[Sent]
) -> None:
    day = datetime(2026, 11, 28, tzinfo=UTC)
    of_size = {"event_types": ["api"], "value": "size"}
    await plant.meter("least", of_size | {"aggregation": "min"})
    await plant.meter("mean", of_size | {"aggregation": "average"})
    await plant.meter("middle", of_size | {"aggregation": "percentile", "percentile": "50"})
    await plant.usage.write(lambda tx: _mark_all(tx, plant))
    await plant.fold()
    sized = [one for one in sent if one.type == "api" and one.size not in {"", "1e3"}]

    async def holds(size: Size, begins: Callable[[Sent], datetime]) -> None:
        found: dict[Key, list[Decimal]] = {}
        for one in within(sized, day, day + 7 * HOUR):
            found.setdefault((begins(one), one.subject), []).append(Decimal(one.size))
        asked: dict[str, Any] = {"from_at": day, "to_at": day + 7 * HOUR, "size": size, "group_by": ["subject"]}
        assert {key: min(values) for key, values in found.items()} == await figures(plant, "least", **asked)
        means, middles = await figures(plant, "mean", **asked), await figures(plant, "middle", **asked)
        assert found.keys() == means.keys() == middles.keys()
        with localcontext(Context(prec=60)):
            for key, values in found.items():
                middle = sorted(values)[-(-len(values) // 2) - 1]
                assert abs((means[key] or 0) - sum(values, Decimal(0)) / len(values)) <= Decimal("1e-17")
                assert abs((middles[key] or 0) - middle) <= Decimal("0.011") * abs(middle) + Decimal("1e-18")

    await holds(Size.HOUR, local_hour("UTC"))
    await holds(Size.DAY, local_day("UTC"))
    await plant.folder.fold_day(PID, day, day + 7 * HOUR)
    await holds(Size.DAY, local_day("UTC"))


async def test_minutes_are_read_from_the_events(plant: Plant, sent: list[Sent]) -> None:
    start = datetime(2026, 11, 28, 5, tzinfo=UTC)

    def minute(one: Sent) -> datetime:
        return one.at.replace(second=0, microsecond=0)

    some = [one for one in sent if start <= one.at < start + 2 * HOUR]
    told = await figures(plant, "sum", size=Size.MINUTE, from_at=start, to_at=start + 2 * HOUR, group_by=["subject"])
    assert brute(some, minute, ["subject"]) == told


async def test_only_what_is_asked_for_is_counted(plant: Plant, sent: list[Sent]) -> None:
    mine = [one for one in sent if one.subject == "c-1" and one.endpoint in {"GET:/a", None}]

    asked: dict[str, Any] = {"subjects": ["c-1"], "only": {"endpoint": frozenset({"GET:/a", None})}}

    assert brute(mine, lambda _: FROM) == await figures(plant, "sum", **asked)
    assert brute(mine, lambda _: FROM, ["endpoint"]) == await figures(plant, "sum", group_by=["endpoint"], **asked)
    assert [0] == list((await figures(plant, "sum", subjects=["nobody"])).values())


async def test_pages_hold_all_figures_once(plant: Plant, sent: list[Sent]) -> None:
    asked: dict[str, Any] = {"size": Size.HOUR, "group_by": ["subject", "endpoint"]}
    whole = await ask(plant, "sum", **asked)
    paged: list[Item] = []
    after: Edge | None = None
    while True:
        page = await ask(plant, "sum", limit=37, after=after, **asked)
        paged += page.items
        if page.edge is None:
            break
        after = page.edge

    assert list(whole.items) == paged
    assert len(paged) > 2 * 37
    assert sent


async def test_a_customer_is_whoever_is_known_by_a_subject_now(plant: Plant, sent: list[Sent]) -> None:
    await plant.usage.write(lambda tx: _customers(tx, {"ACME": ["c-0", "c-1"], "Beta": ["c-2"]}))
    told = await ask(plant, "sum", group_by=["customer"])
    named = [(item.customer.name if item.customer else None, item.subject) for item in told.items]
    assert [("ACME", None), ("Beta", None), (None, "c-3"), (None, "c-4")] == named
    by_subject = brute(sent, lambda _: FROM, ["subject"])
    values = [decimal_of(item.value or 0) for item in told.items]
    assert by_subject[FROM, "c-0"] + by_subject[FROM, "c-1"] == values[0]
    acme = next(item.customer.uuid for item in told.items if item.customer)
    assert values[:1] == list((await figures(plant, "sum", customers=[acme])).values())

    await plant.usage.write(
        lambda tx: tx.conn.execute(sa.update(aliases).where(aliases.c.text == "c-1").values(customer_id=2))
    )

    moved = await ask(plant, "sum", group_by=["customer"])
    assert by_subject[FROM, "c-1"] + by_subject[FROM, "c-2"] == decimal_of(moved.items[1].value or 0)


def _customers(tx: Tx, named: dict[str, list[str]]) -> None:
    for number, (name, called) in enumerate(named.items(), start=1):
        uuid = f"3f0f8f9e-6a1c-4a55-8d4c-00000000000{number}"
        row = {"pid": PID, "id": number, "uuid": uuid, "name": name, "rev": 1, "created_at": NOW}
        tx.conn.execute(sa.insert(customers).values(row))
        for text in called:
            tx.conn.execute(sa.insert(aliases).values(pid=PID, text=text, customer_id=number))


async def test_a_version_counts_within_its_time_and_one_that_adds_up_otherwise_cuts_the_window(
    plant: Plant, sent: list[Sent]
) -> None:
    at = datetime(2026, 11, 28, 3, 30, tzinfo=UTC)
    await plant.meter("count", {"event_types": ["job"], "aggregation": "count"}, from_at=at)
    await plant.usage.write(lambda tx: _mark_all(tx, plant))
    await plant.fold()
    before = [one for one in sent if one.at < at and one.type == "api"]
    after = [one for one in sent if one.at >= at and one.type == "job"]
    assert [len(before) + len(after)] == list((await figures(plant, "count")).values())

    await plant.meter("count", {"event_types": ["job"], "aggregation": "max", "value": "size"}, from_at=at)
    await plant.usage.write(lambda tx: _mark_all(tx, plant))
    await plant.fold()

    told = await ask(plant, "count")
    assert [(FROM, at), (at, TO)] == [(item.window.from_at, item.window.to_at) for item in told.items]
    assert len(before) == decimal_of(told.items[0].value or 0)


async def test_each_window_says_how_sure_it_is(plant: Plant, sent: list[Sent]) -> None:
    days = [datetime(2026, 11, day, tzinfo=UTC) for day in (25, 26, 27)]

    async def states() -> list[str]:
        told = await ask(plant, "count", size=Size.DAY, from_at=days[0], to_at=NOW + HOUR)
        return [item.state.value for item in told.items]

    assert ["provisional"] * 3 + ["open"] == await states()
    for day, state in zip(days[1:], ("final", "amended"), strict=True):
        row = {"pid": PID, "day": day.date(), "zone": "UTC", "from_at": day, "to_at": day + timedelta(days=1)}
        row |= {"state": state, "figures": {}, "mismatch": ""}
        await plant.usage.write(lambda tx, row=row: tx.conn.execute(sa.insert(usage_days).values(row)))  # type: ignore[misc]
    assert ["final", "final", "amended", "open"] == await states()  # nothing happened on the first

    told = await ask(plant, "count")
    assert (TO, [State.PROVISIONAL]) == (told.complete_up_to, [item.state for item in told.items])
    late = Sent(9_999, days[1] + 22 * HOUR + timedelta(minutes=5), "c-1", "api", None, "1", "u")
    await plant.send(late)

    assert days[1] + 22 * HOUR == (await ask(plant, "count", from_at=days[0])).complete_up_to
    assert ["final", "provisional", "amended", "open"] == await states()
    assert sent


@pytest.mark.parametrize(
    ("from_at", "state"), [(NOON, "provisional"), (NOON + HOUR / 4, "provisional"), (NOON + HOUR, "final")]
)
async def test_a_window_with_a_part_of_an_hour_that_nobody_has_proved_is_not_sure(
    plant: Plant, from_at: datetime, state: str
) -> None:
    """The day after was closed, and that of the event was not. What lies in neither is as sure as it was."""
    await plant.all_meters()
    await plant.send(Sent(1, NOON + HOUR / 2, "c-1", "api", None, "1", "u"))
    await plant.fold()
    await Closer(plant.usage, plant.folder, plant.clock, plant.ids).close(PID, date(2026, 11, 27), UTC_ZONE)

    (told,) = (await ask(plant, "count", from_at=from_at, to_at=datetime(2026, 11, 28, tzinfo=UTC))).items
    assert (state, int(state == "provisional")) == (told.state.value, told.n)


@pytest.mark.parametrize("from_at", [NOON, NOON + HOUR / 4])
async def test_an_hour_whose_events_are_all_void_waits_for_no_day_that_nobody_closes(
    plant: Plant, from_at: datetime
) -> None:
    await plant.all_meters()
    only = Sent(1, NOON + HOUR / 2, "c-1", "api", None, "1", "u")
    await plant.send(only)
    await plant.fold()
    await plant.usage.write(
        lambda tx: void(tx, PID, only.wire()["transaction_id"], reason="a test", actor=CLI, at=NOW, ids=plant.ids)
    )
    await plant.fold()
    await Closer(plant.usage, plant.folder, plant.clock, plant.ids).close(PID, date(2026, 11, 27), UTC_ZONE)

    (told,) = (await ask(plant, "count", from_at=from_at, to_at=datetime(2026, 11, 28, tzinfo=UTC))).items
    assert ("final", 0) == (told.state.value, told.n)


@on_sqlite
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"group_by": ["size"]}, "group_by"),
        ({"group_by": ["endpoint", "endpoint"]}, "group_by"),
        ({"only": {"size": frozenset({"1"})}}, "filter"),
        ({"to_at": FROM}, "to"),
        ({"from_at": datetime(1, 1, 1, tzinfo=UTC)}, "from"),
        ({"from_at": datetime(1990, 1, 1, tzinfo=UTC)}, "to"),
        ({"size": Size.MINUTE, "from_at": FROM - 48 * HOUR}, "to"),
        ({"customers": ["3f0f8f9e-6a1c-4a55-8d4c-111111111111"]}, "customer"),
    ],
)
async def test_what_is_wrong_is_named(plant: Plant, asked: dict[str, Any], field: str) -> None:
    await plant.all_meters()

    with pytest.raises(InvalidValueError) as caught:
        await ask(plant, "sum", **asked)

    assert field == caught.value.field


async def test_more_events_than_an_answer_looks_at_are_refused(
    plant: Plant, sent: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "MOST_RAW", 5)

    with pytest.raises(InvalidValueError, match="more than"):
        await ask(plant, "sum", size=Size.MINUTE, from_at=TO - 3 * HOUR, to_at=TO)

    assert sent
