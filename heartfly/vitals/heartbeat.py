"""Who watches the watcher: calls a URL outside, each time only after a full cycle of ours.

A cycle is full when a beat was committed, all that was due by it judged, the watermark moved on, nobody has been
waiting for an alert, and pings can reach us as far as the volume guard knows. When it is not, nothing is sent: whoever
listens there raises the alarm for us. On PostgreSQL the leader alone calls, for it alone judges. The URL is a secret,
as whoever knows it could keep the listener quiet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from heartfly.clock import Clock
from heartfly.core.spans import span
from heartfly.db.database import Access
from heartfly.logs import line, logger
from heartfly.monitor.watch import Looked, Watcher
from heartfly.net.http import OutgoingHttp, RequestFailed
from heartfly.notify.age import Undelivered, undelivered
from heartfly.vitals.readiness import LAG_WITHIN

WAITING_WITHIN = timedelta(seconds=30)
LOOK_AGAIN = timedelta(seconds=1)
"""After a cycle that was not full: the first full one is told of at once."""
TRY_AGAIN = timedelta(seconds=10)

log = logger("heartfly.heartbeat")


class Outcome(StrEnum):
    SENT = "sent"
    FAILED = "failed"
    WITHHELD = "withheld"


def why_not(looked: Looked, told_through: datetime | None, found: Undelivered, now: datetime) -> str | None:
    """What is missing of a full cycle; None: nothing. `told_through`: the watermark that was last told of."""
    if not looked.leads:
        return "another node leads"
    if looked.cut_off_since is not None:
        return f"nothing reaches us from outside, for {span(now - looked.cut_off_since)}"
    if now - looked.watermark >= LAG_WITHIN:
        return f"silence is judged only up to {span(now - looked.watermark)} ago"
    if told_through is not None and looked.watermark <= told_through:
        return "the watermark has not moved"
    if found.in_order is not None and now - found.in_order >= WAITING_WITHIN:
        return f"an alert has been waiting for {span(now - found.in_order)}"
    return None


class Heartbeat:
    def __init__(
        self,
        *,
        url: str,
        period: timedelta,
        database: Access,
        watcher: Watcher,
        http: OutgoingHttp,
        clock: Clock,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._period = period
        self._database = database
        self._watcher = watcher
        self._http = http
        self._clock = clock
        self._count = count
        self._told_through: datetime | None = None
        self._withheld = ""

    async def once(self) -> Outcome:
        looked = self._watcher.last_round
        reason = await self._missing(looked)
        if looked is None or reason is not None:
            return self._withhold(reason or "")
        self._withheld = ""
        outcome = await self._call()
        if outcome is Outcome.SENT:
            self._told_through = looked.watermark
        self._count(outcome.value)
        return outcome

    async def _missing(self, looked: Looked | None) -> str | None:
        if looked is None:
            return None  # so it is at each start
        try:
            async with self._database.read() as read:
                found = await undelivered(read)
        except Exception as error:  # noqa: BLE001 - whatever it is, the cycle is not full; the log is told why
            return f"the outbox cannot be read ({type(error).__name__})"
        return why_not(looked, self._told_through, found, self._clock.now())

    def _withhold(self, reason: str) -> Outcome:
        """Told and counted once, however often is looked again."""
        if reason and not self._withheld:
            log.warning("heartbeat", outcome=Outcome.WITHHELD.value, why=reason)
            self._count(Outcome.WITHHELD.value)
        self._withheld = reason
        return Outcome.WITHHELD

    async def _call(self) -> Outcome:
        began_s = self._clock.monotonic()
        try:
            reply = await self._http.request("GET", self._url, headers={})
        except RequestFailed as error:
            log.warning("heartbeat", outcome=Outcome.FAILED.value, error=str(error))
            return Outcome.FAILED
        took_ms = round((self._clock.monotonic() - began_s) * 1000, 1)
        if not 200 <= reply.status < 300:
            log.warning("heartbeat", outcome=Outcome.FAILED.value, code=reply.status, took_ms=took_ms)
            return Outcome.FAILED
        line("heartbeat", outcome=Outcome.SENT.value, code=reply.status, took_ms=took_ms)
        return Outcome.SENT

    async def run(self, stop: asyncio.Event) -> None:
        """Call once in each period until stopped; sooner again after one that did not get through."""
        waits = {Outcome.SENT: self._period, Outcome.FAILED: TRY_AGAIN, Outcome.WITHHELD: LOOK_AGAIN}
        try:
            while not stop.is_set():
                outcome = await self.once()
                try:
                    async with asyncio.timeout(min(self._period, waits[outcome]).total_seconds()):
                        await stop.wait()
                except TimeoutError:
                    continue
        finally:
            await self._http.aclose()
