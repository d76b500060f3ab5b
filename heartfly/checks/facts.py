"""The facts of a check and of a run, frozen into the alert that tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from heartfly.checks.wording import rules_words, schedule_words
from heartfly.core.alerts import LAST_GOOD_CHARS, CheckFacts, RunFacts
from heartfly.core.values import Check, Run
from heartfly.core.words import PingKind

TAIL_CHARS = 10_000


@dataclass(slots=True)
class Said:
    """What the job said with the signal that led to a step."""

    body: bytes = b""
    """All of it, or its end."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    cut: bool = False


def check_facts(row: Any, check: Check, *, expected_at: datetime | None, host: str) -> CheckFacts:
    """`expected_at`: when the signal was expected that this is about. `host`: on which it runs."""
    return facts_of(
        row,
        n_pings=check.n_pings,
        last_ping_at=check.last_ping_at,
        last_kind=check.last_kind,
        last_duration=check.last_duration,
        expected_at=expected_at,
        host=host,
    )


NAMED = (
    "uuid", "name", "slug", "tags", "description", "kind", "period_s", "expression", "zone", "dialect", "grace_s",
    "max_run_s", "tolerance", "bounds", "gates",
)  # fmt: skip
"""What `facts_of` asks a row for."""


def facts_of(
    row: Any,
    *,
    n_pings: int,
    last_ping_at: datetime | None,
    last_kind: PingKind | None,
    last_duration: timedelta | None,
    expected_at: datetime | None,
    host: str = "",
) -> CheckFacts:
    return CheckFacts(
        uuid=row.uuid,
        name=row.name,
        slug=row.slug,
        tags=tuple(row.tags),
        description=row.description,
        schedule=schedule_words(row),
        grace_s=row.grace_s,
        dialect=row.dialect if row.kind == "cron" else "",
        max_run_s=row.max_run_s,
        rules=rules_words(row.tolerance, row.bounds, row.gates),
        n_pings=n_pings,
        last_ping_at=last_ping_at,
        last_kind=last_kind,
        last_duration_s=None if last_duration is None else last_duration.total_seconds(),
        expected_at=expected_at,
        host=host,
    )


def run_facts(run: Run, said: Said | None, *, last_good: str = "") -> RunFacts:
    text = said.body.decode("utf-8", "replace") if said is not None else ""
    return RunFacts(
        started_at=run.started_at,
        ended_at=run.ended_at,
        outcome=run.outcome,
        exit_status=run.exit_status,
        duration_s=None if run.duration is None else run.duration.total_seconds(),
        rid=run.rid,
        metrics={name: str(value) for name, value in said.metrics.items()} if said is not None else {},
        body_tail=text[-TAIL_CHARS:].replace("\x00", "\N{REPLACEMENT CHARACTER}"),
        body_cut=len(text) > TAIL_CHARS or (said is not None and said.cut),
        last_good=last_good[-LAST_GOOD_CHARS:].replace("\x00", "\N{REPLACEMENT CHARACTER}"),
    )
