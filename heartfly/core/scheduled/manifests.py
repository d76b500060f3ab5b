"""CronJobs of Kubernetes out of YAML: files of several documents, lists, and what `kubectl get -o yaml` prints.

Other kinds of objects are passed over. A schedule is in the cluster's zone, which is UTC as clusters are set up.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from heartfly.core.schedule import MAX_PERIOD, MIN_PERIOD, Dialect, Kind
from heartfly.core.scheduled.found import Found, Job, Left, Origin, Times, judged, sorted_out, usual_zone
from heartfly.core.scheduled.systemd_units import span_of
from heartfly.core.yaml_text import Document, Path, documents
from heartfly.core.zones import is_zone
from heartfly.errors import InvalidValueError

_ZONES_BEFORE = ("CRON_TZ=", "TZ=")
_EVERY = "@every "
_MOST_SHOWN = 120


def read(text: str, *, where: str, zone: str, now: datetime) -> Found:
    """`zone`: of the cluster, for those that name none. A file that is no YAML is told of whole."""
    try:
        found = documents(text, field=where)
    except InvalidValueError as error:
        return Found([], [Left(where=where, text="", why=error.message)])
    return sorted_out(
        _job(one, document.line(path), where=where, zone=zone, now=now)
        for document in found
        for path, one in _cron_jobs(document)
    )


def _cron_jobs(document: Document) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    waiting: list[tuple[Path, Any]] = [((), document.value)]
    while waiting:
        path, one = waiting.pop(0)
        if not isinstance(one, dict):
            continue
        if one.get("kind") == "CronJob":
            yield path, one
        elif isinstance(items := one.get("items"), list) and str(one.get("kind", "")).endswith("List"):
            kind = {"kind": "CronJob"} if one["kind"] == "CronJobList" else {}
            waiting += [
                ((*path, "items", n), kind | item if isinstance(item, dict) else item) for n, item in enumerate(items)
            ]


def _job(one: Mapping[str, Any], line: int, *, where: str, zone: str, now: datetime) -> Job | Left:
    metadata, spec = _mapping(one.get("metadata")), _mapping(one.get("spec"))
    name = _text(metadata.get("name")) or _text(metadata.get("generateName")) or "a CronJob"
    namespace = _text(metadata.get("namespace"))
    title = f"{namespace}/{name}" if namespace else name

    def left(why: str) -> Left:
        return Left(where=where, line=line, text=title[:_MOST_SHOWN], why=why)

    schedule, named = _text(spec.get("schedule")), _text(spec.get("timeZone"))
    if not schedule:
        return left("it has no schedule")
    for before in _ZONES_BEFORE:
        if schedule.startswith(before):
            named, _, schedule = schedule.removeprefix(before).partition(" ")
    if named and not is_zone(named):
        return left(f"timeZone {named[:_MOST_SHOWN]!r} is not a time zone")
    times = _times(schedule.strip(), usual_zone(named or zone))
    if isinstance(times, str):
        return left(times)
    template = _mapping(_mapping(spec.get("jobTemplate")).get("spec"))
    containers = _mapping(_mapping(template.get("template")).get("spec")).get("containers")
    first = _mapping(containers[0]) if isinstance(containers, list) and containers else {}
    words = [_text(word) for name in ("command", "args") for word in _list(first.get(name))]
    job = Job(
        origin=Origin.K8S,
        where=where,
        line=line,
        title=title,
        command=shlex.join(word for word in words if word),
        times=times,
        grace=timedelta(0),
        max_run=_deadline(template.get("activeDeadlineSeconds")),
        off="it is suspended" if spec.get("suspend") is True else "",
        told="\n".join(_texts(template)),
    )
    return judged(job, now)


def _times(schedule: str, zone: str) -> Times | str:
    if not schedule.startswith(_EVERY):
        return Times(kind=Kind.CRON, expression=schedule, zone=zone, dialect=Dialect.KUBERNETES)
    period = span_of(schedule.removeprefix(_EVERY))
    if period is None or not MIN_PERIOD <= period <= MAX_PERIOD:
        return f"{schedule[:_MOST_SHOWN]!r} is not between 5 seconds and 365 days"
    return Times(kind=Kind.PERIOD, period=timedelta(seconds=round(period.total_seconds())))


def _deadline(value: Any) -> timedelta | None:
    most = MAX_PERIOD // timedelta(seconds=1)
    is_one = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
    return timedelta(seconds=value) if is_one else None


def _texts(value: Any) -> Iterator[str]:
    """All texts within, in which an address may stand."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (dict, list)) else str(value)
