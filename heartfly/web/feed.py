"""What changes in a project while somebody watches it: one look at its checks and deliveries, for all who do.

A process looks when something was committed (db/pulse.py) or when the next check becomes late, and keeps the newest
changes, so that a browser that was away is told what it missed. Nothing is looked at while nobody watches. What of it
a browser is sent is live.py's. Why we ask rather than being told: docs/decisions/0018.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.queries import newest_entry
from heartfly.checks.unjudged import excused
from heartfly.clock import Clock
from heartfly.db.database import Database
from heartfly.db.models import channels, checks, deliveries
from heartfly.db.pulse import pulse
from heartfly.errors import HeartflyError
from heartfly.logs import logger
from heartfly.web.audience import Audience
from heartfly.web.marks import Marks, marks_of
from heartfly.web.shown import WATCHED, shown_status

log = logger("heartfly.web")

STEP_S = 0.05
"""So often we ask whether this process has committed something: a comparison of two numbers."""
BEAT_S = 0.25
"""So often we ask at least, for another process may have, or a check may be late."""
PAUSE_S = 0.2
"""So long at least lies between two looks: what comes meanwhile is told at once."""
RING = 1_000
"""So many changes are kept for whoever was away."""
MOST_ROWS = 50
"""Of more at once the page is fetched anew instead."""
MOST_WAITING = 100
"""So many deliveries that wait are looked at: of more, pages follow those that are tried next."""
LINGER_S = 60.0
"""How long we go on without a watcher: people go from page to page."""
REST = 10
"""After a look as many times as long is waited as looks take: watching takes a tenth of a processor at most."""
TAKEN = 8
"""Of so many looks the shortest counts: the others waited for a busy machine, which is no reason to be slower still."""

_LIGHT = (checks.c.id, checks.c.uuid, checks.c.rev, checks.c.status, checks.c.n_open_runs, checks.c.expected_at)


class _Light(NamedTuple):
    """What of a row tells whether it is another one. Of SQLAlchemy's rows each name is looked up anew."""

    id: int
    uuid: str
    rev: int
    status: str
    n_open_runs: int
    expected_at: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    """`kind`: `row` with the row of a check, `gone`, `counts` of each shown status, `marks` of the navigation, `news`
    of anything else, or `resync`: more than is told.
    """

    n: int
    kind: str
    uuid: str = ""
    row: Any = None
    counts: Mapping[str, int] | None = None


class Feed:
    """Of one project."""

    def __init__(self, pid: int, database: Database, clock: Clock) -> None:
        self.pid = pid
        self.n = 0
        self.as_of: datetime | None = None
        """Until when what was told is all that there is to tell. None: nobody has looked yet."""
        self.n_watching = 0
        self.wanted_at = clock.monotonic()
        self.pulse: tuple[object, ...] | None = None
        self.opening = asyncio.Lock()
        self.audience = Audience(pid, database, clock)
        self._database = database
        self._clock = clock
        self._epoch = secrets.token_hex(6)
        self._ring: deque[Event] = deque(maxlen=RING)
        self._known: dict[int, tuple[int, str, str]] = {}
        self._traces: tuple[object, ...] = ()
        self._marks = Marks()
        self._next_at: datetime | None = None
        self._rest_until = clock.monotonic()
        self._taken: deque[float] = deque(maxlen=TAKEN)
        self._news = asyncio.Event()

    @property
    def mark(self) -> str:
        """The place of who knows all that was told until now."""
        return self.mark_at(self.n)

    def mark_at(self, n: int) -> str:
        return f"{self._epoch}-{n}"

    def place_of(self, mark: str) -> int | None:
        """None: it is of another feed, or from before all that we keep."""
        epoch, _, number = mark.partition("-")
        if epoch != self._epoch or not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        return int(number) if self.after(int(number)) is not None else None

    def after(self, n: int) -> Sequence[Event] | None:
        """What was told after `n`. None: not all of it is kept."""
        if not self.n - len(self._ring) <= n <= self.n:
            return None
        return [event for event in self._ring if event.n > n] if n < self.n else ()

    async def news(self, n: int) -> None:
        """Return when there is something after `n`."""
        while self.n == n:
            await self._news.wait()

    def is_due(self, beat: tuple[object, ...], now: datetime) -> bool:
        is_stale = self.pulse != beat or (self._next_at is not None and self._next_at <= now)
        return is_stale and self._clock.monotonic() >= self._rest_until

    async def look(self, beat: tuple[object, ...]) -> None:
        """`beat`: the pulse as it was before this look."""
        began, now = self._clock.monotonic(), self._clock.now()
        async with self._database.read() as read:
            light = [
                _Light._make(row) for row in await read.execute(sa.select(*_LIGHT).where(checks.c.pid == self.pid))
            ]
            late_not = await excused(read, self.pid, now=now)
            known = {row.id: (row.rev, shown_status(row, now, late_not.ids), row.uuid) for row in light}
            changed = [check_id for check_id, seen in known.items() if self._known.get(check_id) != seen]
            gone = [seen[2] for check_id, seen in self._known.items() if check_id not in known]
            is_first, is_much = self.as_of is None, len(changed) + len(gone) > MOST_ROWS
            rows: Sequence[Any] = ()
            if changed and not is_first and not is_much:
                query = sa.select(checks).where(checks.c.pid == self.pid, checks.c.id.in_(changed))
                rows = (await read.execute(query)).all()
            traces, marks = await _traces(read, self.pid), await marks_of(read, self.pid)
        if is_much and not is_first:
            self._tell("resync")
        elif not is_first:
            for uuid in gone:
                self._tell("gone", uuid)
            for row in rows:
                self._tell("row", row.uuid, row=row)
        if (changed or gone) and not is_first:
            self._tell("counts", counts=Counter(shown for _, shown, _ in known.values()))
        if marks != self._marks and not is_first:
            self._tell("marks", counts=marks.told())
        if traces != self._traces and not is_first:
            self._tell("news")
        self._traces, self._marks = traces, marks
        self._known, self.pulse, self.as_of = known, beat, now
        expected = (row.expected_at for row in light if row.status in WATCHED and not row.n_open_runs)
        turns = (at for at in (*expected, late_not.until) if at is not None and at > now)
        self._next_at = min(turns, default=None)
        ended = self._clock.monotonic()
        self._taken.append(ended - began)
        self._rest_until = ended + REST * min(self._taken)

    def _tell(self, kind: str, uuid: str = "", *, row: Any = None, counts: Mapping[str, int] | None = None) -> None:
        self.n += 1
        self._ring.append(Event(self.n, kind, uuid, row, counts))
        self._news.set()
        self._news = asyncio.Event()


async def _traces(read: AsyncConnection, pid: int) -> tuple[object, ...]:
    """Of all that is no check's row: another value when somebody did something (what people do is in the audit), when
    something is to be sent, and when it was tried. Incidents open and close with the rows of their checks.
    """
    done = newest_entry(pid)
    of_it = (deliveries.c.pid == channels.c.pid, deliveries.c.channel_id == channels.c.id)
    newest = sa.select(sa.func.max(deliveries.c.created_at)).where(*of_it).scalar_subquery()
    made = sa.select(channels.c.id, channels.c.retrying_since, newest).where(channels.c.pid == pid)
    waiting = (
        sa.select(deliveries.c.id, deliveries.c.attempt, deliveries.c.lease_until)
        .join(channels, deliveries.c.channel_id == channels.c.id)
        .where(channels.c.pid == pid, deliveries.c.state == "pending")
        .order_by(deliveries.c.channel_id, deliveries.c.next_at)
        .limit(MOST_WAITING)
    )
    found = [(await read.execute(query)).all() for query in (done, made, waiting)]
    return tuple(tuple(tuple(row) for row in rows) for rows in found)


class Feeds:
    """Those that somebody watches. One service of the process: `run`."""

    def __init__(self, database: Database, clock: Clock, *, stop: asyncio.Event) -> None:
        """`stop`: set when streams must end, for the process wants to."""
        self.stop = stop
        self.streams: Counter[int] = Counter()
        """How many each user has."""
        self._database = database
        self._clock = clock
        self._feeds: dict[int, Feed] = {}
        self._any = asyncio.Event()
        self._fails = False
        self._n_batches = database.n_batches
        self._asked_at = self._looked_at = clock.monotonic()

    async def open(self, pid: int) -> Feed:
        """The project's feed, which has looked at least once. It goes on for a while after the last watcher."""
        feed = self._feeds.get(pid)
        if feed is None:
            feed = self._feeds[pid] = Feed(pid, self._database, self._clock)
            self._any.set()
        feed.wanted_at = self._clock.monotonic()
        async with feed.opening:
            if feed.as_of is None:
                await feed.look(await pulse(self._database))
        return feed

    async def mark(self, pid: int) -> str:
        """The place of who reads the database after this call. Empty if it cannot be told: he fetches once more."""
        try:
            return (await self.open(pid)).mark
        except (HeartflyError, SQLAlchemyError) as error:
            log.warning("live", error=str(error))
            return ""

    async def run(self, ended: asyncio.Event) -> None:
        stopping = asyncio.ensure_future(ended.wait())
        try:
            while not stopping.done():
                await first_of(stopping, self._any.wait())
                await first_of(stopping, self._clock.sleep(STEP_S))
                if self._is_time():
                    await self.beat()
        finally:
            stopping.cancel()

    def _is_time(self) -> bool:
        now = self._clock.monotonic()
        is_news = self._n_batches != self._database.n_batches and now - self._looked_at >= PAUSE_S
        return is_news or now - self._asked_at >= BEAT_S

    async def beat(self) -> None:
        """Look at what is due. What fails is said once and tried again; meanwhile no page is told to be fresh."""
        now = self._clock.monotonic()
        self._n_batches, self._asked_at = self._database.n_batches, now
        for pid, feed in tuple(self._feeds.items()):
            if not feed.n_watching and now - feed.wanted_at > LINGER_S:
                del self._feeds[pid]
        if not self._feeds:
            self._any.clear()
            return
        try:
            beat = await pulse(self._database)
            for feed in tuple(self._feeds.values()):
                await self._look(feed, beat)
        except Exception as error:  # noqa: BLE001 - told in the log; a page that is not live is not worth the process
            if not self._fails:
                log.warning("live", error=repr(error))
            self._fails = True
        else:
            self._fails = False

    async def _look(self, feed: Feed, beat: tuple[object, ...]) -> None:
        async with feed.opening:
            now = self._clock.now()
            if feed.as_of is None or feed.is_due(beat, now):
                await feed.look(beat)
                self._looked_at = self._clock.monotonic()
            elif feed.pulse == beat:
                feed.as_of = now


async def first_of(*waits: Any) -> None:
    """Return when one of them is done. Futures are left as they are; the other coroutines are cancelled."""
    tasks = [(each, asyncio.ensure_future(each)) for each in waits]
    try:
        await asyncio.wait({task for _, task in tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ours = [task for each, task in tasks if task is not each]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)
