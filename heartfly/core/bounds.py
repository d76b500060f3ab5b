"""Bounds of a check's runs: not too fast or too often, begun in time, reported by all, and not long before a slot.

Each rule is a question that is answered here out of values. When it is asked, and what follows, is decided in
core/check.py; how bounds are written, in bound_text.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from heartfly.core.gates import Level
from heartfly.core.tolerance import Begun, Memory
from heartfly.core.words import Reason

MOST_BEGUN = 50
MOST_REPORTS = 100
SAME_RUN = timedelta(minutes=2)
"""An end that names a run which began so shortly before, and is over, is the same end, sent again."""


class By(StrEnum):
    """What tells one report from another."""

    COUNT = "count"
    RID = "rid"
    ADDRESS = "address"


class Bounds(msgspec.Struct, frozen=True, omit_defaults=True):
    """None: there is no such bound. `early`, `early_share`: how long before its slot a success may come for it, as a
    duration, or in percent of the time between two slots.
    """

    min_run: timedelta | None = None
    min_run_level: Level = Level.FAIL
    start_within: timedelta | None = None
    apart: timedelta | None = None
    apart_level: Level = Level.FAIL
    most: int | None = None
    most_in: timedelta | None = None
    most_level: Level = Level.FAIL
    reports: int | None = None
    reports_by: By = By.COUNT
    early: timedelta | None = None
    early_share: int | None = None

    @property
    def count_runs(self) -> bool:
        return self.apart is not None or self.most is not None

    @property
    def bound_early(self) -> bool:
        return self.early is not None or self.early_share is not None


NO_BOUNDS = Bounds()

Breach = tuple[Level, Reason]


def too_fast(bounds: Bounds, took: timedelta | None) -> Breach | None:
    """Of a run that says it went well. One of which no start is known proves nothing, as with a gate."""
    if bounds.min_run is None or (took is not None and took >= bounds.min_run):
        return None
    return bounds.min_run_level, Reason.TOO_FAST


def begins(bounds: Bounds, memory: Memory, at: datetime, rid: str | None) -> tuple[Memory, Breach | None]:
    """A run begins, and runs are counted: what is remembered of it, and whether it does so too soon after others."""
    known = memory.begun
    if known and at < known[-1].at:
        return memory, None  # it came late: those that followed it were judged without it
    if rid is not None and any(one.rid == rid and at - one.at <= SAME_RUN for one in known):
        return memory, None
    kept = (*known, Begun(at, rid))[-max(bounds.most or 1, 1) :]
    return replace(memory, begun=kept), _too_soon(bounds, known, at)


def _too_soon(bounds: Bounds, known: tuple[Begun, ...], at: datetime) -> Breach | None:
    found: list[Breach] = []
    if bounds.apart is not None and known and at - known[-1].at < bounds.apart:
        found.append((bounds.apart_level, Reason.TOO_SOON))
    if bounds.most is not None and bounds.most_in is not None and len(known) >= bounds.most:
        oldest = known[-bounds.most]
        if at - oldest.at < bounds.most_in:
            found.append((bounds.most_level, Reason.TOO_OFTEN))
    return worst(*found)


def worst(*found: Breach | None) -> Breach | None:
    """A failure before a warning; of two alike the first."""
    there = [one for one in found if one is not None]
    return next((one for one in there if one[0] is Level.FAIL), there[0] if there else None)


def early_by(
    bounds: Bounds, expected_at: datetime, next_after: Callable[[datetime], datetime | None]
) -> timedelta | None:
    """How long before this slot a success may come and be for it. None: nothing is said about that."""
    if bounds.early is not None:
        return bounds.early
    if bounds.early_share is None:
        return None
    following = next_after(expected_at)
    return timedelta(0) if following is None else (following - expected_at) * bounds.early_share / 100


def reports(bounds: Bounds, memory: Memory, *, key: str, at: datetime, round_over: bool) -> tuple[Memory, bool]:
    """One more report: what is remembered, and whether all have reported now. `round_over`: it begins a new round."""
    known = () if round_over else memory.reported
    heard = known if key in known else (*known, key)
    if bounds.reports is None or len(heard) >= bounds.reports:
        return replace(memory, reported=(), round_at=None), True
    return replace(memory, reported=heard, round_at=memory.round_at if known and memory.round_at else at), False


def round_over(memory: Memory, *, kept: bool) -> Memory:
    """Its slot is over. `kept`: what was reported still counts for a report that comes late."""
    return replace(memory, reported=memory.reported if kept else (), round_at=None)


def excused(memory: Memory, slot: datetime) -> Memory:
    return replace(memory, excused_start=slot)


def fitting(bounds: Bounds, memory: Memory) -> Memory:
    """Without what these bounds do not ask for."""
    return replace(
        memory,
        begun=memory.begun[-max(bounds.most or 1, 1) :] if bounds.count_runs else (),
        reported=memory.reported if bounds.reports is not None else (),
        round_at=memory.round_at if bounds.reports is not None else None,
        excused_start=memory.excused_start if bounds.start_within is not None else None,
    )
