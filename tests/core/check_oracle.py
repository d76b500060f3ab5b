"""The life of a check told a second time, as simply as can be: a list of all that happened, replayed from the start.

Shares no code with heartfly/core/check.py. Instants and durations are whole microseconds. Slow on purpose: each
question replays everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SECOND = 1_000_000


@dataclass(frozen=True)
class Rules:
    period: int
    calendar: bool
    """Every `period` by the clock, not by the last end."""
    grace: int
    max_run: int | None = None
    sticky: bool = False
    unverified_is_down: bool = False
    failures: int | None = None
    """In a row; None, and no share: nothing is counted."""
    share: tuple[int, int] | None = None
    """So many of the last so many."""
    recover: int = 1
    start_within: int | None = None
    early: int | None = None
    min_run: int | None = None

    @property
    def limit(self) -> int:
        return self.grace if self.max_run is None else self.max_run

    @property
    def counts(self) -> bool:
        return self.failures is not None or self.share is not None or self.recover > 1

    @property
    def in_row(self) -> int | None:
        return 1 if self.failures is None and self.share is None else self.failures

    def next_after(self, instant: int, anchor: int) -> int:
        fire = 0 if self.calendar else anchor + self.period
        while fire <= instant:
            fire += self.period
        return fire

    def expects_as(self, other: Rules) -> bool:
        return (self.period, self.calendar) == (other.period, other.calendar)


@dataclass(frozen=True)
class Event:
    """`what`: success, warn, broken, fail, start, progress, log, judge, pause, resume, edit, want (a first ping)."""

    what: str
    at: int
    rid: str | None = None
    rules: Rules | None = None
    by: int | None = None
    blind: tuple[tuple[int, int], ...] = ()


@dataclass
class Life:
    rules: Rules
    status: str = "new"
    since: int = 0
    flips: list[tuple[str, str, int, str]] = field(default_factory=list)
    runs: dict[tuple[str | None, int], int] = field(default_factory=dict)
    """(rid, serial) of each open run, and its start."""
    heirs: dict[tuple[str | None, int], int] = field(default_factory=dict)
    """The slot that a run holds open because one that it superseded did."""
    ends: int | None = None
    """The last end, or a later instant at which there may have been one."""
    slot: int | None = None
    wanted: int | None = None
    """Of a check that is new: by when its first ping must come."""
    begun: bool = False
    """Something has come since it was new."""
    unverified: int = 0
    n_unverified: int = 0
    row: int = 0
    """Failures in a row."""
    well: int = 0
    """Successes in a row since it is down."""
    recent: list[bool] = field(default_factory=list)
    at_work: dict[tuple[str | None, int], int] = field(default_factory=dict)
    """When a run last said so."""
    excused_start: int | None = None

    # --- questions

    def closes(self) -> int | None:
        if self.status == "new":
            return self.wanted
        if self.status not in {"up", "degraded"} or self.slot is None:
            return None
        last = self.slot + self.rules.grace
        held = [self._held(key, last) for key in self.runs if self._holds(key)]
        return max([last, *held])

    def _held(self, key: tuple[str | None, int], last: int) -> int:
        """One that began in time and is at work holds it as long as it says so, all others for one limit at most."""
        until = self._hangs(key)
        return until if key in self.at_work and self.runs[key] <= last else min(until, last + self.rules.limit)

    def _holds(self, key: tuple[str | None, int]) -> bool:
        if self.slot is None or self.status not in {"up", "degraded"}:
            return False
        if self.rules.max_run is None and self.rules.start_within is None:
            return False
        return self.runs[key] <= self.slot + self.rules.grace or self.heirs.get(key) == self.slot

    def goes_down(self) -> int | None:
        if self.status == "down" or (self.status == "paused" and self.rules.sticky):
            return None
        return min([*self._limits(), *self._slot()], default=None)

    def wakes(self) -> int | None:
        return min([*self._limits(), *self._slot()], default=None)

    def _hangs(self, key: tuple[str | None, int]) -> int:
        return max(self.runs[key], self.at_work.get(key, 0)) + self.rules.limit

    def _limits(self) -> list[int]:
        return [self._hangs(key) for key in self.runs]

    def _slot(self) -> list[int]:
        return [at for at in (self.closes(), self.starts()) if at is not None]

    def starts(self) -> int | None:
        """By when a run must have begun."""
        if self.rules.start_within is None or self.slot is None or self.runs:
            return None
        if self.status not in {"up", "degraded"} or self.excused_start == self.slot:
            return None
        return self.slot + self.rules.start_within

    # --- what happens

    def flip(self, to: str, at: int, reason: str) -> None:
        if to != self.status:
            self.since = max(at, self.since)
            self.flips.append((self.status, to, self.since, reason))
            self.status = to

    def goes_wrong(self, at: int, reason: str) -> bool:
        """Whether that is tolerated."""
        if self.rules.counts:
            self.row, self.well = self.row + 1, 0
            self.ran(well=False)
            enough = self.rules.in_row is not None and self.row >= self.rules.in_row
            if self.rules.share is not None:
                enough = enough or self.recent.count(False) >= self.rules.share[0]
            if not enough and self.status in {"up", "degraded"}:
                return True
        self.flip("down", at, reason)
        return False

    def ran(self, *, well: bool) -> None:
        if self.rules.share is not None:
            self.recent = [*self.recent, well][-self.rules.share[1] :]

    def forgets(self) -> None:
        self.row = self.well = 0
        self.recent = []
        self.excused_start = None

    def refits(self) -> None:
        """What other rules do not ask for is not kept."""
        if not self.rules.counts:
            self.row = self.well = 0
        self.recent = [] if self.rules.share is None else self.recent[-self.rules.share[1] :]
        if self.rules.start_within is None:
            self.excused_start = None

    def goes_well(self, event: Event, to: str, reason: str) -> None:
        watched = self.status in {"up", "degraded"} and self.slot is not None
        early = watched and self.rules.early is not None and event.at < (self.slot or 0) - self.rules.early
        if not early:
            self.ends, self.unverified = event.at, 0
        if self.rules.counts:
            self.ran(well=True)
            self.row = 0
            if self.status == "down" and self.well + 1 < self.rules.recover:
                self.well += 1
                return
            self.well = 0
        if not early:
            seen = max(event.at, self.slot or 0) if watched and self.rules.early is not None else event.at
            self.slot = self.rules.next_after(seen, event.at)
        self.flip(to, event.at, reason)

    def end(self, event: Event) -> None:
        mine = [key for key in self.runs if event.rid in {None, key[0]}]
        took = None
        if mine:
            key = max(mine, key=lambda key: (key[0] == event.rid, self.runs[key], key[1]))
            took = event.at - self.runs.pop(key)
        to, reason = {
            "success": ("up", "success"),
            "warn": ("degraded", "gate"),
            "broken": ("down", "gate"),
            "fail": ("down", "fail"),
        }[event.what]
        if self.rules.min_run is not None and to != "down" and (took is None or took < self.rules.min_run):
            to, reason = "down", "too_fast"
        self.begun, self.wanted = True, None
        if to != "down":
            self.goes_well(event, to, reason)
            return
        self.ends, self.unverified = event.at, 0
        self.goes_wrong(event.at, reason)
        self.slot = self.rules.next_after(event.at, event.at)

    def progress(self, event: Event) -> None:
        mine = [key for key in self.runs if event.rid in {None, key[0]}]
        if mine:
            self.at_work[max(mine, key=lambda key: (key[0] == event.rid, self.runs[key], key[1]))] = event.at

    def start(self, event: Event, serial: int) -> None:
        if event.rid is not None and any(key[0] == event.rid for key in self.runs):
            return
        self.begun, self.wanted = True, None
        if event.rid is None:
            if self.slot is not None and any(self._holds(key) for key in self.runs if key[0] is None):
                self.heirs[event.rid, serial] = self.slot
            self.runs = {key: began for key, began in self.runs.items() if key[0] is not None}
        self.runs[event.rid, serial] = event.at

    def judge(self, through: int, blind: tuple[tuple[int, int], ...]) -> None:
        if self.rules.unverified_is_down:
            blind = ()
        while True:
            begins = self.starts()
            if begins is not None and begins <= through:
                self._never_started(begins, blind)
                continue
            hang = min(((self._hangs(key), 0, key[1]) for key in self.runs), default=None)
            closes = self.closes()
            slot = None if closes is None else (closes, 1)
            if hang is not None and hang[0] <= through and (slot is None or hang[:2] < slot):
                self._hang(hang[0], next(key for key in self.runs if key[1] == hang[2]), blind)
            elif slot is not None and slot[0] <= through:
                self._miss(slot[0], blind)
            else:
                return

    def _hang(self, at: int, key: tuple[str | None, int], blind: tuple[tuple[int, int], ...]) -> None:
        began = max(self.runs.pop(key), self.at_work.get(key, 0))
        deaf = [to for from_, to in blind if from_ <= at and to >= began]
        if not deaf:
            if not (self.status == "paused" and self.rules.sticky) and self.goes_wrong(at, "hung"):
                self.ends = at
                self.slot = self.rules.next_after(at, at)
            return
        closes = self.closes()
        if closes is not None and closes <= at:
            self._excuse(at, max(deaf))
        else:
            self.n_unverified += 1

    def _miss(self, at: int, blind: tuple[tuple[int, int], ...]) -> None:
        if self.status == "new":
            self._never_began(at, blind)
            return
        assert self.slot is not None
        deaf = [to for from_, to in blind if from_ <= at and to >= self._counts_from()]
        if deaf:
            self._excuse(at, max(deaf))
        elif self.goes_wrong(at, "missed"):
            assert self.ends is not None
            self.slot = self.rules.next_after(max(self.slot, at - self.rules.grace), self.ends)

    def _never_started(self, at: int, blind: tuple[tuple[int, int], ...]) -> None:
        assert self.slot is not None
        assert self.ends is not None
        if any(from_ <= at and to >= self._counts_from() for from_, to in blind):
            self.excused_start = self.slot
        elif self.goes_wrong(at, "not_started"):
            self.slot = self.rules.next_after(self.slot, self.ends)

    def _never_began(self, at: int, blind: tuple[tuple[int, int], ...]) -> None:
        """Had it begun while nobody could hear, it would have been heard in the first whole slot since."""
        since = self.since if self.ends is None else self.ends + 1
        heard_from = max((to for from_, to in blind if from_ <= at and to >= since), default=None)
        again = None if heard_from is None else self.rules.next_after(heard_from - 1, heard_from) + self.rules.grace
        if again is None or again <= at:
            self.goes_wrong(at, "no_first_ping")
        elif self.unverified:
            self.goes_wrong(at, "missed_twice_unverified")
        else:
            self.ends, self.unverified, self.wanted = heard_from, 1, again
            self.n_unverified += 1

    def _counts_from(self) -> int:
        """A job without a calendar may come early, which would have put the slot off: by the grace, or, once its last
        end is not known, at any time."""
        assert self.slot is not None
        assert self.ends is not None
        early = self.ends + 1 if self.unverified else max(self.slot - self.rules.grace, self.ends + 1)
        if early > self.slot:
            return self.slot  # it opened in the very last instant that nobody could hear
        return early if not self.rules.calendar and self.rules.next_after(early, early) > self.slot else self.slot

    def _excuse(self, at: int, heard_from: int) -> None:
        if self.unverified:
            if not self.goes_wrong(at, "missed_twice_unverified"):
                return
            self.unverified += 1
        else:
            self.unverified = 1
            self.n_unverified += 1
        # It may have ended in the last moment that could not be heard.
        self.ends = heard_from
        fire = self.rules.next_after(self.ends - 1, self.ends)
        while fire < heard_from or fire + self.rules.grace <= at:
            fire = self.rules.next_after(fire, self.ends)
        self.slot = fire

    def happens(self, event: Event, serial: int) -> None:
        sticky = self.status == "paused" and self.rules.sticky
        match event.what:
            case "success" | "warn" | "broken" | "fail" if not sticky:
                self.end(event)
            case "start" if not sticky:
                self.start(event, serial)
            case "progress" if not sticky:
                self.progress(event)
            case "judge":
                self.judge(event.at, event.blind)
            case "pause":
                if self.status != "paused":
                    self.runs.clear()
                    self.wanted = None
                    self.forgets()
                self.flip("paused", event.at, "paused")
            case "resume" if self.status == "paused":
                self.ends = None
                self.unverified = 0
                self.begun = bool(self.runs)  # a start that came while it was paused is under way
                self.forgets()
                self.flip("new", event.at, "resumed")
            case "want" if self.status == "new" and not self.begun and not self.runs:
                self.wanted, self.unverified = event.by, 0
            case "edit":
                assert event.rules is not None
                before, self.rules = self.rules, event.rules
                self.refits()
                if self.ends is not None and not self.rules.expects_as(before):
                    self.slot = self.rules.next_after(event.at, self.ends)
            case _:
                pass


def replay(rules: Rules, log: list[Event]) -> Life:
    """As it was told: silence is judged when somebody judged it."""
    life = Life(rules)
    for serial, event in enumerate(log):
        life.happens(event, serial)
    return life


def truth(rules: Rules, log: list[Event], through: int, blind: tuple[tuple[int, int], ...]) -> Life:
    """As it was: in the order of the times, and silence judged at every instant."""
    life = Life(rules)
    for serial, event in enumerate(sorted(log, key=lambda event: event.at)):
        if event.what != "judge":
            life.judge(event.at - 1, blind)
            life.happens(event, serial)
    life.judge(through, blind)
    return life
