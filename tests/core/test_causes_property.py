"""The property: whatever is silenced, tolerated, waited for and told as one, no first alert of a failure is lost.

Jobs live by the rules of core/check.py; a people's channel hears of them by those of silences, steps and causes. What
is told as one stands for its members, so it must have been told, or keep why it was not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.causes import (
    BACK,
    AsOne,
    Begin,
    Down,
    Explains,
    HostLife,
    Join,
    Needed,
    Telling,
    explained,
    on_channel,
    waits_for,
)
from heartfly.core.escalation import Decision, Leave, Policy, Standing, Tell, decide
from heartfly.core.silence import Effect, Hold, Part, Scope, Silence, SilenceKind, Subject, Waiting, held, settled
from heartfly.core.tolerance import Tolerance
from heartfly.core.values import Check
from heartfly.core.words import RunOutcome, Severity, Status
from tests.factories import fail, make_check, make_rules, success

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
GRACE = 10 * MINUTE
N = 4
HOSTS = ("a", "a", "a", "")
NEEDS = {2: (0,), 3: (0,)}
"""Job 2 is on the host of what it needs, job 3 is not."""


@dataclass
class Row:
    """A notification of one change of a job."""

    job: int
    span: int
    part: Part
    at: datetime
    state: str = ""
    why: str = ""
    until: datetime | None = None


@dataclass
class Cause:
    what: Explains
    root: int | None
    members: set[int] = field(default_factory=set)
    open_members: set[int] = field(default_factory=set)
    telling: Telling | None = None
    messages: list[tuple[str, datetime]] = field(default_factory=list)
    jobs: set[int] = field(default_factory=set)
    named_up: set[int] = field(default_factory=set)
    """By the last message that told of it as a whole."""
    is_over: bool = False


@dataclass
class House:
    """Everything that is decided about four jobs, for one channel of people."""

    policy: Policy
    silences: list[Silence]
    checks: list[Check]
    rows: list[Row] = field(default_factory=list)
    down: dict[int, Down] = field(default_factory=dict)
    spans: dict[int, int] = field(default_factory=dict)
    back: dict[int, datetime] = field(default_factory=dict)
    well: dict[str, datetime] = field(default_factory=dict)
    causes: list[Cause] = field(default_factory=list)
    tolerated: list[str] = field(default_factory=list)
    n_spans: int = 0

    # --- what happens

    def fails(self, job: int, at: datetime) -> None:
        was_down = self.checks[job].status is Status.DOWN
        step = fail(self.checks[job], at)
        self.checks[job] = step.check
        if not (was_down or step.flips):
            self.tolerated += [run.tolerated for run in step.runs if run.outcome is RunOutcome.FAILED]
        if step.flips and step.check.status is Status.DOWN:
            self.n_spans += 1
            self.spans[job] = self.n_spans
            self.down[job] = Down(
                check=job, at=at, began_at=at, host=HOSTS[job], needs=NEEDS.get(job, ()),
                needed_by=tuple(child for child, needs in NEEDS.items() if job in needs),
            )  # fmt: skip
            self._explain(job)
            self._offer(Row(job, self.n_spans, Part.BEGIN, at), at)

    def goes_well(self, job: int, at: datetime) -> None:
        was_down = job in self.down
        self.checks[job] = success(self.checks[job], at).check
        if HOSTS[job]:
            self.well[HOSTS[job]] = at
        if not was_down or self.checks[job].status is Status.DOWN:
            return
        cause = self._cause(job)
        del self.down[job]
        self.back[job] = at
        self._offer(Row(job, self.spans[job], Part.END, at), at, cause=cause)
        for row in self.rows:  # what waits for it is looked at
            if row.state == "held" and job in NEEDS.get(row.job, ()) and "waits for" in row.why:
                row.until = at
        if cause is not None:
            cause.open_members.discard(job)
            if not cause.open_members:
                cause.is_over = True
                if cause.telling is not None and cause.telling.n_left:
                    cause.messages.append(("end", at))

    def _explain(self, job: int) -> None:
        host = HOSTS[job]
        open_hosts = [n for n, one in enumerate(self.causes) if one.what is Explains.HOST and not one.is_over]
        life = HostLife(well_at=self.well.get(host), cause=open_hosts[0] if open_hosts and host else None)
        verdict = explained(self.down[job], self.down, {host: life} if host else {})
        match verdict:
            case Join(number, members):
                pass
            case Begin(what=what, members=members, root=root):
                self.causes.append(Cause(what, root))
                number = len(self.causes) - 1
                known = [one for one in members if one not in {job, root}]
                if any(self._was_told(one) for one in known):
                    self.causes[number].telling = Telling(since=self.down[job].at)
            case _:
                return
        for one in members:
            self.causes[number].members.add(self.spans[one])
            self.causes[number].open_members.add(one)
            self.causes[number].jobs.add(one)
            was = self.down[one]
            self.down[one] = Down(
                check=one, at=was.at, began_at=was.began_at, host=was.host, needs=was.needs, needed_by=was.needed_by,
                cause=number,
            )  # fmt: skip

    def _was_told(self, job: int) -> bool:
        mine = [row for row in self.rows if row.job == job and row.span == self.spans[job] and row.part is Part.BEGIN]
        return any(row.state == "told" for row in mine)

    def _cause(self, job: int) -> Cause | None:
        number = self.down[job].cause if job in self.down else None
        return None if number is None else self.causes[number]

    # --- what becomes of it

    def _subject(self, row: Row) -> Subject:
        return Subject(
            part=row.part, severity=Severity.HIGH, channel="c", check=str(row.job), tags=("db",), grace=GRACE
        )

    def _upstream(self, job: int, at: datetime) -> Hold | None:
        needs = [
            Needed(id=one, name=f"job-{one}", is_down=one in self.down, back_at=self.back.get(one))
            for one in NEEDS.get(job, ())
        ]
        return waits_for(needs, GRACE, at=at)

    def _offer(self, row: Row, at: datetime, *, cause: Cause | None = None) -> None:
        self.rows.append(row)
        mine = [one for one in self.rows[:-1] if one.job == row.job]
        told = [one for one in mine if one.state == "told"]
        waiting = [one for one in mine if one.state == "held"]
        waits = max(waiting, key=lambda one: one.until or NOW, default=None)
        standing = Standing(
            begin_was_told=bool(told) and told[-1].part is Part.BEGIN,
            waits=None if waits is None else Hold(waits.until or NOW, waits.why),
            upstream=self._upstream(row.job, at) if row.part is Part.BEGIN else None,
        )
        self._settle(row, decide(self._subject(row), self.policy, self.silences, standing, at=at), at, cause)

    def _settle(self, row: Row, decision: Decision, at: datetime, cause: Cause | None) -> None:
        match decision:
            case Hold(until=until, why=why):
                row.state, row.why, row.until = "held", why, until
            case Leave(why):
                row.state, row.why = "untold", why
            case Tell():
                cause = cause or self._cause(row.job)
                if cause is None:
                    row.state = "told"
                    return
                is_root = cause.root == row.job
                verdict = on_channel(row.part, "it", cause.telling, is_root=is_root, at=at)
                cause.telling = verdict.telling or cause.telling
                if row.part is Part.BEGIN and "told of as one before" in row.why + getattr(verdict, "why", ""):
                    assert row.job not in cause.named_up, "people take it for up"
                row.state = "untold" if isinstance(verdict, AsOne) else "told"
                row.why = verdict.why if isinstance(verdict, AsOne) else row.why

    def next_look(self) -> datetime | None:
        looks = [row.until for row in self.rows if row.state == "held" and row.until is not None]
        looks += [
            one.telling.due_at for one in self.causes if one.telling is not None and one.telling.due_at is not None
        ]
        return min(looks, default=None)

    def looks(self, at: datetime) -> None:
        for job in range(N):
            self._release(job, at)
        for cause in self.causes:
            if cause.telling is not None and cause.telling.due_at is not None and cause.telling.due_at <= at:
                self._tell_as_one(cause, cause.telling, at)

    def _tell_as_one(self, cause: Cause, telling: Telling, at: datetime) -> None:
        up, is_back = cause.jobs - cause.open_members, telling.tells_who_is_back
        if is_back and not up:
            cause.telling = telling.not_due()
            return
        cause.telling, cause.named_up = telling.told(at, some_are_up=bool(up)), up
        cause.messages.append(("back" if is_back else "all", at))

    def _release(self, job: int, at: datetime) -> None:
        waiting = [row for row in self.rows if row.job == job and row.state == "held"]
        if not any(row.until is not None and row.until <= at for row in waiting):
            return
        last = waiting[-1]
        if last.until is not None and last.until > at:
            for row in waiting:
                row.until = last.until
            return
        before = [row for row in self.rows if row.job == job and row.state == "told"]
        told = bool(before) and before[-1].part is Part.BEGIN
        is_true = job in self.down
        verdicts = settled([Waiting(row.part, is_true and row.span == self.spans[job]) for row in waiting],
                           begin_was_told=told)  # fmt: skip
        for row, verdict in zip(waiting, verdicts, strict=True):
            if not verdict.is_told:
                row.state, row.why = "untold", f"{row.why}; {verdict.why}"
                continue
            hold = held(self._subject(row), self.silences, at=at, begin_was_told=row.part is Part.END)
            holds = [one for one in (hold, self._upstream(job, at) if row.part is Part.BEGIN else None) if one]
            if holds:
                longest = max(holds, key=lambda one: one.until)
                row.why, row.until = longest.why, longest.until
                continue
            self._settle(row, Tell(), at, None)


def mute(begins: int, lasts: int, check: int | None) -> Silence:
    from_at = NOW + begins * MINUTE
    return Silence(
        id=1, uuid="s", kind=SilenceKind.MUTE if check is None else SilenceKind.SNOOZE, effect=Effect.HOLD,
        scope=Scope.PROJECT if check is None else Scope.CHECK,
        targets=frozenset() if check is None else frozenset({str(check)}), from_at=from_at,
        to_at=from_at + lasts * MINUTE,
    )  # fmt: skip


events = st.lists(
    st.tuples(st.integers(1, 240), st.integers(0, N - 1), st.booleans()),
    min_size=1,
    max_size=24,
    unique_by=lambda e: e[0],
)
silences = st.lists(
    st.builds(mute, st.integers(0, 200), st.integers(1, 120), st.sampled_from([None, 0, 1, 2])), max_size=2
)
policies = st.builds(
    Policy,
    tags=st.sampled_from([(), ("db",), ("web",)]),
    least=st.sampled_from([None, Severity.CRITICAL]),
    after=st.sampled_from([None, 20 * MINUTE]),
)
tolerances = st.sampled_from([1, 1, 2, 3])


def is_left(row: Row) -> bool:
    """To be told with others."""
    return "that are up again" in row.why


@settings(max_examples=250)
@given(events=events, silences=silences, policy=policies, tolerated=tolerances)
def test_no_first_alert_of_a_failure_is_lost_without_a_reason_on_record(
    events: list[tuple[int, int, bool]], silences: list[Silence], policy: Policy, tolerated: int
) -> None:
    rules = make_rules(grace=GRACE, period=timedelta(days=9), tolerance=Tolerance(failures=tolerated))
    house = House(policy, silences, [make_check(rules=rules, since=NOW - HOUR) for _ in range(N)])
    end = NOW + timedelta(days=2)
    n_failed = 0
    for minute, job, well in sorted(events):
        at = NOW + minute * MINUTE
        while (look := house.next_look()) is not None and look <= at:
            house.looks(look)
        n_failed += not well and house.checks[job].status is not Status.DOWN
        (house.goes_well if well else house.fails)(job, at)
    while (look := house.next_look()) is not None and look < end:
        house.looks(look)

    begun = [row for row in house.rows if row.part is Part.BEGIN]
    # Each failure of what was not down already is an alert, or was tolerated, and says how near it was.
    assert n_failed == len(begun) + len(house.tolerated)
    assert all(house.tolerated)
    # Each alert was told, or keeps why it was not; what still waits does so for something that is down.
    assert all(row.state == "told" or row.why for row in house.rows)
    assert all("waits for" in row.why for row in house.rows if row.state == "held")
    # What is told as one stands for its members: the first of them was told, and then the whole, or that it is over.
    for cause in house.causes:
        mine = [row for row in begun if row.span in cause.members]
        as_one = [row for row in mine if "told of as one" in row.why or "with the others of it" in row.why]
        if as_one:
            assert cause.messages, mine
            assert any(row.state == "told" for row in mine), mine
        # Of who is up again there is a message in each quarter of an hour at most.
        backs = [at for what, at in cause.messages if what == "back"]
        assert all(later - at >= BACK for at, later in pairwise(backs)), cause.messages
        # Who is up is told within that time, unless it is down again, or all is over.
        if not cause.is_over and cause.telling is not None and cause.telling.n_left and cause.telling.due_at is None:
            told_alone = {row.job for row in house.rows if row.part is Part.END and row.state == "told"}
            silent = {
                row.job for row in house.rows if row.part is Part.END and row.state != "told" and not is_left(row)
            }
            assert cause.jobs - cause.open_members <= cause.named_up | told_alone | silent
    # Nothing is held up for being told as one: with no silence and no step the first of all is told in its instant.
    if not silences and policy == Policy() and begun:
        assert "told" == begun[0].state, begun[0]
