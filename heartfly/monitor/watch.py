"""The watcher: sleeps until the next deadline, wakes early when a nearer one is written, judges what is due.

    each second  beat: say that we hear, record gaps, renew the lease, learn the watermark
    when due     judge everything up to the watermark, in batches, each one transaction; then tell what was held

Never past the watermark: min(now, slowest living node), and no check past the oldest signal for it that
is under way here. Both are read before due checks are selected, so a signal that is in the database by
then is always seen. Nor, for some seconds, past a drop of all pings (volume_guard.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from heartfly.clock import Clock
from heartfly.db.changes import Changes, Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.models import checks
from heartfly.errors import HeartflyError, OverloadedError, StoreError
from heartfly.logs import line, logger
from heartfly.monitor.blind import Beat, Heard, Hearing
from heartfly.monitor.judge import Judge, Judged
from heartfly.monitor.leader import Leader
from heartfly.monitor.volume_guard import Guarded, VolumeGuard
from heartfly.notify.later import NEXT_LATER, Later, soonest
from heartfly.notify.not_now import leave

log = logger("heartfly.monitor")

NEXT_WAKE = sa.select(sa.func.min(checks.c.wake_at)).where(checks.c.wake_at.is_not(None))
"""The condition is the index's own: without it SQLite read every check, each second."""


_NOBODYS = (
    OverloadedError,
    StoreError,
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.InternalError,
    MemoryError,
)
"""What is wrong with the database or the machine, and with no check."""
WHOLE = 32
"""Where a batch failed, the next ones are of one check, two, four and so on; from so many on, of as many as ever."""
HURRY_S = 30.0
"""So long, at most, others make room for flips: checks that fall due without end must not hold up alerts for ever."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What one beat learned."""

    watermark: datetime
    held: Mapping[int, datetime]
    """Checks that may be judged less far, by their ids: signals for them are under way."""
    leads: bool
    next_wake_at: datetime | None
    hold: datetime | None = None
    """While the volume guard holds: no check is judged past it."""
    cut_off_since: datetime | None = None
    """No ping reaches Heartfly from outside since then, as the volume guard found on the node that leads."""

    @property
    def through(self) -> datetime:
        """The instant, inclusive, up to which silence is judged."""
        return self.watermark if self.hold is None else min(self.watermark, self.hold)


class Watcher:
    def __init__(
        self,
        database: Database,
        *,
        beat: Beat,
        judge: Judge,
        leader: Leader,
        clock: Clock,
        hearing: Hearing,
        lost: Callable[[], None] = lambda: None,
        guard: VolumeGuard | None = None,
    ) -> None:
        """`lost` is told when another node has taken the lease that this one had. `guard` None: where all pings stop at
        once, nobody asks why.
        """
        self._lost = lost
        self._database = database
        self._beat = beat
        self._judge = judge
        self._leader = leader
        self._clock = clock
        self._hearing = hearing
        self._guard = guard
        self._nearer = asyncio.Event()
        self._next_wake_at: datetime | None = None
        self._hurries_since: float | None = None  # monotonic
        self.last_beat: Looked | None = None
        self.last_beat_at: datetime | None = None
        self.last_round: Looked | None = None
        """The last beat by which all that was due has been judged as well."""

    @property
    def hurries(self) -> bool:
        """More checks are due than are judged at a time: what can wait should. May be asked in any thread."""
        since = self._hurries_since
        return since is not None and self._clock.monotonic() - since < HURRY_S

    @property
    def leads(self) -> bool:
        """Whether this node judges, as of its last beat."""
        return self.last_beat is not None and self.last_beat.leads

    def heard(self, changes: Changes) -> None:
        """A committed write set a deadline; wake up if it is nearer than the one we sleep for."""
        at = changes.wake_at
        if at is not None and (self._next_wake_at is None or at < self._next_wake_at):
            self._next_wake_at = at
            self._nearer.set()

    async def join(self) -> None:
        """Register this node; what nobody heard since the last beat becomes a blind interval."""
        await self._database.write(lambda tx: self._beat.join(tx, now=self._clock.now()), priority=Priority.JUDGING)
        self._beat.joined()

    async def leave(self) -> None:
        def work(tx: Tx) -> None:
            self._leader.resign(tx)
            if self._guard is not None:
                self._guard.leave(tx, now=self._clock.now())
            self._beat.leave(tx, now=self._clock.now())

        await self._database.write(work, priority=Priority.JUDGING)

    async def round(self) -> Looked:
        """One beat, and all that is due by it. Returns what the beat learned, with the next deadline."""
        looked = await self._beat_once()
        if looked.leads and looked.next_wake_at is not None and looked.next_wake_at <= looked.watermark:
            await self._judge_through(looked)
            await self._tell_later()
            looked = await self._beat_once()
        self.last_round = looked
        return looked

    async def _beat_once(self) -> Looked:
        looked, heard, guarded = await self._database.write(self._look, priority=Priority.JUDGING)
        self._beat.committed(heard)
        if self.leads and not looked.leads:
            self._lost()
        if self._guard is not None and guarded is not None:
            self._guard.committed(guarded)
            self._guard.ask(self._nearer.set)
        self.last_beat, self.last_beat_at = looked, self._clock.now()
        return looked

    def _look(self, tx: Tx) -> tuple[Looked, Heard, Guarded | None]:
        now = self._clock.now()
        heard = self._beat.beat(tx, now=now, boottime=self._clock.boottime())
        leads = self._leader.campaign(tx)
        looked = Looked(heard.through, heard.held, leads, soonest(tx, NEXT_WAKE, *NEXT_LATER))
        if self._guard is None:
            return looked, heard, None
        guarded = self._guard.look(tx, through=heard.through, now=now, leads=leads)
        return replace(looked, hold=guarded.after.hold(now), cut_off_since=guarded.after.cut_off_since), heard, guarded

    async def _judge_through(self, looked: Looked) -> None:
        """Beats go on meanwhile: to judge a storm may take longer than the gap that counts as deafness."""
        try:
            await self._judge_batches(looked)
        finally:
            self._hurries_since = None

    async def _judge_batches(self, looked: Looked) -> None:
        full, n, beat_at = True, 0, self._clock.now()
        at_most: int | None = None
        while full:
            judged, at_most = await self._judged(looked, n, at_most)
            full = judged.full
            n += judged.n
            if full and self._hurries_since is None:
                self._hurries_since = self._clock.monotonic()
            if judged.n:
                line("judge", n=judged.n, flips=judged.flips, through=looked.through)
            if full and self._clock.now() - beat_at >= self._hearing.beat:
                looked, beat_at = await self._beat_once(), self._clock.now()

    async def _judged(self, looked: Looked, n_before: int, at_most: int | None) -> tuple[Judged, int | None]:
        """A batch, and how many the next one may have at most.

        Where one of them raises, all that came of the others is undone with it. Smaller and smaller batches find it,
        and alone it is put off.
        """
        try:
            judged = await self._write(lambda tx: self._judge_batch(tx, looked, n_before, at_most))
        except _NOBODYS:
            raise
        except Exception as error:
            log.exception("judge", error=repr(error), at_most=at_most)
            if at_most != 1:
                return Judged(0, 0, full=True), 1 if at_most is None else at_most // 2
            why = error
        else:
            return judged, None if at_most is None or at_most >= WHOLE else 2 * at_most
        return await self._write(lambda tx: self._put_off(tx, why)), 1

    async def _write(self, command: Callable[[Tx], Judged]) -> Judged:
        return await self._database.write(command, priority=Priority.JUDGING)

    def _judge_batch(self, tx: Tx, looked: Looked, n_before: int, at_most: int | None) -> Judged:
        if not self._leader.leads(tx):
            return Judged(0, 0, full=False)
        now, through, held = self._clock.now(), looked.through, looked.held
        return self._judge.judge(tx, through=through, held=held, now=now, n_before=n_before, at_most=at_most)

    def _put_off(self, tx: Tx, error: Exception) -> Judged:
        if not self._leader.leads(tx):
            return Judged(0, 0, full=False)
        return self._judge.put_off(tx, now=self._clock.now(), error=error)

    async def _tell_later(self) -> None:
        """Behind what was judged: what ended meanwhile is not told as if it were still so.

        Where one of them raises, all that came of the others is undone with it. It is looked for in its kind, and
        alone it is left for an hour.
        """
        more = True
        try:
            while more:
                more = await self._database.write(self._later_batch, priority=Priority.JUDGING)
        except _NOBODYS:
            raise
        except Exception as error:
            log.exception("later", error=repr(error))
            for what in Later:
                await self._tell_apart(what)

    def _later_batch(self, tx: Tx) -> bool:
        return self._leader.leads(tx) and self._judge.later(tx, now=self._clock.now())

    async def _tell_apart(self, what: Later) -> None:
        more, most = True, WHOLE
        while more:
            more, most = await self._told_apart(what, most)

    async def _told_apart(self, what: Later, most: int) -> tuple[bool, int]:
        """Whether there may be more, and of how many the next transaction is."""

        def some(tx: Tx) -> bool:
            return self._leader.leads(tx) and self._judge.later(tx, now=self._clock.now(), only=what, most=most)

        try:
            more = await self._database.write(some, priority=Priority.JUDGING)
        except _NOBODYS:
            raise
        except Exception as error:
            log.exception("later", what=what.value, most=most, error=repr(error))
            if most > 1:
                return True, most // 2
            why = repr(error)
        else:
            return more, min(WHOLE, 2 * most)

        def left(tx: Tx) -> bool:
            return self._leader.leads(tx) and leave(tx, what, now=self._clock.now(), error=why)

        return await self._database.write(left, priority=Priority.JUDGING), 1

    async def run(self, stop: asyncio.Event) -> None:
        """Beat and judge until stopped. A failure is logged and the next beat tries again."""
        while not stop.is_set():
            self._nearer.clear()
            try:
                looked = await self.round()
                self._next_wake_at = looked.next_wake_at
            except HeartflyError as error:
                log.warning("beat", error=str(error))
                self._beat.missed()
                self._next_wake_at = None
            except Exception as error:  # told in the log; whoever watches for silence must not fall silent himself
                log.exception("beat", error=repr(error))
                self._next_wake_at = None
            await self._sleep(stop)
        if self._guard is not None:
            await self._guard.aclose()

    def _is_held_back(self, now: datetime) -> bool:
        """All checks are, by another node, a spool or the volume guard, for longer than a signal under way does it."""
        looked = self.last_beat
        return looked is not None and (
            looked.hold is not None or now - looked.watermark > self._hearing.hold + self._hearing.beat
        )

    async def _sleep(self, stop: asyncio.Event) -> None:
        """Until the next beat or the next deadline, whichever is nearer; a nearer write or the end cuts it short."""
        now = self._clock.now()
        until = now + self._hearing.beat
        if self._next_wake_at is not None and not self._is_held_back(now):
            # Due but held back (a signal under way): look again soon, not in a tight loop.
            until = min(until, max(self._next_wake_at, now + timedelta(milliseconds=20)))
        waits = [asyncio.ensure_future(wait) for wait in (stop.wait(), self._nearer.wait())]
        sleep = asyncio.ensure_future(self._clock.sleep((until - now).total_seconds()))
        try:
            await asyncio.wait([*waits, sleep], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*waits, sleep):
                task.cancel()
            await asyncio.gather(*waits, sleep, return_exceptions=True)
