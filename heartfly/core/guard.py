"""The volume guard: what follows where far fewer pings come than usual, and who is asked why.

    clear ── few pings ──► held ── the probe arrives, or nobody can say ──► released ── an hour without few ──► clear
                            │ ▲                                               │   ▲
         the probe is lost, │ └──────── few still, and a later one is lost ───┘   │ it arrives again
                twice       └──────────────► cut off ─────────────────────────────┘

A probe is a request of Heartfly's to its own public address. Held: nothing is judged that falls due from then on.
Cut off: all time since the drop is blind. Released: what was due is told, and the same drop holds nothing again while
probes arrive. Where a probe did not arrive when all was well, its loss says nothing, and nothing is held.
Values only: who counts and who asks is monitor/volume_guard.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from heartfly.core.volume import MINUTE, Volume

HOLD = timedelta(seconds=120)
"""So late a deadline is judged at most, whoever holds and however often: an outage of all jobs is never hidden."""
LOST_IN_ROW = 2
"""One that is lost may be chance."""
FORGOTTEN_AFTER = timedelta(hours=1)
"""So long after the last minute with few pings the next one is a drop of its own: on a Saturday, of jobs that rest
then, a drop comes with each full hour, and the probe need not be waited for each time.
"""
STILL_KNOWN = timedelta(minutes=3)
"""So long after a probe arrived the loss of a later one means that something broke since."""


class Stand(StrEnum):
    CLEAR = "clear"
    HELD = "held"
    RELEASED = "released"
    CUT_OFF = "cut_off"


_ASKED_EACH = {
    Stand.CLEAR: timedelta(minutes=5),
    Stand.HELD: timedelta(seconds=3),
    Stand.RELEASED: timedelta(minutes=1),
    Stand.CUT_OFF: timedelta(seconds=5),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """`volume`: of the newest minute. `few`: whether it was few when it was last known; `few_at`: the last end of such
    a minute.

    `held_at`: past it nothing is judged. `from_at`: since then pings may have been lost. `arrived_at`: when a probe did
    last; None: none has since the drop began. `answered_at`: when it was last known what became of one.
    """

    stand: Stand = Stand.CLEAR
    volume: Volume = Volume.UNKNOWN
    few: bool = False
    few_at: datetime | None = None
    held_at: datetime | None = None
    from_at: datetime | None = None
    arrived_at: datetime | None = None
    answered_at: datetime | None = None
    n_lost: int = 0

    @property
    def cut_off_since(self) -> datetime | None:
        return self.from_at if self.stand is Stand.CUT_OFF else None

    def hold(self, now: datetime) -> datetime | None:
        """The instant, inclusive, past which no silence is judged; None: nothing is held."""
        if self.stand is not Stand.HELD or self.held_at is None:
            return None
        return max(self.held_at, now - HOLD)

    def wants_probe(self, now: datetime) -> bool:
        """Also while all is well, so that it is known what the loss of one means."""
        if self.stand is Stand.CLEAR and self.volume is not Volume.ENOUGH:
            return False
        if self.answered_at is None or self.answered_at > now or (self.stand is Stand.HELD and not self.n_lost):
            return True
        return now - self.answered_at >= _ASKED_EACH[self.stand]


def after_minute(guard: Guard, found: Volume, *, until: datetime, knows: bool) -> Guard:
    """A minute has ended, at `until`. `knows`: when pings last came as usual, a probe arrived."""
    guard = replace(guard, volume=found)
    if found is Volume.UNKNOWN:
        return guard
    if found is Volume.FEW:
        # Where they are few anew, whether they can reach us is asked at once.
        answered_at = guard.answered_at if guard.few else None
        guard = replace(guard, few=True, few_at=until, answered_at=answered_at)
        return _held(guard, until, since=until - MINUTE) if guard.stand is Stand.CLEAR and knows else guard
    # Whatever becomes of probes: pings come.
    guard = replace(guard, few=False)
    return _clear(guard) if guard.stand in {Stand.HELD, Stand.CUT_OFF} else guard


def after_probe(guard: Guard, *, arrived: bool, at: datetime) -> Guard:
    guard = replace(guard, answered_at=at)
    if arrived:
        guard = replace(guard, arrived_at=at)
        return _released(guard) if guard.stand in {Stand.HELD, Stand.CUT_OFF} else guard
    if guard.stand is Stand.HELD:
        n = guard.n_lost + 1
        return replace(guard, n_lost=n, stand=Stand.CUT_OFF if n >= LOST_IN_ROW else Stand.HELD)
    since = guard.arrived_at
    if guard.stand is Stand.RELEASED and guard.few and since is not None and at - since <= STILL_KNOWN:
        return replace(_held(guard, at, since=since), n_lost=1)
    return guard


def after_time(guard: Guard, now: datetime) -> Guard:
    """What ends by itself: a hold that nobody answers, and the memory of a drop."""
    if guard.stand is Stand.HELD and guard.held_at is not None and now - guard.held_at >= HOLD:
        return _released(replace(guard, arrived_at=None))
    if guard.stand is Stand.RELEASED and guard.few_at is not None and now - guard.few_at >= FORGOTTEN_AFTER:
        return _clear(guard)
    return guard


def without_answer(guard: Guard) -> Guard:
    """Nobody can say whether a probe would arrive: what is held is let go."""
    return _released(replace(guard, arrived_at=None)) if guard.stand is Stand.HELD else guard


def _held(guard: Guard, at: datetime, *, since: datetime) -> Guard:
    return replace(guard, stand=Stand.HELD, held_at=at, from_at=since, n_lost=0)


def _released(guard: Guard) -> Guard:
    return replace(guard, stand=Stand.RELEASED, held_at=None, from_at=None, n_lost=0)


def _clear(guard: Guard) -> Guard:
    return replace(guard, stand=Stand.CLEAR, held_at=None, from_at=None, arrived_at=None, n_lost=0)
