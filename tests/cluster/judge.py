"""Was anybody told wrongly, twice, too late or not at all? A plain model, which knows what jobs did and who was ill.

It shares no rule with the package: when a job was to ping is arithmetic of its own, and what became of each ping and
flip is what was written in the instant of each commit. Excused is only what a node wrote down as time that it could
not hear, and only beside a fault that there was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import Connection

from heartfly.db.models import alerts, flips, notifications, pings
from heartfly.db.types import instant, micros
from tests.cluster.hub import MS, SECOND
from tests.cluster.node import Attempt
from tests.cluster.plan import CHANNELS, SKEW, WEIGHTS, Job
from tests.cluster.run import History

WITHIN = 30 * SECOND
"""A silence is told by then after its deadline, once somebody has been well for so long: a lease of 8 s, a dead node
that is waited for for 10, locks of one that stands."""
HOLD = 2 * SECOND
"""A node that says that a ping is under way is waited for so long."""
AROUND = 14 * SECOND
"""A fault is the cause of deafness that is written down so long after it: a node is taken for dead after 10 s."""
SILENCE = {"missed", "missed_twice_unverified"}
_WORDS = ("FALSE ALARM", "doubled", "missed: ", "lost: ", "fenced: ")


@dataclass(frozen=True, slots=True)
class Flip:
    no: int
    from_status: str
    to_status: str
    at: int
    reason: str
    retracts: int | None
    seen_at: int

    @property
    def is_silence(self) -> bool:
        return self.to_status == "down" and self.reason in SILENCE


@dataclass(frozen=True, slots=True)
class End:
    """A ping in the database."""

    stamp: int
    kind: str
    committed_at: int
    order: tuple[int, int, int]
    """Of two that came in one instant, the node and the number say which was the later one."""


@dataclass(slots=True)
class Verdict:
    seed: int
    digest: str
    wrong: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    def report(self, *, commit: str) -> str:
        kept = "kept" if not self.wrong else f"{len(self.wrong)} BROKEN"
        head = f"seed={self.seed} commit={commit} {kept} log={self.digest[:16]}"
        return "\n".join([head, *(f"  {name}: {n}" for name, n in self.figures.items()), *self.wrong[:20]])


def judge(history: History, connection: Connection | None = None) -> Verdict:
    """`connection`: through which to look at the database; None: one of its own."""
    if connection is None:
        engine = sa.create_engine(history.url)
        try:
            with engine.connect() as own:
                return judge(history, own)
        finally:
            engine.dispose()
    return _Judge(history, connection).verdict()


class _Judge:
    def __init__(self, history: History, connection: Connection) -> None:
        self.history = history
        self.connection = connection
        self.tally: Counter[str] = Counter()
        self.slowest = 0
        self.ends = self._ends()
        self.flips = self._flips()
        self.of_job: dict[int, list[Attempt]] = defaultdict(list)
        for attempt in history.attempts:
            self.of_job[attempt.job].append(attempt)

    def verdict(self) -> Verdict:
        found = list(self.history.wrong)
        for job in self.history.jobs:
            looks = (self._chain(job), self._alarms(job), self._answers(job), self._silences(job))
            found += [f"check {job.index}: {wrong}" for look in looks for wrong in look]
        found += [*self._pings(), *self._told(), *self._reigns(), *self._blindness()]
        verdict = Verdict(self.history.plan.seed, self.history.digest, found)
        verdict.figures = self._figures(found)
        return verdict

    # --- what is in the database

    def _ends(self) -> dict[int, list[End]]:
        """Of each check, by the time of receipt."""
        found: dict[int, list[End]] = defaultdict(list)
        for row in self.connection.execute(
            sa.select(pings).order_by(pings.c.received_at, pings.c.node_id, pings.c.seq)
        ):
            committed, stamp = self.history.stored.get((row.node_id, row.seq), [0])[0], micros(row.received_at)
            found[row.check_id].append(End(stamp, row.kind, committed, (stamp, row.node_id, row.seq)))
        return found

    def _flips(self) -> dict[int, list[Flip]]:
        found: dict[int, list[Flip]] = defaultdict(list)
        for row in self.connection.execute(sa.select(flips).order_by(flips.c.check_id, flips.c.flip_no)):
            seen = self.history.flips.get((row.check_id, row.flip_no), [0])
            words = row.from_status, row.to_status
            one = Flip(row.flip_no, *words, micros(row.at), row.reason, row.retracts_flip_no, seen[0])
            found[row.check_id].append(one)
        return found

    # --- pings

    def _pings(self) -> Iterator[str]:
        rows = Counter((row.node_id, row.seq) for row in self.connection.execute(sa.select(pings)))
        stamps = {(row.node_id, row.seq): micros(row.received_at) for row in self.connection.execute(sa.select(pings))}
        for attempt in self.history.attempts:
            key = attempt.node_id, attempt.seq
            if attempt.acked_at is None:
                continue
            self.tally["acknowledged"] += 1
            if rows[key] != 1 or stamps[key] != attempt.stamp:
                yield f"check {attempt.job}: lost: an acknowledged ping of node {key[0]} is there {rows[key]} times"
        for key, times in self.history.stored.items():
            if len(times) != 1 or rows[key] != 1:
                yield f"a ping of node {key[0]} was committed {len(times)} times, and is there {rows[key]} times"
        for key in rows.keys() - self.history.stored.keys():
            yield f"nobody committed the ping {key}"

    # --- flips

    def _chain(self, job: Job) -> Iterator[str]:
        status = "new"
        for number, flip in enumerate(self.flips[job.check_id], start=1):
            self.tally["flips"] += 1
            if (flip.no, flip.from_status) != (number, status) or flip.to_status == flip.from_status:
                yield f"doubled: flip {flip.no} ({flip.from_status} -> {flip.to_status}) follows on {status}"
            status = flip.to_status
        for (check_id, number), times in self.history.flips.items():
            if check_id == job.check_id and (len(times) != 1 or number > len(self.flips[check_id])):
                yield f"doubled: flip {number} was committed {len(times)} times"

    def _alarms(self, job: Job) -> Iterator[str]:
        """Of each alarm of silence: was it silent, is this the deadline, and was nobody told of it before?"""
        ends, told = self.ends[job.check_id], Counter[End]()
        retracted = {flip.retracts for flip in self.flips[job.check_id]}
        for flip in self.flips[job.check_id]:
            if not flip.is_silence:
                continue
            self.tally["alarms of silence"] += 1
            known = ends[: bisect_right(ends, flip.at, key=lambda end: end.stamp)]
            in_time = [end for end in known if job.deadline(end.stamp) > flip.at]
            if in_time:
                word = self._in_time(job, flip, in_time, is_retracted=flip.no in retracted)
                if word:
                    yield word
            elif not known:
                yield f"FALSE ALARM at {instant(flip.at)}: it never had pinged"
            else:
                yield from self._its_deadline(job, flip, known[-1])
                yield from self._unheard(job, flip, known[-1])
                told[known[-1]] += flip.no not in retracted
        for end, n in told.items():
            if n > 1:
                yield f"doubled: the silence after {instant(end.stamp)} was told {n} times"

    def _in_time(self, job: Job, flip: Flip, in_time: list[End], *, is_retracted: bool) -> str:
        """There was a ping for this slot. It must have come out of its node when nobody had to wait for it any more."""
        said = f"FALSE ALARM at {instant(flip.at)} ({flip.reason}): it had pinged at {instant(in_time[-1].stamp)}"
        if any(end.committed_at <= flip.seen_at for end in in_time):
            return said
        if flip.reason == "missed_twice_unverified":
            self.tally["told after two slots that nobody could hear"] += 1
            return ""
        if not is_retracted:
            return f"{said}, which was heard late, and it stays"
        before = [end for end in self.ends[job.check_id] if end.stamp < in_time[0].stamp]
        deaf = before and self._touching(job, before[-1].stamp, by=flip.seen_at - 1)
        for end in in_time:
            waited = flip.at + HOLD - SKEW
            if not deaf and not any(waited <= at <= flip.seen_at for at in self.history.beats.get(end.order[1], ())):
                return f"{said}, which node {end.order[1]} had in its hands"
        self.tally["taken back, as its ping came out of a node that had stood"] += 1
        return ""

    def _its_deadline(self, job: Job, flip: Flip, last: End) -> Iterator[str]:
        deadline = job.deadline(last.stamp)
        known = self._touching(job, last.stamp, by=flip.seen_at - 1)
        if flip.at == deadline:
            if known and flip.reason == "missed":
                yield f"FALSE ALARM at {instant(flip.at)}: the slot was touched by {known}, which was known"
        elif flip.at < deadline or not known:
            yield f"FALSE ALARM at {instant(flip.at)}: its deadline was {instant(deadline)}"
        elif flip.at > self._second(job, last.stamp, known):
            yield f"missed: it was due at {instant(deadline)}, told for {instant(flip.at)}"
        else:
            self.tally["told for the second slot, as the first was unverified"] += 1

    def _unheard(self, job: Job, flip: Flip, last: End) -> Iterator[str]:
        """It had asked in time, and heard no 2xx: then this slot was not to be called missed."""
        if flip.reason == "missed_twice_unverified":
            return
        by = min(flip.at, flip.seen_at) - 3 * SECOND
        for attempt in self.of_job[job.index]:
            if last.stamp + 2 * SKEW < attempt.sent_at < by and job.deadline(attempt.sent_at - 2 * SKEW) > flip.at:
                yield f"FALSE ALARM at {instant(flip.at)}: it had asked at {instant(attempt.sent_at)}, and nobody heard"

    def _touching(self, job: Job, stamp: int, *, by: int) -> list[tuple[int, int]]:
        """Deafness that was known by then and touches the first slot after an end, or when a ping for it might come."""
        closes = job.deadline(stamp)
        opens = closes - job.grace
        if job.period:
            opens = max(opens - job.grace, stamp + 1)
        return [(a, b) for at, a, b in self.history.blind if at <= by and a <= closes and opens <= b]

    def _second(self, job: Job, stamp: int, deaf: list[tuple[int, int]]) -> int:
        """The latest that the second slot may close: it opens when we could hear again."""
        heard_from = max(job.deadline(stamp) - job.grace, *(to_at for _, to_at in deaf))
        return job.expected_after(heard_from, heard_from) + job.grace

    # --- what each ping, and each silence, must have come to

    def _in_order(self, job: Job) -> list[End]:
        """Without those that came behind a newer one: they only correct what was."""
        found = list[End]()
        for end in sorted(self.ends[job.check_id], key=lambda end: (end.committed_at, end.order)):
            if not found or end.order > found[-1].order:
                found.append(end)
        return found

    def _answers(self, job: Job) -> Iterator[str]:
        ends = self._in_order(job)
        for number, end in enumerate(ends):
            if number + 1 < len(ends) and ends[number + 1].committed_at == end.committed_at:
                continue
            so_far = [flip for flip in self.flips[job.check_id] if flip.seen_at <= end.committed_at]
            status, wanted = so_far[-1].to_status if so_far else "new", "down" if end.kind == "fail" else "up"
            if status != wanted:
                yield f"after the {end.kind} of {instant(end.stamp)} it is {status}"

    def _silences(self, job: Job) -> Iterator[str]:
        """Each that went on for long enough, while somebody could judge, was told."""
        ends = self._in_order(job)
        alarms = [flip for flip in self.flips[job.check_id] if flip.is_silence]
        for end, following in zip(ends, [*ends[1:], None], strict=True):
            first = deadline = job.deadline(end.stamp)
            if end.kind == "fail":
                continue
            if deaf := self._touching(job, end.stamp, by=1 << 62):
                deadline = max(deadline, self._second(job, end.stamp, deaf))
            until = self.history.end if following is None else following.committed_at
            limit = self._judged_by(deadline + SKEW)
            mine = [flip for flip in alarms if first <= flip.at <= deadline and flip.seen_at >= end.committed_at]
            mine = [flip for flip in mine if flip.seen_at < until]
            if limit < until:
                self.tally["silences"] += 1
                if not mine:
                    yield f"missed: silent since {instant(end.stamp)}, due at {instant(deadline)}, not told"
                elif mine[0].seen_at > limit:
                    yield f"missed: until {instant(mine[0].seen_at)}: due at {instant(deadline)}"
            for flip in mine:
                self.slowest = max(self.slowest, flip.seen_at - flip.at)

    def _judged_by(self, due: int) -> int:
        """When at the latest somebody who had been well for long enough must have told it."""
        limits = (max(since, due) + WITHIN for since, until in self.history.well if max(since, due) + WITHIN <= until)
        return min(limits, default=1 << 62)

    # --- who judged, who was told, and why somebody was deaf

    def _reigns(self) -> Iterator[str]:
        """Who judges holds the lease as he commits; and epochs rise, until somebody leaves and they begin anew."""
        last, left = (0, 0), list(self.history.resigned)
        for reign in self.history.reigns:
            while left and left[0] <= reign.at:
                last = (0, 0)
                left.pop(0)
            if reign.lease != (reign.node_id, reign.epoch):
                yield f"fenced: node {reign.node_id} judged in epoch {reign.epoch} while the lease was {reign.lease}"
            epoch = reign.epoch or 0
            if epoch < last[0] or (epoch == last[0] and reign.node_id != last[1]):
                yield f"fenced: node {reign.node_id} judged in epoch {epoch} after node {last[1]} had in {last[0]}"
            last = max(last, (epoch, reign.node_id))

    def _told(self) -> Iterator[str]:
        joined = sa.and_(notifications.c.pid == alerts.c.pid, notifications.c.alert_id == alerts.c.id)
        query = sa.select(alerts.c.key).join(notifications, joined)
        counts = Counter(str(key) for (key,) in self.connection.execute(query))
        for job in self.history.jobs:
            mine = self.flips[job.check_id]
            for flip, following in zip(mine, [*mine[1:], None], strict=True):
                is_told = flip.to_status == "down" or flip.from_status == "down"
                # A failure that was heard of late is told with the recovery that followed, in one message.
                if following is not None and flip.to_status == "down" and following.seen_at == flip.seen_at:
                    is_told = is_told and counts[f"flip:{job.check_id}:{flip.no}"] > 0
                n = counts.pop(f"flip:{job.check_id}:{flip.no}", 0)
                self.tally["notifications"] += n
                if n != (CHANNELS if is_told else 0):
                    yield f"check {job.index}: flip {flip.no} was told {n} times to {CHANNELS} channels"
        for key in sorted(counts):
            if key.startswith("flip:"):
                yield f"told of a flip that is none: {key}"

    def _blindness(self) -> Iterator[str]:
        for at, since, until in self.history.blind:
            self.tally["blind seconds, of all nodes"] += (until - since) // SECOND
            if not any(a - 3 * SECOND <= until and since <= b + AROUND for a, b in self.history.troubled):
                yield f"deaf without a cause: {instant(since)} to {instant(until)}, written at {instant(at)}"

    def _figures(self, found: list[str]) -> dict[str, int]:
        history, tally = self.history, self.tally
        kinds = {kind: history.tally[kind] for kind in WEIGHTS}
        inside = {name: n for name, n in sorted(history.tally.items()) if name.startswith("in a transaction: ") and n}
        epochs = len({(node, epoch) for node, epoch in history.leaders})
        told = {name: tally[name] for name in sorted(tally) if name.startswith(("told ", "taken "))}
        broken = {word.rstrip(": ").lower(): sum(word in wrong for wrong in found) for word in _WORDS}
        return {
            "faults": sum(kinds.values()),
            **{f"  {kind}": n for kind, n in kinds.items()},
            **{f"  {name}": n for name, n in inside.items()},
            "virtual seconds": (history.end - history.attempts[0].sent_at) // SECOND,
            "requests": len(history.attempts),
            "pings acknowledged": tally["acknowledged"],
            "silences that had to be told": tally["silences"],
            "flips": tally["flips"],
            "alarms of silence": tally["alarms of silence"],
            **told,
            "slowest alarm, ms after its deadline": self.slowest // MS,
            "notifications": tally["notifications"],
            "blind seconds, of all nodes": tally["blind seconds, of all nodes"],
            "judging transactions": len(history.reigns),
            "leaders": epochs,
            **broken,
            "other": len(found) - sum(broken.values()),
        }
