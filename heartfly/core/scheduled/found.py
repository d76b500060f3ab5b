"""A job that was found somewhere, and the check that it would have: its name, slug, tags, schedule and grace.

Names are guesses that people may change; slugs stay the same as long as the job stands where it stood.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from heartfly.core import schedule as schedules
from heartfly.core.schedule import Dialect, Kind, Schedule
from heartfly.core.text import shown, slugify
from heartfly.errors import InvalidValueError

_UTC = frozenset({"etc/utc", "etc/uct", "etc/universal", "etc/zulu", "etc/greenwich", "etc/gmt", "utc", "uct", "zulu"})
_LEAST_GRACE, _MOST_GRACE, _OF_THE_GAP = timedelta(minutes=1), timedelta(hours=1), 4
_LOOK_AT = 8
_MOST_NAME, _MOST_SLUG, _MOST_TAG, _MOST_DESCRIPTION = 100, 100, 50, 2_000
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_BY_SLUG = re.compile(r"/(?:ping/)?[A-Za-z0-9_-]{22}/([a-z0-9_-]{1,100})|--check[ =]([a-z0-9_-]{1,100})(?![\w:/-])")


class Origin(StrEnum):
    CRONTAB = "crontab"
    SYSTEMD = "systemd"
    K8S = "k8s"
    GITHUB = "github-actions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When it runs, as a check says it. `period`: for that kind; `expression` for the others."""

    kind: Kind
    expression: str = ""
    period: timedelta | None = None
    zone: str = "UTC"
    dialect: Dialect = Dialect.CRON

    def read(self, after: datetime) -> Schedule:
        """InvalidValueError: it is none, or never comes."""
        return schedules.parse(
            self.kind,
            period=self.period,
            expression=self.expression,
            zone=self.zone,
            dialect=self.dialect,
            after=after,
        )

    def as_asked(self) -> dict[str, Any]:
        """In the words of the API."""
        if self.kind is Kind.PERIOD:
            seconds = None if self.period is None else round(self.period.total_seconds())
            return {"kind": self.kind.value, "period": seconds}
        rest = {"expression": self.expression, "zone": self.zone, "dialect": self.dialect.value}
        return {"kind": self.kind.value, **rest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelled:
    """A job's line of a crontab in its parts, as they stand there: `head + command + rest` is the line.

    `rest`: from the first bare % on, which is what the command reads. `shell`: what runs it.
    """

    head: str
    command: str
    rest: str
    shell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`where`: its file, unit or manifest. `line`: counted from 1; 0 where there are none. `unit`: what a timer starts.

    `off`: why it does not run at present; empty: it does. `told`: its text, in which an address to ping may stand.
    """

    origin: Origin
    where: str
    line: int = 0
    title: str
    command: str
    user: str = ""
    unit: str = ""
    times: Times
    grace: timedelta
    max_run: timedelta | None = None
    off: str = ""
    told: str = ""
    notes: tuple[str, ...] = ()
    spelled: Spelled | None = None

    @property
    def place(self) -> str:
        return f"{self.where}:{self.line}" if self.line else self.where

    @property
    def pings(self) -> frozenset[str]:
        """UUIDs in it that may be those of addresses to ping, and slugs that it pings by."""
        text = self.told or self.command
        slugs = (one[1] or one[2] for one in _BY_SLUG.finditer(text))
        return frozenset({one[0].lower() for one in _UUID.finditer(text)} | {slug for slug in slugs if slug})


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Something that is not taken, and why."""

    where: str
    line: int = 0
    text: str
    why: str

    @property
    def place(self) -> str:
        return f"{self.where}:{self.line}" if self.line else self.where


@dataclass(frozen=True, slots=True)
class Found:
    jobs: Sequence[Job] = ()
    left: Sequence[Left] = ()

    def __add__(self, other: Found) -> Found:
        return Found([*self.jobs, *other.jobs], [*self.left, *other.left])


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The check that a job would have."""

    job: Job
    name: str
    slug: str
    tags: tuple[str, ...]
    description: str

    def as_asked(self) -> dict[str, Any]:
        """In the words of the API."""
        asked: dict[str, Any] = {
            "name": self.name,
            "slug": self.slug,
            "tags": list(self.tags),
            "description": self.description,
            "schedule": self.job.times.as_asked(),
            "grace": round(self.job.grace.total_seconds()),
        }
        if self.job.max_run is not None:
            asked["max_run"] = round(self.job.max_run.total_seconds())
        return asked


def usual_zone(name: str) -> str:
    """UTC by its usual name."""
    return "UTC" if name.lower() in _UTC else name


def usual_grace(times: Times, now: datetime) -> timedelta:
    """A quarter of the shortest of the next gaps, from a minute to an hour. InvalidValueError as for the schedule."""
    fires = schedules.upcoming(times.read(now), now, _LOOK_AT, anchor=now)
    gaps = [later - earlier for earlier, later in pairwise(fires)]
    gap = min(gaps, default=_MOST_GRACE * _OF_THE_GAP)
    seconds = round(gap.total_seconds()) // _OF_THE_GAP
    return max(_LEAST_GRACE, min(_MOST_GRACE, timedelta(seconds=seconds)))


def judged(job: Job, now: datetime, *, more_grace: timedelta = timedelta(0)) -> Job | Left:
    """The job with the grace that is usual and so much more, or why its times are none."""
    try:
        grace = usual_grace(job.times, now)
    except InvalidValueError as error:
        return Left(where=job.where, line=job.line, text=job.title, why=error.message)
    seconds = math.ceil((grace + more_grace).total_seconds())
    return replace(job, grace=min(timedelta(seconds=seconds), schedules.MAX_PERIOD))


def sorted_out(all_of_them: Iterable[Job | Left]) -> Found:
    jobs: list[Job] = []
    left: list[Left] = []
    for one in all_of_them:
        jobs.append(one) if isinstance(one, Job) else left.append(one)
    return Found(jobs, left)


def tags_of(origin: Origin, host: str) -> tuple[str, ...]:
    """What checks of that origin and place carry, by which they are found again."""
    return (origin.value, f"on:{host}"[:_MOST_TAG]) if host else (origin.value,)


def proposals(jobs: Sequence[Job], *, host: str, tags: Sequence[str] = ()) -> list[Proposal]:
    """`host`: the machine, cluster or repository that they run on; empty: no name of one is put before theirs."""
    made: list[Proposal] = []
    taken: set[str] = set()
    for job in jobs:
        title = " ".join(shown(job.title).split()) or "job"
        slug = _slug(job, title, host, taken)
        taken.add(slug)
        made.append(
            Proposal(
                job=job,
                name=(f"{title} on {host}" if host else title)[:_MOST_NAME],
                slug=slug,
                tags=tuple(dict.fromkeys((*tags_of(job.origin, host), *tags))),
                description=description_of(job, host),
            )
        )
    return made


def description_of(job: Job, host: str) -> str:
    who = f", as {job.user}" if job.user else ""
    there = f" on {host}" if host else ""
    first = f"{came_from(job.where)}{there}{who}."
    lines = [first, *(f"Note: {note}." for note in job.notes), *([job.command] if job.command else [])]
    return shown("\n".join(lines).replace("\t", " "))[:_MOST_DESCRIPTION]


def came_from(where: str) -> str:
    """How the description of an imported check begins, by which what was removed is told from what was not read."""
    return f"From {where}"


def _slug(job: Job, title: str, host: str, taken: set[str]) -> str:
    whole = slugify(f"{host} {title}" if host else title) or "job"
    if whole not in taken:
        return whole
    # By what it is and not by its place in the row: other jobs come and go.
    facts: Mapping[str, str] = {"where": job.where, "user": job.user, "command": job.command}
    mark = hashlib.sha256("\0".join(facts.values()).encode(errors="replace")).hexdigest()[:6]
    whole = f"{whole[: _MOST_SLUG - 12]}-{mark}"
    candidate, n = whole, 2
    while candidate in taken:
        candidate, n = f"{whole}-{n}", n + 1
    return candidate
