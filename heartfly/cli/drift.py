"""`heartfly drift`: how the jobs of a machine, or in files, differ from the checks that watch them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.import_jobs import Wanted, compare, show_drift
from heartfly.cli.jobs_here import (
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
from heartfly.cli.output import AS_JSON
from heartfly.clock import SystemClock
from heartfly.core.scheduled.found import Origin


@click.command("drift")
@click.option("--crontab", "crontabs", multiple=True, metavar="FILE", help="A crontab; may be repeated, as all here.")
@click.option("--systemd", "timers", multiple=True, metavar="FILE", help="The file of a timer.")
@click.option("--k8s", "manifests", multiple=True, metavar="FILE", help="A manifest, or a folder of them.")
@click.option("--github-actions", "workflows", multiple=True, metavar="FILE", help="A workflow, or a folder of them.")
@click.option("--host", help="What runs them, as it was told when they were imported.  [this machine]")
@click.option("--zone", help="The time zone of the clock that they run by.  [the machine's]")
@click.option(
    "--root", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("/"),
    help="Another machine's file system, as it is mounted here.",
)  # fmt: skip
@click.option("--only", multiple=True, metavar="PATTERN", help="Only jobs and checks of such slugs or names.")
@click.option("--skip", multiple=True, metavar="PATTERN", help="All but those.")
@AS_JSON
@connected("--url", "--server")
def drift(
    *, crontabs: tuple[str, ...], timers: tuple[str, ...], manifests: tuple[str, ...], workflows: tuple[str, ...],
    host: str | None, zone: str | None, root: Path, as_json: bool, api: Client, **rest: Any,
) -> None:  # fmt: skip
    """Say which jobs no check watches, which checks have no job any more, and whose schedules differ.

    Without a file it looks at all crontabs and timers of this machine. Exit status 3 if something differs.
    """
    now, there = SystemClock().now(), zone or machine_zone(root)
    here, origins = Here(), []
    if crontabs:
        here, origins = crontab_files(crontabs, system=None, zone=there, now=now), [Origin.CRONTAB]
    if timers:
        here, origins = here + timer_files(timers, zone=there, now=now), [*origins, Origin.SYSTEMD]
    if manifests:
        here, origins = here + manifest_files(manifests, zone=zone or "UTC", now=now), [*origins, Origin.K8S]
    if workflows:
        here, origins = here + workflow_files(workflows, now=now), [*origins, Origin.GITHUB]
    if not origins:
        here = crontabs_of_machine(root, zone=there, now=now) + timers_of_machine(root, zone=there, now=now)
        origins = [Origin.CRONTAB, Origin.SYSTEMD]
    of_machine = bool({Origin.CRONTAB, Origin.SYSTEMD} & set(origins))
    named = host if host is not None else machine_name(root) if of_machine else ""
    show_drift(compare(api, here, Wanted(host=named, **rest), origins), here, as_json=as_json)
