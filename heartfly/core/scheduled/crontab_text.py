"""A whole crontab, of a user or of the system: its settings, its jobs, and the lines that are no job.

As Debian's cron and cronie read it: settings hold for the lines below them, a comment has a line of its own, and what
follows the first bare % is what the command reads. A line in its fields is crontab.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from heartfly.core.crontab import name_of
from heartfly.core.schedule import Dialect, Kind
from heartfly.core.scheduled.found import Found, Job, Left, Origin, Spelled, Times, judged, sorted_out, usual_zone
from heartfly.core.scheduled.tell import without_run
from heartfly.core.zones import is_zone

MOST_CHARACTERS = 1_000_000
_LONGEST_SHOWN = 120
_SETTING = re.compile(r"[ \t]*(\"[^\"]*\"|'[^']*'|[^\s=\"']+)[ \t]*=[ \t]*(.*?)[ \t]*", re.DOTALL)
_AT = re.compile(r"([ \t]*)(@\S+)([ \t]*)")
_FIELDS = re.compile(r"([ \t]*-?)(\S+(?:[ \t]+\S+){4})([ \t]*)")
_USER = re.compile(r"(\S+)([ \t]+)")
_PERCENT = re.compile(r"(?<!\\)%")
_LAST_LINE = "the last line of the file has no end, and cron does not read it"


def read(text: str, *, where: str, zone: str, now: datetime, system: bool, user: str = "") -> Found:
    """`system`: each line names its user. `user`: whose it is otherwise. `zone`: the machine's."""
    if len(text) > MOST_CHARACTERS:
        return Found([], [Left(where=where, text="", why=f"it is longer than {MOST_CHARACTERS} characters")])
    return sorted_out(_lines(text, where=where, zone=zone, now=now, system=system, user=user))


def lines_of(text: str) -> list[str]:
    """As cron counts them, each with its end: a line ends with a line feed, and with nothing else."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _lines(text: str, *, where: str, zone: str, now: datetime, system: bool, user: str) -> Iterator[Job | Left]:
    settings: dict[str, str] = {}
    lines = lines_of(text.removeprefix("\ufeff"))
    for number, whole in enumerate(lines, start=1):
        line = whole.removesuffix("\n").removesuffix("\r")
        bare = line.strip(" \t")
        if not bare or bare.startswith("#"):
            continue
        if setting := _SETTING.fullmatch(line):
            settings[_unquoted(setting[1])] = _unquoted(setting[2])
            continue
        if number == len(lines) and not whole.endswith("\n"):
            yield Left(where=where, line=number, text=_short(bare), why=_LAST_LINE)
            continue
        yield _job(line, number, settings=settings, where=where, zone=zone, now=now, system=system, user=user)


def _job(
    line: str,
    number: int,
    *,
    settings: dict[str, str],
    where: str,
    zone: str,
    now: datetime,
    system: bool,
    user: str,
) -> Job | Left:
    def left(why: str) -> Left:
        return Left(where=where, line=number, text=_short(line.strip(" \t")), why=why)

    if "\x00" in line:
        return left("it holds what is no text")
    begins = _AT.match(line) or _FIELDS.match(line)
    if begins is None:
        return left("it has no five fields of times, and is no setting")
    place, expression = begins.end(), " ".join(begins[2].split())
    if expression.lower() == "@reboot":
        return left("@reboot runs at no time on the clock, so it cannot be late")
    if system:
        who = _USER.match(line, place)
        if who is None:
            return left("it names a user and no command, or neither")
        user, place = who[1], who.end()
    if not line[place:].strip():
        return left("it has no command")
    named = settings.get("CRON_TZ", "")
    if named and not is_zone(named):
        return left(f"CRON_TZ={_short(named)} is not a time zone")
    percent = _PERCENT.search(line, place)
    end = percent.start() if percent else len(line)
    spelled = Spelled(
        head=line[:place], command=line[place:end], rest=line[end:], shell=settings.get("SHELL") or "/bin/sh"
    )
    command = spelled.command.replace("\\%", "%").strip()
    if not command:
        return left("it has no command")
    times = Times(kind=Kind.CRON, expression=expression, zone=usual_zone(named or zone), dialect=Dialect.CRON)
    notes = ("its CRON_TZ is heeded by cronie, and not by Debian's cron",) if named else ()
    job = Job(
        origin=Origin.CRONTAB,
        where=where,
        line=number,
        title=name_of(without_run(command)),
        command=without_run(command),
        user=user,
        times=times,
        grace=timedelta(0),
        told=command,
        notes=notes,
        spelled=spelled,
    )
    return judged(job, now)


def _unquoted(text: str) -> str:
    for quote in "\"'":
        if len(text) >= 2 and text.startswith(quote) and text.endswith(quote):
            return text[1:-1]
    return text


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
