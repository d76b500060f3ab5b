"""Which alarms must exist, and when: the life of each check replayed from what was received and what was deaf.

Written from the promises. The rules of a life in order are told in tests/core/check_oracle.py, which shares
no code with the package; here they are fed with the signals in the order of their *receipt*, silence is
judged up to what the surroundings allowed, and each flip must be the very same. Only where a signal came
so late that nobody had to wait for it (and where the wall clock was set back behind an alarm) is the
comparison wider: there an alarm may be too many if it is explained, and none may be missing at the end.

A life may be replayed piece by piece, cut where nothing was under way: nothing overtakes across such a cut, and
nothing on its two sides was committed together, so that the pieces say what the whole would.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from typing_extensions import override

from tests.core import check_oracle
from tests.core.check_oracle import Event, Life
from tests.simulator.ground_truth import NEVER, UNSENT, Edict, Job, Sent, Timing

SILENCE = frozenset({"missed", "missed_twice_unverified", "hung"})
BEHIND = SILENCE | {"paused", "resumed"}
"""A signal whose time is not after such a flip may have been sent before it: only the clock can say, and it was set."""
ENDS = frozenset({"success", "fail", "warn", "broken"})


@dataclass(frozen=True, slots=True)
class SeenFlip:
    """A flip that Heartfly wrote. `step` and `real`: of the transaction that did."""

    step: int
    real: int
    flip_no: int
    from_status: str
    to_status: str
    at: int
    reason: str
    retracts: int | None

    @property
    def told(self) -> tuple[str, str, int, str]:
        return self.from_status, self.to_status, self.at, "fail" if self.reason == "exit_status" else self.reason


class Rules(check_oracle.Rules):
    """A check's timing, in the words of the oracle of lives."""

    timing: Timing

    @classmethod
    def of(cls, timing: Timing) -> Rules:
        rules = cls(
            period=0, calendar=False, grace=timing.grace, max_run=timing.max_run, sticky=timing.sticky,
            unverified_is_down=timing.unverified_is_down,
        )  # fmt: skip
        object.__setattr__(rules, "timing", timing)
        return rules

    @override
    def next_after(self, instant: int, anchor: int) -> int:
        return self.timing.next_after(instant, anchor)

    @override
    def expects_as(self, other: check_oracle.Rules) -> bool:
        return isinstance(other, Rules) and self.timing.schedule == other.timing.schedule


@dataclass(frozen=True)
class Deafness:
    """All blind intervals, in the order in which they were known; those known by a step are a prefix."""

    steps: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    _first: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """So many of them, for all who ask: each signal of each check does."""

    def learn(self, step: int, span: tuple[int, int]) -> None:
        self.steps.append(step)
        self.spans.append(span)

    def forget_who_asked(self) -> None:
        self._first.clear()

    def known(self, step: int) -> tuple[tuple[int, int], ...]:
        n = bisect_left(self.steps, step)
        found = self._first.get(n)
        if found is None:
            found = self._first[n] = tuple(self.spans[:n])
        return found


@dataclass
class Finding:
    """`wrong`: in one sentence, with the step near which it was noticed; empty when all is as promised."""

    job: int
    wrong: str = ""
    step: int = 0
    n_expected: int = 0
    n_wide: int = 0
    """Signals compared with the wider rule."""
    n_items: int = 0
    n_by_clock: int = 0
    """Alarms that were not raised where a signal seemed to come before what it came after: the clock was set back."""
    excused: int | None = None
    """How many slots and runs must be unverified; None: not known exactly."""


class Replay:
    """`seen`: what Heartfly wrote of it, as it goes on; `let_go` shortens it."""

    def __init__(self, job: Job, seen: list[SeenFlip], deaf: Deafness, created: int) -> None:
        self.job = job
        self.seen = seen
        self.deaf = deaf
        self.turns: Sequence[tuple[int, int]] = ()
        self.n_turned = 0
        self.life = Life(Rules.of(job.born), since=created)
        self.n_agreed = 0
        self.wide_since: int | None = None
        self.by_clock = False
        self.behind: tuple[object, int, int] = (None, 0, 0)
        self.behind_before = 0
        """As far as it was let go."""
        self.last_commit = 0
        self.last_end = (0, 0)
        """Of the newest that was applied: in which life, and when."""
        self.ended: set[str] = set()
        """The ids of runs that have ended."""
        self.finding = Finding(job.index)

    def go_on(self, history: Sequence[Sent | Edict], turns: Sequence[tuple[int, int]], end_step: int) -> None:
        """Through all that happened since, up to a step at which nothing was under way."""
        self.turns, self.n_turned = turns, 0
        items = sorted((item for item in history if isinstance(item, Edict) or item.committed != UNSENT), key=_order)
        overtaken, more = _overtaken(items), _are_more(items)
        for n, item in enumerate(items):
            if self.finding.wrong:
                return
            self._take(self.finding.n_items, item, overtaken_at=overtaken[n], more=more[n])
            self.finding.n_items += 1
        self._turn(end_step + 1)

    def end(self, end_step: int, end_judged: int) -> Finding:
        if self.finding.wrong:
            self.finding.n_expected = 0  # how many there should be is not known from there on
            return self.finding
        self._judge(end_step + 1, end_judged)
        if self.wide_since is None:
            self._agree(end_step + 1)
        elif self.life.status != self._status_seen(end_step + 1) and not self._explained(end_step + 1):
            self._wrong(end_step, f"it ends {self._status_seen(end_step + 1)}, not {self.life.status}")
        self.finding.n_expected += _n_down(self.life.flips)
        if not self.finding.n_wide:
            self.finding.excused = self.life.n_unverified
        return self.finding

    # --- what is settled

    @property
    def n_settled(self) -> int:
        """So many of the first flips are compared, and not looked at again: all but the newest of them."""
        if self.finding.wrong:
            return len(self.seen)
        return max(0, (self.n_agreed if self.wide_since is None else self.wide_since) - 1)

    def let_go(self, n: int, to_come: set[str]) -> None:
        """So many of the first flips. `to_come`: the ids of runs of which requests are still to come."""
        gone = self.life.flips[:n]
        del self.seen[:n], self.life.flips[:n]
        self.finding.n_expected += 0 if self.finding.wrong else _n_down(gone)
        self.behind_before = ([self.behind_before] + [flip[2] for flip in gone if flip[3] in BEHIND])[-1]
        self.behind = None, 0, 0
        self.n_agreed -= n
        self.wide_since = None if self.wide_since is None else self.wide_since - n
        self.ended &= to_come
        self.life.heirs = {key: slot for key, slot in self.life.heirs.items() if key in self.life.runs}

    def _take(self, serial: int, item: Sent | Edict, *, overtaken_at: int, more: bool) -> None:
        """`more`: another one was committed in the same transaction."""
        commit, judged, wall, what = _commit(item), item.judged, item.wall, item.what
        overtaken = overtaken_at != NEVER
        slow = isinstance(item, Sent) and item.slow
        self._judge(commit, min(judged, overtaken_at, wall - 1 if slow else judged))
        due = self.life.wakes()
        if isinstance(item, Edict) and self.wide_since is None and due is not None and due <= wall:
            self._wrong(commit, f"{what} by a person, though something is due since {due}")
            return
        in_future = wall <= self._last_behind()
        if isinstance(item, Sent):
            # Between two lives of the process only the clock can say which signal came first.
            in_future = in_future or (item.life != self.last_end[0] and wall <= self.last_end[1])
            if what in ENDS and not in_future:
                self.last_end = item.life, wall
        if (overtaken or in_future or slow) and self.wide_since is None:
            self.wide_since, self.by_clock = self.n_agreed, False
        self.by_clock = self.by_clock or in_future
        rid = item.rid if isinstance(item, Sent) else None
        if what == "start" and rid in self.ended:
            what = "log"  # a retry from before that end
        elif what in ENDS and rid is not None:
            self.ended.add(rid)
        elif what == "pause":
            self.ended |= {key[0] for key in self.life.runs if key[0] is not None}
        rules = Rules.of(item.timing) if isinstance(item, Edict) and item.timing is not None else None
        self.life.happens(Event(what, wall, rid=rid, rules=rules), serial)
        if self.wide_since is not None:
            self.finding.n_wide += 1
            clear = commit >= self.last_commit and not overtaken and not in_future and not more
            if clear and what in ENDS and not self.life.runs and not slow:
                self._settle(commit)
        elif not more:
            self._agree(commit)
        self.last_commit = max(self.last_commit, commit)

    def _last_behind(self) -> int:
        """When the newest flip was of which `BEHIND` tells; flips are added at the end, or all replaced."""
        flips, (of, n, found) = self.life.flips, self.behind
        if of is not flips:
            n, found = 0, self.behind_before
        for flip in flips[n:]:
            if flip[3] in BEHIND:
                found = flip[2]
        self.behind = flips, len(flips), found
        return found

    def _judge(self, step: int, judged: int) -> None:
        """Silence up to here: as far as judging had come when this was committed, and at each turn."""
        self._turn(step)
        self.life.judge(judged, self.deaf.known(step))

    def _turn(self, step: int) -> None:
        while self.n_turned < len(self.turns) and self.turns[self.n_turned][0] < step:
            turned, judged = self.turns[self.n_turned]
            self.life.judge(judged, self.deaf.known(turned))
            self.n_turned += 1

    # --- as promised, to the letter

    def _agree(self, step: int) -> None:
        flips = self.life.flips
        while self.n_agreed < len(flips):
            expected = flips[self.n_agreed]
            if self.n_agreed >= len(self.seen) or self.seen[self.n_agreed].step > step:
                self._wrong(step, f"missing: {_flip(expected)}")
                return
            if self.seen[self.n_agreed].told != expected:
                self._wrong(step, f"expected {_flip(expected)}, but it is {_flip(self.seen[self.n_agreed].told)}")
                return
            self.n_agreed += 1
        if self.n_agreed < len(self.seen) and self.seen[self.n_agreed].step <= step:
            self._wrong(step, f"too many: {_flip(self.seen[self.n_agreed].told)}")

    # --- what came too late to be waited for

    def _settle(self, step: int) -> None:
        """An end that came in order: from here on both tell the same again."""
        n_seen = self._n_seen(step)
        status = self._status_seen(step)
        if status != self.life.status:
            self._wrong(step, f"it is {status}, not {self.life.status}")
            return
        assert self.wide_since is not None
        told = {flip.at for flip in self.seen[self.wide_since : n_seen] if flip.to_status == "down"}
        for flip in self.life.flips[self.wide_since :]:
            if flip[1] == "down" and flip[2] not in told and not self._is_there(flip, n_seen):
                if self.by_clock:
                    self.finding.n_by_clock += 1
                    continue
                self._wrong(step, f"missing: {_flip(flip)}")
                return
        self.life.flips = [flip.told for flip in self.seen[:n_seen]]
        self.life.since = self.seen[n_seen - 1].at if n_seen else self.life.since
        self.n_agreed = n_seen
        self.wide_since = None

    def _is_there(self, flip: tuple[str, str, int, str], n_seen: int) -> bool:
        return self._was_down(flip[2], n_seen) or self._stands_later(flip, n_seen)

    def _stands_later(self, flip: tuple[str, str, int, str], n_seen: int) -> bool:
        """History never runs backwards: where the clock was set back behind an alarm that was raised and taken back
        meanwhile, what comes next stands at the same instant as that.
        """
        assert self.wide_since is not None
        mine = self.seen[max(0, self.wide_since - 1) : n_seen]
        return any(
            (one.to_status, one.told[3], one.at) == ("down", flip[3], before.at) and flip[2] < before.at
            for before, one in pairwise(mine)
        )

    def _was_down(self, at: int, n_seen: int) -> bool:
        """Whether Heartfly took the check for down then, be it for another reason or from an earlier instant on."""
        before = [flip for flip in self.seen[:n_seen] if flip.at <= at]
        return bool(before) and before[-1].to_status == "down"

    def _explained(self, step: int) -> bool:
        return self._status_seen(step) == "down"

    def _n_seen(self, step: int) -> int:
        n = self.n_agreed
        while n < len(self.seen) and self.seen[n].step <= step:
            n += 1
        return n

    def _status_seen(self, step: int) -> str:
        n = self._n_seen(step)
        return self.seen[n - 1].to_status if n else "new"

    def _wrong(self, step: int, what: str) -> None:
        self.finding.wrong = self.finding.wrong or what
        self.finding.step = step


def _order(item: Sent | Edict) -> int:
    return item.step if isinstance(item, Edict) else item.arrived


def _commit(item: Sent | Edict) -> int:
    return item.step if isinstance(item, Edict) else item.committed


def _overtaken(items: Sequence[Sent | Edict]) -> list[int]:
    """For each, how far judging had come when what came after it was committed before it; NEVER if nothing was."""
    found, earliest, judged = [NEVER] * len(items), NEVER, NEVER
    for index in range(len(items) - 1, -1, -1):
        commit = _commit(items[index])
        if earliest < commit:
            found[index] = judged
        else:
            earliest, judged = commit, items[index].judged
    return found


def _are_more(items: Sequence[Sent | Edict]) -> list[bool]:
    """For each, whether one that came after it was committed in the same transaction: what that wrote tells of both.

    In between one may have come that was committed later, as the rest of it was still on its way.
    """
    found, later = [False] * len(items), set[int]()
    for index in range(len(items) - 1, -1, -1):
        commit = _commit(items[index])
        found[index] = commit in later
        later.add(commit)
    return found


def _n_down(flips: Sequence[tuple[str, str, int, str]]) -> int:
    return sum(flip[1] == "down" for flip in flips)


def _flip(flip: tuple[str, str, int, str]) -> str:
    from_status, to_status, at, reason = flip
    return f"{from_status} -> {to_status} ({reason}) at {at}"
