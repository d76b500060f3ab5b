"""`heartfly import crontab|systemd|k8s|github-actions`: checks for the jobs that are there, and how these tell of
themselves.

It says what would come of it; --apply makes the checks, and --edit edits the jobs. Both may run as often as one likes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from heartfly.cli.checks import channel_id
from heartfly.cli.client import Client, Refused, connected, part
from heartfly.cli.job_edits import replace_own_crontab, replace_text, write_drop_in
from heartfly.cli.job_words import IS_DRIFT, left_out, line_out, show_left, show_lines, show_notes, sum_of
from heartfly.cli.jobs_here import (
    OWN,
    STDIN,
    Here,
    crontab_files,
    crontabs_of_machine,
    machine_name,
    machine_zone,
    manifest_files,
    timer_files,
    timers_of_machine,
    workflow_files,
)
from heartfly.cli.output import AS_JSON, plain, print_json
from heartfly.clock import SystemClock
from heartfly.core import schedule as schedules
from heartfly.core.scheduled.drift import Drift, Line, Read, drifts
from heartfly.core.scheduled.found import Job, Origin, proposals, tags_of
from heartfly.core.scheduled.tell import Form, container, crontab_line, demand_plain, drop_in, edited, step
from heartfly.core.text import shown

F = TypeVar("F", bound=Callable[..., Any])
DRIFTED = 3
_MADE = "made"
_UNMADE = "http(s)://…/ping/UUID"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the options say that all sources share."""

    host: str
    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    tags: Sequence[str] = ()
    channels: Sequence[str] = ()
    apply: bool = False
    update: bool = False
    edit: bool = False
    drift: bool = False
    form: Form = Form.RUN
    program: str = "heartfly run"
    as_json: bool = False


def source_options(command: F) -> F:
    for option in reversed(
        (
            click.option("--host", help="What runs them, as it stands in names, slugs and tags."),
            click.option(
                "--only", multiple=True, metavar="PATTERN", help="Only jobs of such slugs or names: '*backup*'."
            ),
            click.option("--skip", multiple=True, metavar="PATTERN", help="All but those."),
            click.option("--tag", "tags", multiple=True, help="A tag more for the checks; may be repeated."),
            click.option("--channel", "channels", multiple=True, help="Who hears of them.  [every channel]"),
            click.option("--apply", is_flag=True, help="Make the checks that are missing."),
            click.option(
                "--update", is_flag=True, help="With --apply: give checks the schedules that their jobs have."
            ),
            click.option(
                "--drift", is_flag=True, help="Only say how jobs and checks differ: exit status 3 if they do."
            ),
            AS_JSON,
        )
    ):
        command = option(command)
    return command


_ROOT = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/"),
    help="Another machine's file system, as it is mounted here.",
)
_ZONE = click.option("--zone", help="The time zone of the clock that they run by.  [the machine's]")
_EDIT = click.option("--edit", is_flag=True, help="With --apply: edit the jobs so that they tell of themselves.")


@click.command("crontab")
@click.argument("files", nargs=-1)
@source_options
@_ROOT
@_ZONE
@click.option(
    "--system/--of-user", "system", default=None, help="Whether lines name their user.  [by the file's place]"
)
@_EDIT
@click.option("--form", type=click.Choice(["run", "curl"]), default="run", help="How a job tells of itself.")
@click.option("--program", help="What runs a job there.  [this heartfly, with run]")
@connected("--url", "--server")
def crontab(
    *, files: tuple[str, ...], root: Path, zone: str | None, system: bool | None, host: str | None, form: str,
    program: str | None, api: Client, **rest: Any,
) -> None:  # fmt: skip
    """Make checks for the jobs in crontabs: the FILES, - for standard input, or all of this machine."""
    now, there = SystemClock().now(), zone or machine_zone(root)
    if STDIN in files and rest["edit"]:
        raise click.UsageError("--edit writes files: standard input is none.")
    if files:
        here = crontab_files(files, system=system, zone=there, now=now)
    else:
        here = crontabs_of_machine(root, zone=there, now=now)
    named = machine_name(root) if host is None else host
    wanted = Wanted(host=named, form=Form(form), program=program or _own_program(), **rest)
    _import(api, here, wanted, [Origin.CRONTAB], root=root, now=now)


@click.command("systemd")
@click.argument("files", nargs=-1)
@source_options
@_ROOT
@_ZONE
@_EDIT
@connected("--url", "--server")
def systemd(
    *, files: tuple[str, ...], root: Path, zone: str | None, host: str | None, api: Client, **rest: Any
) -> None:
    """Make checks for systemd's timers: the FILES, or all of this machine.

    - is standard input, for what `systemctl show '*.timer'` says elsewhere.
    """
    now, there = SystemClock().now(), zone or machine_zone(root)
    here = timer_files(files, zone=there, now=now) if files else timers_of_machine(root, zone=there, now=now)
    named = machine_name(root) if host is None else host
    _import(api, here, Wanted(host=named, **rest), [Origin.SYSTEMD], root=root, now=now)


@click.command("k8s")
@click.argument("files", nargs=-1, required=True)
@source_options
@click.option("--zone", default="UTC", show_default=True, help="The cluster's, for CronJobs that name none.")
@connected("--url", "--server")
def k8s(*, files: tuple[str, ...], zone: str, host: str | None, api: Client, **rest: Any) -> None:
    """Make checks for the CronJobs in manifests: files, folders, or - for `kubectl get cronjobs -A -o yaml`."""
    now = SystemClock().now()
    here = manifest_files(files, zone=zone, now=now)
    _import(api, here, Wanted(host=host or "", **rest), [Origin.K8S], root=Path("/"), now=now)


@click.command("github-actions")
@click.argument("files", nargs=-1)
@source_options
@connected("--url", "--server")
def github_actions(*, files: tuple[str, ...], host: str | None, api: Client, **rest: Any) -> None:
    """Make checks for workflows that run by a schedule: files, or the folder .github/workflows."""
    now = SystemClock().now()
    _import(
        api, workflow_files(files, now=now), Wanted(host=host or "", **rest), [Origin.GITHUB], root=Path("/"), now=now
    )


def compare(api: Client, here: Here, wanted: Wanted, origins: Sequence[Origin]) -> list[Line]:
    """The jobs and checks that are there, after --only and --skip."""
    jobs = proposals(here.found.jobs, host=wanted.host, tags=wanted.tags)
    chosen = [one for one in jobs if _is_wanted(one.slug, one.name, wanted)]
    checks = list(api.listed("/v1/checks"))
    read = Read(files=here.files, folders=here.folders, tags=[tags_of(origin, wanted.host) for origin in origins])
    passed_over = {one.slug for one in jobs} - {one.slug for one in chosen}
    lines = drifts(chosen, [check for check in checks if check["slug"] not in passed_over], read)
    return [
        line for line in lines
        if line.proposal or (line.check and _is_wanted(line.check["slug"], line.check["name"], wanted))
    ]  # fmt: skip


def _is_wanted(slug: str, name: str, wanted: Wanted) -> bool:
    def fits(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(text, pattern) for pattern in patterns for text in (slug, name))

    return (not wanted.only or fits(wanted.only)) and not fits(wanted.skip)


def _import(api: Client, here: Here, wanted: Wanted, origins: Sequence[Origin], *, root: Path, now: datetime) -> None:
    if wanted.edit and not wanted.apply:
        raise click.UsageError("--edit goes with --apply: a job can only name an address that is there.")
    lines = compare(api, here, wanted, origins)
    if wanted.drift:
        show_drift(lines, here, as_json=wanted.as_json)
        return
    done: dict[int, str] = {}
    refused = 0
    if wanted.apply:
        lines, done, refused = _applied(api, lines, wanted, now=now)
    texts = [_own_words(line, wanted) for line in lines]
    edits = _edit(lines, texts, here, root=root, now=now) if wanted.edit else []
    if wanted.as_json:
        told = [
            line_out(line) | {"done": done.get(n), "tell": text and shown(text)}
            for n, (line, text) in enumerate(zip(lines, texts, strict=True))
        ]
        left = [left_out(one) for one in here.found.left]
        print_json({"jobs": told, "left": left, "edited": edits, "applied": wanted.apply})
    else:
        _tell(lines, texts, here, wanted, done=done, edits=edits)
    if refused:
        raise SystemExit(1)


def show_drift(lines: Sequence[Line], here: Here, *, as_json: bool) -> None:
    """Ends the command with 3 if there is any."""
    drifted = any(line.kind in IS_DRIFT for line in lines)
    if as_json:
        left = [left_out(one) for one in here.found.left]
        print_json({"jobs": [line_out(line) for line in lines], "left": left, "drift": drifted})
    else:
        show_lines(lines, done={})
        show_left(here.found.left)
        click.echo(f"\n{sum_of(lines)}")
    if drifted:
        raise SystemExit(DRIFTED)


def _applied(
    api: Client, lines: Sequence[Line], wanted: Wanted, *, now: datetime
) -> tuple[list[Line], dict[int, str], int]:
    """The lines with the checks that are there now, what was done by a line's place, and how many were refused."""
    channels = [channel_id(api, channel) for channel in wanted.channels]
    after, done, refused = [], {}, 0
    for n, line in enumerate(lines):
        proposal = line.proposal
        after.append(line)
        try:
            if line.kind is Drift.NO_CHECK and proposal is not None:
                asked = proposal.as_asked() | ({"channels": channels} if channels else {})
                if wanted.edit and (by := _first_ping_by(proposal.job, now)):
                    asked["first_ping_by"] = by
                made = api.call("POST", "/v1/checks", asked)
                after[n], done[n] = replace(line, check=made), _MADE
            elif line.kind is Drift.DIFFERS and wanted.update and proposal is not None and line.check is not None:
                schedule = {"schedule": proposal.job.times.as_asked()}
                made = api.call("PATCH", f"/v1/checks/{part(line.check['id'])}", schedule)
                after[n], done[n] = replace(line, check=made, kind=Drift.SAME), "given the job's schedule"
        except Refused as error:
            done[n], refused = f"refused: {' '.join(error.message.split())}", refused + 1
    return after, done, refused


def _first_ping_by(job: Job, now: datetime) -> str | None:
    """When a job that was edited has pinged at the latest: one that never begins is found."""
    times = schedules.upcoming(job.times.read(now), now, 1, anchor=now)
    return (times[0] + job.grace).isoformat() if times else None


def _own_words(line: Line, wanted: Wanted) -> str | None:
    """How the job tells of itself, as it should stand; None: it does so already, or does not run."""
    if line.proposal is None or line.pings or line.proposal.job.off:
        return None
    job = line.proposal.job
    url = _UNMADE
    if line.check and line.check["ping_url"]:
        demand_plain(url := str(line.check["ping_url"]))
    match job.origin:
        case Origin.CRONTAB:
            return crontab_line(job.spelled, url, form=wanted.form, program=wanted.program) if job.spelled else None
        case Origin.SYSTEMD:
            return drop_in(url, curl=shutil.which("curl") or "/usr/bin/curl")
        case Origin.K8S:
            return container(url, job.command)
        case Origin.GITHUB:
            return step(url, job.times.expression)


def _edit(
    lines: Sequence[Line], texts: Sequence[str | None], here: Here, *, root: Path, now: datetime
) -> list[dict[str, Any]]:
    """Each file once; which were, with their backups."""
    by_file: dict[str, dict[int, str]] = {}
    told: list[dict[str, Any]] = []
    for line, text in zip(lines, texts, strict=True):
        if text is None or line.proposal is None or line.check is None or not line.check["ping_url"]:
            continue
        job = line.proposal.job
        if job.origin is Origin.SYSTEMD:
            path = root / f"etc/systemd/system/{job.unit}.d/heartfly.conf"
            backup = write_drop_in(path, text, now=now)
            told.append({"file": str(path), "backup": backup and str(backup)})
        else:
            by_file.setdefault(job.where, {})[job.line] = text
    for where, changes in by_file.items():
        old = here.texts[where]
        new = edited(old, changes)
        if where == OWN:
            backup = replace_own_crontab(old=old, new=new, now=now)
        else:
            backup = replace_text(here.paths[where], old=old, new=new, now=now)
        told.append({"file": where, "backup": str(backup)})
    return told


def _tell(
    lines: Sequence[Line],
    texts: Sequence[str | None],
    here: Here,
    wanted: Wanted,
    *,
    done: dict[int, str],
    edits: Sequence[dict[str, Any]],
) -> None:
    show_lines(lines, done=done)
    show_left(here.found.left)
    show_notes(lines)
    if not wanted.edit and any(texts):
        click.echo("\nSo that they tell of themselves:")
        for line, text in zip(lines, texts, strict=True):
            if text is not None and line.proposal is not None:
                job = line.proposal.job
                where = job.place if job.origin is not Origin.SYSTEMD else f"systemctl edit {job.unit}"
                click.echo(f"\n# {plain(where)}")
                click.echo("\n".join(plain(one) for one in text.replace("\t", " ").splitlines()))
    for one in edits:
        backup = f"; as it was: {one['backup']}" if one["backup"] else ""
        click.echo(plain(f"Edited: {one['file']}{backup}"))
    if any(str(one["file"]).endswith(".conf") for one in edits):
        click.echo("Now let systemd read them: systemctl daemon-reload")
    made = [replace(line, kind=Drift.SAME) if done.get(n) == _MADE else line for n, line in enumerate(lines)]
    click.echo(f"\n{sum_of(made)}")
    if not wanted.apply:
        click.echo("Nothing was changed: --apply makes the checks that are missing.")


def _own_program() -> str:
    """How cron, which knows few folders, finds us."""
    found = shutil.which(sys.argv[0]) or ""
    own = Path(found).absolute() if Path(found).name == "heartfly" else None
    return f"{own} run" if own is not None and " " not in str(own) else "heartfly run"
