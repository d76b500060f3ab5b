"""The whole table of the life of a check, cell by cell; docs/life-of-a-check.md shows the same one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from heartfly.core.bounds import Bounds
from heartfly.core.check import after_ping, edited, first_ping_by, pause, resume
from heartfly.core.gates import Gate, Level, Op
from heartfly.core.tolerance import Tolerance
from heartfly.core.values import Check, Rules, Step, replace
from heartfly.core.words import AlertKind, PingKind, Reason, RunOutcome, Status
from tests.factories import (
    GRACE,
    HOUR,
    TICK,
    at,
    judge,
    make_blind,
    make_check,
    make_rules,
    make_run,
    make_signal,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "life-of-a-check.md"

COLUMNS = ("new", "up", "degraded", "down", "paused", "paused, sticky")

SIGNAL_AT = at(minutes=10)
GATES = (Gate("rows", Op.GT, Decimal(0), Level.WARN), Gate("bytes", Op.GT, Decimal(0), Level.FAIL))
DEADLINE = at(hours=1) + GRACE
RUN_LIMIT = 2 * GRACE
"""Shorter than any slot of these checks is away, so that a run ends before one opens."""


@dataclass(frozen=True)
class Row:
    """F: flip; T: told; D: listed in the digest; ·: no flip; –: cannot happen; 409: refused."""

    event: str
    cells: str
    act: Callable[[Check], Step | None]
    reason: Reason | None = None
    outcome: RunOutcome | None = None
    kind: PingKind | None = None
    """Of the signal; None: the event is a silence or a command."""
    rules: Rules | None = None
    run_open: bool = False
    unverified_in_row: int = 0
    wanted: bool = False
    """The first ping of a new check is wanted by the end of its first slot."""

    def expected(self) -> dict[str, str]:
        return dict(zip(COLUMNS, (cell.strip() for cell in self.cells.split("|")), strict=True))


def sends(
    kind: PingKind, *, exit_status: int | None = None, rows: int = 1, bytes_: int | None = 1
) -> Callable[[Check], Step]:
    metrics = {"rows": Decimal(rows)} | ({} if bytes_ is None else {"bytes": Decimal(bytes_)})
    signal = make_signal(kind, SIGNAL_AT, exit_status=exit_status, metrics=metrics)
    return lambda check: after_ping(check, signal)


def slot_passes(check: Check) -> Step:
    return judge(check, at(hours=1) + GRACE)


def start_is_due(check: Check) -> Step:
    return judge(check, at(hours=1) + GRACE / 2)


def deaf_start_is_due(check: Check) -> Step:
    return judge(check, at(hours=1) + GRACE / 2, [make_blind(at(minutes=61), at(minutes=62))])


def slot_opens(check: Check) -> Step:
    return judge(check, at(hours=1))


def deaf_slot_passes(check: Check) -> Step:
    return judge(check, at(hours=1) + GRACE, [make_blind(at(minutes=61), at(minutes=62))])


def run_ends(check: Check) -> Step:
    return judge(check, at() + RUN_LIMIT)


def deaf_run_ends(check: Check) -> Step:
    return judge(check, at() + RUN_LIMIT, [make_blind(at(minutes=1), at(minutes=2))])


def wants_first_ping(check: Check) -> Step | None:
    return first_ping_by(check, DEADLINE, SIGNAL_AT)


def raises(*_: object) -> None:
    raise LookupError("no such zone")


def takes(rules: Rules) -> Callable[[Check], Step]:
    # The rules of a check that is paused for good stay so: this is not an edit of stickiness.
    return lambda check: edited(check, replace(rules, sticky=check.rules.sticky), SIGNAL_AT)


GATED = make_rules(gates=GATES, grace=GRACE)
TIMED = make_rules(max_run=RUN_LIMIT)

TABLE = (
    Row(
        "success, gates hold",
        "up F | up · | up F T | up F T | up F | paused ·",
        sends(PingKind.SUCCESS),
        reason=Reason.SUCCESS,
        outcome=RunOutcome.OK,
        kind=PingKind.SUCCESS,
        rules=GATED,
    ),
    Row(
        "success, a `warn` gate broken",
        "degraded F T | degraded F T | degraded · | degraded F T | degraded F T | paused ·",
        sends(PingKind.SUCCESS, rows=0),
        reason=Reason.GATE,
        outcome=RunOutcome.DEGRADED,
        kind=PingKind.SUCCESS,
        rules=GATED,
    ),
    Row(
        "success, a `fail` gate broken",
        "down F T | down F T | down F T | down · | down F T | paused ·",
        sends(PingKind.SUCCESS, bytes_=0),
        reason=Reason.GATE,
        outcome=RunOutcome.FAILED,
        kind=PingKind.SUCCESS,
        rules=GATED,
    ),
    Row(
        "success, the metric of a `fail` gate missing",
        "down F T | down F T | down F T | down · | down F T | paused ·",
        sends(PingKind.SUCCESS, bytes_=None),
        reason=Reason.GATE,
        outcome=RunOutcome.FAILED,
        kind=PingKind.SUCCESS,
        rules=GATED,
    ),
    Row(
        "fail",
        "down F T | down F T | down F T | down · | down F T | paused ·",
        sends(PingKind.FAIL),
        reason=Reason.FAIL,
        outcome=RunOutcome.FAILED,
        kind=PingKind.FAIL,
    ),
    Row(
        "exit status 1 to 255",
        "down F T | down F T | down F T | down · | down F T | paused ·",
        sends(PingKind.FAIL, exit_status=7),
        reason=Reason.EXIT_STATUS,
        outcome=RunOutcome.FAILED,
        kind=PingKind.FAIL,
    ),
    Row(
        "fail, but so many in a row are tolerated",
        "down F T | up · | degraded · | down · | down F T | paused ·",
        sends(PingKind.FAIL),
        reason=Reason.FAIL,
        outcome=RunOutcome.FAILED,
        kind=PingKind.FAIL,
        rules=make_rules(tolerance=Tolerance(failures=2)),
    ),
    Row(
        "success, but it takes more in a row to be up again",
        "up F | up · | up F T | down · | up F | paused ·",
        sends(PingKind.SUCCESS),
        reason=Reason.SUCCESS,
        outcome=RunOutcome.OK,
        kind=PingKind.SUCCESS,
        rules=make_rules(tolerance=Tolerance(recover=2)),
    ),
    Row(
        "success, too fast or with no start, which is a failure",
        "down F T | down F T | down F T | down · | down F T | paused ·",
        sends(PingKind.SUCCESS),
        reason=Reason.TOO_FAST,
        outcome=RunOutcome.FAILED,
        kind=PingKind.SUCCESS,
        rules=make_rules(bounds=Bounds(min_run=GRACE)),
    ),
    Row(
        "start (opens a run)",
        "new · | up · | degraded · | down · | paused · | paused ·",
        sends(PingKind.START),
        kind=PingKind.START,
    ),
    Row(
        "progress (of no run under way)",
        "new · | up · | degraded · | down · | paused · | paused ·",
        sends(PingKind.PROGRESS),
        kind=PingKind.PROGRESS,
    ),
    Row("log", "new · | up · | degraded · | down · | paused · | paused ·", sends(PingKind.LOG), kind=PingKind.LOG),
    Row(
        "ignored by a filter or the method",
        "new · | up · | degraded · | down · | paused · | paused ·",
        sends(PingKind.IGNORED),
        kind=PingKind.IGNORED,
    ),
    Row(
        "slot missed",
        "– | down F T | down F T | – | – | –",
        slot_passes,
        reason=Reason.MISSED,
        outcome=RunOutcome.MISSED,
    ),
    Row(
        "slot missed, but so many in a row are tolerated",
        "– | up · | degraded · | – | – | –",
        slot_passes,
        outcome=RunOutcome.MISSED,
        rules=make_rules(tolerance=Tolerance(failures=2)),
    ),
    Row(
        "no run has begun by the start deadline",
        "– | down F T | down F T | – | – | –",
        start_is_due,
        reason=Reason.NOT_STARTED,
        outcome=RunOutcome.MISSED,
        rules=make_rules(bounds=Bounds(start_within=GRACE / 2)),
    ),
    Row(
        "the same, touched by a blind interval: only its end is wanted",
        "– | up · | degraded · | – | – | –",
        deaf_start_is_due,
        rules=make_rules(bounds=Bounds(start_within=GRACE / 2)),
    ),
    Row(
        "open run over its limit",
        "down F T | down F T | down F T | down · | down F T | paused ·",
        run_ends,
        reason=Reason.HUNG,
        outcome=RunOutcome.HUNG,
        rules=TIMED,
        run_open=True,
    ),
    Row(
        "slot missed, but touched by a blind interval",
        "– | up · D | degraded · D | – | – | –",
        deaf_slot_passes,
        outcome=RunOutcome.UNVERIFIED,
    ),
    Row(
        "the same, second slot in a row",
        "– | down F T | down F T | – | – | –",
        deaf_slot_passes,
        reason=Reason.MISSED_TWICE_UNVERIFIED,
        outcome=RunOutcome.MISSED,
        unverified_in_row=1,
    ),
    Row(
        "open run over its limit, touched by a blind interval",
        "new · D | up · D | degraded · D | down · D | paused · D | paused · D",
        deaf_run_ends,
        outcome=RunOutcome.UNVERIFIED,
        rules=TIMED,
        run_open=True,
    ),
    Row(
        "first ping wanted by then, and none has come",
        "down F T | – | – | – | – | –",
        slot_passes,
        reason=Reason.NO_FIRST_PING,
        outcome=RunOutcome.MISSED,
        wanted=True,
    ),
    Row(
        "the same, but touched by a blind interval since it is new",
        "new · D | – | – | – | – | –",
        deaf_slot_passes,
        outcome=RunOutcome.UNVERIFIED,
        wanted=True,
    ),
    Row(
        "somebody wants its first ping",
        "new · | 409 | 409 | 409 | 409 | 409",
        wants_first_ping,
    ),
    Row(
        "slot opened, and somebody hears of `late`",
        "– | up · T | degraded · T | – | – | –",
        slot_opens,
        rules=make_rules(wants_late=True),
    ),
    Row(
        "pause",
        "paused F | paused F | paused F | paused F | paused · | paused ·",
        lambda check: pause(check, SIGNAL_AT),
        reason=Reason.PAUSED,
    ),
    Row(
        "resume (the last ping is forgotten)",
        "409 | 409 | 409 | 409 | new F | new F",
        lambda check: resume(check, SIGNAL_AT),
        reason=Reason.RESUMED,
    ),
    Row(
        "schedule or zone edited",
        "new · | up · | degraded · | down · | paused · | paused ·",
        takes(make_rules(period=HOUR / 2)),
    ),
    Row(
        "the schedule raises",
        "new · | up · T | degraded · T | down · | paused · | paused ·",
        takes(make_rules(next_after=raises)),
    ),
)

TOLD = {Status.UP: AlertKind.UP, Status.DOWN: AlertKind.DOWN, Status.DEGRADED: AlertKind.DEGRADED}
CELLS = [(row, column) for row in TABLE for column in COLUMNS]


def in_state(row: Row, column: str) -> Check:
    status = Status(column.partition(",")[0])
    rules = replace(row.rules or make_rules(), sticky="sticky" in column)
    runs = (make_run(),) if row.run_open else ()
    check = make_check(status, rules=rules, open_runs=runs, unverified_in_row=row.unverified_in_row)
    wanted = wants_first_ping(check) if row.wanted else None
    return check if wanted is None else wanted.check


@pytest.mark.parametrize(("row", "column"), CELLS, ids=[f"{row.event} - {column}" for row, column in CELLS])
def test_every_cell_of_the_table_holds(row: Row, column: str) -> None:
    cell = row.expected()[column]
    before = in_state(row, column)
    if cell == "–" and row.wanted:
        assert wants_first_ping(before) is None
        return
    if cell == "–":
        assert before.expected_at is None
        assert judge(before, at(days=1000)).check.status is before.status
        return
    step = row.act(before)
    if cell == "409":
        assert step is None
        return

    assert step is not None
    status, *marks = cell.split()
    assert Status(status) is step.check.status
    assert ("F" in marks) == bool(step.flips)
    for flip in step.flips:
        kind = TOLD[Status(status)] if "T" in marks else None
        assert [(before.flip_no + 1, before.status, Status(status), row.reason, kind)] == [
            (flip.flip_no, flip.from_status, flip.to_status, flip.reason, flip.tell)
        ]
    assert ("T" in marks and "F" not in marks) == (step.late_since is not None or step.schedule_error is not None)
    assert ("D" in marks) == bool(step.unverified)
    ignored = row.kind is not None and "sticky" in column
    assert (None if ignored else row.outcome) == (step.runs[-1].outcome if step.runs else None)
    if row.kind is not None:
        expected = (PingKind.IGNORED if ignored else row.kind, before.n_pings + 1, before.rev + 1)
        assert expected == (step.kind, step.check.n_pings, step.check.rev)


@pytest.mark.parametrize(("rows", "bytes_", "metric"), [(0, 10, "rows"), (10, 0, "bytes")])
def test_who_is_told_of_a_broken_gate_is_told_which(rows: int, bytes_: int, metric: str) -> None:
    step = sends(PingKind.SUCCESS, rows=rows, bytes_=bytes_)(make_check(Status.UP, rules=GATED))

    assert [[metric]] == [[one.gate.metric for one in flip.broken] for flip in step.flips]


@pytest.mark.parametrize("status", [Status.UP, Status.DEGRADED])
def test_nothing_is_judged_a_microsecond_before_the_deadline(status: Status) -> None:
    check = make_check(status)

    step = judge(check, at(hours=1) + GRACE - TICK)

    assert at(hours=1) + GRACE == check.goes_down_at
    assert not step.flips
    assert not step.runs


def drawn() -> str:
    """The table as Markdown, from the same data as the test."""
    lines = ["| event | " + " | ".join(COLUMNS) + " | reason | run |", "|---" * (len(COLUMNS) + 3) + "|"]
    for row in TABLE:
        cells = " | ".join(row.expected().values())
        lines.append(f"| {row.event} | {cells} | {row.reason or ''} | {row.outcome or ''} |")
    return "\n".join(lines)


def test_the_docs_show_this_very_table() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert drawn() == page.partition("<!-- table -->\n")[2].partition("\n<!-- end of table -->")[0]
