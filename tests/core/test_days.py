"""A check's day: how long it was up, down and unheard, in days of 23, 24 and 25 hours."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.days import ONE, Day, Sums, Turn, day_in, day_of, deaf, last_whole, spans, sums, unheard
from heartfly.core.values import Blind
from heartfly.core.words import RunOutcome, Status
from tests.factories import make_blind

BERLIN = ZoneInfo("Europe/Berlin")
DAY = day_in(ZoneInfo("UTC"), date(2026, 3, 2))
HOUR = timedelta(hours=1)
LONG_AGO = DAY.from_at - 100 * ONE
WHOLE = 86_400


def at(hours: float) -> datetime:
    return DAY.from_at + hours * HOUR


def turn(n: int, hours: float, from_status: Status, to_status: Status, retracts: int | None = None) -> Turn:
    return Turn(flip_no=n, at=at(hours), from_status=from_status, to_status=to_status, retracts=retracts)


def of_day(
    *turns: Turn,
    status: Status = Status.UP,
    blind: list[Blind] | None = None,
    born_at: datetime = LONG_AGO,
    day: Day = DAY,
    outcomes: dict[RunOutcome, int] | None = None,
) -> Sums:
    return sums(day, born_at=born_at, turns=turns, status=status, blind=blind or [], outcomes=outcomes or {})


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", date(2026, 3, 29), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Africa/Cairo", date(2026, 4, 24), 23),  # the gap is at midnight: the day begins at one
        ("America/Havana", date(2026, 11, 1), 25),  # midnight comes twice
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Pacific/Apia", date(2011, 12, 30), 0),
    ],
)
def test_a_day_is_as_long_as_its_zone_makes_it(zone: str, day: date, hours: float) -> None:
    found = day_in(ZoneInfo(zone), day)

    assert hours * HOUR == found.to_at - found.from_at


@given(
    st.sampled_from(["Europe/Berlin", "Africa/Cairo", "America/Havana", "Pacific/Apia", "Asia/Kathmandu"]),
    st.dates(date(2011, 1, 1), date(2037, 1, 1)),
)
def test_days_follow_one_another_without_a_gap_and_begin_on_their_date(zone: str, day: date) -> None:
    one, following = day_in(ZoneInfo(zone), day), day_in(ZoneInfo(zone), day + ONE)

    assert one.to_at == following.from_at
    if one.from_at < one.to_at:
        assert (
            day == day_of(ZoneInfo(zone), one.from_at) == day_of(ZoneInfo(zone), one.to_at - timedelta(microseconds=1))
        )
        assert day_of(ZoneInfo(zone), one.from_at - timedelta(microseconds=1)) < day


def test_the_last_whole_day_is_that_of_the_zone() -> None:
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)

    assert date(2026, 3, 1) == last_whole(ZoneInfo("UTC"), late)
    assert date(2026, 3, 2) == last_whole(BERLIN, late)


def test_without_a_flip_the_day_is_what_the_check_is() -> None:
    assert Sums(up_s=WHOLE) == of_day()
    assert Sums(up_s=WHOLE) == of_day(status=Status.DEGRADED)
    assert Sums(down_s=WHOLE) == of_day(status=Status.DOWN)
    assert Sums() == of_day(status=Status.PAUSED) == of_day(status=Status.NEW)


def test_a_down_span_counts_from_flip_to_flip() -> None:
    down, up = turn(3, 6, Status.UP, Status.DOWN), turn(4, 8.5, Status.DOWN, Status.UP)

    assert Sums(up_s=WHOLE - 9000, down_s=9000) == of_day(down, up)


def test_flips_after_the_day_say_what_it_was_within() -> None:
    assert Sums(down_s=WHOLE) == of_day(turn(4, 30, Status.DOWN, Status.UP))
    assert Sums(down_s=WHOLE) == of_day(turn(4, 24, Status.DOWN, Status.UP))
    assert Sums(up_s=WHOLE) == of_day(turn(4, 0, Status.DOWN, Status.UP))


def test_before_a_check_was_made_it_was_neither() -> None:
    assert Sums(up_s=WHOLE // 4) == of_day(turn(1, 18, Status.NEW, Status.UP), born_at=at(12))
    assert Sums() == of_day(born_at=at(24))


def test_time_that_was_unheard_is_blind_and_not_up_but_down_stays_down() -> None:
    down, up = turn(3, 6, Status.UP, Status.DOWN), turn(4, 8, Status.DOWN, Status.UP)
    blind = [make_blind(at(5), at(7)), make_blind(at(6.5), at(9)), make_blind(at(-3), at(1))]

    # Blind from 0 to 1 and from 5 to 9, of which it was down from 6 to 8.
    assert Sums(up_s=WHOLE - 5 * 3600, down_s=7200, blind_s=3 * 3600) == of_day(down, up, blind=blind)


def test_an_alarm_that_was_disproved_never_was() -> None:
    down, back = turn(3, 6, Status.UP, Status.DOWN), turn(4, 8, Status.DOWN, Status.UP, retracts=3)
    long = turn(3, -40, Status.UP, Status.DOWN)

    assert Sums(up_s=WHOLE) == of_day(down, back)
    assert Sums(up_s=WHOLE) == of_day(long, back)
    # What is not known any more is taken as it was told.
    assert Sums(up_s=WHOLE - 8 * 3600, down_s=8 * 3600) == of_day(back)


def test_runs_count_by_how_they_ended() -> None:
    outcomes = dict(zip(RunOutcome, range(1, 8), strict=True))

    found = of_day(outcomes=outcomes)

    of = outcomes.__getitem__
    assert of(RunOutcome.OK) + of(RunOutcome.DEGRADED) == found.n_ok
    assert of(RunOutcome.FAILED) + of(RunOutcome.HUNG) == found.n_failed
    assert (of(RunOutcome.MISSED), of(RunOutcome.UNVERIFIED)) == (found.n_missed, found.n_unverified)
    assert sum(outcomes.values()) - of(RunOutcome.SUPERSEDED) == found.n_runs


@given(
    st.lists(st.tuples(st.integers(-90_000, 180_000), st.sampled_from(list(Status))), max_size=8),
    st.lists(st.tuples(st.integers(-90_000, 180_000), st.integers(0, 90_000)), max_size=4),
    st.sampled_from(list(Status)),
    st.sampled_from([date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 1)]),
)
def test_each_second_of_a_day_counts_once(
    flips: list[tuple[int, Status]], deaf: list[tuple[int, int]], first: Status, day: date
) -> None:
    """Against an oracle that asks for every second of a minute's grid."""
    whole = day_in(BERLIN, day)
    flips = sorted(flips, key=lambda one: one[0])
    statuses = [first, *(status for _, status in flips)]
    turns = [
        Turn(flip_no=n, at=whole.from_at + timedelta(seconds=s), from_status=statuses[n], to_status=status)
        for n, (s, status) in enumerate(flips)
    ]
    blind = [
        make_blind(whole.from_at + timedelta(seconds=s), whole.from_at + timedelta(seconds=s + length))
        for s, length in deaf
    ]
    # Days are asked for what came from their beginning on.
    found = of_day(*(one for one in turns if one.at >= whole.from_at), status=statuses[-1], blind=blind, day=whole)

    counted = {"up": 0, "down": 0, "blind": 0}
    edges = sorted(
        {0, int((whole.to_at - whole.from_at).total_seconds()), *(s for s, _ in flips)}
        | {edge for s, length in deaf for edge in (s, s + length)}
    )
    edges = [edge for edge in edges if 0 <= edge <= (whole.to_at - whole.from_at).total_seconds()]
    for begin, end in itertools.pairwise(edges):
        now = statuses[sum(1 for s, _ in flips if s <= begin)]
        deaf_then = any(s <= begin < s + length for s, length in deaf)
        if now in {Status.UP, Status.DEGRADED}:
            counted["blind" if deaf_then else "up"] += end - begin
        elif now is Status.DOWN:
            counted["down"] += end - begin
    assert counted == {"up": found.up_s, "down": found.down_s, "blind": found.blind_s}


def test_time_unheard_is_counted_once_and_only_within() -> None:
    """Two nodes were deaf at one time; one gap began before it, one lies behind it."""
    gaps = [(-1, 1), (3, 5), (4, 6), (30, 31)]

    assert 4 * HOUR == unheard([make_blind(at(begin), at(end)) for begin, end in gaps], at(0), at(24))


def test_statuses_follow_one_another_as_they_truly_were() -> None:
    turns = [
        turn(1, 1, Status.UP, Status.DOWN),
        turn(2, 2, Status.DOWN, Status.UP),
        turn(3, 5, Status.UP, Status.DOWN),
        turn(4, 6, Status.DOWN, Status.UP, retracts=3),
        turn(5, 9, Status.UP, Status.PAUSED),
    ]

    assert [
        (Status.UP, at(0.5), at(1)),
        (Status.DOWN, at(1), at(2)),
        (Status.UP, at(2), at(6)),
        (Status.UP, at(6), at(8)),
    ] == spans(turns, Status.PAUSED, at(0.5), at(8))
    assert [(Status.NEW, at(1), at(2))] == spans([], Status.NEW, at(1), at(2))


def test_intervals_in_which_we_were_deaf_become_one_where_they_meet() -> None:
    intervals = [make_blind(at(3), at(4)), make_blind(at(1), at(2)), make_blind(at(1.5), at(2.5))]

    assert [(at(1), at(2.5)), (at(3), at(4))] == deaf(intervals)
