"""How jobs and checks differ that are there: which check is a job's, and when times are the same.

A job's check is the one whose address it pings, and otherwise the one of the slug that it would have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from heartfly.core import cron
from heartfly.core.cron import Dialect
from heartfly.core.schedule import Kind
from heartfly.core.scheduled.found import Proposal, Times, came_from, usual_zone
from heartfly.errors import InvalidValueError


class Drift(StrEnum):
    SAME = "same"
    NO_CHECK = "no_check"
    """A job that nobody watches."""
    NO_JOB = "no_job"
    """A check whose job is gone."""
    DIFFERS = "schedule_differs"
    OFF = "job_off"
    """A job that does not run at present, and a check that waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`check`: as the API gives it; None: there is none. `proposal`: None: there is no job."""

    kind: Drift
    proposal: Proposal | None = None
    check: Mapping[str, Any] | None = None
    pings: bool = False
    """The job's own text names the check's address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was looked at: files, and folders of which all files were. `tags`: one set for each origin and place."""

    files: Collection[str]
    folders: Collection[str] = ()
    tags: Sequence[Collection[str]] = ()

    def covers(self, check: Mapping[str, Any]) -> bool:
        """Whether the job of this check would have been found, if it were still there."""
        if not any(set(tags) <= set(check["tags"]) for tags in self.tags):
            return False
        first = str(check["description"]).partition("\n")[0]
        there = first.removeprefix(came_from(""))
        if first == there:
            return False
        names = [*self.files, *(f"{folder.rstrip('/')}/" for folder in self.folders)]
        return any(there.startswith((f"{name} ", f"{name}.", f"{name},")) or _within(there, name) for name in names)


def drifts(proposals: Sequence[Proposal], checks: Sequence[Mapping[str, Any]], read: Read) -> list[Line]:
    """Each job in its order, then the checks without one."""
    by_ping: dict[str, Mapping[str, Any]] = {}
    by_slug: dict[str, Mapping[str, Any]] = {}
    for check in checks:
        if check["ping_url"]:
            by_ping[str(check["ping_url"]).rpartition("/")[2].lower()] = check
        by_slug[check["slug"]] = check
    lines, taken = [], set()
    for proposal in proposals:
        pinged = next((by_ping[one] for one in sorted(proposal.job.pings) if one in by_ping), None)
        if pinged is None:
            pinged = next((by_slug[one] for one in sorted(proposal.job.pings) if one in by_slug), None)
        found = pinged or by_slug.get(proposal.slug)
        if found is not None:
            taken.add(found["id"])
        lines.append(Line(kind=_kind(proposal, found), proposal=proposal, check=found, pings=pinged is not None))
    gone = [check for check in checks if check["id"] not in taken and read.covers(check)]
    return lines + [Line(kind=Drift.NO_JOB, check=check) for check in gone]


def is_same(times: Times, schedule: Mapping[str, Any]) -> bool:
    """Whether a check's schedule, as the API gives it, means the same as these times."""
    if schedule["kind"] != times.kind:
        return False
    if times.kind is Kind.PERIOD:
        return times.period == timedelta(seconds=schedule["period"] or 0)
    if usual_zone(times.zone).lower() != usual_zone(schedule["zone"]).lower():
        return False
    if times.kind is Kind.ONCALENDAR:
        ours, theirs = (_lines(text) for text in (times.expression, schedule["expression"]))
        return sorted(ours) == sorted(theirs)
    return times.dialect == schedule["dialect"] and _plain(times.expression, times.dialect) == _plain(
        schedule["expression"], times.dialect
    )


def _kind(proposal: Proposal, check: Mapping[str, Any] | None) -> Drift:
    if check is None:
        return Drift.SAME if proposal.job.off else Drift.NO_CHECK
    if proposal.job.off:
        return Drift.SAME if check["status"] in {"paused", "new"} else Drift.OFF
    return Drift.SAME if is_same(proposal.job.times, check["schedule"]) else Drift.DIFFERS


def _within(there: str, name: str) -> bool:
    """A file directly in that folder."""
    return name.endswith("/") and there.startswith(name) and "/" not in there[len(name) :].partition(" ")[0]


def _plain(expression: str, dialect: Dialect) -> tuple[str, ...]:
    try:
        return cron.read(expression, dialect).plain
    except InvalidValueError:
        return (expression,)


def _lines(expression: str) -> list[str]:
    return [" ".join(line.split()).lower() for line in expression.splitlines() if line.strip()]
