"""Timers of systemd: out of unit files with their drop-ins, or of what `systemctl show` says of them.

A timer has its calendar lines, or a span after its unit last ran; what it may be late by itself (RandomizedDelaySec,
AccuracySec) is added to the grace. How systemd reads files is systemd.syntax(7) and systemd.time(7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from heartfly.core.schedule import MAX_EXPRESSION, MAX_PERIOD, MIN_PERIOD, Dialect, Kind
from heartfly.core.scheduled.found import Found, Job, Left, Origin, Times, judged, sorted_out, usual_zone

MOST_CHARACTERS = 4_000_000
_USUAL_ACCURACY = timedelta(minutes=1)
_SECONDS: Mapping[str, float] = {
    "": 1, "s": 1, "sec": 1, "second": 1, "seconds": 1, "ms": 0.001, "msec": 0.001, "us": 1e-6, "usec": 1e-6,
    "m": 60, "min": 60, "minute": 60, "minutes": 60, "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
    "M": 2629800, "month": 2629800, "months": 2629800, "y": 31557600, "year": 31557600, "years": 31557600,
}  # fmt: skip
_PART = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z]*)", re.ASCII)
_SECTION = re.compile(r"\[([^\]]+)\]")
_SHOWN = re.compile(r"\{ (On\w+)=(.*?) ; next_elapse=")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,240}\.[a-z]{1,10}", re.ASCII)
"""Nothing in it reads as more of a path."""
_ONCE = ("OnActive", "OnBoot", "OnStartup")
_TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})

Section = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """`name`: with its ending. `texts`: its file, then its drop-ins, in the order in which they are read.

    `service`: the text of what it starts, likewise. `off`: why it does not run; empty: it does.
    """

    name: str
    where: str
    texts: Sequence[str]
    service: Sequence[str] = ()
    off: str = ""


def read(timers: Sequence[Timer], *, zone: str, now: datetime) -> Found:
    return sorted_out(_of_files(timer, zone=zone, now=now) for timer in timers)


def unit_of(name: str, texts: Sequence[str]) -> str:
    """What a timer starts: a service of its own name, unless it says another. Empty: what it says is no unit's name."""
    return _unit(_last(sections(texts).get("Timer", {}), "Unit"), name)


def _unit(named: str, timer: str) -> str:
    unit = named or f"{timer.removesuffix('.timer')}.service"
    return unit if _UNIT.fullmatch(unit) else ""


def shown(text: str, *, zone: str, now: datetime, services: Mapping[str, Sequence[str]] | None = None) -> Found:
    """What `systemctl show '*.timer'` said: blocks of properties with empty lines between them."""
    if len(text) > MOST_CHARACTERS:
        return Found([], [Left(where="systemctl", text="", why=f"it said more than {MOST_CHARACTERS} characters")])
    blocks = (_properties(block) for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")))
    return sorted_out(_of_block(block, zone=zone, now=now, services=services or {}) for block in blocks if block)


def sections(texts: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """All assignments by section and name. An empty one forgets those before it."""
    found: dict[str, dict[str, list[str]]] = {}
    for text in texts:
        name = ""
        for line in _joined(text):
            if section := _SECTION.fullmatch(line):
                name = section[1]
                continue
            key, equals, value = line.partition("=")
            if not equals or not name:
                continue
            values = found.setdefault(name, {}).setdefault(key.strip(), [])
            if value.strip():
                values.append(value.strip())
            else:
                values.clear()
    return found


def span_of(text: str) -> timedelta | None:
    """`1h 30min`, `90`, `2 weeks`. None: it is no span, or has no end."""
    text, seconds, place = text.strip(), 0.0, 0
    if not text:
        return None
    while place < len(text):
        part = _PART.match(text, place)
        unit = part[2] if part else ""
        size = _SECONDS.get(unit, _SECONDS.get(unit.lower()))
        if part is None or size is None or part.end() == place:
            return None
        seconds += float(part[1]) * size
        place = part.end()
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        return None


def _of_files(timer: Timer, *, zone: str, now: datetime) -> Job | Left:
    if sum(map(len, timer.texts)) > MOST_CHARACTERS:
        return Left(where=timer.where, text=timer.name, why=f"it is longer than {MOST_CHARACTERS} characters")
    said = sections(timer.texts)
    own = said.get("Timer", {})
    return _job(
        timer.name,
        where=timer.where,
        calendar=own.get("OnCalendar", []),
        spans={name.removesuffix("Sec"): values for name, values in own.items() if name.startswith("On")},
        delay=span_of(_last(own, "RandomizedDelaySec")),
        accuracy=span_of(_last(own, "AccuracySec")),
        is_persistent=_last(own, "Persistent").lower() in _TRUE,
        unit=unit_of(timer.name, timer.texts),
        service=timer.service,
        off=timer.off,
        zone=zone,
        now=now,
    )


def _of_block(block: Section, *, zone: str, now: datetime, services: Mapping[str, Sequence[str]]) -> Job | Left:
    name = _last(block, "Id") or "a timer"
    path = _last(block, "FragmentPath")
    told = [one for value in (*block.get("TimersCalendar", ()), *block.get("TimersMonotonic", ()))
            for one in _SHOWN.findall(value)]  # fmt: skip
    spans: dict[str, list[str]] = {}
    for key, value in told:
        spans.setdefault(key.removesuffix("USec").removesuffix("Sec"), []).append(value)
    unit = _last(block, "Unit") or _last(block, "Triggers").partition(" ")[0]
    state = _last(block, "ActiveState")
    return _job(
        name,
        where=path or name,
        calendar=spans.pop("OnCalendar", []),
        spans=spans,
        delay=span_of(_last(block, "RandomizedDelayUSec")),
        accuracy=span_of(_last(block, "AccuracyUSec")),
        is_persistent=_last(block, "Persistent").lower() in _TRUE,
        unit=_unit(unit, name),
        service=services.get(unit, ()),
        off="" if state in {"", "active", "activating"} else f"it is {state}",
        zone=zone,
        now=now,
    )


def _job(
    name: str,
    *,
    where: str,
    calendar: Sequence[str],
    spans: Mapping[str, Sequence[str]],
    delay: timedelta | None,
    accuracy: timedelta | None,
    is_persistent: bool,
    unit: str,
    service: Sequence[str],
    off: str,
    zone: str,
    now: datetime,
) -> Job | Left:
    def left(why: str) -> Left:
        return Left(where=where, text=name, why=why)

    if "@." in name:
        return left("it is a template; what is made of it has its own timers")
    if not unit:
        return left("what it starts is no unit")
    found = _times(calendar, spans, zone)
    if isinstance(found, str):
        return left(found)
    times, notes = found
    if is_persistent:
        notes.append("a run that was missed while the machine was off is made up for when it starts")
    if delay:
        notes.append(f"it may be late by {_words(delay)} by itself, which the grace has room for")
    commands = sections(service).get("Service", {}).get("ExecStart", [])
    job = Job(
        origin=Origin.SYSTEMD,
        where=where,
        title=name,
        command="; ".join(commands),
        unit=unit,
        times=times,
        grace=timedelta(0),
        off=off,
        told="\n".join(service),
        notes=tuple(notes),
    )
    more = (delay or timedelta(0)) + (_USUAL_ACCURACY if accuracy is None else accuracy)
    return judged(job, now, more_grace=more)


def _times(calendar: Sequence[str], spans: Mapping[str, Sequence[str]], zone: str) -> tuple[Times, list[str]] | str:
    """When it runs, with notes; or why that cannot be said."""
    periods = {name: spans[name] for name in ("OnUnitActive", "OnUnitInactive") if spans.get(name)}
    if calendar:
        expression = "\n".join(calendar)
        if len(expression) > MAX_EXPRESSION:
            return f"its OnCalendar lines are longer than {MAX_EXPRESSION} characters"
        notes = ["its OnCalendar lines count, and its other times do not"] if periods else []
        whose = usual_zone(zone)
        return Times(kind=Kind.ONCALENDAR, expression=expression, zone=whose, dialect=Dialect.SYSTEMD), notes
    if not periods:
        once = any(name.startswith(_ONCE) for name in spans)
        return "it runs once after a start, so it cannot be late" if once else "it has no times"
    name, said = next(iter(periods.items()))
    found = [span for text in said if (span := span_of(text)) is not None]
    if not found:
        return f"{name}Sec={said[-1]} is no span of time"
    period = timedelta(seconds=round(min(found).total_seconds()))
    if not MIN_PERIOD <= period <= MAX_PERIOD:
        return f"{name}Sec={said[-1]} is not between 5 seconds and 365 days"
    notes = ["its period is counted from the end of a run, so the run's length comes on top"]
    return Times(kind=Kind.PERIOD, period=period), notes if name == "OnUnitInactive" else []


def _joined(text: str) -> Iterator[str]:
    """Lines without comments, and those that a backslash continues as one."""
    whole = ""
    for raw in text.replace("\r\n", "\n").split("\n"):
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            whole += line[:-1] + " "
            continue
        if whole + line:
            yield (whole + line).strip()
        whole = ""
    if whole.strip():
        yield whole.strip()


def _properties(block: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in block.split("\n"):
        name, equals, value = line.partition("=")
        if equals and value.strip():
            found.setdefault(name.strip(), []).append(value.strip())
    return found


def _last(values: Section, name: str) -> str:
    found = values.get(name, ())
    return found[-1] if found else ""


def _words(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
