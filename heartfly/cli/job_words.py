"""What importing jobs and their drift print: tables and lines for people, one object for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import rich_click as click

from heartfly.cli.output import counted, plain, print_table
from heartfly.core.schedule import Kind
from heartfly.core.scheduled.drift import Drift, Line
from heartfly.core.scheduled.found import Left, Times
from heartfly.core.spans import span
from heartfly.core.text import shown

_BEFORE = {
    Drift.SAME: "has its check",
    Drift.NO_CHECK: "no check watches it",
    Drift.NO_JOB: "its job is gone",
    Drift.DIFFERS: "the schedule differs",
    Drift.OFF: "does not run, and its check waits",
}
IS_DRIFT = frozenset(Drift) - {Drift.SAME}


def line_out(line: Line) -> dict[str, Any]:
    """For machines."""
    proposal, check = line.proposal, line.check
    out: dict[str, Any] = {"outcome": line.kind.value, "pings": line.pings}
    if proposal is not None:
        job = proposal.job
        out |= {"origin": job.origin.value, "where": job.where, "line": job.line, "user": job.user, "off": job.off}
        out |= {"command": shown(job.command), "notes": list(job.notes), "proposal": proposal.as_asked()}
    out["check"] = None if check is None else {name: check[name] for name in ("id", "name", "slug", "schedule")}
    return out


def left_out(left: Left) -> dict[str, Any]:
    return {"where": left.where, "line": left.line, "text": shown(left.text), "why": left.why}


def show_lines(lines: Sequence[Line], *, done: Mapping[int, str]) -> None:
    """`done`: what was done about a line, by its place."""
    if not lines:
        click.echo("There are no jobs here.")
        return
    rows = []
    for n, line in enumerate(lines):
        job = line.proposal.job if line.proposal else None
        slug = line.check["slug"] if line.check else line.proposal.slug if line.proposal else ""
        rows.append(
            (
                line.proposal.name if line.proposal else line.check["name"] if line.check else "",
                slug,
                times_words(job.times) if job else "-",
                job.place if job else "-",
                done.get(n, _words(line)),
            )
        )
    print_table(("JOB", "SLUG", "WHEN", "WHERE", "CHECK"), rows)
    for line in lines:
        if line.kind is Drift.DIFFERS and line.proposal and line.check:
            here, there = times_words(line.proposal.job.times), line.check["schedule_text"]
            click.echo(plain(f"{line.check['slug']}: the job runs {here}; its check says: {there}"))


def _words(line: Line) -> str:
    job = line.proposal.job if line.proposal else None
    if job is not None and job.off and line.kind is Drift.SAME:
        return f"not taken: {job.off}"
    return _BEFORE[line.kind]


def show_left(left: Sequence[Left]) -> None:
    for one in left:
        click.echo(plain(f"Left out: {one.place}: {one.text}: {one.why}".replace(": : ", ": ")))


def show_notes(lines: Sequence[Line]) -> None:
    for line in lines:
        if line.proposal and line.kind is Drift.NO_CHECK:
            for note in line.proposal.job.notes:
                click.echo(plain(f"{line.proposal.slug}: {note}"))


def sum_of(lines: Sequence[Line]) -> str:
    counts = Counter(line.kind for line in lines)
    jobs = sum(1 for line in lines if line.proposal is not None)
    parts = [counted(jobs, "job")]
    parts += [f"{counts[kind]} {_short(kind)}" for kind in Drift if kind is not Drift.SAME and counts[kind]]
    return ", ".join(parts) + ("." if any(counts[kind] for kind in IS_DRIFT) else ", no drift.")


def _short(kind: Drift) -> str:
    return {
        Drift.NO_CHECK: "without a check",
        Drift.NO_JOB: "gone while its check waits",
        Drift.DIFFERS: "with another schedule",
        Drift.OFF: "not running while its check waits",
        Drift.SAME: "as they should be",
    }[kind]


def times_words(times: Times) -> str:
    if times.kind is Kind.PERIOD:
        return "" if times.period is None else f"every {span(times.period)}"
    return f"{times.expression.replace(chr(10), ' | ')} {times.zone}"
