"""Were *we* deaf? Beats each second; turns gaps in them into blind intervals; knows up to when all was heard.

A slot that fell into time in which Heartfly could not hear is not the job's fault. A gap counts from
the last beat to this one, by the wall clock, which shows alike that the process was dead, stalled or
asleep with its machine, or that the clock was put forward; where that was set back meanwhile, by the
boot-time clock. Signals that we refused are a gap, too. Each is written before anything past it may be
judged: both happen in the writer's order. What lies in a spool was heard and cannot be seen yet: deadlines
wait for it, each node's word standing in its row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import sqlalchemy as sa

from heartfly.config.settings import Settings
from heartfly.core.node_roles import ALL
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.instance import identify
from heartfly.db.models import blind_intervals, checks, nodes
from heartfly.db.prepared import Prepared
from heartfly.logs import logger
from heartfly.pings.awaited import awaited
from heartfly.pings.refusals import Refusals, Refused
from heartfly.pings.request import Target
from heartfly.pings.spool import Backlog

log = logger("heartfly.monitor")

KEPT = timedelta(days=400)
_GAPS = 100
REFUSALS_APART = timedelta(seconds=10)
STALLED = "Heartfly was stalled, or the clock was put forward"
AWAY = "the database was away"
LEFT = "A node of Heartfly left before all that it had heard was in the database"
RESTORED = "Heartfly was restored from a backup: what came after it is unknown"


@dataclass(frozen=True, slots=True)
class Hearing:
    """How well this node hears: how often it says so, and which gap counts as deafness."""

    beat: timedelta = timedelta(seconds=1)
    blind_after: timedelta = timedelta(seconds=2)
    hold: timedelta = timedelta(seconds=2)
    """A signal under way holds back the judging of its check for so long at most; later it is a late signal."""
    fence_after: timedelta = timedelta(seconds=10)
    """A node silent for so long is taken for dead; what it heard since its last beat is unknown."""
    spool_wait: timedelta = timedelta(minutes=5)
    """So long after the database is back deadlines wait for what lies in a spool; then it comes as late signals."""
    most_told: int = 500
    """For how many checks at most it tells other nodes that it waits. One that waits for more holds every check."""

    @classmethod
    def of(cls, settings: Settings, *, on_postgres: bool) -> Self:
        monitor = settings.monitor
        return cls(
            # The leader judges no further than the slowest node has said that it heard, so nodes say it more often.
            beat=timedelta(seconds=monitor.beat_s / (4 if on_postgres else 1)),
            blind_after=timedelta(seconds=monitor.blind_after_s),
            hold=timedelta(seconds=monitor.hold_s),
            spool_wait=timedelta(seconds=settings.spool.wait_s),
        )


@dataclass(frozen=True, slots=True)
class Heard:
    """`through`, the watermark: everything received up to it is in the database, but what `held` names.

    `held`: the ids of checks for which a signal is under way, and up to when each may be judged: of this node's those
    that are due, of others all.
    """

    through: datetime
    held: Mapping[int, datetime]
    refused: Refused | None = None
    """What of our own refusals this beat has written down."""
    boottime: float | None = field(default=None, compare=False)
    """When this was, by the boot-time clock."""


class Beat:
    """Liveness of this node. `beat` is called each second by the watcher's loop, through the writer."""

    def __init__(
        self,
        *,
        node_id: int,
        ids: IdSource,
        hearing: Hearing,
        version: str,
        roles: Sequence[str] = ALL,
        under_way: Callable[[], Mapping[Target, datetime]] = dict,
        refusals: Refusals | None = None,
        spooled: Callable[[], Backlog | None] = lambda: None,
        count: Callable[[int, float], None] = lambda _n, _seconds: None,
    ) -> None:
        """`count` is told of blind intervals when they are committed: how many new ones, and how long they are."""
        self.node_id = node_id
        self._ids = ids
        self._hearing = hearing
        self._version = version
        self._roles = list(roles)
        self._under_way = under_way
        self._refusals = refusals or Refusals()
        self._spooled = spooled
        self._gaps: dict[datetime, datetime] = {}
        """When we could not write ourselves, of the last _GAPS times: from when, until when."""
        self._waits_since: datetime | None = None
        """Since when deadlines wait for our spool."""
        self._count = count
        self._missed = False
        self._boottime: float | None = None
        """Of the last beat that was committed."""
        self._n_recorded = 0
        self._recorded = timedelta()
        """Of the transaction under way."""
        self._refusing: tuple[int, datetime] | None = None
        self._written: tuple[int, datetime] | None = None
        """The interval of refusals that the last commit left, and the one that this transaction would."""

    def join(self, tx: Tx, *, now: datetime) -> None:
        """Register this process. Since the last one ended nobody heard, if no other lives."""
        self._n_recorded, self._recorded = 0, timedelta()
        if not self._living(tx, now):
            self._nobody_heard(tx, now)
        backlog = self._spooled()
        through = self._seen(backlog, now)
        tx.conn.execute(
            sa.insert(nodes).values(
                id=self.node_id,
                started_at=now,
                beat_at=now,
                heard_through=through,
                heard_apart=through,
                **_lying(backlog),
                roles=self._roles,
                version=self._version,
            )
        )

    def _living(self, tx: Tx, now: datetime) -> list[int]:
        if not tx.on_postgres:
            # One process owns the file: whoever is still listed did not leave, he died.
            return []
        query = sa.select(nodes.c.id).where(
            nodes.c.left_at.is_(None), nodes.c.fenced_at.is_(None), nodes.c.beat_at > now - self._hearing.fence_after
        )
        return list(tx.conn.execute(query).scalars())

    def _nobody_heard(self, tx: Tx, now: datetime) -> None:
        """Every start ends a deafness, however short: whoever pinged meanwhile, or was under way, may never try again.

        It began where all was heard, which is before the last beat if a signal was under way then. A life that was
        accounted for once is not looked at again: after a clock that was set back, its times may lie ahead of ours.
        """
        last_life = nodes.c.fenced_at.is_(None)
        # Since the first of those that died, another may have come and left before it could fence him: it heard what
        # came to it, and nobody knows what did not. Those that left had written down all that they had heard.
        died = sa.func.min(nodes.c.heard_through).filter(nodes.c.left_at.is_(None))
        heard = tx.conn.execute(
            sa.select(sa.func.coalesce(died, sa.func.max(nodes.c.heard_through))).where(last_life)
        ).scalar()
        if heard is None:
            return
        if heard < now:
            restored_at = identify(tx).restored_at
            restored = restored_at is not None and restored_at >= heard
            self._record(tx, heard, now, RESTORED if restored else "Heartfly was not running")
        tx.conn.execute(
            sa.update(nodes).where(last_life).values(left_at=sa.func.coalesce(nodes.c.left_at, now), fenced_at=now)
        )
        # Whatever an earlier life heard came before anything that this one will, also if the clock was set back.
        tx.conn.execute(sa.update(checks).where(checks.c.last_end_at > now).values(last_end_at=now))

    def beat(self, tx: Tx, *, now: datetime, boottime: float) -> Heard:
        """Say that we hear, and learn what may be judged. `boottime`: seconds, by the clock of that name.

        Gaps of this node and the fencing of silent ones are written in the same transaction, so that nothing can be
        judged between a gap and its record.
        """
        self._n_recorded, self._recorded = 0, timedelta()
        (mine,) = _MINE.rows(tx, id=self.node_id)
        if (deaf := self._deaf(mine.beat_at, now, boottime)) is not None:
            self._record(tx, *deaf, AWAY if self._missed else STALLED)
            self._gaps[deaf[0]] = deaf[1]
            if len(self._gaps) > _GAPS:
                del self._gaps[min(self._gaps)]
        refused = self._refusals.span()
        if refused is not None:
            self._refused(tx, refused)
        # Of each signal under way it is known for which check it is, so that nobody puts off the alarms of others.
        through, held = self._others(tx, now)
        expected = awaited(tx, self._under_way())
        backlog = self._spooled()  # after what is under way, which may just have become a part of it
        seen = self._seen(backlog, now)
        limits = {check_id: self._limit(signal.since, now) for check_id, signal in expected.items()}
        heard_through = min([seen, *limits.values()])
        apart = len(limits) <= self._hearing.most_told
        _BEATS.run(
            tx,
            [
                {
                    "b_id": self.node_id,
                    "beat_at": now,
                    "heard_through": heard_through,
                    "heard_apart": seen if apart else heard_through,
                    "held": [[check_id, until.isoformat()] for check_id, until in limits.items()]
                    if apart and limits
                    else None,
                    **_lying(backlog),
                }
            ],
        )
        for check_id, one in expected.items():
            if one.wake_at is not None and one.wake_at <= now:
                held[check_id] = min(limits[check_id], held.get(check_id, now))
        return Heard(min(through, seen), held, refused, boottime)

    def _deaf(self, beat_at: datetime, now: datetime, boottime: float) -> tuple[datetime, datetime] | None:
        """From when to when this node could not hear, since its last beat.

        A clock that was set back hides how long that was, and shows some instants twice: all that it showed counts.
        """
        least, shown = self._hearing.blind_after, now - beat_at
        passed = timedelta(seconds=0.0 if self._boottime is None else boottime - self._boottime)
        if passed > least and (shown <= least or passed - shown > least):
            return now - passed, max(now, beat_at)
        return (beat_at, now) if shown > least else None

    def joined(self) -> None:
        """Call when the transaction of `join` has been committed."""
        self._count(self._n_recorded, self._recorded.total_seconds())

    def missed(self) -> None:
        """Call when the database did not take a beat."""
        self._missed = True
        self._waits_since = None

    def committed(self, heard: Heard) -> None:
        """Call when the beat's transaction has been committed."""
        self._missed = False
        self._boottime = heard.boottime
        self._refusals.settled(heard.refused)
        if heard.refused is not None:
            self._refusing = self._written
        if self._recorded:
            self._count(self._n_recorded, self._recorded.total_seconds())

    def _refused(self, tx: Tx, span: Refused) -> None:
        """Refusals that follow on one another are one interval, and so one digest, however long they go on."""
        longer = self._refusing
        if longer is not None and span.from_at - longer[1] > REFUSALS_APART:
            longer = None
        cause = "Heartfly refused signals that it could not store"
        self._written = self.unheard(tx, span.from_at, span.to_at, cause, longer=longer)

    def unheard(
        self, tx: Tx, from_at: datetime, to_at: datetime, cause: str, *, longer: tuple[int, datetime] | None = None
    ) -> tuple[int, datetime]:
        """Write a blind interval down, in the transaction of a beat. Returns its id, and until when it is.

        `longer`: as it was returned, of one that goes on.
        """
        if longer is None:
            return self._record(tx, from_at, to_at, cause), to_at
        blind_id, until = longer[0], max(to_at, longer[1])
        self._recorded += until - longer[1]
        tx.conn.execute(sa.update(blind_intervals).where(blind_intervals.c.id == blind_id).values(to_at=until))
        return blind_id, until

    def _limit(self, since: datetime, now: datetime) -> datetime:
        """Just before the oldest signal under way: it may be the one that the deadline waits for."""
        return min(now, max(since - timedelta(microseconds=1), now - self._hearing.hold))

    def _seen(self, backlog: Backlog | None, now: datetime) -> datetime:
        """Up to when all that we heard can be judged: just before the oldest in our spool, while that is waited for."""
        if backlog is None:
            self._waits_since = None
            return now
        if self._waits_since is None:
            self._waits_since = now
            log.warning("spool_awaited", n=backlog.n, oldest_at=backlog.oldest_at)
        self._waits_since = min(self._waits_since, now)  # the clock may have been set back
        if now - self._waits_since >= self._hearing.spool_wait:
            return now
        return min(now, backlog.oldest_at - timedelta(microseconds=1))

    def _silent(self, since: datetime, now: datetime) -> timedelta:
        """How long somebody has been silent. While we could not write ourselves, his silence says nothing of him."""
        gaps = (to_at - max(from_at, since) for from_at, to_at in self._gaps.items() if to_at > since)
        return now - since - sum(gaps, timedelta())

    def _others(self, tx: Tx, now: datetime) -> tuple[datetime, dict[int, datetime]]:
        """Up to when the other nodes that serve have heard all but what they wait for, and that.

        Those silent for too long are fenced, and their span is blind.
        """
        through, held = now, dict[int, datetime]()
        if not tx.on_postgres:
            return through, held
        query = sa.select(nodes).where(
            nodes.c.id != self.node_id, nodes.c.left_at.is_(None), nodes.c.fenced_at.is_(None)
        )
        for row in tx.conn.execute(query).all():
            if self._silent(row.beat_at, now) > self._hearing.fence_after:
                self._record(tx, row.heard_through, now, "A node of Heartfly died", node_id=row.id)
                tx.conn.execute(sa.update(nodes).where(nodes.c.id == row.id).values(fenced_at=now))
                continue
            through = min(through, row.heard_apart or row.heard_through)
            for check_id, until in row.held or ():
                held[check_id] = min(datetime.fromisoformat(until), held.get(check_id, now))
        return through, held

    def leave(self, tx: Tx, *, now: datetime) -> None:
        """A clean end. With other nodes serving it leaves no gap; alone, the gap begins at this last beat."""
        if (refused := self._refusals.span()) is not None:
            self._refused(tx, refused)
        backlog = self._spooled()
        heard_through = now
        if backlog is not None:
            # What is left in a spool is nobody's to wait for any more: it comes as late signals, with our next life.
            # Who goes on judging must not take the jobs for silent whose signals lie there.
            heard_through = min(now, backlog.oldest_at - timedelta(microseconds=1))
            if set(self._living(tx, now)) - {self.node_id}:
                self._record(tx, heard_through, now, LEFT)
        tx.conn.execute(
            sa.update(nodes)
            .where(nodes.c.id == self.node_id)
            .values(
                left_at=now, beat_at=now, heard_through=heard_through, heard_apart=now, held=None, **_lying(backlog)
            )
        )

    def _record(self, tx: Tx, from_at: datetime, to_at: datetime, cause: str, *, node_id: int | None = None) -> int:
        blind_id = self._ids.next(to_at)
        tx.conn.execute(
            sa.insert(blind_intervals).values(
                id=blind_id, node_id=node_id or self.node_id, from_at=from_at, to_at=to_at, cause=cause
            )
        )
        tx.conn.execute(sa.delete(blind_intervals).where(blind_intervals.c.to_at < to_at - KEPT))
        self._n_recorded += 1
        self._recorded += to_at - from_at
        log.warning("blind", from_at=from_at, to_at=to_at, cause=cause)
        return blind_id


_MINE = Prepared(lambda _: sa.select(nodes.c.id, nodes.c.beat_at).where(nodes.c.id == sa.bindparam("id")))
_BEATS = Prepared(
    lambda _: (
        sa.update(nodes)
        .where(nodes.c.id == sa.bindparam("b_id"))
        .values(
            {
                name: sa.bindparam(name)
                for name in ("beat_at", "heard_through", "heard_apart", "held", "spooled", "spooled_from")
            }
        )
        # Somebody who started as the database came back may have taken us for gone.
        .values(fenced_at=sa.null(), left_at=sa.null())
    )
)


def _lying(backlog: Backlog | None) -> dict[str, Any]:
    """For people, who look at the system's page: how much lies in a node's spool."""
    return {"spooled": None, "spooled_from": None} if backlog is None else {
        "spooled": backlog.n, "spooled_from": backlog.oldest_at,
    }  # fmt: skip
