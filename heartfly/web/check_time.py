"""One check's time as two pictures: what was expected and what came, and how long its runs took.

What they show is read by checks/past.py; what is usual is core/habits.py's. Both pictures are
stretched to their place, so words stand beside them, and dots are strokes without a length.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.checks.filters import DAY_S, range_of
from heartfly.checks.lanes import Lane
from heartfly.checks.past import CheckPast, past_of, windows
from heartfly.core.habits import quantile
from heartfly.web import lane_paths
from heartfly.web.across import axis_of
from heartfly.web.lane_paths import WIDTH, Scale
from heartfly.web.request import PageRequest

RANGES = {DAY_S: "24h", 7 * DAY_S: "7d", 30 * DAY_S: "30d"}
MANY = 300
"""Of more runs those that fall on one place are drawn once."""
MOST_LISTED = 100
_TALL = 30
_TOPS = {"ok": 14, "degraded": 7, "unverified": 20}
_PATHS = {"ok": "o", "degraded": "d"}
_CHART = 100
_BAD = frozenset({"failed", "hung"})


async def seen(read: AsyncConnection, request: PageRequest, row: Row[Any]) -> dict[str, Any]:
    """What the template shows. InvalidValueError for a range that there is not."""
    now, range_s = request.api.clock.now(), range_of(request.query_params.get("range", ""), RANGES)
    past = await past_of(read, row, from_at=now - timedelta(seconds=range_s), to_at=now)
    return await asyncio.to_thread(_drawn, past, row, range_s, request.zones(row.zone).shown)


def _drawn(past: CheckPast, row: Row[Any], range_s: int, zone: str) -> dict[str, Any]:
    scale = Scale(past.to_at - timedelta(seconds=range_s), past.to_at)
    expected = windows(past)
    blind = lane_paths.blind_parts(past.blind, scale)
    axis = axis_of(scale, zone, range_s)
    is_picked = [run for run in past.runs if run.outcome != "superseded"]
    return {
        "ranges": RANGES,
        "range_s": range_s,
        "axis": axis,
        "runs_paths": _runs(is_picked, past, expected or (), scale),
        "lane_paths": lane_paths.paths(Lane(past.lane.spans, ()), scale, blind),
        "blind_path": lane_paths.back([], blind),
        "grid": [scale.x(at) for at, _, _ in axis],
        "changed_at": past.changes,
        "changes_path": "".join(f"M{scale.x(at)} 0v8M{scale.x(at)} 12v8M{scale.x(at)} 24v6" for at in past.changes),
        "has_windows": expected is not None,
        "n_windows": len(expected or ()),
        "begins": past.from_at if past.from_at > scale.from_at else None,
        "spans": [span for span in past.lane.spans if span.status.value != "up"][-MOST_LISTED:],
        "blind": past.blind,
        "planned": past.planned[-MOST_LISTED:],
        "planned_path": _planned(past, scale),
        "listed": past.runs[:MOST_LISTED],
        "n_listed": len(past.runs),
        "counts": {word: sum(run.outcome == word for run in past.runs) for word in ("ok", "degraded", "missed")}
        | {"failed": sum(run.outcome in _BAD for run in past.runs)},
        "took": _took(past.runs, row, scale),
    }


def _planned(past: CheckPast, scale: Scale) -> str:
    """Brackets above what was planned; each is two wide at least."""
    spans = [(scale.x(one.span.from_at), scale.x(min(one.span.to_at, past.to_at))) for one in past.planned]
    drawn = dict.fromkeys((min(left, WIDTH - 2), max(right, left + 2)) for left, right in spans)
    return "".join(f"M{left:g} 33v-2H{right:g}v2" for left, right in drawn)


def _runs(
    runs: Sequence[Row[Any]], past: CheckPast, expected: Iterable[tuple[datetime, datetime]], scale: Scale
) -> list[tuple[str, str]]:
    is_dense = len(runs) > MANY
    made: dict[str, dict[str, None]] = {"w": {}, "o": {}, "b": {}, "d": {}, "r": {}}
    for begun, ended in expected:
        made["w"][_box(scale, begun, ended, 0, dense=False)] = None
    for run in reversed(runs):
        begun = run.started_at or run.ended_at or run.slot_at
        if run.outcome == "missed":
            made["b"][_dashed(scale.x(run.slot_at or run.at))] = None
        elif run.outcome is None:
            made["r"][_box(scale, begun, past.to_at, 10, dense=False) + f"M{WIDTH - 4} 10h4v20h-4z"] = None
        else:
            top, name = _TOPS.get(run.outcome, 0), "b" if run.outcome in _BAD else _PATHS.get(run.outcome, "r")
            made[name][_box(scale, begun, run.ended_at or begun, top, dense=is_dense)] = None
    return [(name, "".join(pieces)) for name, pieces in made.items() if pieces]


def _box(scale: Scale, begun: datetime, ended: datetime, top: int, *, dense: bool) -> str:
    left, right = scale.x(begun), scale.x(ended)
    if dense:
        left, right = float(int(left)), float(int(right) + 1)
    left, right = min(left, WIDTH - 1.5), max(right, left + 1.5)
    return f"M{left:g} {top}H{right:g}V{_TALL}H{left:g}z"


def _dashed(x: float) -> str:
    """A hollow box of short strokes."""
    sides = "".join(f"M{side:g} {y}h1v4h-1z" for side in (x, x + 3) for y in (1, 9, 17, 25))
    return sides + f"M{x + 1.5:g} 0h1v1h-1zM{x + 1.5:g} 29h1v1h-1z"


def _took(runs: Sequence[Row[Any]], row: Row[Any], scale: Scale) -> dict[str, Any] | None:
    """Of the runs that had a start. None: there is none."""
    timed = [(run, timedelta(microseconds=run.duration_us)) for run in runs if run.duration_us is not None]
    if not timed:
        return None
    every = sorted(took for _, took in timed)
    limit = timedelta(seconds=row.max_run_s if row.max_run_s is not None else row.grace_s)
    top = max(every[-1], limit if limit < 3 * every[-1] else timedelta(0), timedelta(milliseconds=1)) * 1.08
    p50, p95, p99 = (quantile(every, share) for share in (0.5, 0.95, 0.99))

    def y(took: timedelta) -> float:
        return round(_CHART - took / top * _CHART, 1)

    def dots(found: Iterable[tuple[Row[Any], timedelta]]) -> str:
        return "".join(dict.fromkeys(f"M{scale.x(run.ended_at or run.at):g} {y(took):g}h0" for run, took in found))

    return {
        "n": len(every),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "longest": every[-1],
        "limit": limit,
        "has_limit": row.max_run_s is not None,
        "top": top,
        "dots": dots(timed),
        "outliers": dots(one for one in timed if one[1] > p95 and one[1] > 1.5 * p50),
        "lines": [(name, y(took)) for name, took in (("p50", p50), ("p95", p95), ("limit", limit)) if took <= top],
    }
