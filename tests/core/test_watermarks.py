"""How far sources have come, and whom a day waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from heartfly.core.watermarks import LATELY, LATENESS, PATIENCE, Source, Standing, is_live, is_name, standing

END = datetime(2026, 11, 28, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
SOON = END + timedelta(hours=1, minutes=10)


def source(**changes: Any) -> Source:
    """One that has told all of the day, and goes on."""
    given: dict[str, Any] = {
        "name": "web-1",
        "first_at": END - timedelta(days=9),
        "newest_at": END + LATENESS,
        "live_at": END + LATENESS,
    }
    return Source(**given | changes)


def waits(now: datetime = SOON, **changes: Any) -> bool:
    return bool(standing([source(**changes)], END, now).waits_for)


def test_a_day_waits_until_a_source_has_come_an_hour_past_its_end() -> None:
    assert not waits(newest_at=END + LATENESS)
    assert waits(newest_at=END + LATENESS - MOMENT)


def test_it_is_given_up_on_a_day_after_the_days_end_and_named() -> None:
    behind = source(newest_at=END)

    assert Standing(("web-1",), (), END) == _as_tuples(standing([behind], END, END + PATIENCE - MOMENT))
    assert Standing((), ("web-1",), END) == _as_tuples(standing([behind], END, END + PATIENCE))


def _as_tuples(found: Standing) -> Standing:
    return Standing(tuple(found.waits_for), tuple(found.without), found.watermark)


@pytest.mark.parametrize(
    "changes",
    [
        {"retired_at": END},
        {"first_at": END},  # heard only when the day was over
        {"live_at": None},  # brings history
        {"live_at": END - LATELY - MOMENT},  # went long before
    ],
)
def test_nobody_waits_for_who_is_none_of_the_days_sources(changes: dict[str, Any]) -> None:
    assert not waits(newest_at=END - timedelta(hours=3), **changes)
    assert standing([source(**changes)], END, SOON).watermark is None


def test_who_was_live_just_lately_enough_is_waited_for() -> None:
    assert waits(newest_at=END - LATELY, live_at=END - LATELY, first_at=END - LATELY)
    assert waits(newest_at=END, first_at=END - MOMENT)


def test_the_slowest_source_is_the_days_watermark_and_names_stand_in_order() -> None:
    sources = [source(name=name, newest_at=END + timedelta(minutes=n)) for n, name in enumerate("cab")]

    found = standing([*sources, source(name="on", newest_at=SOON)], END, SOON)

    assert (["a", "b", "c"], END) == (list(found.waits_for), found.watermark)


def test_without_sources_nothing_is_waited_for() -> None:
    assert Standing([], (), None) == standing([], END, SOON)


def test_what_happened_within_the_hour_is_told_live() -> None:
    assert is_live(END - LATENESS, END)
    assert is_live(END, END)
    assert not is_live(END - LATENESS - MOMENT, END)


@pytest.mark.parametrize("text", ["web-1", "a", "ä" * 128, "eu/web 1"])
def test_what_can_be_a_name(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", ["", " web", "web ", "a\nb", "x" * 129, None, 5])
def test_what_can_be_none(text: object) -> None:
    assert not is_name(text)
