"""What many checks were over a time: their statuses one after another, and what failed or was missed on the way.

Runs are looked for only where a check was down, or may have tolerated something: a failure, a run that hung and a slot
that was missed always leave all others down. That keeps a thousand healthy checks at one look at their changes of
status, however often they run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import BigInteger, Text
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.days import Turn, deaf, spans
from heartfly.core.values import Blind
from heartfly.core.words import Reason, Status
from heartfly.db.models import blind_intervals, flips
from heartfly.db.types import UtcInstant, micros

MOST_FLIPS = 20_000
MOST_RUNS = 20_000
_MOST_BLIND = 500
_PER_SPAN = 60
"""Of a span that lasted the newest runs, where the database can tell them apart."""

_COLUMNS = {"check_id": BigInteger, "at": UtcInstant, "outcome": Text}
_BEGAN = {
    Reason.MISSED.value: "missed", Reason.MISSED_TWICE_UNVERIFIED.value: "missed", Reason.NO_FIRST_PING.value: "missed",
    Reason.HUNG.value: "hung", Reason.NOT_STARTED.value: "missed", Reason.TOO_FEW.value: "missed",
}  # fmt: skip
# Spans go in as JSON: [check, first microsecond, last], each a walk down the index of its check's runs.
_OF_SPANS = {
    "sqlite": sa.text(
        """
        SELECT r.check_id, r.at, r.outcome FROM json_each(:spans) AS s CROSS JOIN runs AS r
        WHERE r.pid = :pid AND r.check_id = json_extract(s.value, '$[0]')
          AND r.at > json_extract(s.value, '$[1]') AND r.at <= json_extract(s.value, '$[2]')
          AND r.outcome IN ('failed', 'hung', 'missed')
        LIMIT :most
        """
    ).columns(**_COLUMNS),
    "postgresql": sa.text(
        """
        SELECT r.check_id, r.at, r.outcome FROM jsonb_array_elements(CAST(:spans AS jsonb)) AS s(value)
        CROSS JOIN LATERAL (
          SELECT one.check_id, one.at, one.outcome FROM runs AS one
          WHERE one.pid = :pid AND one.check_id = CAST(s.value->>0 AS bigint)
            AND one.at > timestamptz 'epoch' + CAST(s.value->>1 AS bigint) * interval '1 microsecond'
            AND one.at <= timestamptz 'epoch' + CAST(s.value->>2 AS bigint) * interval '1 microsecond'
            AND one.outcome IN ('failed', 'hung', 'missed')
          ORDER BY one.at DESC LIMIT :per_span
        ) AS r
        LIMIT :most
        """
    ).columns(**_COLUMNS),
}


class Span(NamedTuple):
    """[from_at, to_at). `reason`: of the change that began it; empty if that was before."""

    status: Status
    from_at: datetime
    to_at: datetime
    reason: str


class Mark(NamedTuple):
    """A run that ended badly, or a slot in which none came. `outcome`: failed, hung or missed."""

    at: datetime
    outcome: str


@dataclass(frozen=True, slots=True)
class Lane:
    """Both in the order of their times."""

    spans: Sequence[Span]
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Lanes:
    """`from_at`: where they begin, which is later than asked for if too much happened since."""

    by_check: Mapping[int, Lane]
    blind: Sequence[tuple[datetime, datetime]]
    from_at: datetime
    is_cut: bool
    """Not every run that failed is there."""


async def lanes(read: AsyncConnection, pid: int, rows: Sequence[Any], *, from_at: datetime, to_at: datetime) -> Lanes:
    """`rows`: the checks, all of one project."""
    turned = sa.select(
        flips.c.check_id, flips.c.flip_no, flips.c.at, flips.c.from_status, flips.c.to_status,
        flips.c.retracts_flip_no, flips.c.reason,
    ).where(flips.c.pid == pid, flips.c.at >= from_at)  # fmt: skip
    if len(rows) == 1:
        turned = turned.where(flips.c.check_id == rows[0].id)
    found = (await read.execute(turned.order_by(flips.c.at.desc()).limit(MOST_FLIPS + 1))).all()
    if len(found) > MOST_FLIPS:
        from_at = found[-1].at
    turns: dict[int, list[Turn]] = {}
    reasons: dict[tuple[int, datetime], str] = {}
    for check_id, flip_no, at, was, became, retracts, reason in found:
        turns.setdefault(check_id, []).append(Turn(
            flip_no=flip_no, at=at, from_status=Status(was), to_status=Status(became), retracts=retracts,
        ))  # fmt: skip
        reasons[check_id, at] = reason
    of_checks = {
        row.id: [
            Span(status, begun, ended, reasons.get((row.id, begun), ""))
            for status, begun, ended in spans(
                turns.get(row.id, ()), Status(row.status), max(from_at, row.created_at), to_at
            )
            if begun < ended or status is Status.DOWN
        ]
        for row in rows
    }
    marks, is_cut = await _marks(read, pid, of_checks, {row.id for row in rows if row.tolerance})
    by_check = {check_id: Lane(of_check, marks.get(check_id, ())) for check_id, of_check in of_checks.items()}
    return Lanes(by_check, await deaf_times(read, from_at, to_at), from_at, is_cut)


async def deaf_times(read: AsyncConnection, from_at: datetime, to_at: datetime) -> list[tuple[datetime, datetime]]:
    """In which Heartfly could not hear, one after another; of very many the latest."""
    query = sa.select(blind_intervals).where(blind_intervals.c.to_at >= from_at, blind_intervals.c.from_at <= to_at)
    found = await read.execute(query.order_by(blind_intervals.c.to_at.desc()).limit(_MOST_BLIND))
    whole = deaf(Blind(id=one.id, from_at=one.from_at, to_at=one.to_at) for one in found)
    return [(max(begun, from_at), min(ended, to_at)) for begun, ended in whole]


async def _marks(
    read: AsyncConnection, pid: int, of_checks: Mapping[int, Sequence[Span]], tolerant: Collection[int]
) -> tuple[dict[int, list[Mark]], bool]:
    """What began a span is told by its change of status; runs are those after it."""
    down: list[tuple[int, int, int]] = []
    marks: dict[int, list[Mark]] = {}
    for check_id, of_check in of_checks.items():
        for span in of_check:
            watched = check_id in tolerant and span.status in {Status.UP, Status.DEGRADED}
            if span.status is Status.DOWN or watched:
                down.append((check_id, micros(span.from_at), micros(span.to_at)))
                if span.reason and not watched:
                    marks.setdefault(check_id, []).append(Mark(span.from_at, _BEGAN.get(span.reason, "failed")))
    if not down:
        return marks, False
    values = {"pid": pid, "spans": msgspec.json.encode(down).decode(), "most": MOST_RUNS}
    if read.dialect.name == "postgresql":
        values["per_span"] = _PER_SPAN
    found = (await read.execute(_OF_SPANS[read.dialect.name], values)).all()
    for check_id, at, outcome in found:
        marks.setdefault(check_id, []).append(Mark(at, outcome))
    for of_its in marks.values():
        of_its.sort()
    return marks, len(found) >= MOST_RUNS
