from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from heartfly.core import gates as rules
from heartfly.core.coverage import Span
from heartfly.core.gate_text import gate_of_text
from heartfly.core.gates import Broken, Gate, Known, Level, Op, PastRun, Reported, unready, worst

COMPARISONS = (Op.GT, Op.GE, Op.LT, Op.LE, Op.EQ, Op.NE)
SATURDAY = datetime(2026, 3, 28, 2, 30, tzinfo=UTC)
DAY = timedelta(days=1)
USUAL = "events within 40% of median(same weekday, 4 weeks)"


def broken(gates: Sequence[Gate], metrics: Mapping[str, Decimal]) -> tuple[Broken, ...]:
    return rules.broken(gates, Reported(metrics=metrics))


def said(
    line: str, *, known: Known = rules.NOTHING, took: timedelta | None = None, zone: str = "UTC", **figures: object
) -> str:
    """What is wrong with a run of that Saturday by one gate; empty: nothing."""
    metrics = {name: Decimal(str(value)) for name, value in figures.items()}
    reported = Reported(metrics=metrics, took=took, at=SATURDAY, zone=zone)
    return "; ".join(one.words() for one in rules.broken((gate_of_text(line, field="gate"),), reported, known))


def days(*events: int, took: timedelta | None = None) -> Known:
    """Runs at that time of day on the days before, the last of them the day before."""
    past = [
        PastRun(SATURDAY - DAY * ago, {"events": Decimal(count), "rejected": Decimal(count) / 100}, took)
        for ago, count in zip(range(len(events), 0, -1), events, strict=True)
    ]
    return Known(runs=past)


def gate(op: Op = Op.GT, value: str = "10", level: Level = Level.FAIL, metric: str = "rows") -> Gate:
    return Gate(metric, op, Decimal(value), level)


@pytest.mark.parametrize(
    ("op", "below", "equal", "above"),
    [
        (Op.GT, False, False, True),
        (Op.GE, False, True, True),
        (Op.LT, True, False, False),
        (Op.LE, True, True, False),
        (Op.EQ, False, True, False),
        (Op.NE, True, False, True),
    ],
    ids=lambda value: value.name if isinstance(value, Op) else str(value),
)
def test_each_comparison_holds_where_it_says(op: Op, *, below: bool, equal: bool, above: bool) -> None:
    holds = [
        not broken((gate(op),), {"rows": Decimal(rows)}) for rows in ("9.999999999999999999", "10.0", "10.000000000001")
    ]

    assert [below, equal, above] == holds


@pytest.mark.parametrize("op", COMPARISONS)
def test_a_figure_that_was_not_reported_breaks_every_gate(op: Op) -> None:
    assert (Broken(gate(op), None),) == broken((gate(op),), {"bytes": Decimal(10)})


def test_zero_is_a_figure() -> None:
    assert not broken((gate(Op.EQ, "0"),), {"rows": Decimal(0)})


def test_the_broken_gates_are_named_in_their_order() -> None:
    gates = (gate(Op.GT, "10"), gate(Op.GT, "1"), gate(metric="bytes"))

    found = broken(gates, {"rows": Decimal("5.0")})

    assert (Broken(gates[0], Decimal(5)), Broken(gates[2], None)) == found
    assert ["rows is 5.0, expected > 10", "bytes was not reported, expected > 10"] == [one.words() for one in found]


def test_without_gates_nothing_is_broken() -> None:
    assert not broken((), {})
    assert worst(()) is None


def test_a_gate_that_fails_outweighs_those_that_warn() -> None:
    warn, fail = Broken(gate(level=Level.WARN), None), Broken(gate(level=Level.FAIL), None)

    assert [Level.WARN, Level.FAIL, Level.FAIL] == [worst([warn]), worst([fail]), worst([warn, fail, warn])]


# --- ratios, and the run's own duration ---------------------------------------------------------------


def test_a_ratio_is_compared_exactly_and_told_with_both_figures() -> None:
    assert "" == said("rejected / events < 1%", rejected=13, events=1402)
    assert "rejected / events is 1% (14 of 1,400), expected < 1%" == said(
        "rejected / events < 1%", rejected=14, events=1400
    )
    assert "out / read is 0.5 (1 of 2), expected == 1" == said("out / read == 1", out=1, read=2)
    third = "0." + "3" * 18
    assert f"a / b is 0.3333 (1 of 3), expected == {third}" == said(f"a / b == {third}", a=1, b=3)


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"events": 5}, "rejected was not reported"),
        ({"rejected": 5}, "events was not reported"),
        ({}, "rejected and events were not reported"),
        ({"rejected": 0, "events": 0}, "events is 0"),
    ],
    ids=str,
)
def test_a_ratio_that_cannot_be_told_is_broken(figures: dict[str, Any], why: str) -> None:
    assert f"rejected / events cannot be told, for {why}, expected < 1%" == said("rejected / events < 1%", **figures)


def test_the_duration_of_a_run_is_its_own_where_a_unit_is_named() -> None:
    assert "" == said("duration < 15m", took=timedelta(minutes=15) - timedelta(microseconds=1), duration=99_999)
    assert "duration is 15m, expected < 15m" == said("duration < 15m", took=timedelta(minutes=15))
    assert "duration is 1d 2h, expected <= 1h" == said("duration <= 1h", took=timedelta(hours=26, seconds=5))
    assert "duration is 20ms, expected > 1s" == said("duration > 1s", took=timedelta(milliseconds=20))
    assert "duration is not known, for no start was reported, expected < 15m" == said("duration < 15m")


def test_a_figure_called_duration_is_one_like_any_other() -> None:
    assert "" == said("duration < 15", took=timedelta(hours=1), duration=14)
    assert "duration was not reported, expected < 15" == said("duration < 15", took=timedelta(seconds=1))
    assert "duration / rows is 3 (6 of 2), expected < 2" == said("duration / rows < 2", duration=6, rows=2)


# --- what is usual -----------------------------------------------------------------------------------

MONTH = (500, *(1000,) * 6) * 4
"""Four weeks: Saturdays 500, other days 1,000."""


def test_a_figure_far_from_the_same_weekdays_is_told_with_what_was_expected() -> None:
    known = days(*MONTH)

    assert "events is 12, expected within 40% of 500 (median of 4 Saturdays)" == said(USUAL, known=known, events=12)
    assert ["", "", "x", "x"] == [said(USUAL, known=known, events=n) and "x" for n in (300, 700, 299, 701)]
    everyday = "events within 40% of median(4 weeks)"
    assert "events is 500, expected within 40% of 1,000 (median of 28 days)" == said(everyday, known=known, events=500)


def test_a_missing_figure_is_broken_however_little_is_known() -> None:
    assert "events was not reported, expected within 40% of median(same weekday, 4 weeks)" == said(USUAL)


@pytest.mark.parametrize(
    ("line", "known", "why"),
    [
        (USUAL, days(*(1000,) * 6), "6 of 7 past days with a run that went well are known"),
        (USUAL, days(*(14,) * 7), "98 of 100 events are known, in 7 runs that went well"),
        (USUAL, days(*(0,) * 6, 500), "the median of 7 days is 0"),
        ("events within 40% of median(last 20 runs)", days(*(99,) * 6), "6 of 7 runs that went well are known"),
        ("duration within 40% of median(last 20 runs)", days(*(99,) * 9), "0 of 7 runs that went well are known"),
    ],
    ids=str,
)
def test_too_little_past_is_no_measure_and_is_told(line: str, known: Known, why: str) -> None:
    written = gate_of_text(line, field="gate")

    assert "" == said(line, known=known, took=timedelta(hours=9), events=1_000_000)
    assert [(written, why)] == unready((gate(), written), known, at=SATURDAY, zone_name="UTC")


def test_with_enough_past_every_gate_is_ready() -> None:
    assert [] == unready((gate_of_text(USUAL, field="gate"),), days(*MONTH), at=SATURDAY, zone_name="UTC")


def test_until_three_weeks_are_known_all_days_are_the_measure() -> None:
    assert "events is 12, expected within 40% of 1,000 (median of 14 days)" == said(
        USUAL, known=days(*MONTH[:14]), events=12
    )
    assert "(median of 3 Saturdays)" in said(USUAL, known=days(*MONTH[:21]), events=12)


def test_until_three_weeks_are_known_a_day_like_the_last_of_its_weekday_is_usual() -> None:
    week = days(*MONTH[:7])

    assert "" == said(USUAL, known=week, events=500)
    assert "expected within 40% of 1,000 (median of 7 days)" in said(USUAL, known=week, events=299)
    assert "" == said(USUAL, known=days(*MONTH[1:7], 1000), events=1000)
    assert "median of 7 days" in said("events within 40% of median(4 weeks)", known=week, events=500)


def test_what_differs_from_day_to_day_may_differ_as_much_again() -> None:
    wild = days(*(1000, 900, 1100, 800, 1200, 700, 1300) * 4)
    tight = "events within 5% of median(4 weeks)"

    assert "" == said(tight, known=wild, events=400)
    assert "events is 399, expected within 60% of 1,000 (median of 28 days, which differ among themselves)" == said(
        tight, known=wild, events=399
    )


def test_nothing_at_all_is_never_usual() -> None:
    wildest = days(*(100, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000) * 2)

    assert "within 90% of 30,000" in said("events within 5% of median(4 weeks)", known=wildest, events=0)


def test_a_ratio_and_a_duration_can_be_compared_with_what_is_usual() -> None:
    ratio = "rejected / events within 50% of median(last 7 runs)"
    assert "rejected / events is 2% (20 of 1,000), expected within 50% of 1% (median of 7 runs)" == said(
        ratio, known=days(*(1000,) * 9), rejected=20, events=1000
    )
    known = days(*(1,) * 9, took=timedelta(minutes=10))
    assert "duration is 16m, expected within 50% of 10m (median of 7 runs)" == said(
        "duration within 50% of median(last 7 runs)", known=known, took=timedelta(minutes=16)
    )


def test_a_run_without_the_figure_is_no_measure() -> None:
    empty = [PastRun(SATURDAY - timedelta(hours=n), {}) for n in range(9, 0, -1)]
    known = Known(runs=[*days(*(1000,) * 7).runs[:-1], *empty])

    assert "" == said("events within 40% of median(4 weeks)", known=known, events=1)


def test_a_zone_that_was_removed_is_no_reason_to_fail() -> None:
    assert "expected within 40% of 500" in said(USUAL, known=days(*MONTH), zone="Mars/Olympus", events=1)


# --- coverage ----------------------------------------------------------------------------------------


def test_coverage_is_judged_by_its_gate() -> None:
    line = (gate_of_text("coverage unbroken warn", field="gate"),)
    before = Known(covered=[Span(SATURDAY - 3 * DAY, SATURDAY - 2 * DAY)])
    next_one = Reported(covers=Span(SATURDAY - 2 * DAY, SATURDAY - DAY), at=SATURDAY)

    assert () == rules.broken(line, next_one, before)
    [found] = rules.broken(line, Reported(at=SATURDAY), before)
    assert "coverage was not reported: no from and to, expected it unbroken" == found.words()
    assert rules.proves_work([found])
    assert not rules.proves_work([found, Broken(gate())])
    assert rules.asks_coverage(line)
    assert not rules.asks_coverage((gate(),))
    assert frozenset() == rules.asked_names(line)
    assert frozenset({"a", "b"}) == rules.asked_names(
        (gate_of_text("a / b within 5% of median(1 week)", field="gate"),)
    )
