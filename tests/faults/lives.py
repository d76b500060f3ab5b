"""Which flips a check must have, and must not: told anew from what was sent to it and when nobody could hear.

Replays the oracle of tests/core/check_oracle.py, which shares no code with the package, over the pings in the order of
their receipt. What is not known from outside is when a deadline that had passed was looked at: before the next ping or
after it, and which blind intervals were known by then. Each answer is a life of its own, and one of them must have
exactly the flips that are there; a deadline may not be left alone while a server that is alive has had time for it.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from typing_extensions import override

from heartfly.core.check import MAX_OPEN_RUNS
from tests.core.check_oracle import Event, Life, Rules
from tests.faults.clients import SECOND, Job

SILENCE = frozenset({"missed", "missed_twice_unverified", "hung"})
UNHEARD = frozenset({"hung", "unverified"})
DYING = SECOND // 2
"""By which a process may outlive the signal that kills it."""
Span = tuple[int, int]
"""Microseconds since 1970, both ends inclusive."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A ping that was stored, as its client said it and when it was received."""

    at: int
    kind: str
    rid: str
    exit_status: int | None


@dataclass(frozen=True, slots=True)
class SeenFlip:
    flip_no: int
    from_status: str
    to_status: str
    at: int
    reason: str
    retracts: int | None = None

    @property
    def told(self) -> tuple[str, str, int, str]:
        return self.from_status, self.to_status, self.at, "fail" if self.reason == "exit_status" else self.reason


@dataclass(frozen=True)
class Times:
    """`lives`: when the server was alive. `blind`: in the order in which they were known. `patience`: how long a server
    that is alive may leave a deadline alone; `end`: nothing was judged after it.
    """

    lives: Sequence[Span]
    blind: Sequence[Span]
    patience: int
    end: int

    def may_wait(self, due: int, until: int) -> bool:
        return all(min(until, ended) - max(due, began) < self.patience for began, ended in self._near(due))

    def known_from(self, n: int, due: int, until: int) -> Iterator[int]:
        """How many blind intervals may have been known to who judged it, `n` at least. The dead judge nothing.

        Of those that would judge alike the least, of which all may still become what may become of the others.
        """
        first = max(n, bisect_right(self._ends, due))
        last = max(first, bisect_right(self._ends, until))
        least = first
        for known in range(first, last + 1):
            if known > first and self.blind[known - 1][0] <= due:
                least = known
            before = until + 1 if known == last else self.blind[known][1]
            # The last knows all; a server that starts may judge before it has answered anybody.
            if least >= 0 and (known == last or self._lives_between(due, before)):
                yield least
                least = -1

    def _lives_between(self, due: int, before: int) -> bool:
        return any(began < before and due < ended + DYING for began, ended in self._near(due))

    def _near(self, due: int) -> Sequence[Span]:
        """Those that ended after it; of the last of them nobody says that it ended before it judged."""
        return self.lives[bisect_left(self._deaths, due - DYING) :]

    @cached_property
    def _ends(self) -> list[int]:
        return [to for _, to in self.blind]

    @cached_property
    def _deaths(self) -> list[int]:
        return [ended for _, ended in self.lives]


@dataclass
class _Ledger(Life):
    """A life that counts what becomes of its runs."""

    tally: Counter[str] = field(default_factory=Counter)
    hangs: bool = False
    over: list[tuple[str | None, str]] = field(default_factory=list)
    """Runs that are, and whether they were heard to end, hung, or are unverified; until somebody has looked."""

    @override
    def start(self, event: Event, serial: int) -> None:
        super().start(event, serial)
        if len(self.runs) > MAX_OPEN_RUNS:
            others = [key for key in self.runs if key[1] != serial]
            del self.runs[min(others, key=lambda key: (self.runs[key], key[1]))]
            self.tally["superseded"] += 1

    @override
    def end(self, event: Event) -> None:
        if any(key[0] == event.rid for key in self.runs):
            self.over.append((event.rid, "heard"))
        super().end(event)
        self.tally["failed" if event.what == "fail" else "ok"] += 1

    @override
    def goes_wrong(self, at: int, reason: str) -> bool:
        if reason == "hung":
            self.tally["hung"] += 1
        elif reason in SILENCE:
            self.tally["unverified" if self.hangs else "missed"] += 1
        return super().goes_wrong(at, reason)

    @override
    def _hang(self, at: int, key: tuple[str | None, int], blind: tuple[Span, ...]) -> None:
        n_hung, self.hangs = self.tally["hung"], True
        super()._hang(at, key, blind)
        self.hangs = False
        self.over.append((key[0], "hung" if self.tally["hung"] > n_hung else "unverified"))


@dataclass
class _Life:
    """One of the lives that a check may have had. `n_flips`: so many are those that are there."""

    life: _Ledger
    n_flips: int = 0
    n_known: int = 0
    n_due: int = 0

    def another(self) -> _Life:
        life = copy.copy(self.life)
        life.runs, life.heirs, life.at_work = dict(life.runs), dict(life.heirs), dict(life.at_work)
        life.flips, life.over, life.tally = list(life.flips), list(life.over), Counter(life.tally)
        return _Life(life, self.n_flips, self.n_known, self.n_due)

    def key(self) -> object:
        """Of two that are alike, the one that knows fewer blind intervals may still become all that the other may."""
        life = self.life
        counted = (life.n_unverified, *sorted(life.tally.items()))
        return self.n_flips, life.status, life.slot, life.ends, life.unverified, tuple(life.runs), counted


@dataclass
class Told:
    """`wrong`: what is, beginning with the promise that it breaks; empty if all is as it must be.

    `tallies`: how many runs ended how, in each life that it may have been. `n_due`: so many deadlines were judged.
    """

    wrong: str = ""
    tallies: list[Counter[str]] = field(default_factory=list)
    n_due: int = 0


class Replay:
    """`outcomes`: how runs ended, by their ids, as it is there; of one that is not named anything will do."""

    def __init__(
        self,
        job: Job,
        seen: Sequence[SeenFlip],
        times: Times,
        *,
        created: int,
        outcomes: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        limit = None if job.max_run is None else job.max_run * SECOND
        rules = Rules(job.period * SECOND, calendar=False, grace=job.grace * SECOND, max_run=limit)
        self.seen = seen
        self.times = times
        self.outcomes = outcomes
        self.lives = [_Life(_Ledger(rules, since=created))]
        self.otherwise = ""
        """How a run ended that should have ended otherwise, the last time that no life agreed."""
        self.refused: list[tuple[int, tuple[str, str, int, str]]] = []
        """What lives wanted of which there is no such flip, with the number of the flip that is in its place."""

    def told(self, heard: Sequence[Heard]) -> Told:
        for serial, ping in enumerate(heard):
            self.refused, self.otherwise = [], ""
            after = []
            for one in self._silent(ping.at):
                one.life.happens(Event(ping.kind, ping.at, rid=ping.rid), serial)
                if self._agrees(one):
                    after.append(one)
            if not after:
                return Told(self._why())
            self.lives = _apart(after)
        self.refused, self.otherwise = [], ""
        ended = self._silent(self.times.end)
        whole = [one for one in ended if one.n_flips == len(self.seen)]
        if not whole:
            if ended:
                self.refused, self.otherwise = [], ""
                self.lives = [max(ended, key=lambda one: one.n_flips)]
            return Told(self._why())
        tallies = [one.life.tally + Counter(unverified=one.life.n_unverified) for one in whole]
        return Told(tallies=tallies, n_due=max(one.n_due for one in whole))

    def _silent(self, until: int) -> list[_Life]:
        """Each life with each of the ways in which what fell due by then may have been judged."""
        found: list[_Life] = []
        undecided = self.lives
        while undecided:
            # One deadline of each at a time: those that have come out alike need not be followed apart.
            judged = [other for one in undecided for other in self._judged(one, until, found)]
            undecided = _apart(judged)
        return _apart(found)

    def _judged(self, one: _Life, until: int, found: list[_Life]) -> Iterator[_Life]:
        """After its next deadline; into `found` goes what needs no more judging, or need not be judged yet."""
        due = one.life.wakes()
        if due is None or due > until:
            found.append(one)
            return
        if self.times.may_wait(due, until):
            found.append(one.another())
        for n in self.times.known_from(one.n_known, due, until):
            other = one.another()
            other.n_known, other.n_due = n, one.n_due + 1
            other.life.judge(due, tuple(self.times.blind[:n]))
            if self._agrees(other):
                yield other

    def _agrees(self, one: _Life) -> bool:
        while one.life.over:
            rid, how = one.life.over.pop()
            there = self.outcomes.get(rid or "", ())
            # One whose end came after it was given up is there twice.
            if there and (how not in there if how in UNHEARD else not UNHEARD.isdisjoint(there)):
                self.otherwise = f"A6: a run ended {how}, but it is there as {sorted(there)}: {rid}"
                return False
        while one.life.flips:
            wanted = one.life.flips[0]
            if one.n_flips >= len(self.seen) or self.seen[one.n_flips].told != wanted:
                self.refused.append((one.n_flips, wanted))
                return False
            del one.life.flips[0]
            one.n_flips += 1
        return True

    def _why(self) -> str:
        if not self.refused and self.otherwise:
            return self.otherwise
        if not self.refused:
            n = max(one.n_flips for one in self.lives)
            return f"A5: {_flip(self.seen[n].told)} should not be"
        n, wanted = max(self.refused)
        there = self.seen[n].told if n < len(self.seen) else None
        if there is not None and (there[2] < wanted[2] or (there[2] == wanted[2] and there[1] != wanted[1])):
            return f"A5: {_flip(there)} contradicts what was heard: {_flip(wanted)} should be next"
        return f"A2: {_flip(wanted)} should be" + ("" if there is None else f", but {_flip(there)} is next")


def _apart(lives: Sequence[_Life]) -> list[_Life]:
    if len(lives) == 1:
        return list(lives)
    found: dict[object, _Life] = {}
    for one in sorted(lives, key=lambda one: one.n_known):
        found.setdefault(one.key(), one)
    return list(found.values())


def _flip(flip: tuple[str, str, int, str]) -> str:
    from_status, to_status, at, reason = flip
    return f"{from_status} -> {to_status} ({reason}) at {at}"
