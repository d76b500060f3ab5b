"""How bounds are written, read, and written again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.core.bound_text import bounds_of_lines, lines_of, refuse_late_start
from heartfly.core.bounds import NO_BOUNDS, Bounds, By
from heartfly.core.gates import Level
from heartfly.errors import InvalidValueError

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("line", "bounds"),
    [
        ("run >= 1m", Bounds(min_run=MINUTE)),
        ("run >= 90s warn", Bounds(min_run=1.5 * MINUTE, min_run_level=Level.WARN)),
        ("start within 10m", Bounds(start_within=10 * MINUTE)),
        ("apart >= 500ms", Bounds(apart=timedelta(milliseconds=500))),
        ("at most 5 runs in 1h warn", Bounds(most=5, most_in=60 * MINUTE, most_level=Level.WARN)),
        ("5 reports", Bounds(reports=5)),
        ("5 reports by rid", Bounds(reports=5, reports_by=By.RID)),
        ("5 reports by address", Bounds(reports=5, reports_by=By.ADDRESS)),
        ("early 10%", Bounds(early_share=10)),
        ("early 30m", Bounds(early=30 * MINUTE)),
    ],
)
def test_a_bound_is_read_and_written_as_the_same_line(line: str, bounds: Bounds) -> None:
    assert bounds == bounds_of_lines([line], field="bounds")
    assert [line] == lines_of(bounds)


def test_the_same_in_other_words_is_written_in_one_way() -> None:
    told = bounds_of_lines(["run>=60s fail", "at  most 3 in 120m", "5 reports by count"], field="bounds")

    assert ["run >= 1m", "at most 3 runs in 2h", "5 reports"] == lines_of(told)
    assert [] == lines_of(NO_BOUNDS)


@pytest.mark.parametrize(
    ("lines", "field", "why"),
    [
        (["run >= 1m", "start after 1m"], "bounds[1]", "must look like"),
        (["run >= 1m", "run >= 2m"], "bounds[1]", "each may stand once"),
        (["at most 0 in 1h"], "bounds[0]", "1 to 50"),
        (["at most 51 in 1h"], "bounds[0]", "1 to 50"),
        (["1 reports"], "bounds[0]", "2 to 100"),
        (["early 100%"], "bounds[0]", "0 to 99"),
        (["run >= 0s"], "bounds[0]", "at most 365 days"),
        (["run >= 366d"], "bounds[0]", "at most 365 days"),
        (["run >= 999999999d"], "bounds[0]", "at most 365 days"),
        (["run >= 1m" + " " * 200], "bounds[0]", "must look like"),
        (["run >= ١m"], "bounds[0]", "must look like"),
        (["early 10%"] * 7, "bounds", "at most 6"),
    ],
)
def test_what_is_no_bound_is_refused_with_its_line(lines: list[str], field: str, why: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        bounds_of_lines(lines, field="bounds")

    assert field == refused.value.field
    assert why in refused.value.message


def test_a_start_that_is_wanted_after_its_slot_is_over_is_refused() -> None:
    bounds = Bounds(start_within=MINUTE)

    refuse_late_start(bounds, MINUTE + timedelta(seconds=1), field="bounds")
    with pytest.raises(InvalidValueError, match="shorter than the grace"):
        refuse_late_start(bounds, MINUTE, field="bounds")
