"""GitHub's workflows that run by a schedule. Their times are UTC, unless they name a zone, and never punctual.

Each `cron` of a workflow is a job by itself, as each has a time of its own at which it can be missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from heartfly.core.crontab import name_of
from heartfly.core.schedule import Dialect, Kind
from heartfly.core.scheduled.found import Found, Job, Left, Origin, Times, judged, sorted_out, usual_zone
from heartfly.core.yaml_text import Document, documents
from heartfly.core.zones import is_zone
from heartfly.errors import InvalidValueError

USUALLY_LATE = timedelta(minutes=30)
"""GitHub says that a run is late, or left out, while many others begin."""
_MOST_SHOWN = 120


def read(text: str, *, where: str, now: datetime) -> Found:
    try:
        found = documents(text, field=where)
    except InvalidValueError as error:
        return Found([], [Left(where=where, text="", why=error.message)])
    return sorted_out(job for document in found for job in _jobs(document, text, where=where, now=now))


def _jobs(document: Document, text: str, *, where: str, now: datetime) -> Iterator[Job | Left]:
    whole = document.value if isinstance(document.value, dict) else {}
    on = whole.get("on")
    schedules = on.get("schedule") if isinstance(on, dict) else None
    if not isinstance(schedules, list):
        return
    title = _text(whole.get("name")) or name_of(where)
    for n, one in enumerate(schedules):
        line = document.line(("on", "schedule", n))
        expression = _text(one.get("cron")) if isinstance(one, dict) else ""
        zone = _text(one.get("timezone")) if isinstance(one, dict) else ""
        if not expression:
            yield Left(where=where, line=line, text=title[:_MOST_SHOWN], why="it has no cron")
            continue
        if zone and not is_zone(zone):
            yield Left(where=where, line=line, text=title[:_MOST_SHOWN], why=f"{zone[:64]!r} is not a time zone")
            continue
        times = Times(kind=Kind.CRON, expression=expression, zone=usual_zone(zone or "UTC"), dialect=Dialect.CRON)
        job = Job(
            origin=Origin.GITHUB,
            where=where,
            line=line,
            title=title,
            command="",
            times=times,
            grace=timedelta(0),
            told=text,
            notes=("GitHub begins late when it is busy, which the grace has some room for",),
        )
        yield judged(job, now, more_grace=USUALLY_LATE)


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (dict, list)) else str(value)
