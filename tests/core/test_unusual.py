"""What was not as usual is found beside the same weekday's median, and small samples say nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from heartfly.core.gate_text import gate_of_text
from heartfly.core.gates import PastRun
from heartfly.core.unusual import NEWEST, figures_of, gate_for, unusual

S, MINUTE, DAY = (timedelta(seconds=n) for n in (1, 60, 86_400))
BEGIN = datetime(2026, 1, 5, 3, tzinfo=UTC)  # a Monday


def runs(n: int, took: Mapping[int, timedelta] | None = None, rows: Mapping[int, int] | None = None) -> list[PastRun]:
    """One each day. On Sundays the job has ten times as much to do."""
    made = []
    for day in range(n):
        much = 10 if day % 7 == 6 else 1
        lasted = (took or {}).get(day, much * MINUTE + day % 3 * S)
        n_rows = (rows or {}).get(day, much * 1_000 + day % 5)
        made.append(PastRun(BEGIN + day * DAY, {"rows": Decimal(n_rows)}, lasted))
    return made


def told(found: Sequence[PastRun]) -> list[tuple[int, str]]:
    return [((one.run.at - BEGIN) // DAY, one.broken.gate.metric) for one in unusual(found, [], "UTC")]


def test_a_day_that_is_as_its_weekday_usually_is_is_not_unusual() -> None:
    assert [] == told(runs(60))


def test_a_run_that_took_twice_as_long_and_a_figure_that_is_half_are_found() -> None:
    found = runs(60, took={50: 2 * MINUTE}, rows={55: 100})

    assert [(55, "rows"), (50, "duration")] == told(found)
    odd = unusual(found, [], "UTC")
    assert "rows is 100, expected within 50% of 10,002 (median of 7 Sundays)" == odd[0].broken.words()


def test_a_sunday_like_a_monday_is_unusual_though_it_would_be_usual_on_most_days() -> None:
    assert [(55, "duration")] == told(runs(60, took={55: MINUTE}))


def test_few_days_are_no_baseline() -> None:
    assert [] == told(runs(7, took={6: 60 * MINUTE}))


def test_seconds_more_or_less_are_nothing() -> None:
    short = dict.fromkeys(range(60), 3 * S) | {58: 9 * S}
    assert [] == told(runs(60, took=short))


def test_only_the_newest_runs_are_looked_at() -> None:
    assert [] == told(runs(60, took={59 - NEWEST: 5 * MINUTE}))


def test_what_is_asked_for_is_known_by_its_gate() -> None:
    found = runs(60, took={50: 5 * MINUTE})
    asked = gate_of_text("duration within 30% of median(same weekday, 4 weeks) warn", field="gate")

    assert [True] == [one.asked for one in unusual(found, [asked], "UTC")]
    assert [False] == [one.asked for one in unusual(found, [], "UTC")]


def test_the_gate_that_warns_is_one_that_people_can_write() -> None:
    for name in ("duration", "rows"):
        assert gate_for(name) == gate_of_text(f"{gate_for(name).text} warn", field="gate")


def test_figures_are_those_that_most_of_the_newest_runs_report() -> None:
    found = runs(40)
    found[-1] = PastRun(found[-1].at, {"rows": Decimal(1), "seldom": Decimal(1)}, None)

    assert ["duration", "rows"] == figures_of(found)
    assert ["rows"] == figures_of([PastRun(run.at, run.metrics) for run in found])
    assert [] == figures_of([])
