"""Ids of lines: the same for the same line, wherever it lies and whatever is read in it, in the order of times."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.access.line_ids import Ids

AT = datetime(2015, 5, 17, 8, 5, 3, tzinfo=UTC)
LINE = '203.0.113.9 - - [{}] "GET / HTTP/1.1" 200 1'


def ids_of(lines: list[tuple[str, int]], source: str = "") -> list[str]:
    ids = Ids(source)
    return [ids.of(text.encode(), AT + timedelta(seconds=second)) for text, second in lines]


timed_lines = st.tuples(st.text(alphabet="abc", min_size=1, max_size=2), st.sampled_from([0, 0, 1, 60, 7_200, -7_200]))


@settings(max_examples=60)
@given(st.lists(st.lists(timed_lines, max_size=6), max_size=5), st.sampled_from([2, 5, 1_000]))
def test_many_lines_at_once_have_the_ids_that_they_have_one_by_one(
    pieces: list[list[tuple[str, int]]], remembered: int
) -> None:
    ids, alone = Ids(), Ids()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("heartfly.core.access.line_ids._REMEMBERED", remembered)
        for piece in pieces:
            lines = [text.encode() for text, _ in piece]
            ats = [AT + timedelta(seconds=second) for _, second in piece]

            assert list(map(alone.of, lines, ats)) == ids.of_all(lines, ats)


def test_equal_lines_are_told_apart_by_their_number() -> None:
    four = ids_of([("a", 0), ("b", 0), ("a", 0), ("a", 1)])

    assert 4 == len(set(four))
    assert four[:2] == ids_of([("a", 0), ("b", 0)])
    assert four == ids_of([("a", 0), ("b", 0), ("a", 0), ("a", 1)])


def test_two_sources_write_two_lines() -> None:
    assert ids_of([("a", 0)]) != ids_of([("a", 0)], "web-1")


def test_files_read_one_after_the_other_have_the_ids_that_each_has_alone() -> None:
    older, newer = [("a", 0), ("a", 0), ("b", 7200)], [("b", 90_000), ("c", 90_001), ("c", 90_001)]

    assert ids_of(newer) + ids_of(older) == ids_of(newer + older)
    assert ids_of(older) * 2 == ids_of(older * 2)


def test_a_file_of_less_than_an_hour_that_is_repeated_has_its_ids_again() -> None:
    short = [("a", 0), ("a", 0), ("b", 60), ("b", 60)]

    assert ids_of(short) * 3 == ids_of(short * 3)


def test_lines_a_little_out_of_order_are_still_told_apart() -> None:
    first, _, third = ids_of([("a", 3000), ("b", 0), ("a", 3000)])

    assert [first, third] == ids_of([("a", 3000), ("a", 3000)])


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.core.access.line_ids._REMEMBERED", 2)
    ids = Ids()

    made = [ids.of(line, AT) for line in (b"a", b"b", b"a", b"c", b"d", b"e", b"f", b"a")]

    assert made[0] != made[2]
    assert 2 >= len(ids._new)
    assert made[0] == made[7]  # too long ago: it counts once, and never twice


@settings(max_examples=40)
@given(st.lists(st.text(alphabet="ab", min_size=1, max_size=2), max_size=30), st.integers(0, 30))
def test_a_file_that_is_cut_in_two_makes_no_new_event(lines: list[str], at: int) -> None:
    """Rotated in the midst of equal lines: what each half makes is among what the whole makes."""
    timed = [(line, 0) for line in lines]

    whole = ids_of(timed)

    assert len(whole) == len(set(whole))
    assert set(ids_of(timed[:at])) | set(ids_of(timed[at:])) <= set(whole)


# --- the time in them


def time_of(line: str) -> datetime | None:
    """None: it has none."""
    (made,) = ids_of([(line, 0)])
    if "-" not in made:
        return None
    told = uuid.UUID(made)
    assert (8, uuid.RFC_4122) == (told.version, told.variant)
    assert str(told) == made
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=told.int >> 92)


@pytest.mark.parametrize(
    "line",
    [
        LINE.format("17/May/2015:08:05:03 +0000"),
        LINE.format("17/May/2015:08:05:03 +0900"),  # for the order of a log its own hours will do
        '[2001:db8::1]:443 - - [17/May/2015:08:05:03 +0000] "GET / HTTP/1.1" 200 1',
        '{"time":"2015-05-17T08:05:03Z","uri":"/"}',
        "2015-05-17\t08:05:03\tFRA2\t1\t203.0.113.9",
        '{"level":"info","ts":1431849903.5241024,"uri":"/"}',
        '1431849903.524 203.0.113.9 "GET / HTTP/1.1"',
        '{"at":1431849903524,"uri":"/"}',
        '{"time_local":"17/May/2015:08:05:03 +0000","uri":"/"}',
        '{"Duration":1731849903,"StartUTC":"2015-05-17T08:05:03.5Z"}',  # a date goes before a number
    ],
)
def test_an_id_begins_with_the_time_that_its_line_says_first(line: str) -> None:
    assert AT == time_of(line)


@pytest.mark.parametrize(
    "line",
    [
        "GET / 200",
        LINE.format("17/Mai/2015:08:05:03 +0000"),
        LINE.format("31/Feb/2015:08:05:03 +0000"),
        LINE.format("17/May/1915:08:05:03 +0000"),
        '{"time":"2015-02-30T08:05:03Z"}',
        '{"time":"0000-01-01T08:05:03Z"}',
        '{"request_id":"431849903524102412"}',
        '{"request_id":"a1431849903"}',
        '{"Duration":1234567890}',
    ],
)
def test_a_line_that_says_no_time_has_a_hash_alone(line: str) -> None:
    assert time_of(line) is None
    assert 24 == len(ids_of([(line, 0)])[0])
    assert 2 == len(set(ids_of([(line, 0), (line, 0)])))


def test_ids_of_a_log_stand_in_the_order_of_its_times() -> None:
    times = ["31/Dec/2014:23:59:59 +0000", "01/Jan/2015:00:00:00 +0000", "01/Jan/2015:00:00:01 +0000"]

    made = ids_of([(LINE.format(time), n) for n, time in enumerate(times)])

    assert sorted(made) == made


def test_what_a_format_makes_of_the_time_of_a_line_changes_nothing() -> None:
    """It may be read by another map, or in another zone, when the log is imported again."""
    line = LINE.format("17/May/2015:08:05:03 +0000").encode()

    assert Ids().of(line, AT) == Ids().of(line, AT + timedelta(days=1))


def test_of_many_times_each_is_told_though_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.core.access.line_ids._MOST_TIMES", 2)
    lines = [LINE.format(f"17/May/2015:08:05:{second:02} +0000").encode() for second in range(5)]

    made = Ids().of_all(lines, [AT + timedelta(seconds=n) for n in range(5)])

    assert sorted(set(made)) == made


def test_of_no_line_there_is_no_id() -> None:
    assert [] == Ids().of_all([], [])


@settings(max_examples=200)
@given(st.binary(max_size=60), st.sampled_from([b"", b"[17/May/2015:08:05:03", b"2015-05-17T08:05:03", b"1431849903"]))
def test_whatever_a_line_holds_it_has_an_id(some: bytes, time: bytes) -> None:
    line = some + time + some

    (made,) = Ids().of_all([line], [AT])

    assert Ids().of(line, AT) == made
    assert len(made) in {24, 36}
