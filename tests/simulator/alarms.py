"""Was anybody woken for nothing? Each alarm of silence against what the job really sent.

An independent question: the oracle knows only what was heard.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from heartfly.db.types import instant
from tests.simulator.ground_truth import SECOND, UNSENT, Edict, Job, Sent, Timing
from tests.simulator.history import History
from tests.simulator.machine import DEAF
from tests.simulator.oracle import SILENCE, SeenFlip

UNHEARD = DEAF + 2 * SECOND
"""A signal sent this shortly before an alarm may have come after it: a beat that is 2 s late is no deafness."""
N_TOLD = 12
"""So many of the newest items of a check are kept for its story, should something turn out to be wrong."""


@dataclass(frozen=True, slots=True)
class Fault:
    job: int | None
    wrong: str
    step: int = 0


class Alarms:
    """Of each check the flips are looked at once, in their order."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.n_judged = [0] * len(history.jobs)
        """Of the flips that are in the history."""
        self.standing = [0] * len(history.jobs)
        """The number of the newest alarm of silence that was not taken back when it was judged."""

    def look(self, job: Job, end_step: int) -> Iterator[Fault]:
        """No alarm of silence for a job that had reported in time, as far as that was in our hands."""
        history, found = self.history, self.history.flips[job.index]
        fresh = [flip for flip in found[self.n_judged[job.index] :] if flip.step <= end_step]
        if not fresh:
            return
        self.n_judged[job.index] += len(fresh)
        items = items_of(job)
        ends = [item for item in items if isinstance(item, Sent) and item.is_end]
        at_of = [end.at for end in ends]
        taken_back = {flip.retracts for flip in found if flip.retracts is not None}
        for flip in fresh:
            history.tally[f"flip {flip.reason}"] += 1
            if flip.retracts is not None and flip.retracts == self.standing[job.index]:
                yield Fault(job.index, f"flip {flip.retracts} was taken back long after it", flip.step)
            if flip.to_status != "down" or flip.reason not in SILENCE:
                continue
            if flip.flip_no in taken_back:
                history.tally["alarms taken back"] += 1
                if not _has_slow(ends, flip):
                    yield Fault(job.index, f"taken back without a slow request: flip {flip.flip_no}", flip.step)
                continue
            self.standing[job.index] = flip.flip_no
            timing = _timing(job, items, flip.step)
            if (lost := _unheard(history, items, ends, at_of, flip, timing)) is not None:
                if flip.reason == "missed_twice_unverified":
                    history.tally["told after two slots that nobody could hear"] += 1
                elif timing.unverified_is_down:
                    # Whether it had to be told, the oracle of lives says.
                    history.tally["told though it may have been sent, as the check wants it"] += 1
                elif _strayed(history, job, flip, lost, timing):
                    history.tally["told for a job that strayed beyond its grace"] += 1
                elif _set_back(history, job, ends, flip):
                    history.tally["told for a clock that was set back"] += 1
                else:
                    yield Fault(
                        job.index,
                        f"FALSE ALARM ({flip.reason}): it had sent {lost.what} at {instant(lost.at)}",
                        flip.step,
                    )

    def still_asked_for(self, job: Job, n: int, open_since: Collection[int]) -> list[Sent | Edict]:
        """Of what came before the first and of the first `n` items: what a flip may ask for that is judged later.

        `open_since`: when the runs began that are under way. An end that was heard is where the search for one that
        was not begins.
        """
        later = [flip for flip in self.history.flips[job.index][self.n_judged[job.index] :] if flip.reason == "hung"]
        everything = items_of(job) if later else []
        begun = {*open_since, *(flip.at - _limit(_timing(job, everything, flip.step)) for flip in later)}
        items = [*job.before, *job.history[:n]]
        heard, edited = 0, -1
        for place, item in enumerate(items):
            if isinstance(item, Edict):
                edited = place
            elif item.is_end and item.committed != UNSENT:
                heard = place
        first = min(heard, len(items) - N_TOLD)
        return [
            item
            for place, item in enumerate(items)
            if place >= first
            or place == edited
            or (isinstance(item, Sent) and item.what == "start" and item.wall in begun)
        ]

    def let_go(self, job: Job, n: int) -> None:
        self.n_judged[job.index] -= n


def items_of(job: Job) -> list[Sent | Edict]:
    return [*job.before, *job.history]


def _unheard(
    history: History,
    items: Sequence[Sent | Edict],
    ends: Sequence[Sent],
    at_of: Sequence[int],
    flip: SeenFlip,
    timing: Timing,
) -> Sent | None:
    """An end that was sent in time, and would have prevented this alarm, had it been heard. `ends`: as they began."""
    decided = flip.real
    until = bisect_right(at_of, decided)
    newest = next((n for n in range(until - 1, -1, -1) if UNSENT != ends[n].committed <= flip.step), None)
    first, heard = (0, 0) if newest is None else (newest, ends[newest].at)
    rid = _hung_run(items, timing, flip) if flip.reason == "hung" else None
    for end in ends[first:until]:
        if UNSENT != end.committed <= flip.step or end.sent_at >= decided - UNHEARD or end.at <= heard:
            continue
        if flip.reason == "hung":
            if rid is not None and end.rid == rid.rid and end.at >= rid.at:
                return end
        elif _deadline_after(timing, history.machine.time.wall_of(end.at)) > flip.at:
            return end
    return None


def _strayed(history: History, job: Job, flip: SeenFlip, end: Sent, timing: Timing) -> bool:
    """It came earlier than its grace allows: after a run that was too late itself, it went back to its beat."""
    opened = flip.at - 2 * timing.grace
    return job.config.kind == "period" and history.machine.time.wall_of(end.at) < opened


def _set_back(history: History, job: Job, ends: Sequence[Sent], flip: SeenFlip) -> bool:
    """The one limit: a period during which the clock was set back is longer than it should be, until its next end.

    An end that comes early by that, and is lost in an outage of ours that the slot does not touch, is a false alarm.
    """
    heard = max((end.arrived for end in ends if UNSENT != end.committed <= flip.step), default=0)
    back = [step for step, by in history.machine.steps if by < 0 and heard < step < flip.step]
    return bool(back) and job.config.kind == "period"


def _timing(job: Job, items: Sequence[Sent | Edict], step: int) -> Timing:
    edits = [item.timing for item in items if isinstance(item, Edict) and item.timing and item.step <= step]
    return edits[-1] if edits else job.born


def _deadline_after(timing: Timing, at: int) -> int:
    return timing.next_after(at, at) + timing.grace


def _limit(timing: Timing) -> int:
    return timing.grace if timing.max_run is None else timing.max_run


def _hung_run(items: Sequence[Sent | Edict], timing: Timing, flip: SeenFlip) -> Sent | None:
    starts = [item for item in items if isinstance(item, Sent) and item.what == "start"]
    return next((start for start in starts if start.wall == flip.at - _limit(timing)), None)


def _has_slow(ends: Sequence[Sent], flip: SeenFlip) -> bool:
    return any(end.slow or (end.wall <= flip.at and end.committed > flip.step) for end in ends)
