"""Instants and durations in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.notify import words
from tests.notify.examples import at


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (0.42, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_661, "1 h 1 min"),
        (86_400 + 59, "1 d"),
        (2 * 86_400 + 3 * 3_600, "2 d 3 h"),
    ],
)
def test_a_duration_names_its_two_largest_units(seconds: float, expected: str) -> None:
    assert words.duration(timedelta(seconds=seconds)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3, "0 s"),
        (61, "1 min 1 s"),
        (599, "9 min 59 s"),
        (1_831, "31 min"),
        (3_590, "1 h"),
        (36_100, "10 h"),
        (10.4 * 86_400, "10 d"),
    ],
)
def test_a_long_duration_is_rounded_as_people_say_it(seconds: float, expected: str) -> None:
    assert words.rough_duration(timedelta(seconds=seconds)) == expected


def test_today_goes_without_its_date() -> None:
    assert words.instant(at("02:30"), seen_at=at("03:10")) == "02:30 UTC"


def test_another_day_is_named() -> None:
    assert words.instant(at("23:59:09") - timedelta(days=1), seen_at=at("03:10")) == "Sun 1 Mar, 23:59:09 UTC"


def test_another_year_is_named() -> None:
    assert words.instant(at("02:30") - timedelta(days=90), seen_at=at("03:10")) == "Tue 2 Dec 2025, 02:30 UTC"


def test_a_span_of_today_goes_without_its_date() -> None:
    assert words.span(at("02:50"), at("03:20"), seen_at=at("03:21")) == "02:50–03:20 UTC"


def test_a_span_of_another_day_names_it_once() -> None:
    seen_at = at("03:21") + timedelta(days=1)
    assert words.span(at("02:50"), at("03:20"), seen_at=seen_at) == "Mon 2 Mar, 02:50–03:20 UTC"


def test_a_span_over_midnight_names_both_days() -> None:
    start = at("23:50") - timedelta(days=1)
    assert words.span(start, at("00:10"), seen_at=at("00:11")) == "Sun 1 Mar, 23:50 UTC – Mon 2 Mar, 00:10 UTC"


@pytest.mark.parametrize(("number", "expected"), [(0, "0 runs"), (1, "1 run"), (14, "14 runs")])
def test_a_count_agrees_with_its_noun(number: int, expected: str) -> None:
    assert words.count(number, "run") == expected
