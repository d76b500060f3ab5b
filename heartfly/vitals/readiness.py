"""Whether traffic should come here, from facts of one moment: reasons why not, as data with a sentence each.

`reason` is for machines and stays what it is; `detail` is for people. Nothing in either is secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from heartfly.db.migrate import HEAD
from heartfly.db.room import Room
from heartfly.errors import StoreError
from heartfly.pings.spool import Backlog

BEAT_WITHIN = timedelta(seconds=5)
LAG_WITHIN = timedelta(seconds=15)
"""Longer than a dead node holds up all others: 10 s, a beat, and what the clocks of two may differ by. Else each death
of one took every node out of the balancer.
"""
REFUSED_WITHIN_S = 5.0
STUCK_AFTER_S = 5.0
SKEW_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known at one moment. `last_beat_at`: the last write of the watcher that was committed.

    `refused_s`: how long ago a write was refused, None: none was; `stuck_s`: how long the writer has been at one batch;
    `schema`: None, not looked yet; `skew`: how far this machine's clock is from the database's, which may be negative;
    None: not looked yet, or it is the same machine's; `due`: the nearest deadline, as the last
    beat found it; `spool`: pings on this node's disk that are not in the database; `cut_off_since`: nothing reaches us
    from outside. That is no reason: a balancer would turn away who does reach us.
    """

    now: datetime
    last_beat_at: datetime | None
    watermark: datetime | None
    broken: StoreError | None
    due: datetime | None = None
    stopping: bool = False
    refused_s: float | None = None
    stuck_s: float = 0.0
    room: Room | None = None
    is_below_floor: bool = False
    schema: str | None = None
    skew: timedelta | None = None
    spool: Backlog | None = None
    cut_off_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    reason: str
    detail: str


def reasons(facts: Facts) -> list[Reason]:
    """Why no traffic should come here; empty when it may."""
    found = []
    if facts.stopping:
        found.append(Reason("stopping", "Heartfly is stopping"))
    if facts.broken is not None:
        found.append(Reason("database_broken", "the database cannot be trusted any more: Heartfly ends"))
    if facts.refused_s is not None and facts.refused_s < REFUSED_WITHIN_S:
        then = "pings may hear 503" if facts.spool is None else "pings go to this node's spool"
        found.append(Reason("writes_refused", f"a write was refused {facts.refused_s:.1f} s ago: {then}"))
    if facts.stuck_s > STUCK_AFTER_S:
        found.append(Reason("writer_stuck", f"the writer has been at one batch for {facts.stuck_s:.0f} s"))
    if facts.is_below_floor and facts.room is not None:
        found.append(Reason("disk_full", f"the disk has {facts.room.free / 1e6:.0f} MB left"))
    if facts.schema is not None and facts.schema < HEAD:
        # A newer one is no reason: while nodes are upgraded one by one the old ones go on with it.
        found.append(Reason("schema_old", f"the schema is {facts.schema}, older than {HEAD}"))
    if facts.skew is not None and abs(facts.skew) > SKEW_WITHIN:
        ahead = "ahead of" if facts.skew > timedelta() else "behind"
        found.append(
            Reason("clock_skewed", f"the clock is {abs(facts.skew).total_seconds():.1f} s {ahead} the database's")
        )
    if facts.last_beat_at is None or facts.watermark is None:
        found.append(Reason("not_started", "nothing has been written since the start"))
        return found
    if facts.now - facts.last_beat_at > BEAT_WITHIN:
        found.append(Reason("beat_late", f"the last write was {_seconds(facts.now - facts.last_beat_at)} ago"))
    if facts.now - facts.watermark >= LAG_WITHIN:
        lag = _seconds(facts.now - facts.watermark)
        found.append(Reason("watermark_late", f"silence is judged only up to {lag} ago"))
    return found


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"
