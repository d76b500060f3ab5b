"""A long history judged piece by piece, so that a year of it need not be in memory at once.

Whenever nothing is under way, all that was sent is stored or lost for good. What happened before such a moment is
judged once it is old enough for nothing to change it (`AHEAD`: signals that are late, alarms that are taken back),
and is let go: in memory, and in the database, where production code does not ask for it any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulator.alarms import Alarms, Fault
from tests.simulator.audit import Audit
from tests.simulator.ground_truth import DAY, Job, Sent
from tests.simulator.history import History
from tests.simulator.oracle import Deafness, Finding, Replay, SeenFlip
from tests.simulator.story import tell

AHEAD = 2 * DAY
"""A request is under way for hours at most (the machine sleeps), and the clock is set by hours."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment at which nothing was under way. `n_begun`: how many items each job had."""

    step: int
    real: int
    wall: int
    n_begun: list[int]


class Judge:
    """`rest` is called when nothing is under way, `end` at the end; without the first all is judged at the end."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.deaf = Deafness()
        self.replays = [Replay(job, history.flips[job.index], self.deaf, history.start) for job in history.jobs]
        self.alarms = Alarms(history)
        self.audit = Audit(history)
        self.marks: deque[Mark] = deque()
        self.told: list[tuple[str, str]] = []
        """What is wrong, and its story, as long as there is one to tell."""
        self.n_faults = 0
        self._is_told: set[int] = set()

    # --- while it goes on

    def rest(self) -> None:
        machine, jobs = self.history.machine, self.history.jobs
        n_begun = [job.n_taken + len(job.history) for job in jobs]
        self.marks.append(Mark(machine.step, machine.time.real, machine.time.wall, n_begun))
        old = None
        while self.marks[0].real <= machine.time.real - AHEAD:
            old = self.marks.popleft()
        if old is not None:
            self._close(old)

    def _close(self, mark: Mark) -> None:
        n_items = [begun - job.n_taken for begun, job in zip(mark.n_begun, self.history.jobs, strict=True)]
        faults = self._replay(mark.step, n_items)
        gone = {job.index: flips for job in self.history.jobs if (flips := self._settled(job, mark.step))}
        faults += self.audit.let_go(gone, mark.wall)
        self._tell(faults)
        self._let_go(mark.step, n_items, gone)

    def _replay(self, step: int, n_items: list[int]) -> list[Fault]:
        """All that happened up to a step, in the words of those who judge single checks."""
        machine, faults = self.history.machine, list[Fault]()
        for one in machine.blind[len(self.deaf.steps) :]:
            self.deaf.learn(one.step, (one.from_at, one.to_at))
        turns = [(turned, judged) for turned, judged in machine.turns if turned <= step]
        for job, n in zip(self.history.jobs, n_items, strict=True):
            items = job.history[:n]
            mine = [(turned, judged.of(job.index)) for turned, judged in turns]
            self.replays[job.index].go_on(items, mine, step)
            self.audit.hear(job, items)
            faults += self.alarms.look(job, step)
        self.deaf.forget_who_asked()
        return faults

    def _settled(self, job: Job, step: int) -> list[SeenFlip]:
        """The first flips of a check, of which nobody asks any more. The newest of all is what it is in now."""
        found = self.history.flips[job.index]
        old = next((n for n, flip in enumerate(found) if flip.step > step), len(found))
        return found[: max(0, min(old - 1, self.replays[job.index].n_settled))]

    def _let_go(self, step: int, n_items: list[int], gone: dict[int, list[SeenFlip]]) -> None:
        history, open_since = self.history, self.audit.open_since()
        to_come = history.runs_to_come()
        for job, n in zip(history.jobs, n_items, strict=True):
            to_come.update(item.rid for item in job.history[n:] if isinstance(item, Sent) and item.rid)
        for job, n in zip(history.jobs, n_items, strict=True):
            job.before = self.alarms.still_asked_for(job, n, open_since.get(job.row.id, ()))
            del job.history[:n]
            job.n_taken += n
            n_flips = len(gone.get(job.index, ()))
            self.alarms.let_go(job, n_flips)
            self.replays[job.index].let_go(n_flips, to_come)
        history.machine.turns = [turn for turn in history.machine.turns if turn[0] > step]

    # --- at the end

    def end(self) -> list[Finding]:
        machine, jobs = self.history.machine, self.history.jobs
        faults = self._replay(machine.step, [len(job.history) for job in jobs])
        judged = machine.judged
        findings = [self.replays[job.index].end(machine.step, judged.of(job.index)) for job in jobs]
        self._tell([*faults, *self.audit.end()])
        return findings

    def _tell(self, faults: Iterable[Fault]) -> None:
        wrong = [replay.finding for replay in self.replays if replay.finding.wrong]
        wrong = [finding for finding in wrong if finding.job not in self._is_told]
        self._is_told |= {finding.job for finding in wrong}
        for fault in faults:
            self.n_faults += 1
            wrong.append(Finding(-1 if fault.job is None else fault.job, fault.wrong, fault.step))
        for finding in wrong:
            story = finding.wrong if finding.job < 0 else tell(self.history, finding)
            self.told.append((f"check {finding.job}: {finding.wrong}", story))
