"""Ninety days of five jobs with known faults: what a backtest says is what a replay from scratch finds, and what is
suggested out of the first four fifths alarms about the faults of the last fifth, and about nothing else.

The replay from scratch is check_oracle.py's, which shares no code with the rules.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from heartfly.core.learned import Ran, learn, split
from heartfly.core.replay import Alarm, compared, replay
from heartfly.core.schedule import Cron, Dialect, Period, Schedule, next_after
from heartfly.core.tolerance import NO_TOLERANCE, Tolerance
from heartfly.core.values import Blind, Rules, Signal
from heartfly.core.words import PingKind
from tests.core import check_oracle as oracle
from tests.factories import make_blind, make_signal

S, MINUTE, HOUR, DAY, TICK = (timedelta(seconds=n) for n in (1, 60, 3600, 86_400, 1e-6))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = BEGIN + 90 * DAY
FAULTS = ("missed", "failed", "hung", "overrun", "late")


@dataclass
class Past:
    """`faults`: by the instant at which each shows itself at the latest. `good`: runs in which nothing was wrong."""

    signals: list[Signal] = field(default_factory=list)
    runs: list[Ran] = field(default_factory=list)
    faults: list[tuple[str, datetime]] = field(default_factory=list)
    n_good: int = 0


def lived(seed: int, schedule: Schedule, took: timedelta, *, share: float, faults: Sequence[str] = FAULTS) -> Past:
    """Each run begins within a minute of its time and takes about as long; of `share` something is wrong."""
    chance, past, at, n, free = random.Random(seed), Past(), BEGIN, 0, 2
    while True:
        following = next_after(schedule, at, anchor=at)
        if following is None or following >= END:
            return past
        # Two runs between faults: what happens while a job is down already is no alarm of its own.
        fault = chance.choice(faults) if n > free and chance.random() < share else ""
        n += 1
        free = n + 2 if fault else free
        begun = following + chance.random() * (3 * S if took < 2 * MINUTE else MINUTE)
        lasts = took * chance.lognormvariate(0, 0.07)
        at = following if isinstance(schedule, Cron) else begun + lasts
        if fault == "late":
            begun += 6 * took + 30 * MINUTE
        if fault:
            past.faults.append((fault, following))
        if fault == "missed":
            at = following
            continue
        past.signals.append(make_signal(PingKind.START, begun, rid=str(n)))
        if fault == "hung":
            at = following
            continue
        lasts *= 2 if fault == "overrun" else 1
        kind = PingKind.FAIL if fault == "failed" else PingKind.SUCCESS
        past.signals.append(make_signal(kind, begun + lasts, rid=str(n)))
        if kind is PingKind.SUCCESS:
            past.runs.append(Ran(begun, begun + lasts, lasts))
            past.n_good += not fault


def cron(text: str, zone: str = "UTC") -> Cron:
    return Cron(text, zone, Dialect.CRON)


JOBS: Mapping[str, tuple[Schedule, timedelta]] = {
    "nightly": (cron("0 3 * * *"), 20 * MINUTE),
    "on weekdays": (cron("30 18 * * 1-5", "Europe/Berlin"), HOUR),
    "hourly": (cron("5 * * * *"), 4 * MINUTE),
    "every twenty minutes": (cron("*/20 * * * *"), 40 * S),
    "47 minutes after its end": (Period(47 * MINUTE), 3 * MINUTE),
}


# --- a backtest is what a replay from scratch finds -------------------------------------------------


def micros(at: datetime) -> int:
    return (at - BEGIN) // TICK


def events(past: Past, blind: Sequence[Blind]) -> Iterator[oracle.Event]:
    deaf = tuple((micros(one.from_at), micros(one.to_at)) for one in blind)
    for one in past.signals:
        yield oracle.Event("judge", micros(one.at) - 1, blind=deaf)
        yield oracle.Event(one.kind.value, micros(one.at), rid=one.rid)
    yield oracle.Event("judge", micros(END), blind=deaf)


def from_scratch(rules: oracle.Rules, past: Past, blind: Sequence[Blind]) -> list[tuple[int, str, int | None]]:
    life = oracle.Life(rules)
    for serial, event in enumerate(events(past, blind)):
        life.happens(event, serial)
    turns = [(at, reason) for _, _, at, reason in life.flips]
    downs = [to == "down" for _, to, _, _ in life.flips]
    ends = [at for at, _ in turns[1:]] + [None]
    return [(at, reason, end) for (at, reason), end, down in zip(turns, ends, downs, strict=True) if down]


def backtested(rules: oracle.Rules, past: Past, blind: Sequence[Blind]) -> list[Alarm]:
    period = rules.period * TICK

    def following(instant: datetime, anchor: datetime) -> datetime:
        begin = BEGIN - period if rules.calendar else anchor
        return begin + max((instant - begin) // period + 1, 1) * period

    tolerance = Tolerance(failures=rules.failures, recover=rules.recover) if rules.counts else NO_TOLERANCE
    as_ours = Rules(
        next_after=following,
        grace=rules.grace * TICK,
        max_run=None if rules.max_run is None else rules.max_run * TICK,
        tolerance=tolerance,
    )
    return replay(as_ours, past.signals, blind=blind, from_at=BEGIN, through=END)


def rule(period: timedelta, grace: timedelta, max_run: timedelta | None = None, **more: int) -> oracle.Rules:
    return oracle.Rules(
        period=period // TICK,
        calendar=True,
        grace=grace // TICK,
        max_run=None if max_run is None else max_run // TICK,
        failures=more.get("failures"),
        recover=more.get("recover", 1),
    )


def brute(old: Sequence[Alarm], new: Sequence[Alarm]) -> tuple[int, int, int]:
    """Each with each: kept, lost, new."""

    def meets(a: Alarm, b: Alarm) -> bool:
        a_end, b_end = a.ended_at or datetime.max.replace(tzinfo=UTC), b.ended_at or datetime.max.replace(tzinfo=UTC)
        return a.at < max(b_end, b.at + TICK) and b.at < max(a_end, a.at + TICK)

    kept = sum(any(meets(one, other) for other in new) for one in old)
    return kept, len(old) - kept, sum(not any(meets(one, other) for other in old) for one in new)


@pytest.mark.parametrize(
    ("seed", "schedule", "took", "period"),
    [(seed, cron("0 0 * * *"), 20 * MINUTE, DAY) for seed in range(4)] + [(5, cron("0 * * * *"), 4 * MINUTE, HOUR)],
    ids=["daily", "daily again", "daily once more", "daily for long", "hourly"],
)
def test_a_backtest_finds_what_a_replay_from_scratch_finds(
    seed: int, schedule: Schedule, took: timedelta, period: timedelta
) -> None:
    past = lived(seed, schedule, took, share=0.08)
    blind = [make_blind(BEGIN + day * DAY + 5 * MINUTE, BEGIN + day * DAY + 50 * MINUTE) for day in (11, 29, 30, 71)]
    rules = [
        rule(period, 2 * took),
        rule(period, 10 * took, 2 * took),
        rule(period, 2 * took, failures=2, recover=2),
        rule(period, MINUTE, took),
    ]
    found = [backtested(one, past, blind) for one in rules]
    assert 10 <= sum(map(len, found))

    for one, alarms in zip(rules, found, strict=True):
        told = [(micros(a.at), a.reason.value, None if a.ended_at is None else micros(a.ended_at)) for a in alarms]
        assert from_scratch(one, past, blind) == told
    for old, new in pairwise(found):
        differ = compared(old, new)
        assert brute(old, new) == (len(differ.kept), len(differ.lost), len(differ.added))


# --- what is suggested ------------------------------------------------------------------------------


def rules_of(schedule: Schedule, grace: timedelta, max_run: timedelta | None) -> Rules:
    return Rules(next_after=lambda at, anchor: next_after(schedule, at, anchor=anchor), grace=grace, max_run=max_run)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("seed", range(2))
def test_a_suggestion_alarms_about_the_faults_it_never_saw_and_one_good_run_in_a_hundred_at_most(
    job: str, seed: int
) -> None:
    """Faults that shift a job's own clock are left out of the one that has no calendar."""
    schedule, took = JOBS[job]
    kinds = FAULTS if isinstance(schedule, Cron) else ("failed", "overrun")
    past = lived(seed, schedule, took, share=0.04 if took < 10 * MINUTE else 0.12, faults=kinds)
    runs = past.runs[-1_000:]
    place = split(runs)
    at = runs[place].began_at
    zone = schedule.zone if isinstance(schedule, Cron) else "UTC"
    found = learn(runs[:place], Period(DAY), zones=[zone])
    assert found is not None
    assert found.max_run is not None
    assert found.grace is not None
    if isinstance(schedule, Cron):
        assert list(_times(schedule, at)) == list(_times(found.schedule, at))

    alarms = replay(
        rules_of(found.schedule, found.grace, found.max_run),
        [one for one in past.signals if one.at >= at],
        from_at=at,
        through=END,
    )
    faults = [(what, when) for what, when in past.faults if when > at]
    room = found.grace + found.max_run + 6 * took + HOUR
    false = [one for one in alarms if not any(when <= one.at <= when + room for _, when in faults)]
    overruns = [when for what, when in faults if what == "overrun"]
    caught = [when for when in overruns if any(when <= one.at <= when + room for one in alarms)]

    assert overruns or took >= 10 * MINUTE, "nothing was planted that could be caught"
    assert len(false) <= (len(runs) - place) / 100
    assert overruns == caught


def _times(schedule: Schedule, at: datetime) -> Iterator[datetime]:
    following = next_after(schedule, at, anchor=at)
    while following is not None and following < END:
        yield following
        following = next_after(schedule, following, anchor=at)
