"""A sheet tells what the rows told that it was made of, and many add up to what all rows come to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.amounts import ONE
from heartfly.core.packed import merged, packed, unpacked
from heartfly.core.sheets import COLUMNS, Row, Sheet, Sums, column, copied, lines_of, most_p95, sheet_of, times_of
from heartfly.core.sketches import Histogram

SOME = settings(max_examples=1_000 if os.environ.get("HEARTFLY_SEARCH") else 30)
"""Each makes some dozen rows, which takes long."""
BUCKETS = st.integers(-320, 1_300)
TIMES = st.builds(
    Histogram, st.integers(0, 40), st.dictionaries(BUCKETS, st.sampled_from([1, 2, 19, 20, 300, 70_000]), max_size=8)
)
Cells = dict[tuple[int, int], tuple[int, Histogram]]
"""By key and status: how many told no time, and the times of the others."""
CELLS: st.SearchStrategy[Cells] = st.dictionaries(
    st.tuples(st.sampled_from([0, 1, 7, 1 << 60]), st.sampled_from([0, 200, 404, 429, 500, 503])),
    st.tuples(st.integers(0, 3), TIMES),
    min_size=1,
    max_size=12,
)


def row_of(untimed: int, times: Histogram) -> Row:
    n = times.n
    told = packed(times.zero, times.above) if n else None
    return n + untimed, n, 7 * n, 11 * n, 13 * untimed, 17 * untimed, told


def rows_of(cells: Cells) -> list[tuple[int, int, Row]]:
    return [(key, status, row_of(*cell)) for (key, status), cell in sorted(cells.items())]


def made(cells: Iterable[tuple[int, int, Row]]) -> Sheet:
    sheet = sheet_of(cells)
    assert sheet is not None
    return sheet


def together(cells: Iterable[Cells], key: int) -> Histogram:
    found = Histogram()
    for one in cells:
        for (whose, _), (_, times) in one.items():
            if whose == key:
                found.merge(times)
    return found


@SOME
@given(CELLS)
def test_its_lines_are_what_the_rows_came_to(cells: Cells) -> None:
    rows = rows_of(cells)

    found = {line.key: line for line in lines_of(made(rows))}

    assert sorted({key for key, _, _ in rows}) == list(found)
    for key, line in found.items():
        mine = [(status, row) for whose, status, row in rows if whose == key]
        assert [(status, row[0]) for status, row in mine] == line.ended
        assert [sum(row[1] for _, row in mine), sum(row[2] for _, row in mine)] == [line.n_timed, line.latency_us]
        assert [sum(row[4] for _, row in mine), sum(row[5] for _, row in mine)] == [line.bytes_in, line.bytes_out]
        assert max(row[3] for _, row in mine) == line.latency_max_us
        assert together([cells], key) == unpacked(line.times)


@SOME
@given(st.lists(CELLS, min_size=1, max_size=4))
def test_many_add_up_by_key(some: list[Cells]) -> None:
    found = Sums(COLUMNS)
    for cells in some:
        found.add(made(rows_of(cells)).sums)

    rows = [row for cells in some for row in rows_of(cells)]
    assert {key for key, _, _ in rows} == set(found.keys())
    columns = found.columns()
    for place, key in enumerate(found.keys()):
        told = {name: values[place] for name, values in columns.items()}
        mine = [(status, row) for whose, status, row in rows if whose == key]
        assert sum(row[0] for _, row in mine) == told["n"]
        assert [sum(row[0] for status, row in mine if status // 100 == of) for of in (4, 5)] == [
            told["n_400"],
            told["n_500"],
        ]
        assert [sum(row[1] for _, row in mine), max(row[3] for _, row in mine)] == [
            told["n_timed"],
            told["latency_max_us"],
        ]


@SOME
@given(st.lists(CELLS, min_size=1, max_size=4))
def test_p95_of_all_is_no_more_than_the_greatest_of_each(some: list[Cells]) -> None:
    """And where there is but one, it is that."""
    found = Sums(["p95_place"])
    for cells in some:
        found.add(made(rows_of(cells)).sums)

    for key, place in zip(found.keys(), found.columns()["p95_place"], strict=True):
        p95 = together(some, key).percentile(95 * ONE) or 0
        assert p95 <= most_p95(place)
        if len(some) == 1:
            assert p95 == most_p95(place)


@SOME
@given(CELLS, st.sets(st.sampled_from([0, 1, 2, 7, 1 << 60])))
def test_some_lines_are_found_without_the_others(cells: Cells, only: set[int]) -> None:
    sheet = made(rows_of(cells))
    expected = {line.key: line for line in lines_of(sheet) if line.key in only}

    assert expected == {line.key: line for line in lines_of(sheet, only)}
    assert {key: line.times for key, line in expected.items()} == dict(times_of(sheet.sums, sheet.times, only))


def test_what_is_not_asked_for_is_not_added_up() -> None:
    found = Sums({"bytes_out", "n"})

    found.add(made([(3, 200, (2, 0, 0, 0, 5, 9, None))]).sums)

    assert [3] == list(found.keys())
    assert {"n": [2], "bytes_out": [9]} == found.columns()


def test_of_keys_alone_nothing_is_added_up() -> None:
    found = Sums(())

    for key in (3, 5, 5):
        found.add(made([(key, 200, (2, 0, 0, 0, 5, 9, None))]).sums)

    assert [3, 5] == list(found.keys())
    assert {} == found.columns()


@SOME
@given(st.lists(CELLS, min_size=1, max_size=3))
def test_the_same_keys_once_more_add_up_as_others_do(some: list[Cells]) -> None:
    twice, apart = Sums(COLUMNS), Sums(COLUMNS)
    apart.add(made(rows_of({(2, 200): (1, Histogram())})).sums)  # so that no sheet has the keys of all before
    for cells in some:
        for _ in range(2):
            twice.add(made(rows_of(cells)).sums)
            apart.add(made(rows_of(cells)).sums)

    def by_key(found: Sums) -> dict[int, tuple[int, ...]]:
        return dict(zip(found.keys(), zip(*found.columns().values(), strict=True), strict=True))

    assert by_key(twice) == {key: values for key, values in by_key(apart).items() if key != 2}


@pytest.mark.parametrize(
    "cells",
    [[], [(1, 200, (2, 2, 1 << 63, 1 << 63, 0, 0, None)), (1, 500, (2, 2, 1 << 63, 1 << 63, 0, 0, None))]],
    ids=["nothing", "too much"],
)
def test_what_is_nothing_or_more_than_it_holds_has_none(cells: Sequence[tuple[int, int, Row]]) -> None:
    assert sheet_of(cells) is None


def test_many_keys_take_few_bytes() -> None:
    times = packed(0, dict.fromkeys(range(100, 140), 9))
    sheet = made([(1_000 + key, status, (9, 9, 900, 99, 9, 9, times)) for key in range(1_000) for status in (200, 404)])

    assert 26_000 > len(sheet.sums)
    assert 12_000 > len(sheet.statuses)
    assert unpacked(times).n * 2 == merged([blob for _, blob in times_of(sheet.sums, sheet.times, [1_999])]).n


@given(st.binary(min_size=64, max_size=64), st.sampled_from([1, 2, 4, 8]), st.integers(0, 7), st.integers(0, 6))
def test_numbers_are_the_same_where_they_lie_and_copied(told: bytes, width: int, start: int, n: int) -> None:
    there = [int.from_bytes(told[at : at + width], "little") for at in range(start, start + n * width, width)]

    assert there == list(copied(told, start, n, width)) == list(column(told, start, n, width))
