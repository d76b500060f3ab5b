"""Which version of a meter counts, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.meters import meter_of
from heartfly.core.versions import Version, in_force, spans

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
COUNT = meter_of(types=["a"], aggregation="count")


def version(number: int, meter_id: int = 1, **given: Any) -> Version:
    hours = {name: None if at is None else T0 + at * HOUR for name, at in given.items()}
    return Version(id=number, meter_id=meter_id, meter=COUNT, **hours)


def told(*versions: Version, from_at: int = 0, to_at: int = 10) -> list[tuple[float, float, int]]:
    found = spans(versions, T0 + from_at * HOUR, T0 + to_at * HOUR)
    return [((one.from_at - T0) / HOUR, (one.to_at - T0) / HOUR, one.version.id) for one in found]


def test_without_versions_nothing_counts() -> None:
    assert [] == told()
    assert in_force([], T0) is None


def test_a_version_since_ever_counts_all() -> None:
    assert [(0, 10, 1)] == told(version(1))


def test_a_later_one_covers_what_was_there_from_its_start_on() -> None:
    assert [(0, 3, 1), (3, 10, 2)] == told(version(1), version(2, from_at=3))


def test_one_for_a_time_only_leaves_what_was_there_after_it() -> None:
    assert [(0, 3, 1), (3, 5, 2), (5, 10, 1)] == told(version(1), version(2, from_at=3, to_at=5))


def test_one_since_ever_that_was_made_last_covers_all() -> None:
    assert [(0, 10, 3)] == told(version(2, from_at=3), version(3), version(1))


def test_an_archived_meter_keeps_what_it_counted() -> None:
    assert [(0, 4, 1)] == told(version(1, archived_at=4))
    assert [] == told(version(1, archived_at=0))


def test_before_its_start_a_version_counts_nothing() -> None:
    assert [(2, 10, 1)] == told(version(1, from_at=2))
    assert [] == told(version(1, from_at=10))


def test_versions_overlap_where_there_is_an_instant_of_both() -> None:
    first, ever = version(1, from_at=2, to_at=4), version(2)
    others = [version(3, to_at=2), version(3, from_at=4), version(3, to_at=3), version(3, from_at=3), ever, first]

    assert [False, False, True, True, True, True] == [first.overlaps(one) for one in others]
    assert [one.overlaps(first) for one in others] == [first.overlaps(one) for one in others]
    assert ever.overlaps(version(3, from_at=1))


def test_each_meter_has_spans_of_its_own() -> None:
    assert [(0, 10, 2), (0, 10, 1)] == told(version(1, meter_id=8), version(2, meter_id=5))


_ENDS = st.one_of(st.none(), st.integers(-2, 12))
_VERSIONS = st.lists(st.tuples(_ENDS, _ENDS, _ENDS), max_size=5)


@given(_VERSIONS)
def test_spans_say_of_each_instant_what_is_in_force_there(
    made: list[tuple[int | None, int | None, int | None]],
) -> None:
    versions = [version(n, from_at=a, to_at=b, archived_at=c) for n, (a, b, c) in enumerate(made)]
    found = spans(versions, T0, T0 + 10 * HOUR)
    for hour in range(10):
        at = T0 + hour * HOUR
        holding = [one.version for one in found if one.from_at <= at < one.to_at]
        expected = in_force(versions, at)
        assert ([] if expected is None else [expected]) == holding
