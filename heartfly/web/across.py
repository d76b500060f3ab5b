"""All checks of the list on one axis of time: who was down when, together with whom, and what failed or was missed.

What happened is read by checks/lanes.py, and drawn by lane_paths.py. Everything that the picture says stands in a
table, too.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.filters import DAY_S, RANGES
from heartfly.checks.lanes import Lane, Lanes, Span, lanes
from heartfly.core.words import Status
from heartfly.core.zones import zone as known_zone
from heartfly.web import lane_paths
from heartfly.web.lane_paths import Scale
from heartfly.web.request import PageRequest
from heartfly.web.shown import shown_status
from heartfly.web.times import Times

_STEPS = {DAY_S: timedelta(hours=6), 7 * DAY_S: timedelta(days=1), 30 * DAY_S: timedelta(days=7)}
MOST_TOLD = 200
"""Lines of the table."""


@dataclass(frozen=True, slots=True)
class Row:
    uuid: str
    name: str
    shown: str
    paths: Sequence[tuple[str, str]]
    said: str
    """What the picture shows, in a few words."""


async def seen(
    read: AsyncConnection, request: PageRequest, rows: Sequence[Any], *, range_s: int, excused: Container[int]
) -> dict[str, Any]:
    """What the template shows of these checks."""
    now = request.api.clock.now()
    found = await lanes(read, request.project.pid, rows, from_at=now - timedelta(seconds=range_s), to_at=now)
    # In a thread: of a thousand checks the paths take tens of milliseconds.
    shown = [shown_status(row, now, excused) for row in rows]
    return await asyncio.to_thread(_drawn, found, rows, shown, now, range_s, request.zones().shown)


def _drawn(  # noqa: PLR0917 - what is drawn
    found: Lanes, rows: Sequence[Any], shown: Sequence[str], now: datetime, range_s: int, zone: str
) -> dict[str, Any]:
    scale = Scale(now - timedelta(seconds=range_s), now)
    blind = lane_paths.blind_parts(found.blind, scale)
    axis = axis_of(scale, zone, range_s)
    made: list[Row] = []
    told: list[tuple[Any, Span, tuple[int, int]]] = []
    n_told = n_quiet = 0
    for row, status in zip(rows, shown, strict=True):
        lane = found.by_check[row.id]
        made.append(Row(row.uuid, row.name, status, lane_paths.paths(lane, scale, blind), _said(lane)))
        spans = [span for span in lane.spans if span.status is not Status.UP]
        n_told += len(spans)
        told += [(row, span, _n_bad(lane, span)) for span in spans[: MOST_TOLD - len(told)]]
        n_quiet += not spans
    return {
        "picture": made,
        "axis": axis,
        "back": lane_paths.back([scale.x(at) for at, _, _ in axis], blind),
        "blind": found.blind,
        "told": told,
        "n_told": n_told,
        "n_quiet": n_quiet,
        "n_was_down": sum(any(span.status is Status.DOWN for span in lane.spans) for lane in found.by_check.values()),
        "ranges": RANGES,
        "range_s": range_s,
        "begins": found.from_at if found.from_at > scale.from_at else None,
        "is_cut": found.is_cut,
    }


def axis_of(scale: Scale, zone: str, range_s: int) -> list[tuple[datetime, float, str]]:
    """Round times of the reader's clock: the instant, where it is in percent, and what stands there."""
    place = known_zone(Times(scale.to_at, zone).zone, field="zone")
    step = _STEPS[range_s]
    said = "{:%H:%M}" if step < timedelta(days=1) else "{:%a %d}" if range_s <= 7 * DAY_S else "{:%d %b}"
    ticks = list(lane_paths.ticks(scale, place, step))
    return [(at, scale.part(at), said.format(at.astimezone(place))) for at in ticks]


def _n_bad(lane: Lane, span: Span) -> tuple[int, int]:
    """How many failed, and how many were missed."""
    first, last = (bisect_left(lane.marks, at, key=lambda mark: mark.at) for at in (span.from_at, span.to_at))
    within = [mark.outcome for mark in lane.marks[first:last]]
    n_missed = within.count("missed")
    return len(within) - n_missed, n_missed


def _said(lane: Lane) -> str:
    words = list(dict.fromkeys(span.status.value for span in lane.spans))
    n_missed = sum(mark.outcome == "missed" for mark in lane.marks)
    n_failed = len(lane.marks) - n_missed
    counts = [f"{n} {word}" for n, word in ((n_failed, "failed"), (n_missed, "missed")) if n]
    return ", ".join([" then ".join(words) if len(words) < 3 else "changing", *counts]) or "not there yet"
