"""A page of events at once says to the byte what its events say one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core import columns
from heartfly.core.aggregate import Partial
from heartfly.core.columns import Amounts, Page, add
from heartfly.core.events import read, written
from heartfly.core.meters import Aggregation, Counted, Meter, PropertyFilter, Uncounted, counted, meter_of

START = datetime(2026, 11, 28, tzinfo=UTC)
EU = PropertyFilter("region", any_of=frozenset({"eu"}))
METERS = [
    meter_of(types=["t"], aggregation="count"),
    meter_of(types=["t"], aggregation="count", group_keys=["region", "request.method"], filters=[EU]),
    meter_of(types=["t"], aggregation="sum", value="size", group_keys=["region"]),
    meter_of(types=["t"], aggregation="average", value="size * 3 - more"),
    meter_of(types=["t"], aggregation="max", value="request.size", filters=[PropertyFilter("more", exists=False)]),
    meter_of(types=["t"], aggregation="latest", value="size", group_keys=["region"]),
    meter_of(types=["t"], aggregation="percentile", value="size", percent="95"),
    meter_of(types=["t"], aggregation="unique", value="region", group_keys=["size"]),
]
SIZES = [
    "0",
    "12",
    "-0",
    "-2.5",
    "38.2",
    '"7"',
    '"x"',
    '""',
    '"1\\n2"',
    '"\u0661"',
    "1e3",
    "true",
    "null",
    "9" * 20,
    "9" * 21,
    f'"{"x" * 65}"',
]
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        '"size"': st.sampled_from(SIZES),
        '"more"': st.sampled_from(["1", "0.5", '"no"', "null"]),
        '"region"': st.sampled_from(['"eu"', '"us"', '""', f'"{"e" * 300}"', "45", "false", "[1]"]),
        '"request"': st.sampled_from(['{"size":4,"method":"GET"}', '"none"', "{}"]),
        '"request.size"': st.sampled_from(["5", '"6"']),
    },
).map(lambda found: written(read("{" + ",".join(f"{name}:{value}" for name, value in found.items()) + "}")))
EVENTS = st.lists(st.tuples(PROPERTIES, st.integers(1, 3), st.booleans()), min_size=1, max_size=25)


def one_by_one(meter: Meter, events: Sequence[Any]) -> tuple[dict[Any, Partial], dict[Any, Partial], list[int]]:
    whole: dict[Any, Partial] = {}
    by_group: dict[Any, Partial] = {}
    lacking = [0, 0]
    for number, (properties, subject, holds) in enumerate(events):
        told = counted(meter, "t", read(properties)) if holds else None
        if isinstance(told, Counted):
            place = (START + timedelta(seconds=number % 3), number)
            whole.setdefault(subject, Partial()).add(meter, told, place)
            if meter.group_keys:
                by_group.setdefault((subject, told.group), Partial()).add(meter, told, place)
        elif told is not None:
            lacking[told is Uncounted.NO_AMOUNT] += 1
    return whole, by_group, lacking


def at_once(meter: Meter, events: Sequence[Any]) -> tuple[dict[Any, Partial], dict[Any, Partial], list[int]]:
    """In pages of ten."""
    whole: dict[Any, Partial] = {}
    by_group: dict[Any, Partial] = {}
    lacking, known = [0, 0], Amounts()
    for start in range(0, len(events), 10):
        properties, subjects, holds = zip(*events[start : start + 10], strict=True)
        told = Page(properties, known).told(meter, None if all(holds) else holds)
        numbers = range(start, start + len(subjects))
        places = told.only([(START + timedelta(seconds=number % 3), number) for number in numbers])
        add(whole, meter, told.only(subjects), told.values, places)
        if told.groups is not None:
            add(by_group, meter, list(zip(told.only(subjects), told.groups, strict=True)), told.values, places)
        lacking = [lacking[0] + told.n_missing, lacking[1] + told.n_no_amount]
    return whole, by_group, lacking


@pytest.mark.parametrize("meter", METERS, ids=lambda meter: f"{meter.aggregation}-{len(meter.group_keys)}")
@given(events=EVENTS)
@settings(max_examples=40)
def test_a_page_comes_to_what_its_events_come_to(meter: Meter, events: list[Any]) -> None:
    assert one_by_one(meter, events) == at_once(meter, events)


@pytest.mark.parametrize("meter", METERS, ids=lambda meter: f"{meter.aggregation}-{len(meter.group_keys)}")
@given(sizes=st.lists(st.integers(-5, 10**6) | st.just(10**20 - 1) | st.just(10**20), min_size=1, max_size=9))
@settings(max_examples=20)
def test_so_do_pages_of_whole_numbers(meter: Meter, sizes: list[int]) -> None:
    events = [(f'{{"more":1,"region":"eu","size":{size}}}', 1, True) for size in sizes]

    assert one_by_one(meter, events) == at_once(meter, events)


def test_what_texts_come_to_is_forgotten_when_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_MOST_KNOWN", 2)
    known = Amounts()

    assert [10**18, 2 * 10**18, 3 * 10**18] == [known[text] for text in ("1", "2", "3")]
    assert {"3"} == known.keys()


def test_long_texts_are_no_amounts_and_are_not_remembered() -> None:
    known = Amounts()

    assert (Uncounted.NO_AMOUNT, Uncounted.NO_AMOUNT) == (known["x" * 65], known["9" * 30_000])
    assert (Uncounted.NO_AMOUNT, Uncounted.MISSING) == (known["x" * 64], known[None])
    assert {"x" * 64, None} == set(known)


def test_each_way_of_adding_up_is_looked_at() -> None:
    assert set(Aggregation) - {Aggregation.MIN} == {meter.aggregation for meter in METERS}
