"""The volume guard's hands: writes down what each node counted, looks for a drop, asks our own address, says so.

What a drop is stands in core/volume.py, what follows from it in core/guard.py. Each node writes its counts with its
beat; who leads reads those of all, once every ten seconds, when every node that serves has written them. Nothing here
is remembered before the beat's transaction has been committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

import sqlalchemy as sa

from heartfly import __version__
from heartfly.clock import Clock
from heartfly.config.settings import Settings
from heartfly.core.guard import HOLD, Guard, Stand, after_minute, after_probe, after_time, without_answer
from heartfly.core.values import Blind
from heartfly.core.volume import DAY, MINUTE, PART, Volume, minute_of, part_of, parts_of, same_minutes, volume
from heartfly.db.changes import Tx
from heartfly.db.models import blind_intervals, checks, ping_minutes, projects
from heartfly.logs import line, logger
from heartfly.monitor.blind import Beat
from heartfly.net.own import OwnAddress
from heartfly.pings.tally import Minutes, Tally

FEWEST_PROJECTS = 3
FEWEST_CHECKS = 200
"""Where there are fewer, that all of them fall silent at once says little."""
CAUSE = "Pings did not reach Heartfly: nothing that was sent to its own address did"
_SIZED_EACH = timedelta(minutes=1)
_CANARY = 0  # the project of vitals/canary.py, which is none

log = logger("heartfly.monitor")

Probe = Callable[[], Awaitable[str | None]]
"""Why a request to our own public address does not arrive; None: it does."""


@dataclass(frozen=True, slots=True)
class _Size:
    """`since`: the oldest minute that was counted; None: there is none."""

    at: datetime
    since: datetime | None
    is_large: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    """`arrived` None: nobody can say, as the asking itself failed."""

    arrived: bool | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What one beat would remember: what it wrote, how the guard stands after it, and the interval that goes on.

    `looked_to`: the end of the minute that was looked at; None: this node does not judge, or there is too little to.
    `unknowing`: few came, and nobody can say why.
    """

    before: Guard
    after: Guard
    minutes: Minutes
    size: _Size
    looked_to: datetime | None = None
    unknowing: bool = False
    answer: _Answer | None = None
    blind: tuple[int, datetime] | None = None


class VolumeGuard:
    """`look` is called in the writer's thread, everything else in the watcher's loop."""

    def __init__(
        self,
        *,
        beat: Beat,
        tally: Tally,
        probe: Probe,
        clock: Clock,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`count` is told of each hold, and how it ended."""
        self._beat = beat
        self._tally = tally
        self._probe = probe
        self._clock = clock
        self._count = count
        self._guard = Guard()
        self._size: _Size | None = None
        self._looked_to: datetime | None = None
        self._answer: _Answer | None = None
        self._reachable: bool | None = None
        """What is to be written of the newest probe."""
        self._blind: tuple[int, datetime] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._out_of_reach = False
        """It has been told that our own address does not answer although pings come."""

    @classmethod
    def of(
        cls, settings: Settings, *, beat: Beat, tally: Tally, clock: Clock, count: Callable[[str], None]
    ) -> Self | None:
        """None: it is switched off, or nobody knows our public address, so that nobody could be asked."""
        if not settings.monitor.volume_guard or not settings.server.base_url:
            return None
        own = OwnAddress(settings.server.base_url, user_agent=f"Heartfly/{__version__}")
        return cls(beat=beat, tally=tally, probe=own.trouble, clock=clock, count=count)

    # --- in a beat's transaction

    def look(self, tx: Tx, *, through: datetime, now: datetime, leads: bool) -> Guarded:
        """`through`: the watermark, up to which every node that serves has written what it counted."""
        size = self._sized(tx, now)
        if not size.is_large:
            return Guarded(before=self._guard, after=Guard(), minutes={}, size=size, answer=self._answer)
        minutes = self._tally.minutes(now)
        _write(tx, self._beat.node_id, minutes, reachable=self._reachable, now=now)
        if not leads:
            return Guarded(before=self._guard, after=Guard(), minutes=minutes, size=size, answer=self._answer)
        guard, until, unknowing = after_time(self._guard, now), part_of(through), False
        if until != self._looked_to:
            found = _found(tx, until, size.since)
            knows = found is Volume.FEW and guard.stand is Stand.CLEAR and _knows(tx, until)
            unknowing = found is Volume.FEW and guard.stand is Stand.CLEAR and not knows and not guard.few
            guard = after_minute(guard, found, until=until, knows=knows)
        if (answer := self._answer) is not None:
            guard = self._answered(guard, answer, now)
        return Guarded(
            before=self._guard,
            after=guard,
            minutes=minutes,
            size=size,
            looked_to=until,
            unknowing=unknowing,
            answer=answer,
            blind=self._unheard(tx, guard, now),
        )

    @staticmethod
    def _answered(guard: Guard, answer: _Answer, now: datetime) -> Guard:
        if answer.arrived is None:
            return replace(without_answer(guard), answered_at=now)
        return after_probe(guard, arrived=answer.arrived, at=now)

    def leave(self, tx: Tx, *, now: datetime) -> None:
        """Write down what has come since the last beat as well, for those who go on."""
        if self._size is not None and self._size.is_large:
            _write(tx, self._beat.node_id, self._tally.minutes(now + PART), reachable=None, now=now)

    def _sized(self, tx: Tx, now: datetime) -> _Size:
        if self._size is not None and timedelta() <= now - self._size.at < _SIZED_EACH:
            return self._size
        its_checks = sa.select(checks.c.id).where(checks.c.pid != _CANARY).limit(FEWEST_CHECKS).subquery()
        its_projects = sa.select(projects.c.id).limit(FEWEST_PROJECTS).subquery()
        n_checks, n_projects = (
            tx.conn.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
            for some in (its_checks, its_projects)
        )
        since = tx.conn.execute(sa.select(ping_minutes.c.at).order_by(ping_minutes.c.at).limit(1)).scalar()
        return _Size(now, since, n_checks == FEWEST_CHECKS and n_projects == FEWEST_PROJECTS)

    def _unheard(self, tx: Tx, guard: Guard, now: datetime) -> tuple[int, datetime] | None:
        """While nothing reaches us, up to now; and the last bit of it in the beat that learns that it is over."""
        since = guard.cut_off_since or self._guard.cut_off_since
        if since is None:
            return None
        if self._blind is None:
            # A probe that was lost before the drop was seen was lost with the pings.
            lost = (ping_minutes.c.at >= minute_of(since), ping_minutes.c.reachable.is_(False))
            tx.conn.execute(sa.update(ping_minutes).where(*lost).values(reachable=None))
        return self._beat.unheard(tx, since, max(now, since), CAUSE, longer=self._blind)

    # --- once it is committed

    def committed(self, guarded: Guarded) -> None:
        """Call when the beat's transaction has been committed."""
        self._tally.settled(guarded.minutes)
        self._guard, self._size, self._looked_to = guarded.after, guarded.size, guarded.looked_to
        self._blind = guarded.blind if guarded.after.stand is Stand.CUT_OFF else None
        self._reachable = None
        if guarded.answer is not None:
            self._note(guarded, guarded.answer)
        if guarded.unknowing:
            self._count("unknown")
            line("volume_guard", found="few pings", held=False, why="our own address did not answer before, either")
        if guarded.before.stand is not guarded.after.stand:
            self._tell(guarded)

    def _note(self, guarded: Guarded, answer: _Answer) -> None:
        """Its loss is remembered only of one that was sent while all was well: else it would explain itself away."""
        self._answer = None
        was_well = guarded.before.volume is Volume.ENOUGH
        if answer.arrived or (was_well and answer.arrived is not None):
            self._reachable = answer.arrived
        if answer.arrived:
            self._out_of_reach = False
        elif was_well and not self._out_of_reach:
            self._out_of_reach = True
            log.warning("own_address", why=answer.why, next="where pings stop, nobody can say why")

    def _tell(self, guarded: Guarded) -> None:
        before, after = guarded.before, guarded.after
        why = guarded.answer.why if guarded.answer is not None else ""
        if after.stand is Stand.CUT_OFF:
            self._count("cut_off")
            log.error("cut_off", since=after.from_at, why=why, alarms="what is due is unverified")
        elif before.stand is Stand.CUT_OFF:
            log.warning("cut_off", since=before.from_at, ended=guarded.looked_to is not None)
        elif after.stand is Stand.HELD:
            self._count("held")
            log.warning("volume_guard", found="few pings", held=True, since=after.from_at, most_s=HOLD.total_seconds())
        elif before.stand is Stand.HELD:
            self._count("released")
            log.warning("volume_guard", held=False, arrived=after.arrived_at is not None, why=why)

    def ask(self, wake: Callable[[], None]) -> None:
        """Ask our own address, if it is time to. `wake` is called when the answer is there."""
        if self._asking is None and self._answer is None and self._guard.wants_probe(self._clock.now()):
            self._asking = asyncio.get_running_loop().create_task(self._asked(wake))

    async def _asked(self, wake: Callable[[], None]) -> None:
        try:
            why = await self._probe()
            self._answer = _Answer(why is None, why or "")
        except Exception as error:  # told in the log; a fault of ours must hold nothing
            log.exception("own_address", error=repr(error))
            self._answer = _Answer(None, repr(error))
        finally:
            self._asking = None
        wake()

    async def answered(self) -> None:
        """When nobody is being asked any more."""
        if self._asking is not None:
            await self._asking

    async def aclose(self) -> None:
        asking = self._asking
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


def _write(tx: Tx, node_id: int, minutes: Minutes, *, reachable: bool | None, now: datetime) -> None:
    rows: dict[datetime, dict[str, Any]] = {
        at: {"at": at, "node_id": node_id, "parts": list(parts), "reachable": None} for at, parts in minutes.items()
    }
    if reachable is not None:
        at = minute_of(now)
        rows.setdefault(at, {"at": at, "node_id": node_id, "parts": None})["reachable"] = reachable
    for row in rows.values():
        insert = tx.insert(ping_minutes).values(row | {"parts": row["parts"] or [0] * (len(parts_of(row["at"])))})
        kept: dict[str, Any] = {"reachable": sa.func.coalesce(insert.excluded.reachable, ping_minutes.c.reachable)}
        if row["parts"] is not None:
            kept["parts"] = insert.excluded.parts
        tx.conn.execute(insert.on_conflict_do_update(index_elements=["at", "node_id"], set_=kept))


def _found(tx: Tx, until: datetime, since: datetime | None) -> Volume:
    """Of the minute that ends at `until`, beside those days on which it was counted and we were not deaf.

    That this minute is one in which we are cut off says nothing against it: whoever takes over goes on from there.
    """
    if since is None:
        return Volume.UNKNOWN
    now, *before = same_minutes(until)
    deaf = _deaf(tx, before[-1])
    if _touched([one for one, cause in deaf if cause != CAUSE], now):
        return Volume.UNKNOWN
    known = [begins for begins in before if begins >= since and not _touched([one for one, _ in deaf], begins)]
    counted = _counted(tx, [now, *known])
    return volume(counted[now], [counted[begins] for begins in known])


def _deaf(tx: Tx, since: datetime) -> list[tuple[Blind, str]]:
    query = sa.select(blind_intervals).where(blind_intervals.c.to_at >= since)
    return [(Blind(id=row.id, from_at=row.from_at, to_at=row.to_at), row.cause) for row in tx.conn.execute(query)]


def _touched(deaf: Sequence[Blind], begins: datetime) -> bool:
    return any(one.touches(begins, begins + MINUTE) for one in deaf)


def _counted(tx: Tx, minutes: Sequence[datetime]) -> Mapping[datetime, int]:
    """How many pings all nodes together took in each of these, which begin at any part of a minute."""
    rows = {at for begins in minutes for at in (minute_of(begins), minute_of(begins) + MINUTE)}
    found: dict[datetime, int] = {}
    query = sa.select(ping_minutes.c.at, ping_minutes.c.parts).where(ping_minutes.c.at.in_(sorted(rows)))
    for row in tx.conn.execute(query):
        for part, n in zip(parts_of(row.at), row.parts, strict=True):
            found[part] = found.get(part, 0) + n
    return {begins: sum(found.get(part, 0) for part in parts_of(begins)) for begins in minutes}


def _knows(tx: Tx, until: datetime) -> bool:
    """Whether a probe arrived when one was last sent before the minute in which the pings stopped."""
    at = ping_minutes.c.at
    query = (
        sa.select(ping_minutes.c.reachable)
        .where(at >= until - DAY, at <= until - 2 * MINUTE, ping_minutes.c.reachable.is_not(None))
        .order_by(at.desc())
        .limit(1)
    )
    return bool(tx.conn.execute(query).scalar())
