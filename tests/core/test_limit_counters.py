"""Counters against plain models on a simulated clock: never more than the limit, and no more refused than is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import ONE
from heartfly.core.days import day_of
from heartfly.core.limits.counters import Counter, Frame, counter_of
from heartfly.core.limits.rules import Kind, Limit, Span, bounds
from heartfly.db.types import instant, micros

HOUR_US, MINUTE_US = 3_600_000_000, 60_000_000
START = datetime(2026, 10, 24, 20, tzinfo=UTC)  # a few hours before clocks go back in Berlin
START_US = micros(START)
MOST = 5


def rolling(amount: int = MOST, period_us: int = HOUR_US) -> Limit:
    return Limit(id=1, scope=(), unit="requests", kind=Kind.ROLLING, amount=amount, period_us=period_us)


def rate(amount: int = 6, period_us: int = MINUTE_US, burst: int = 3) -> Limit:
    return Limit(id=1, scope=(), unit="requests", kind=Kind.RATE, amount=amount, period_us=period_us, burst=burst)


def daily(amount: int = MOST, zone: str = "Europe/Berlin") -> Limit:
    return Limit(id=1, scope=(), unit="requests", kind=Kind.CALENDAR, amount=amount, span=Span.DAY, zone=zone)


def frame_of(limit: Limit, now_us: int) -> Frame:
    if limit.kind in {Kind.RATE, Kind.ROLLING}:
        return Frame(now_us)
    from_at, to_at = bounds(limit, instant(now_us))
    return Frame(now_us, micros(from_at), micros(to_at))


@dataclass
class Clocked:
    """A counter that is written and read again each time it is looked at, as a database does."""

    limit: Limit
    now_us: int = START_US
    text: str = ""
    counter: Counter = field(init=False)

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> Counter:
        self.counter = counter_of(self.limit, self.text)
        self.counter.look(frame_of(self.limit, self.now_us))
        return self.counter

    def keep(self) -> None:
        self.text = self.counter.written()

    def take(self, amount: int = 1) -> bool:
        if self.look().waits_us(amount) != 0:
            return False
        self.counter.count(amount, self.now_us)
        self.keep()
        return True

    def reserve(self, amount: int = 1) -> str | None:
        if self.look().waits_us(amount) != 0:
            return None
        mark = self.counter.reserve(amount)
        self.keep()
        return mark

    def give_back(self, mark: str, amount: int, back: int) -> None:
        self.look().give_back(mark, amount, back=back)
        self.keep()


# --- steps: (seconds until then, how many are wanted)

GAPS = st.one_of(
    st.integers(0, 90), st.sampled_from([0, 59, 60, 61, 3_540, 3_599, 3_600, 3_601, 3_659, 3_660, 3_661, 86_400])
)
STEPS = st.lists(st.tuples(GAPS, st.integers(1, MOST + 1)), max_size=40)


@given(STEPS)
def test_a_rolling_window_never_lets_through_more_and_refuses_at_most_a_bucket_longer(
    steps: Sequence[tuple[int, int]],
) -> None:
    it = Clocked(rolling())
    taken: list[tuple[int, int]] = []
    for seconds, amount in steps:
        it.now_us += seconds * 1_000_000
        exact = sum(n for at, n in taken if at > it.now_us - HOUR_US)
        longest = sum(n for at, n in taken if at > it.now_us - HOUR_US - MINUTE_US)
        if it.take(amount):
            taken.append((it.now_us, amount))
            assert exact + amount <= MOST
        else:
            assert longest + amount > MOST


@given(STEPS)
def test_after_the_wait_that_a_quota_tells_there_is_room_and_not_a_microsecond_earlier(
    steps: Sequence[tuple[int, int]],
) -> None:
    for limit in (rolling(), daily()):
        it = Clocked(limit)
        for seconds, amount in steps:
            it.now_us += seconds * 1_000_000
            wait = it.look().waits_us(amount)
            if wait is None:
                assert amount > MOST
            elif wait == 0:
                assert it.take(amount)
            else:
                was = it.now_us
                it.now_us = was + wait - 1
                assert it.look().waits_us(amount) != 0
                it.now_us = was + wait
                assert 0 == it.look().waits_us(amount)
                it.now_us = was


@dataclass
class PlainGcra:
    """As it is written down: a theoretical arrival time, in fractions of a microsecond."""

    amount: int
    period_us: int
    burst: int
    arrival: Fraction = Fraction(0)

    def takes(self, now_us: int, amount: int) -> bool:
        increment = Fraction(amount * self.period_us, self.amount)
        limit = Fraction(self.burst * self.period_us, self.amount)
        fresh = max(self.arrival, Fraction(now_us)) + increment
        if fresh - now_us > limit:
            return False
        self.arrival = fresh
        return True

    def level(self, now_us: int) -> Fraction:
        return max(Fraction(0), self.arrival - now_us) * self.amount / self.period_us


RATES = st.tuples(st.integers(1, 13), st.sampled_from([1_000_000, 7_000_000, MINUTE_US]), st.integers(1, 6))
PAUSES = st.lists(st.tuples(st.integers(0, 20_000_000), st.integers(1, 7)), max_size=40)


@given(RATES, PAUSES)
def test_a_rate_is_gcra_to_the_microsecond(numbers: tuple[int, int, int], steps: Sequence[tuple[int, int]]) -> None:
    it, model = Clocked(rate(*numbers)), PlainGcra(*numbers)
    for pause_us, amount in steps:
        it.now_us += pause_us
        wait = it.look().waits_us(amount)
        if wait:
            for later_us, has_room in ((wait - 1, False), (wait, True)):
                ahead = PlainGcra(*numbers, arrival=model.arrival)
                assert has_room is ahead.takes(it.now_us + later_us, amount)
        assert model.takes(it.now_us, amount) is it.take(amount)


@given(RATES, st.lists(st.tuples(st.integers(0, 20_000_000), st.integers(1, 7), st.integers(0, 3)), max_size=40))
def test_what_of_a_rate_is_given_back_never_lets_through_more_than_if_it_had_not_been_asked_for(
    numbers: tuple[int, int, int], steps: Sequence[tuple[int, int, int]]
) -> None:
    """Of reservations some are given back, later: those that were used alone never fill more than the burst."""
    it = Clocked(rate(*numbers))
    waiting: list[tuple[str, int, int]] = []
    used: list[tuple[int, int]] = []
    for pause_us, amount, lag in steps:
        it.now_us += pause_us
        waiting = [(held, n, left - 1) for held, n, left in waiting]
        for ended, n, _ in [one for one in waiting if one[2] <= 0]:
            it.give_back(ended, n, n)
        waiting = [one for one in waiting if one[2] > 0]
        mark = it.reserve(amount)
        if mark is None:
            continue
        if lag:
            waiting.append((mark, amount, lag))
        else:
            used.append((it.now_us, amount))
    model = PlainGcra(*numbers)
    for at_us, amount in used:
        assert model.takes(at_us, amount)


RESERVED = st.lists(
    st.tuples(GAPS, st.integers(1, MOST), st.sampled_from(["use", "release", "less", "more", "expire"])), max_size=30
)


@given(RESERVED)
def test_reservations_count_until_they_end_and_then_for_what_was_used(steps: Sequence[tuple[int, int, str]]) -> None:
    for limit in (rolling(), daily()):
        it = Clocked(limit)
        entries: list[tuple[int, int]] = []
        for seconds, amount, end in steps:
            it.now_us += seconds * 1_000_000
            mark = it.reserve(amount)
            if mark is None:
                continue
            entries.append((it.now_us, amount))
            assert used_in(limit, entries, it.now_us) <= MOST
            assert amount <= it.counter.held
            real = {"use": amount, "release": 0, "expire": 0, "less": amount - 1, "more": amount + 2}[end]
            it.give_back(mark, amount, max(0, amount - real))
            if real > amount:
                it.look().count(real - amount, it.now_us)
                it.keep()
            entries[-1] = (it.now_us, real)
            assert 0 == it.look().held
            assert used_in(limit, entries, it.now_us) <= it.counter.used


def used_in(limit: Limit, entries: Sequence[tuple[int, int]], now_us: int) -> int:
    """By the plain definition of the window."""
    if limit.kind is Kind.ROLLING:
        return sum(n for at, n in entries if at > now_us - limit.period_us)
    zone = ZoneInfo(limit.zone)
    today = day_of(zone, instant(now_us))
    return sum(n for at, n in entries if day_of(zone, instant(at)) == today)


def test_a_day_of_25_hours_is_one_quota_and_ends_at_its_own_midnight() -> None:
    it = Clocked(daily(), now_us=micros(datetime(2026, 10, 24, 22, tzinfo=UTC)))  # midnight in Berlin

    taken = 0
    for _ in range(25):
        taken += it.take()
        it.now_us += HOUR_US

    assert (MOST, datetime(2026, 10, 25, 23, tzinfo=UTC)) == (taken, instant(it.now_us))
    assert it.take()


def test_a_rolling_window_of_24_hours_counts_24_hours_also_on_the_day_of_a_clock_change() -> None:
    it = Clocked(rolling(1, 24 * HOUR_US), now_us=micros(datetime(2026, 3, 29, 0, tzinfo=UTC)))

    assert it.take()
    it.now_us += 24 * HOUR_US - 1

    assert not it.take()
    it.now_us += 24 * HOUR_US // 60 + 1
    assert it.take()


# --- aimed


def test_what_takes_nothing_needs_something_to_be_left() -> None:
    for limit in (rolling(2), rate(6, MINUTE_US, 2), daily(2)):
        it = Clocked(limit)
        assert 0 == it.look().waits_us(0)
        assert it.take(2)
        wait = it.look().waits_us(0)
        assert wait
        it.now_us += wait
        assert 0 == it.look().waits_us(0)


def test_a_limit_of_nothing_never_has_room() -> None:
    for limit in (rolling(0), daily(0)):
        assert Clocked(limit).look().waits_us(0) is None
        assert Clocked(limit).look().waits_us(1) is None


def test_more_than_a_burst_never_has_room() -> None:
    assert Clocked(rate(6, MINUTE_US, 3)).look().waits_us(4) is None


def test_what_is_exactly_as_much_as_is_allowed_is_let_through() -> None:
    assert Clocked(rolling()).take(MOST)
    assert Clocked(rate()).take(3)


def test_amounts_are_exact_beyond_any_float() -> None:
    it = Clocked(rolling(10**20 * ONE))

    assert it.take(10**20 * ONE - 1)
    assert it.take(1)
    assert not it.take(1)


def test_what_happened_before_is_counted_where_it_happened() -> None:
    it = Clocked(rolling())
    it.counter.count(3, it.now_us - HOUR_US // 2)
    it.counter.count(1, it.now_us - 2 * HOUR_US)
    it.counter.count(1, it.now_us + HOUR_US)  # a clock that goes before: it counts as now
    it.keep()

    assert 4 == it.look().used
    it.now_us += HOUR_US // 2 + MINUTE_US
    assert 1 == it.look().used


def test_what_happened_yesterday_is_not_counted_today() -> None:
    it = Clocked(daily())
    it.counter.count(3, it.now_us - micros(START) + micros(START - timedelta(days=1)))

    assert 0 == it.counter.used


def test_of_a_rate_what_happened_before_has_drained_since() -> None:
    it = Clocked(rate(6, MINUTE_US, 3))

    it.counter.count(2, it.now_us - 15_000_000)  # ten seconds each: half of the second is left
    assert 1 == it.counter.used
    it.counter.count(1, it.now_us - HOUR_US)  # the bucket was not empty since, as far as it knows
    assert 2 == it.counter.used
    it = Clocked(rate(6, MINUTE_US, 3))
    it.counter.count(2, it.now_us - HOUR_US)
    assert 0 == it.counter.used


def test_what_is_given_back_after_its_window_gives_nothing_back() -> None:
    it = Clocked(daily())
    mark = it.reserve(3)
    assert mark is not None
    it.now_us += 24 * HOUR_US
    assert it.take(2)
    it.give_back(mark, 3, 3)

    assert (2, 0) == (it.counter.used, it.counter.held)


def test_a_rate_that_was_edited_keeps_what_had_not_drained() -> None:
    it = Clocked(rate(6, MINUTE_US, 6))
    mark = it.reserve(4)
    assert mark is not None
    it.now_us += 10_000_000
    it.limit = rate(60, MINUTE_US, 6)

    assert 3 == it.look().used
    it.give_back(mark, 4, 4)  # by the new pace it cannot be told what of it had drained
    assert (3, 0) == (it.counter.used, it.counter.held)
    it.now_us += 3_000_000
    assert 0 == it.look().used


def test_what_of_a_rate_has_drained_is_not_given_back_out_of_what_others_use() -> None:
    it = Clocked(rate(6, MINUTE_US, 3))
    early = it.reserve(3)
    assert early is not None
    it.now_us += 30_000_000  # all of it has drained
    assert it.take(3)
    it.give_back(early, 3, 3)

    assert (3, 0) == (it.counter.used, it.counter.held)
    assert not it.take(1)


@pytest.mark.parametrize("amount", [10, 10**12, 10**38])
def test_however_much_was_used_of_a_rate_it_has_room_again_after_a_burst_and_a_period(amount: int) -> None:
    it = Clocked(rate(6, MINUTE_US, 3))
    it.counter.count(amount, it.now_us)
    it.counter.count(amount, it.now_us)
    it.keep()

    assert (9, START_US + 90_000_000 + 1) == (it.look().used, it.counter.ends_us())
    it.now_us += 70_000_000 - 1
    assert not it.take(1)
    it.now_us += 1
    assert it.take(1)


def test_a_rate_that_was_lowered_has_room_again_after_a_burst_and_a_period() -> None:
    it = Clocked(rate(10**12, MINUTE_US, 10**12))
    assert it.take(10**12)
    it.limit = rate(6, MINUTE_US, 3)
    it.look()
    it.keep()

    assert 9 == it.look().used
    it.now_us += 90_000_000
    assert 0 == it.look().used


def test_what_of_a_rate_has_not_drained_is_given_back() -> None:
    it = Clocked(rate(6, MINUTE_US, 3))
    mark = it.reserve(3)
    assert mark is not None
    it.now_us += 10_000_000
    it.give_back(mark, 3, 3)

    assert 0 == it.counter.used


def test_a_quota_that_was_edited_keeps_what_was_used() -> None:
    it = Clocked(rolling(5))
    assert it.take(5)
    it.limit = rolling(7)

    assert it.take(2)
    it.limit = rolling(3)
    assert not it.take(1)
    assert 7 == it.counter.used


def test_what_holds_once_counts_only_between_its_instants() -> None:
    limit = Limit(
        id=1, scope=(), unit="requests", kind=Kind.BETWEEN, amount=1, from_at=START, to_at=START + timedelta(hours=1)
    )
    it = Clocked(limit, now_us=START_US - 1)
    assert it.take()
    assert "-1" == it.look().reserve(1)
    assert 0 == it.look().used
    it.now_us = START_US
    assert it.take()
    assert it.look().waits_us(1) is None
    it.now_us += HOUR_US
    assert it.take()


def test_what_is_told_from_elsewhere_takes_the_place_of_what_was_counted() -> None:
    for limit in (rolling(), daily(), rate(6, MINUTE_US, 6)):
        it = Clocked(limit)
        assert it.reserve(1) is not None
        it.counter.count(2, it.now_us)
        it.counter.forget()

        assert (1, 1) == (it.counter.used, it.counter.held)


@pytest.mark.parametrize("limit", [rolling(), daily(), rate()])
def test_when_a_counter_ends_nothing_of_it_counts_any_more_and_before_that_something_does(limit: Limit) -> None:
    it = Clocked(limit)
    assert it.take(2)
    it.now_us = it.look().ends_us()

    assert 0 == it.look().used
    if limit.kind is not Kind.RATE:
        it.now_us -= 1
        assert 2 == it.look().used


@pytest.mark.parametrize("limit", [rolling(), daily()])
def test_a_counter_of_which_all_was_given_back_is_forgotten_at_once(limit: Limit) -> None:
    it = Clocked(limit)
    mark = it.reserve(2)
    assert mark is not None
    it.give_back(mark, 2, 2)

    assert ("", it.now_us) == (it.text, it.counter.ends_us())
