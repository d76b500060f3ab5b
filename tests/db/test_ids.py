"""Numbers and UUIDs that stand together in an index, in the order in which they were made."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from heartfly.db.ids import IdSource, public_ids

AT = datetime(2026, 11, 29, 4, 0, 0, 123_000, tzinfo=UTC)


def test_they_are_uuids_of_version_7_that_begin_with_their_time() -> None:
    made = public_ids(AT, 50)
    found = [uuid.UUID(text) for text in made]

    assert made == [str(one) for one in found]
    assert {(7, uuid.RFC_4122)} == {(one.version, one.variant) for one in found}
    assert {round(AT.timestamp() * 1000)} == {one.int >> 80 for one in found}


def test_each_is_another_and_later_ones_sort_behind() -> None:
    earlier, later = public_ids(AT, 1_000), public_ids(AT + timedelta(milliseconds=1), 1_000)

    assert 2_000 == len({*earlier, *later})
    assert max(earlier) < min(later)
    assert [] == public_ids(AT, 0)


@pytest.mark.parametrize("n", [0, 1, 4_096, 10_000])
def test_however_many_are_asked_for_each_is_larger_than_the_one_before(n: int) -> None:
    ids = IdSource(5)
    first = ids.next(AT)

    told = [first, *ids.several(AT, n), *ids.several(AT, 2), ids.next(AT)]

    assert sorted(set(told)) == told
    assert n + 4 == len(told)
    assert {5} == {(one >> 12) & 0x3FF for one in told}
