"""The state machine of checks: what may happen to some of them, each as a rule, on the rooms and in the second telling.

A failure ends as the shortest story that Hypothesis finds; it is told line by line with the sentence that is wrong.
Which step may follow is decided here; what must come of it, in told.py, and how that is looked at, in compared.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from heartfly.checks.config import CheckIn
from heartfly.checks.turn import NotJudgedYetError
from heartfly.db.types import instant, micros
from heartfly.errors import ConflictError
from heartfly.pings.request import PingOutcome
from tests.core.check_oracle import SECOND, Event, Rules
from tests.states.compared import compare
from tests.states.house import Arrived, House, asked
from tests.states.told import DEAF, FENCE, HOLD, HOUR, MINUTE, START, Hearers, Told, Watched, lasting, when, words

# Few and short durations: what seldom meets in real life meets often here.
some_rules = st.builds(
    Rules,
    period=st.sampled_from([HOUR, HOUR, 2 * HOUR]),
    calendar=st.booleans(),
    grace=st.sampled_from([10 * MINUTE, 70 * MINUTE]),
    max_run=st.sampled_from([None, 10 * MINUTE, 80 * MINUTE]),
    sticky=st.sampled_from([False, False, False, True]),
    unverified_is_down=st.sampled_from([False, False, False, True]),
    failures=st.sampled_from([None, None, None, 2]),
    share=st.sampled_from([None, None, None, (2, 4)]),
    recover=st.sampled_from([1, 1, 1, 2]),
    start_within=st.sampled_from([None, None, None, 5 * MINUTE]),
    early=st.sampled_from([None, None, None, 10 * MINUTE]),
    min_run=st.sampled_from([None, None, None, SECOND]),
)
kinds = st.sampled_from(["success", "success", "start", "start", "fail", "exit 3", "log", "progress", "warn", "broken"])
rids = st.sampled_from([None, None, "a", "b"])
steps = st.sampled_from([1, SECOND, 10 * MINUTE, HOUR, 3 * HOUR])
offsets = st.sampled_from([0, 0, -1, 1])
places = st.integers(0, 5)
ENDS = {"success", "warn", "broken", "fail", "exit 3"}


class Checks(RuleBasedStateMachine):
    """`house` is set by who runs it: a class of its own for each database."""

    house: ClassVar[House]
    n_steps: ClassVar[int] = 0
    """So many were made, in all stories."""
    n_found: ClassVar[int] = 0

    watched: Bundle[Watched] = Bundle("watched")
    gone: Bundle[Watched] = Bundle("gone")

    def __init__(self) -> None:
        super().__init__()
        self.story: list[str] = []
        self.every: list[Watched] = []
        self.under_way: list[tuple[Watched, str, Arrived]] = []
        self.hearers = Hearers(cluster=self.house.on_postgres)
        self.n_acts = 0
        self.is_written = False
        self.house.begin()
        self.hearers.joins(self.now)

    # --- what rules have in common

    @property
    def now(self) -> int:
        return self.house.now

    def says(self, what: str) -> None:
        type(self).n_steps += 1
        self.story.append(f"{when(self.now)}  {what}")

    def passes(self, to: int) -> None:
        """Time, in which the node goes on beating; a request is answered before it would be given up."""
        while self.now < to:
            for one, _, arrived in self.under_way:
                if to - arrived.at >= HOLD or one.gone_at is not None:
                    self.comes_through(len(self.under_way))
                    break
            self.house.move_to(min(to, self.hearers.beat_at + DEAF))
            self.looks()

    def looks(self) -> None:
        since: dict[int, int] = {}
        for one, _, arrived in self.under_way:
            if one.gone_at is None:
                since[one.number] = min(arrived.at, since.get(one.number, arrived.at))
        through, held = self.hearers.beats(self.now, since)
        for one in self.every:
            if one.gone_at is None:
                until = min(through, held.get(one.number, through))
                one.happens(Event("judge", until, blind=tuple(self.hearers.blind)))
        self.house.look()
        self.is_written = True

    def edges(self) -> list[int]:
        found = {at for one in self.every if one.gone_at is None for at in one.edges()}
        found.add(self.hearers.beat_at + DEAF)
        return sorted(at for at in found if at > self.now)

    def arrives(self, one: Watched, what: str, rid: str | None) -> None:
        # At the very instant of an alarm that was decided already it would be a late one.
        if one.life.since == self.now and one.life.status == "down":
            self.house.move_to(self.now + 1)
        self.says(f"{one.name}: {what}{'' if rid is None else f' of run {rid}'} is received")
        self.under_way.append((one, what, self.house.arrive(one.row, what, rid=rid)))

    def comes_through(self, n: int) -> None:
        """The first requests that are under way, as one batch."""
        batch, self.under_way = self.under_way[:n], self.under_way[n:]
        self.story.append(f"{when(self.now)}  {'it is' if n == 1 else f'{n} are'} stored and answered")
        outcomes = self.house.commit([arrived for _, _, arrived in batch])
        for (one, what, arrived), outcome in zip(batch, outcomes, strict=True):
            if one.gone_at is not None:
                assert outcome is PingOutcome.NOT_FOUND
                continue
            assert outcome is PingOutcome.OK
            self.is_heard(one, what, arrived.at, arrived.request.rid)
        self.is_written = True

    def is_heard(self, one: Watched, what: str, at: int, rid: str | None) -> None:
        one.happens(Event("fail" if what == "exit 3" else what, at, rid=rid))
        one.n_pings += 1
        if what in ENDS:
            one.acknowledged.append(at)

    def settled(self) -> None:
        """Nothing is under way: what was received before this instant and stored after it would be late."""
        if self.under_way:
            self.comes_through(len(self.under_way))

    def acts(self, one: Watched, work: Callable[[], None], event: Event | None, *, changes: bool = True) -> None:
        """What somebody does to a check: refused while the judge's turn is first. `event` None: whatever is due."""
        due = one.life.wakes()
        try:
            work()
        except NotJudgedYetError:
            assert event is not None
            assert due is not None, f"{one.name} is never due"
            assert due <= self.now, f"{one.name} is due at {when(due)} only"
            self.story.append("    which has to wait for the judge")
            return
        assert event is None or due is None or due > self.now, f"{one.name} was due at {when(due or 0)}"
        if event is not None and changes:
            one.happens(event)
        self.n_acts += changes
        self.is_written = True

    # --- checks

    @initialize(target=watched, rules=some_rules)
    def first(self, rules: Rules) -> Watched:
        return self.made(rules)

    @precondition(lambda self: sum(one.gone_at is None for one in self.every) < 3)
    @rule(target=watched, rules=some_rules)
    def another(self, rules: Rules) -> Watched:
        return self.made(rules)

    def made(self, rules: Rules) -> Watched:
        number = len(self.every) + 1
        self.says(f"check {number} is made: {words(rules)}")
        row = self.house.create(f"check {number}", rules)
        self.every.append(Watched(number, row, Told(rules, since=self.now), known=self.now))
        self.n_acts += 1
        self.is_written = True
        return self.every[-1]

    @rule(one=watched, rules=some_rules)
    def edited(self, one: Watched, rules: Rules) -> None:
        self.settled()
        self.says(f"{one.name} is edited: {words(rules)}")
        is_other = rules != one.life.rules
        self.acts(
            one, lambda: self.house.edit(one.row, asked(rules)), Event("edit", self.now, rules=rules), changes=is_other
        )

    @rule(one=watched)
    def paused(self, one: Watched) -> None:
        self.settled()
        self.says(f"{one.name} is paused")
        changes = one.life.status != "paused"
        self.acts(one, lambda: self.house.act(one.row, "pause"), Event("pause", self.now), changes=changes)

    @rule(one=watched)
    def resumed(self, one: Watched) -> None:
        self.settled()
        self.says(f"{one.name} is resumed")
        is_paused = one.life.status == "paused"

        def work() -> None:
            if is_paused:
                self.house.act(one.row, "resume")
                return
            with pytest.raises((ConflictError, NotJudgedYetError)) as refused:
                self.house.act(one.row, "resume")
            if isinstance(refused.value, NotJudgedYetError):
                raise refused.value

        self.acts(one, work, Event("resume", self.now), changes=is_paused)

    @precondition(lambda self: any(self.waits_for_its_first(one) for one in self.every))
    @rule(place=places, step=st.sampled_from([None, SECOND, 10 * MINUTE, HOUR, 3 * HOUR]))
    def wanted(self, place: int, step: int | None) -> None:
        self.settled()
        new = [one for one in self.every if self.waits_for_its_first(one)]
        if not new:
            return
        one, by = new[place % len(new)], None if step is None else self.now + step
        self.says(f"the first ping of {one.name} is wanted by {'nobody' if by is None else when(by)}")
        at = None if by is None else _instant(by)
        changes = by != one.life.wanted
        work = lambda: self.house.edit(one.row, CheckIn(first_ping_by=at))  # noqa: E731
        self.acts(one, work, Event("want", self.now, by=by), changes=changes)

    @staticmethod
    def waits_for_its_first(one: Watched) -> bool:
        life = one.life
        return one.gone_at is None and life.status == "new" and not life.begun and not life.runs

    @precondition(lambda self: len(self.every) > 1)
    @rule(target=gone, one=consumes(watched))
    def deleted(self, one: Watched) -> Watched:
        self.says(f"{one.name} is deleted")
        self.acts(one, lambda: self.house.act(one.row, "delete"), None)
        one.gone_at = self.now
        return one

    # --- pings

    @rule(one=watched, what=kinds, rid=rids)
    def pinged(self, one: Watched, what: str, rid: str | None) -> None:
        self.arrives(one, what, rid)
        self.comes_through(len(self.under_way))

    @rule(one=watched, what=kinds, rid=rids)
    def is_at_the_door(self, one: Watched, what: str, rid: str | None) -> None:
        self.arrives(one, what, rid)

    @rule(one=watched)
    def does_well(self, one: Watched) -> None:
        self.arrives(one, "success", None)
        self.comes_through(len(self.under_way))

    @rule(one=watched, rid=rids)
    def begins_a_run(self, one: Watched, rid: str | None) -> None:
        self.arrives(one, "start", rid)
        self.comes_through(len(self.under_way))

    @precondition(lambda self: self.edges())
    @rule(one=watched, what=kinds, place=places, before=st.sampled_from([1, 10 * MINUTE]))
    def is_at_the_door_while_its_time_is_over(self, one: Watched, what: str, place: int, before: int) -> None:
        edges = [at for at in sorted(set(one.edges())) if at - before > self.now]
        if edges:
            edge = edges[place % len(edges)]
            self.says(f"time passes until {when(edge - before)}")
            self.passes(edge - before)
            self.arrives(one, what, None)
            self.says(f"time passes until {when(edge)}")
            self.passes(edge)

    @precondition(lambda self: self.under_way)
    @rule(n=st.integers(1, 3))
    def is_stored(self, n: int) -> None:
        self.says("the disk is done")
        self.comes_through(min(n, len(self.under_way)))

    @rule(one=watched, what=st.sampled_from(["success", "start", "fail"]), place=st.sampled_from([0, 1, 2]))
    def told_afterwards(self, one: Watched, what: str, place: int) -> None:
        """What could not be sent in time, and contradicts nothing that was decided since."""
        self.settled()
        first = max(one.known, one.life.since) + 1
        if first > self.now:
            return
        happened = (first, (first + self.now) // 2, self.now)[place]
        self.says(f"{one.name}: {what} is received, which was at {when(happened)}")
        arrived = self.house.arrive(one.row, what, rid=None, happened=happened)
        assert [PingOutcome.OK] == self.house.commit([arrived])
        self.is_heard(one, what, happened, None)
        self.is_written = True

    @rule(one=gone, what=kinds)
    def a_ping_to_nobody(self, one: Watched, what: str) -> None:
        self.says(f"{one.name}, which is gone: {what} is received")
        arrived = self.house.arrive(one.row, what, rid=None)
        assert [PingOutcome.NOT_FOUND] == self.house.commit([arrived])
        self.is_written = True

    # --- time, and the process

    @rule(step=steps)
    def time_passes(self, step: int) -> None:
        self.says(f"{lasting(step)} pass")
        self.passes(self.now + step)

    @precondition(lambda self: self.edges())
    @rule(place=places, offset=offsets)
    def time_passes_to_an_edge(self, place: int, offset: int) -> None:
        self.time_goes_to_an_edge(place, offset)

    def time_goes_to_an_edge(self, place: int, offset: int) -> None:
        edges = self.edges()
        to = max(self.now, edges[place % len(edges)] + offset)
        self.says(f"time passes until {when(to)}")
        self.passes(to)

    @precondition(lambda self: self.edges())
    @rule(place=places, offset=offsets)
    def nobody_looks_until_an_edge(self, place: int, offset: int) -> None:
        """The deadline has passed, or not, and the watcher has not looked yet."""
        edges = [at for at in self.edges() if at < self.hearers.beat_at + DEAF]
        if edges and not self.under_way:
            to = max(self.now, edges[place % len(edges)] + offset)
            self.says(f"until {when(to)} nobody looks")
            self.house.move_to(to)

    @precondition(lambda self: self.edges())
    @rule(place=places)
    def an_edge_is_judged(self, place: int) -> None:
        self.time_goes_to_an_edge(place, 0)

    @rule()
    def looked(self) -> None:
        self.says("the watcher looks")
        self.looks()

    @rule(step=st.sampled_from([DEAF, DEAF + 1, HOUR, 2 * HOUR, 4 * HOUR]))
    def the_process_stands(self, step: int) -> None:
        self.says(f"nobody hears for {lasting(step)}")
        self.settled()
        self.house.move_to(self.now + step)
        self.looks()

    @rule(step=st.sampled_from([0, 1, SECOND, 10 * MINUTE, FENCE, FENCE + 1, 2 * HOUR, 4 * HOUR]), looks=st.booleans())
    def killed(self, step: int, looks: bool) -> None:  # noqa: FBT001 - drawn
        self.says(f"it is killed{f' with {len(self.under_way)} under way' if self.under_way else ''}")
        self.house.die()
        self.hearers.dies()
        self.under_way = []
        self.starts(step, looks=looks)

    @rule(step=st.sampled_from([0, 1, SECOND, 10 * MINUTE, 2 * HOUR]), looks=st.booleans())
    def restarted(self, step: int, looks: bool) -> None:  # noqa: FBT001 - drawn
        self.settled()
        self.says("it stops")
        self.house.leave()
        self.hearers.leaves(self.now)
        self.starts(step, looks=looks)

    def starts(self, after: int, *, looks: bool) -> None:
        self.house.move_to(self.now + after)
        self.story.append(f"{when(self.now)}  it starts{' and looks' if looks else ''}")
        self.house.start()
        self.hearers.joins(self.now)
        self.is_written = True
        if looks:
            self.looks()

    # --- what always holds

    @invariant()
    def the_database_is_what_it_must_be(self) -> None:
        if not self.is_written:
            return
        self.is_written = False
        try:
            compare(self.house, self.every, self.hearers, self.n_acts)
        except AssertionError as error:
            told = "\n".join([str(error), "", *self.story])
            if not type(self).n_found:
                print(f"found, and made shorter from here on: {told}", flush=True)
            type(self).n_found += 1
            raise AssertionError(told) from None


def _instant(us: int) -> datetime:
    return instant(micros(START) + us)
