"""Any life at all: core/check.py against a second telling of it, over sequences that nobody thought of.

The machines jump onto the edges on purpose (the deadline, a microsecond before it, the limit of a run, both ends of a
blind interval): chance alone does not find them.
"""

from __future__ import annotations

import itertools
from dataclasses import replace as replaced
from datetime import datetime
from decimal import Decimal
from functools import cache

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from heartfly.core.bounds import Bounds
from heartfly.core.check import (
    after_ping,
    after_silence,
    edited,
    first_ping_by,
    needs_past,
    pause,
    resume,
    waits_for_first_ping,
)
from heartfly.core.gates import Gate, Level, Op
from heartfly.core.tolerance import NO_TOLERANCE, Tolerance
from heartfly.core.values import Blind, Check, Flip, NextAfter, Past, Rules, Run, Signal, Step, replace
from heartfly.core.words import PingKind, RunOutcome, Status
from tests.core import check_oracle as oracle
from tests.core.check_oracle import SECOND, Event, Life
from tests.factories import START, TICK, every

MINUTE = 60 * SECOND
GATES = (Gate("rows", Op.GT, Decimal(0), Level.WARN), Gate("bytes", Op.GT, Decimal(0), Level.FAIL))
KINDS = {
    "fail": PingKind.FAIL,
    "start": PingKind.START,
    "progress": PingKind.PROGRESS,
    "log": PingKind.LOG,
}
BAD = {RunOutcome.FAILED, RunOutcome.HUNG, RunOutcome.MISSED}
FIGURES = {"success": (1, 1), "warn": (0, 1), "broken": (1, 0)}


def instant(us: int) -> datetime:
    return START + us * TICK


def us(at: datetime) -> int:
    return (at - START) // TICK


@cache  # an edit that leaves the schedule as it was is known by the very same function
def expects(period: int, *, calendar: bool) -> NextAfter:
    def by_the_clock(after: datetime, _anchor: datetime) -> datetime:
        return instant(oracle.Rules(period, calendar, grace=0).next_after(us(after), 0))

    return by_the_clock if calendar else every(period * TICK)


def core_rules(rules: oracle.Rules) -> Rules:
    return Rules(
        next_after=expects(rules.period, calendar=rules.calendar),
        grace=rules.grace * TICK,
        max_run=None if rules.max_run is None else rules.max_run * TICK,
        gates=GATES,
        tolerance=tolerance_of(rules),
        bounds=Bounds(
            min_run=None if rules.min_run is None else rules.min_run * TICK,
            start_within=None if rules.start_within is None else rules.start_within * TICK,
            early=None if rules.early is None else rules.early * TICK,
        ),
        sticky=rules.sticky,
        unverified_is_down=rules.unverified_is_down,
    )


def tolerance_of(rules: oracle.Rules) -> Tolerance:
    if not rules.counts:
        return NO_TOLERANCE
    share, last = (None, None) if rules.share is None else (100 * rules.share[0] // rules.share[1], rules.share[1])
    return Tolerance(failures=rules.failures, share=share, last=last, recover=rules.recover)


# Few and short durations: what seldom meets in real life meets often here.
some_rules = st.builds(
    oracle.Rules,
    period=st.just(5 * MINUTE),
    calendar=st.booleans(),
    grace=st.sampled_from([MINUTE, 6 * MINUTE]),
    max_run=st.sampled_from([None, MINUTE, 7 * MINUTE]),
    sticky=st.sampled_from([False, False, False, True]),
    unverified_is_down=st.sampled_from([False, False, False, True]),
)
more_rules = st.builds(
    lambda plain, more: replaced(plain, **more),
    some_rules,
    st.fixed_dictionaries(
        {},
        optional={
            "failures": st.sampled_from([2, 3]),
            "share": st.sampled_from([(1, 4), (2, 4), (2, 2)]),
            "recover": st.sampled_from([1, 2]),
            "start_within": st.just(30 * SECOND),
            "early": st.sampled_from([0, MINUTE]),
            "min_run": st.just(SECOND),
        },
    ),
)
steps = st.sampled_from([0, 1, SECOND, MINUTE, 5 * MINUTE, 11 * MINUTE])
offsets = st.sampled_from([0, -1, 1])
rids = st.sampled_from([None, None, "a", "b"])


class Lives(RuleBasedStateMachine):
    """What both machines do: one check in core/check.py, and the list of all that happened."""

    lives_by = some_rules

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.log: list[Event] = []
        self.blind: list[tuple[int, int]] = []
        self.flips: list[Flip] = []
        self.runs: dict[int, Run] = {}
        self.seq = itertools.count(1)
        self.ids = itertools.count(1)
        self.n_unverified = 0

    @initialize(data=st.data())
    def made(self, data: st.DataObject) -> None:
        self.created(data.draw(self.lives_by))

    def created(self, rules: oracle.Rules) -> None:
        self.first_rules = rules
        self.check = Check(rules=core_rules(rules), status=Status.NEW, status_since=START)
        self.pings("success")

    def took(self, step: Step) -> None:
        assert step.check.rev > self.check.rev or step.check == self.check
        self.no_failure_is_lost(step)
        self.check = step.check
        self.flips += step.flips
        self.n_unverified += len(step.unverified)
        self.runs |= {run.id: run for run in step.runs}

    def no_failure_is_lost(self, step: Step) -> None:
        """What went wrong is an alarm, is within one, or bears the reason why it is none."""
        tolerance = self.check.rules.tolerance
        alarmed = {flip.run.id for flip in step.flips if flip.run is not None and flip.to_status is Status.DOWN}
        down = self.check.status is Status.DOWN
        for run in step.runs:
            if run.outcome in BAD and not (down or run.id in alarmed or run.tolerated):
                # Of a sticky pause, which keeps no failure but that of a run that it did not begin.
                assert self.check.status is Status.PAUSED or self.late
            assert not (run.tolerated and run.id in alarmed)
            down = down or run.id in alarmed
        if tolerance.in_row is not None and step.check.status in {Status.UP, Status.DEGRADED}:
            assert step.check.memory.bad < tolerance.in_row

    late = False

    def deaf(self) -> list[Blind]:
        return [Blind(id=n, from_at=instant(a), to_at=instant(b)) for n, (a, b) in enumerate(self.blind)]

    def silence(self, check: Check, through: int) -> Step:
        ids = itertools.count(10**9)
        return after_silence(
            check, through=instant(through), blind=self.deaf(), new_id=lambda: next(ids), now=instant(through)
        )

    def signal(self, what: str, at: int, rid: str | None, seq: int) -> Signal:
        rows, size = FIGURES.get(what, (1, 1))
        return Signal(
            id=next(self.ids),
            kind=KINDS.get(what, PingKind.SUCCESS),
            order=(instant(at), 1, seq),
            rid=rid,
            metrics={"rows": Decimal(rows), "bytes": Decimal(size)},
        )

    def edges(self) -> list[int]:
        """Instants at which something may change, not yet passed."""
        check, limit = self.check, self.check.rules.run_limit
        found = [check.goes_down_at, check.wake_at, check.expected_at]
        found += [run.counts_from + limit for run in check.open_runs]
        if check.expected_at is not None:
            found.append(check.expected_at + self.first_rules.period * TICK)  # the next slot's
        return sorted({us(at) for at in found if at is not None and us(at) > self.now})

    def judged(self) -> None:
        self.log.append(Event("judge", self.now, blind=tuple(self.blind)))
        self.took(self.silence(self.check, self.now))

    def pings(self, what: str, rid: str | None = None) -> None:
        raise NotImplementedError

    # --- time

    @rule(step=steps)
    def time_passes(self, step: int) -> None:
        self.now += step

    @precondition(lambda self: self.edges())
    @rule(data=st.data(), offset=offsets)
    def time_jumps_to_an_edge(self, data: st.DataObject, offset: int) -> None:
        self.now = max(self.now, data.draw(st.sampled_from(self.edges())) + offset)

    @precondition(lambda self: self.edges())
    @rule(data=st.data())
    def an_edge_is_judged(self, data: st.DataObject) -> None:
        self.now = data.draw(st.sampled_from(self.edges()))
        self.judged()

    @rule()
    def silence_is_judged(self) -> None:
        self.judged()

    @rule(step=steps)
    def we_are_deaf(self, step: int) -> None:
        self.deaf_up_to(self.now + 1 + step)

    @precondition(lambda self: self.edges())
    @rule(data=st.data(), offset=offsets)
    def we_are_deaf_up_to_an_edge(self, data: st.DataObject, offset: int) -> None:
        self.deaf_up_to(data.draw(st.sampled_from(self.edges())) + offset)

    def deaf_up_to(self, to: int) -> None:
        """From the next instant on: what was judged already had been heard."""
        began, self.now = self.now + 1, max(self.now + 1, to)
        self.blind.append((began, self.now))

    # --- what always holds

    @invariant()
    def flips_make_a_chain(self) -> None:
        status = Status.NEW
        for number, flip in enumerate(self.flips, start=1):
            assert (number, status) == (flip.flip_no, flip.from_status)
            assert flip.to_status is not status
            status = flip.to_status
        assert (self.check.status, self.check.flip_no) == (status, len(self.flips))

    @invariant()
    def deadlines_fit_together(self) -> None:
        check = self.check
        down, wake = check.goes_down_at, check.wake_at
        if check.status is Status.DOWN:
            assert down is None
        if down is not None:
            assert wake is not None
            assert wake <= down
            hears_all = replace(self.check, unverified_in_row=0)
            ids = itertools.count()
            before, after = (
                after_silence(hears_all, through=at, blind=(), new_id=lambda: next(ids), now=at)
                for at in (down - TICK, down)
            )
            assert not before.flips
            assert hears_all.memory == before.check.memory
            assert Status.DOWN is after.check.status or after.check.memory.bad > hears_all.memory.bad
        assert len({run.rid for run in check.open_runs}) == len(check.open_runs)

    @invariant()
    def judging_is_the_same_in_one_go_in_two_and_twice(self) -> None:
        later = self.now + 12 * MINUTE
        whole = self.silence(self.check, later)
        for between in [self.now, *self.edges()[:2]]:
            if between <= later:
                first = self.silence(self.check, between)
                second = self.silence(first.check, later)
                assert replace(whole.check, rev=0) == replace(second.check, rev=0)
                assert [(f.at, f.reason) for f in whole.flips] == [(f.at, f.reason) for f in first.flips + second.flips]
                assert len(whole.unverified) == len(first.unverified + second.unverified)


class InOrder(Lives):
    """Every signal is applied as it comes: the two tellings must agree in every detail."""

    lives_by = more_rules

    @rule(what=st.sampled_from(["success", "start", "progress", "fail", "warn", "broken", "log"]), rid=rids)
    def pinged(self, what: str, rid: str | None) -> None:
        self.pings(what, rid)

    @rule(rid=rids)
    def a_run_starts(self, rid: str | None) -> None:
        self.pings("start", rid)

    @precondition(lambda self: self.check.status not in {Status.UP, Status.DEGRADED})
    @rule()
    def it_recovers(self) -> None:
        self.pings("success")

    @override
    def pings(self, what: str, rid: str | None = None) -> None:
        # At the very instant of an alarm that was decided already it would be a late one: see the other machine.
        self.now += self.check.status is Status.DOWN and us(self.check.status_since) == self.now
        self.log.append(Event(what, self.now, rid=rid))
        signal = self.signal(what, self.now, rid, next(self.seq))
        # A start with an id asks whether that run has ended; here each id is used as if for the first time.
        assert signal.kind is PingKind.START or not needs_past(self.check, signal)
        self.took(after_ping(self.check, signal))

    @rule(what=st.sampled_from(["edit", "edit", "pause", "resume"]), rules=more_rules)
    def somebody_acts(self, what: str, rules: oracle.Rules) -> None:
        when = instant(self.now)
        self.log.append(Event(what, self.now, rules=rules))
        step: Step | None
        if what == "edit":
            step = edited(self.check, core_rules(rules), when)
            assert not step.flips
        elif what == "pause":
            step = pause(self.check, when)
        else:
            step = resume(self.check, when)
            assert (self.check.status is Status.PAUSED) == (step is not None)
        if step is not None:
            self.took(step)

    @precondition(lambda self: self.check.status is Status.NEW)
    @rule(step=st.sampled_from([None, 1, MINUTE, 4 * MINUTE, 11 * MINUTE]))
    def somebody_wants_its_first_ping(self, step: int | None) -> None:
        self.want(step)

    @rule(step=st.sampled_from([1, MINUTE, 4 * MINUTE, 11 * MINUTE, 30 * MINUTE]))
    def it_begins_anew_and_is_wanted(self, step: int) -> None:
        for act in (pause, resume):
            done = act(self.check, instant(self.now))
            if done is not None and done.flips:
                self.log.append(Event(act.__name__, self.now))
                self.took(done)
        self.want(step)

    def want(self, step: int | None) -> None:
        by = None if step is None else self.now + step
        self.log.append(Event("want", self.now, by=by))
        done = first_ping_by(self.check, None if by is None else instant(by), instant(self.now))
        assert waits_for_first_ping(self.check) == (done is not None)
        if done is not None:
            self.took(done)

    @invariant()
    def both_tellings_agree(self) -> None:
        life = oracle.replay(self.first_rules, self.log)
        check = self.check
        assert life.flips == [(f.from_status.value, f.to_status.value, us(f.at), f.reason.value) for f in self.flips]
        assert sorted(life.runs.values()) == sorted(us(run.started_at) for run in check.open_runs if run.started_at)
        assert (life.goes_down(), life.wakes()) == (_us(check.goes_down_at), _us(check.wake_at))
        assert (life.unverified, life.n_unverified) == (check.unverified_in_row, self.n_unverified)
        assert (life.row, life.well) == (check.memory.bad, check.memory.good)
        assert "".join("." if well else "x" for well in life.recent) == check.memory.recent
        if check.status in {Status.UP, Status.DEGRADED}:
            assert life.slot == _us(check.expected_at)


class OutOfOrder(Lives):
    """Some signals arrive late, whatever was decided meanwhile. In the end the check is as if they had not."""

    late = True

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Event, int]] = []
        self.held_a_start = False
        self.hung_unheard = False
        self.excused = 0

    @rule(what=st.sampled_from(["success", "success", "start", "fail", "warn"]))
    def pinged(self, what: str) -> None:
        self.pings(what)

    @rule(what=st.sampled_from(["success", "success", "start", "fail", "warn"]))
    def one_is_held_up(self, what: str) -> None:
        self.held.append(self.sent(what))
        self.held_a_start |= what == "start"

    @precondition(lambda self: self.edges())
    @rule(data=st.data(), what=st.sampled_from(["success", "success", "warn", "fail"]), starts=st.booleans())
    def an_end_is_held_up_over_an_alarm(self, data: st.DataObject, what: str, starts: bool) -> None:  # noqa: FBT001 - drawn
        if starts:
            self.pings("start")
        late = self.sent(what)
        self.held.append(late)
        for _ in range(data.draw(st.integers(1, 2))):
            self.now = data.draw(st.sampled_from(self.edges() or [self.now]))
            self.judged()
        self.held.remove(late)
        self.arrives(*late)

    @rule(first=st.sampled_from(["start", "success", "fail"]), second=st.sampled_from(["start", "success", "fail"]))
    def one_is_overtaken(self, first: str, second: str) -> None:
        late = self.sent(first)
        self.pings(second)
        self.held_a_start |= first == "start"
        self.arrives(*late)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def one_arrives_late(self, data: st.DataObject) -> None:
        self.arrives(*self.held.pop(data.draw(st.integers(0, len(self.held) - 1))))

    @override
    def pings(self, what: str, rid: str | None = None) -> None:
        self.arrives(*self.sent(what))
        if what != "start" and not self.held:
            # All is known, and in order again.
            self.held_a_start = self.hung_unheard = False
            self.excused = self.n_unverified

    def sent(self, what: str) -> tuple[Event, int]:
        self.now += 1  # at one instant, only the order of arrival could tell
        self.log.append(Event(what, self.now))
        return self.log[-1], next(self.seq)

    def arrives(self, event: Event, seq: int) -> None:
        if event.what == "start":
            # It would supersede a run that is over its limit, if nobody had judged that yet.
            self.took(self.silence(self.check, self.now - 1))
        elif self.check.status is Status.DOWN:
            # A run that hung while the check was down anyway, after this end was sent: that is not looked up.
            hung = [run for run in self.runs.values() if run.outcome is RunOutcome.HUNG]
            limit = self.check.rules.run_limit
            self.hung_unheard |= any(run.started_at + limit > instant(event.at) for run in hung if run.started_at)
        signal = self.signal(event.what, event.at, event.rid, seq)
        past = self.past_of(signal) if needs_past(self.check, signal) else None
        step = after_ping(self.check, signal, past=past)
        self.took(step)
        if step.run is not None and step.run.outcome is RunOutcome.SUPERSEDED:
            # A run that we hear of only after the next one began: it is not asked any more whether it hung in between.
            newer = max(run.started_at for run in self.check.open_runs if run.started_at)
            self.hung_unheard |= newer >= signal.at + self.check.rules.run_limit

    def past_of(self, signal: Signal) -> Past:
        """What the database would say."""
        at, check = signal.at, self.check
        before = [flip.to_status for flip in self.flips if flip.at <= at]
        hung = [run for run in self.runs.values() if run.outcome is RunOutcome.HUNG]
        mine = [flip.run for flip in self.flips[-1:] if flip.run is not None and check.status is Status.DOWN]
        ids = {run.id for run in mine}
        return Past(
            status_at=before[-1] if before else Status.NEW,
            newer_anonymous_end=any(run.ended_at is not None and run.ended_at >= at for run in self.ended()),
            hung_run=next((run for run in hung if run.id in ids), None),
            hung_since=any(
                run.id not in ids
                and run.started_at is not None
                and run.started_at + check.rules.run_limit >= check.status_since
                for run in hung
            ),
        )

    def ended(self) -> list[Run]:
        return [run for run in self.runs.values() if run.outcome is not RunOutcome.SUPERSEDED]

    @invariant()
    def what_arrived_is_told_as_if_it_had_come_in_order(self) -> None:
        """Where some of it is known too late for that, an alarm may stand that would not, but none may be missing."""
        life = self.truth()
        now = self.silence(self.check, self.now).check
        if not self.hung_unheard:
            assert Status(life.status) is now.status or (now.status is Status.DOWN and self.doubtful)

    def truth(self) -> Life:
        held = {id(event) for event, _ in self.held}
        return oracle.truth(
            self.first_rules, [event for event in self.log if id(event) not in held], self.now, tuple(self.blind)
        )

    @property
    def doubtful(self) -> bool:
        """What was excused in between is not weighed again, and no start takes an alarm back."""
        return self.n_unverified > self.excused or self.held_a_start


def _us(at: datetime | None) -> int | None:
    return None if at is None else us(at)


SMALL = settings(
    max_examples=150, stateful_step_count=35, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
LARGE = settings(
    max_examples=1_500, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


def test_any_life_in_order_is_told_the_same_way_twice() -> None:
    run_state_machine_as_test(InOrder, settings=SMALL)


def test_any_life_out_of_order_ends_as_it_would_in_order() -> None:
    run_state_machine_as_test(OutOfOrder, settings=SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [InOrder, OutOfOrder])
def test_very_many_lives(machine: type[Lives]) -> None:
    run_state_machine_as_test(machine, settings=LARGE)
