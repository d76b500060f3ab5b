"""From when to when a check's runs processed data: what is covered, what is missing, what was done twice."""

from __future__ import annotations

import msgspec
from litestar import get
from litestar.params import FromPath

from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant
from heartfly.checks import queries
from heartfly.checks.covered import covered
from heartfly.core.coverage import Span
from heartfly.core.gates import Level


class SpanOut(msgspec.Struct):
    """[from, to)."""

    from_at: Instant = msgspec.field(name="from")
    to_at: Instant = msgspec.field(name="to")


class CoverageOut(msgspec.Struct, kw_only=True):
    """Each list oldest first. Of very many runs the newest 1,000 are looked at: then `whole` is false."""

    level: Level | None
    """What a breach does, by the gate `coverage unbroken`; null: nothing."""
    covered_until: Instant | None
    n_runs: int
    """Those that went well and said what they processed."""
    whole: bool
    spans: list[SpanOut]
    gaps: list[SpanOut]
    overlaps: list[SpanOut]


@get(
    "/checks/{check_id:str}/coverage",
    summary="Read what its runs covered",
    responses=told_as(404),
    tags=["history"],
)
async def read_coverage(request: ApiRequest, check_id: FromPath[str]) -> CoverageOut:
    async with request.api.database.read() as read:
        found = await covered(read, await queries.find(read, request.caller.pid, check_id))
    return CoverageOut(
        level=found.level,
        covered_until=found.coverage.until,
        n_runs=found.n_runs,
        whole=found.whole,
        spans=[_span(one) for one in found.coverage.spans],
        gaps=[_span(one) for one in found.coverage.gaps],
        overlaps=[_span(one) for one in found.coverage.overlaps],
    )


def _span(span: Span) -> SpanOut:
    return SpanOut(span.from_at, span.to_at)


SHAPES = (CoverageOut,)
