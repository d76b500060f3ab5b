"""A ping, the judge, the clock and a kill meet: each as the steps that cannot be divided, and what each step does.

What a signal and silence make of a check is core/check.py's; what counts as deafness and how far a signal under way
holds judging back, monitor/blind.py's, called as they are. Told a second time is only in which order they are called:
pings/ingest.py notes a signal before it reads its time, a beat reads the time before it asks who is under way, and
what it learned is judged in a later transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from heartfly.core.check import after_ping, after_silence, needs_past
from heartfly.core.values import Blind, Check, Flip, Past, Run, Signal, replace
from heartfly.core.words import PingKind, Reason, RunOutcome, Status
from heartfly.db.ids import IdSource
from heartfly.monitor.blind import Beat, Hearing
from tests.core import check_oracle as oracle
from tests.core.check_oracle import SECOND, Event
from tests.core.test_check_machine import KINDS, core_rules, instant, us

HEARING = Hearing()
HOUR, MINUTE = 3600 * SECOND, 60 * SECOND
HOLD = HEARING.hold // timedelta(microseconds=1)
GRACE = 10 * MINUTE
DEADLINE = HOUR + GRACE
"""Of a check that reported at 0."""
_FIGURES = {"rows": Decimal(1), "bytes": Decimal(1)}
PING = ("is noted", "gets its time", "is committed", "is answered")
ROUND = ("reads the time", "asks who is under way", "judges")
Span = tuple[int, int]


def _beat() -> Beat:
    return Beat(node_id=1, ids=IdSource(1), hearing=HEARING, version="orders")


@cache
def _limit(since: int, now: int) -> int:
    return us(_beat()._limit(instant(since), instant(now)))


@cache
def _deaf(beat_at: int, beat_real: int, now: int, real: int) -> Span | None:
    beat = _beat()
    beat._boottime = beat_real / SECOND
    found = beat._deaf(instant(beat_at), instant(now), real / SECOND)
    return None if found is None else (us(found[0]), us(found[1]))


@dataclass(frozen=True)
class Ways:
    """What holds for who meets; spoiled on purpose where it is asked whether that would be found."""

    limit: Callable[[int, int], int] = _limit
    deaf: Callable[[int, int, int, int], Span | None] = _deaf
    due: Callable[[int, int], bool] = int.__le__
    notes_first: bool = True
    """A signal is among those under way before its time is read."""
    time_first: bool = True
    """A beat reads the time before it asks who is under way."""


@dataclass(frozen=True)
class Scene:
    """Who meets. `ticks`: what passes, from a microsecond before the deadline on; `turns`: what the clock is set by."""

    name: str
    pings: tuple[str, ...]
    rounds: int
    ticks: tuple[int, ...] = (1, 1)
    turns: tuple[int, ...] = ()
    kills: int = 0
    max_run: int | None = None
    calendar: bool = False

    @property
    def rules(self) -> oracle.Rules:
        return oracle.Rules(HOUR, calendar=self.calendar, grace=GRACE, max_run=self.max_run)


class Core(NamedTuple):
    """What the database holds of the check."""

    check: Check
    flips: tuple[Flip, ...] = ()
    runs: tuple[Run, ...] = ()


class Ping(NamedTuple):
    """`done`: so many of its steps. `noted`: what stands among those under way. `fate`: ok, lost, refused or ""."""

    done: int = 0
    seq: int = 0
    noted: int | None = None
    at: int | None = None
    fate: str = ""
    accuses: bool = False
    """Somebody was told that the check is down although this came in time, and is not stored yet."""
    excused: str = ""
    """The rule by which that may be."""


class Round(NamedTuple):
    """What a round has learned."""

    n: int = 0
    step: int = 0
    now: int | None = None
    under_way: int | None = None
    """Since when, as read before the time; of those who do it the wrong way round."""


class State(NamedTuple):
    real: int
    offset: int
    n_ticks: int
    n_turns: int
    n_kills: int
    alive: bool
    pings: tuple[Ping, ...]
    round: Round
    through: int | None
    """What the beat has learned: up to when the check may be judged."""
    beat: tuple[int, int]
    """The last one: by the wall and by real time."""
    heard: int
    blind: tuple[Span, ...]
    unheard: tuple[Span, ...]
    """The same without the instants that alarms before stand for."""
    judged: int
    core: int

    @property
    def now(self) -> int:
        return self.real + self.offset


class WrongError(AssertionError):
    """An order that breaks a promise."""


class Meeting:
    """All that one scene may come to, step by step."""

    def __init__(self, scene: Scene, ways: Ways | None = None) -> None:
        self.scene = scene
        self.ways = ways or Ways()
        self._cores: list[Core] = []
        self._numbers: dict[Core, int] = {}
        self._signalled: dict[tuple[int, int, int, int], int] = {}
        self._judged: dict[tuple[int, int, tuple[Span, ...]], int] = {}

    def _number(self, core: Core) -> int:
        core = core._replace(check=replace(core.check, rev=0))
        number = self._numbers.setdefault(core, len(self._cores))
        if number == len(self._cores):
            self._cores.append(core)
        return number

    def begin(self) -> State:
        check = Check(rules=core_rules(self.scene.rules), status=Status.NEW, status_since=instant(0))
        step = after_ping(check, self._signal("success", 0, 0, 1))
        start = DEADLINE - 1
        return State(
            real=start,
            offset=0,
            n_ticks=0,
            n_turns=0,
            n_kills=0,
            alive=True,
            pings=(Ping(),) * len(self.scene.pings),
            round=Round(),
            through=None,
            beat=(start, start),
            heard=start,
            blind=(),
            unheard=(),
            judged=0,
            core=self._number(Core(step.check, step.flips, step.runs)),
        )

    # --- who may do what

    def moves(self, state: State) -> list[tuple[str, State]]:
        """Each next step, in words, and what it leaves."""
        scene, found = self.scene, list[tuple[str, State]]()
        if state.n_ticks < len(scene.ticks):
            after = state._replace(real=state.real + scene.ticks[state.n_ticks], n_ticks=state.n_ticks + 1)
            found.append(("time passes", after))
        if state.n_turns < len(scene.turns):
            after = state._replace(offset=state.offset + scene.turns[state.n_turns], n_turns=state.n_turns + 1)
            found.append(("the clock is set", after))
        if state.n_kills < 2 * scene.kills:
            found.append(("it is killed", self._killed(state)) if state.alive else ("it starts", self._starts(state)))
        at_the_door = next((n for n, ping in enumerate(state.pings) if ping.done == 1), None)
        for n, ping in enumerate(state.pings):
            # The door is one thread, which notes and stamps in one go; others do their steps in between.
            if ping.done < len(PING) and (at_the_door in {None, n} or ping.done == 2):
                found.append((f"{scene.pings[n]} {n + 1} {PING[ping.done]}", self._goes_on(state, n)))
        if state.alive and state.round.n < scene.rounds:
            found.append((f"round {state.round.n + 1} {ROUND[state.round.step]}", self._looks(state)))
        return found

    # --- a ping

    def _goes_on(self, state: State, n: int) -> State:
        ping = state.pings[n]
        if not state.alive:
            return _with(state, n, ping._replace(done=len(PING), fate="refused"))
        match ping.done:
            case 0:
                seq = 2 + sum(other.seq > 0 for other in state.pings)
                noted = state.now if self.ways.notes_first else None
                at = None if self.ways.notes_first else state.now
                return _with(state, n, ping._replace(done=1, seq=seq, noted=noted, at=at))
            case 1:
                at = state.now if ping.at is None else ping.at
                return _with(state, n, ping._replace(done=2, noted=at, at=at))
            case 2:
                if ping.accuses:
                    raise WrongError("it is told as down, though a ping that came in time is acknowledged")
                assert ping.at is not None
                core = self._signals(state.core, n, ping.at, ping.seq)
                return _with(state._replace(core=core), n, ping._replace(done=3, fate="ok"))
            case _:
                return _with(state, n, ping._replace(done=4, noted=None))

    def _signal(self, what: str, n: int, at: int, seq: int) -> Signal:
        return Signal(id=n + 1, kind=KINDS.get(what, PingKind.SUCCESS), order=(instant(at), 1, seq), metrics=_FIGURES)

    def _signals(self, number: int, n: int, at: int, seq: int) -> int:
        key = (number, n, at, seq)
        if key not in self._signalled:
            core = self._cores[number]
            signal = self._signal(self.scene.pings[n], n + 1, at, seq)
            past = _past(core, signal) if needs_past(core.check, signal) else None
            step = after_ping(core.check, signal, past=past)
            self._signalled[key] = self._number(_with_step(core, step.check, step.flips, step.runs))
        return self._signalled[key]

    # --- the watcher

    def _looks(self, state: State) -> State:
        turn = state.round
        first, second = turn._replace(step=1), turn._replace(step=2)
        if turn.step == 0 and self.ways.time_first:
            return state._replace(round=first._replace(now=state.now))
        if turn.step == 0:
            return state._replace(round=first._replace(under_way=_since(state)))
        if turn.step == 1:
            now, since = (turn.now, _since(state)) if self.ways.time_first else (state.now, turn.under_way)
            assert now is not None
            return self._beats(state, now, since)._replace(round=second._replace(now=now, under_way=None))
        assert state.through is not None
        assert turn.now is not None
        return self._judges(state, turn.now)._replace(round=Round(n=turn.n + 1), through=None)

    def _beats(self, state: State, now: int, since: int | None) -> State:
        deaf = self.ways.deaf(*state.beat, now, state.real)
        state = state if deaf is None else _deaf_in(state, deaf)
        through = now if since is None else self.ways.limit(since, now)
        return state._replace(beat=(now, state.real), heard=through, through=through)

    def _judges(self, state: State, now: int) -> State:
        through = state.through
        assert through is not None
        core = self._cores[state.core]
        wake = core.check.wake_at
        if wake is None or us(wake) > through:
            return state
        if not self.ways.due(us(wake), through):
            raise WrongError("what was due is left alone")
        number = self._silence(state.core, through, state.blind)
        after = self._cores[number]
        state = state._replace(core=number)
        told = after.flips[len(core.flips) :]
        for flip in told:
            state = state._replace(judged=max(state.judged, us(flip.at)))
            if flip.to_status is Status.DOWN and flip.reason is Reason.MISSED:
                state = self._accused(state, us(flip.at), now)
        return state

    def _accused(self, state: State, deadline: int, now: int) -> State:
        """Who came by a deadline that is told as missed."""
        for n, ping in enumerate(state.pings):
            in_time = ping.at is not None and deadline - GRACE <= ping.at <= deadline
            if self.scene.pings[n] not in {"success", "fail"} or not in_time or state.n_turns:
                continue
            if ping.fate == "ok":
                raise WrongError("it is told as down, though a ping that came in time was acknowledged")
            if not ping.fate and ping.at == deadline:
                state = _with(state, n, ping._replace(excused="at the very deadline the first to commit wins"))
            elif not ping.fate and deadline <= now - HOLD:
                state = _with(state, n, ping._replace(excused="a request is waited for 2 s, then it is a late signal"))
            elif not ping.fate:
                state = _with(state, n, ping._replace(accuses=True))
        return state

    def _silence(self, number: int, through: int, blind: tuple[Span, ...]) -> int:
        key = (number, through, blind)
        if key not in self._judged:
            core = self._cores[number]
            ids = iter(range(10**9 + len(core.runs), 2 * 10**9))
            deaf = [Blind(id=n, from_at=instant(a), to_at=instant(b)) for n, (a, b) in enumerate(blind)]
            step = after_silence(
                core.check, through=instant(through), blind=deaf, new_id=lambda: next(ids), now=instant(through)
            )
            self._judged[key] = self._number(_with_step(core, step.check, step.flips, step.runs))
        return self._judged[key]

    # --- the process

    def _killed(self, state: State) -> State:
        pings = tuple(
            ping._replace(done=len(PING), noted=None, fate=ping.fate or "lost") if ping.done else ping
            for ping in state.pings
        )
        turn = Round(n=state.round.n + (state.round.step > 0))
        return state._replace(alive=False, n_kills=state.n_kills + 1, pings=pings, round=turn, through=None)

    def _starts(self, state: State) -> State:
        state = _deaf_in(state, (state.heard, state.now)) if state.heard < state.now else state
        return state._replace(alive=True, n_kills=state.n_kills + 1, beat=(state.now, state.real), heard=state.now)

    # --- the end

    def ends(self, state: State) -> str:
        """All is done: is the check as if all had come in the order of receipt? Returns the exception that was made.

        Where the clock was set times cannot be compared, and nothing may stay down that was heard.
        """
        end = state.real + 1
        core = self._cores[self._silence(state.core, end, state.blind)]
        if self.scene.turns:
            alarms = [flip for flip in core.flips if flip.to_status is Status.DOWN and flip.reason is Reason.MISSED]
            heard = any(ping.fate == "ok" for ping in state.pings)
            if heard and alarms and core.check.status is Status.DOWN:
                raise WrongError("the clock was set, and it stays down though it was heard")
            return ""
        log = [Event("success", 0)]
        came = sorted((ping.seq, n) for n, ping in enumerate(state.pings) if ping.fate == "ok")
        log += [Event(self.scene.pings[n], state.pings[n].at or 0) for _, n in came]
        status = Status(oracle.truth(self.scene.rules, log, end, state.unheard).status)
        if core.check.status is status:
            return next((ping.excused for ping in state.pings if ping.excused and ping.fate == "ok"), "")
        if core.check.status is Status.DOWN and any(run.outcome is RunOutcome.UNVERIFIED for run in core.runs):
            return "a slot that was excused meanwhile is not weighed again"
        if core.check.status is Status.DOWN and any(self.scene.pings[n] == "start" for _, n in came):
            return "no start takes an alarm back"
        raise WrongError(f"it is {core.check.status.value}, and in the order of receipt {status.value}")


def _with(state: State, n: int, ping: Ping) -> State:
    return state._replace(pings=(*state.pings[:n], ping, *state.pings[n + 1 :]))


def _deaf_in(state: State, span: Span) -> State:
    unheard = (max(span[0], state.judged + 1), span[1])
    more = (unheard,) if unheard[0] <= unheard[1] else ()
    return state._replace(blind=(*state.blind, span), unheard=(*state.unheard, *more))


def _since(state: State) -> int | None:
    return min((ping.noted for ping in state.pings if ping.noted is not None), default=None)


def _with_step(core: Core, check: Check, flips: Sequence[Flip], runs: Sequence[Run]) -> Core:
    known = {run.id: run for run in core.runs} | {run.id: run for run in runs}
    return Core(check, (*core.flips, *flips), tuple(known.values()))


def _past(core: Core, signal: Signal) -> Past:
    """What the database would say; as tests/core/test_check_machine.py tells it."""
    at, check = signal.at, core.check
    before = [flip.to_status for flip in core.flips if flip.at <= at]
    hung = [run for run in core.runs if run.outcome is RunOutcome.HUNG]
    mine = {flip.run.id for flip in core.flips[-1:] if flip.run is not None and check.status is Status.DOWN}
    ended = [run for run in core.runs if run.outcome is not RunOutcome.SUPERSEDED and run.ended_at is not None]
    return Past(
        status_at=before[-1] if before else Status.NEW,
        newer_anonymous_end=any(_at(run.ended_at) >= at for run in ended),
        hung_run=next((run for run in hung if run.id in mine), None),
        hung_since=any(
            run.id not in mine and _at(run.started_at) + check.rules.run_limit >= check.status_since for run in hung
        ),
    )


def _at(at: datetime | None) -> datetime:
    assert at is not None
    return at
