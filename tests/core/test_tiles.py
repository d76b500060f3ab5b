"""Tiles make up a window without gap or overlap; a window's state says what is known of its days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.meters import Meter, meter_of
from heartfly.core.tiles import Closed, State, Tier, cut, state_of, tiles
from heartfly.core.versions import Version, spans
from heartfly.core.windows import Window

START = datetime(2026, 11, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
COUNT = meter_of(types=["a"], aggregation="count")
OTHER_COUNT = meter_of(types=["b"], aggregation="count")
MAX = meter_of(types=["a"], aggregation="max", value="size")


@given(
    from_minute=st.integers(0, 5 * 1440),
    n_minutes=st.integers(1, 5 * 1440),
    first_day=st.integers(0, 1440),
    n_days=st.integers(0, 6),
)
def test_tiles_follow_one_another_and_each_is_what_it_says(
    from_minute: int, n_minutes: int, first_day: int, n_days: int
) -> None:
    window = Window(START + from_minute * MINUTE, START + (from_minute + n_minutes) * MINUTE)
    begins = [START + first_day * MINUTE + n * DAY for n in range(n_days)]

    found = tiles(window, [Window(at, at + DAY) for at in begins])

    assert (window.from_at, window.to_at) == (found[0].from_at, found[-1].to_at)
    assert all(one.to_at == other.from_at for one, other in pairwise(found))
    for tile in found:
        assert tile.from_at < tile.to_at
        if tile.tier is Tier.DAY:
            assert tile.from_at in begins
            assert DAY == tile.to_at - tile.from_at
        elif tile.tier is Tier.HOUR:
            assert (0, 0) == (tile.from_at.minute, tile.to_at.minute)
        else:
            assert tile.to_at - tile.from_at < 2 * HOUR
    whole = [at for at in begins if window.from_at <= at and at + DAY <= window.to_at]
    assert whole == [tile.from_at for tile in found if tile.tier is Tier.DAY]


def test_a_piece_within_an_hour_is_read_event_by_event() -> None:
    assert [Tier.RAW] == [one.tier for one in tiles(Window(START + MINUTE, START + 2 * MINUTE))]
    assert [Tier.RAW] == [one.tier for one in tiles(Window(START + MINUTE, START + HOUR + MINUTE))]
    assert [Tier.HOUR] == [one.tier for one in tiles(Window(START, START + 3 * HOUR))]


@pytest.mark.parametrize(("meter", "parts"), [(OTHER_COUNT, 1), (MAX, 2)])
def test_a_window_is_cut_where_its_meter_adds_up_differently(meter: Meter, parts: int) -> None:
    window = Window(START, START + DAY)
    versions = [
        Version(id=1, meter_id=1, meter=COUNT),
        Version(id=2, meter_id=1, meter=meter, from_at=START + 5 * HOUR),
    ]

    found = cut(window, spans(versions, window.from_at, window.to_at))

    assert parts == len(found)
    assert (window.from_at, window.to_at) == (found[0].from_at, found[-1].to_at)


def test_a_change_outside_of_a_window_does_not_cut_it() -> None:
    versions = [
        Version(id=1, meter_id=1, meter=COUNT),
        Version(id=2, meter_id=1, meter=MAX, from_at=START),
    ]

    assert 1 == len(cut(Window(START, START + DAY), spans(versions, START - DAY, START + DAY)))


def day(n: int, state: str) -> Closed:
    return Closed(START + n * DAY, START + (n + 1) * DAY, state)


@pytest.mark.parametrize(
    ("days", "unsettled", "state"),
    [
        ([], [], State.PROVISIONAL),
        ([day(0, "final")], [], State.PROVISIONAL),
        ([day(0, "final"), day(1, "provisional")], [], State.PROVISIONAL),
        ([day(0, "provisional"), day(1, "final")], [], State.PROVISIONAL),
        ([day(0, "final"), day(1, "final")], [], State.FINAL),
        ([day(0, "amended"), day(1, "final")], [], State.AMENDED),
        ([day(1, "final")], [], State.FINAL),  # on the first day nothing happened
        ([day(3, "final")], [], State.FINAL),
        ([day(0, "final"), day(1, "final")], [Window(START, START + HOUR)], State.PROVISIONAL),
        ([day(0, "final"), day(1, "final")], [Window(START - HOUR, START)], State.FINAL),
        ([day(0, "final"), day(1, "final"), day(2, "amended")], [], State.FINAL),
    ],
)
def test_a_window_is_as_sure_as_the_least_sure_of_its_days(
    days: list[Closed], unsettled: list[Window], state: State
) -> None:
    window = Window(START, START + 2 * DAY)

    assert state is state_of(window, START + 9 * DAY, days, unsettled)
    assert State.OPEN is state_of(window, START + 2 * DAY, days, unsettled)
