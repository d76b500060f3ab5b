"""Minutes, and windows that begin within an hour, come to what each of their events comes to, one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from heartfly.core.amounts import decimal_of
from heartfly.core.windows import Size
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import InvalidValueError
from heartfly.usage import answers as answering
from heartfly.usage.answers import Answer, answer
from heartfly.usage.meter_queries import find_meter
from heartfly.usage.question import Question
from tests.sim_clock import SimClock
from tests.usage.factory import NOW, PID, Plant, events_of
from tests.usage.oracle import DEFINITIONS, Sent, answers

pytestmark = pytest.mark.anyio

UTC_ZONE = ZoneInfo("UTC")
FROM = datetime(2026, 11, 28, 7, 58, 30, tzinfo=UTC)
TO = datetime(2026, 11, 28, 8, 3, 10, tzinfo=UTC)
MINUTE, MOMENT = timedelta(minutes=1), timedelta(microseconds=1)


async def ask(plant: Plant, meter: str, **asked: Any) -> Answer:
    usual: dict[str, Any] = {"from_at": FROM, "to_at": TO, "size": Size.MINUTE, "zone": UTC_ZONE}
    async with plant.usage.read() as read:
        stored = await find_meter(read, PID, meter)
        return await answer(read, PID, stored, Question(**usual | asked), now=plant.clock.now(), limit=10_000)


async def told(plant: Plant, meter: str, *, by_endpoint: bool, **asked: Any) -> dict[Any, Any]:
    """By the beginning of the minute, the subject and the endpoint, as the oracle has them."""
    by = ["subject", "endpoint"] if by_endpoint else ["subject"]
    found: dict[Any, Any] = {}
    for item in (await ask(plant, meter, group_by=by, **asked)).items:
        assert item.value is not None
        group = json.dumps([item.group["endpoint"]], separators=(",", ":")) if by_endpoint else None
        value = decimal_of(item.value)
        found[item.window.from_at, item.subject, group] = int(value) if meter == "users" else value
    return found


def brute(sent: Sequence[Sent], meter: str, *, by_endpoint: bool, size: timedelta = MINUTE) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for begin in {max(one.at - (one.at - NOW.replace(hour=0, minute=0)) % size, FROM) for one in sent}:
        inside = [
            one for one in sent if begin <= one.at < begin - (begin - NOW.replace(hour=0, minute=0)) % size + size
        ]
        for (_, subject, group), value in answers(inside, {meter: DEFINITIONS[meter]}).items():
            if (group is not None) == by_endpoint:
                found[begin, subject, group] = value
    return found


@pytest.mark.parametrize("meter", list(DEFINITIONS))
async def test_each_minute_is_what_its_events_come_to(plant: Plant, meter: str) -> None:
    await plant.all_meters()
    found = events_of(400, seed=8, from_at=FROM - MINUTE, to_at=TO + MINUTE)
    edges = [FROM - MOMENT, FROM, FROM + MINUTE / 2, FROM + MINUTE / 2 - MOMENT, TO - MOMENT, TO]
    found += [Sent(1_000 + n, at, "c-1", "api", "GET:/a", "7.5", f"u-{n}") for n, at in enumerate(edges)]
    await plant.send(*found)
    sent = [one for one in found if FROM <= one.at < TO]

    for by_endpoint in {False, "group_keys" in DEFINITIONS[meter]}:
        expected = brute(sent, meter, by_endpoint=by_endpoint)
        assert expected == await told(plant, meter, by_endpoint=by_endpoint)
    await plant.fold()
    assert brute(sent, meter, by_endpoint=False) == await told(plant, meter, by_endpoint=False)


@pytest.mark.parametrize("meter", list(DEFINITIONS))
async def test_the_edges_of_hours_are_read_as_columns_too(plant: Plant, meter: str) -> None:
    await plant.all_meters()
    found = events_of(300, seed=9, from_at=FROM, to_at=TO)
    await plant.send(*found)
    await plant.fold()

    expected = brute(found, meter, by_endpoint=False, size=timedelta(hours=1))
    assert expected == await told(plant, meter, by_endpoint=False, size=Size.HOUR)


async def test_one_customer_and_one_group_are_picked_out(plant: Plant) -> None:
    await plant.all_meters()
    found = events_of(300, seed=10, from_at=FROM, to_at=TO)
    await plant.send(*found)
    wanted: frozenset[str | None] = frozenset(["GET:/b", None])
    mine = [one for one in found if one.subject == "c-2" and one.endpoint in wanted]

    asked = {"subjects": ["c-2"], "only": {"endpoint": wanted}}
    assert brute(mine, "sum", by_endpoint=True) == await told(plant, "sum", by_endpoint=True, **asked)


async def test_a_version_takes_over_within_a_minute(plant: Plant) -> None:
    await plant.meter("sum", DEFINITIONS["sum"])
    change = datetime(2026, 11, 28, 8, 0, 20, tzinfo=UTC)
    later = DEFINITIONS["sum"] | {"event_types": ["job"]}
    await plant.meter("sum", later, from_at=change)
    found = events_of(300, seed=11, from_at=FROM, to_at=TO)
    at_change = [Sent(900 + n, change - n * MOMENT, "c-1", "api", None, "1", "u") for n in range(2)]
    await plant.send(*found, *at_change)
    sent = [one for one in [*found, *at_change] if one.at < change or one.type != "api"]

    assert brute(sent, "sum", by_endpoint=True) == await told(plant, "sum", by_endpoint=True)


async def test_minutes_without_groups_are_all_told_also_where_nothing_was(plant: Plant) -> None:
    await plant.all_meters()
    await plant.send(Sent(1, FROM + 2 * MINUTE, "c", "api", None, "5", "u"))

    items = (await ask(plant, "count")).items
    assert [0, 0, 1, 0, 0, 0] == [item.n for item in items]
    assert (FROM, TO) == (items[0].window.from_at, items[-1].window.to_at)


async def test_more_events_than_are_looked_at_are_refused_and_a_customers_few_are_not(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plant.all_meters()
    await plant.send(*events_of(60, seed=12, from_at=FROM, to_at=TO))
    monkeypatch.setattr(answering, "MOST_RAW", 40)

    with pytest.raises(InvalidValueError, match="more than 200000 events would have to be looked at"):
        await ask(plant, "count")
    assert (await ask(plant, "count", subjects=["c-1"])).items


_EVENTS = st.lists(
    st.builds(
        lambda place, subject, kind, endpoint, size, user: (place, subject, kind, endpoint, size, user),
        st.integers(0, int((TO - FROM) / MOMENT) - 1) | st.sampled_from([0, 30_000_000, 29_999_999, 90_000_000]),
        st.sampled_from(["c-1", "c-2"]),
        st.sampled_from(["api", "job", "other"]),
        st.sampled_from(["GET:/a", None]),
        st.sampled_from(["0", "-2.5", "0.000000000000000001", "1e3", "", "12"]),
        st.sampled_from(["u-1", "u-2"]),
    ),
    max_size=30,
)


@pytest.mark.parametrize("meter", list(DEFINITIONS))
async def test_whatever_comes_minutes_are_what_it_comes_to(usage_db: Database, ids: IdSource, meter: str) -> None:
    """Each example has customers of its own, so that nothing has to be removed between."""
    plant = Plant(usage_db, SimClock(NOW), ids)
    await plant.all_meters()
    drawn: list[list[Sent]] = []

    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(_EVENTS)
    @example([(0, "c-1", "api", "GET:/a", "12", "u-1"), (0, "c-1", "api", None, "-2.5", "u-1")])
    def draw(made: list[tuple[int, str, str, str | None, str, str]]) -> None:
        drawn.append(
            [
                Sent(number, FROM + place * MOMENT, subject, kind, endpoint, size, user)
                for number, (place, subject, kind, endpoint, size, user) in enumerate(made)
            ]
        )

    draw()
    for n, example_ in enumerate(drawn):
        shifted = [Sent(n * 100 + i, one.at, f"{one.subject}-{n}", *_rest(one)) for i, one in enumerate(example_)]
        await plant.send(*shifted)
        subjects = sorted({one.subject for one in shifted}) or [f"c-1-{n}"]
        expected = brute(shifted, meter, by_endpoint=False)
        assert expected == await told(plant, meter, by_endpoint=False, subjects=subjects)


def _rest(one: Sent) -> tuple[str, str | None, str, str]:
    return one.type, one.endpoint, one.size, one.user
