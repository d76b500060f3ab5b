"""`heartfly jobs …`: what Heartfly does by itself, how it went, and a run of it now."""

from __future__ import annotations

import asyncio
from typing import Any

import rich_click as click
from click.exceptions import Exit

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, DURATION, print_json, print_table, seconds, when
from heartfly.clock import Clock, SystemClock

_LOOK_EVERY_S = 0.2


@click.group("jobs")
def jobs_group() -> None:
    """Heartfly's own jobs: daily sums, retention, a look at the database, backups."""


@jobs_group.command("list")
@AS_JSON
@connected()
def list_jobs(*, as_json: bool, api: Client) -> None:
    """List Heartfly's own jobs: when each runs next, and how its last run went."""
    found = list(api.listed("/v1/jobs"))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are none here: jobs of the whole installation belong to its first project.")
        return
    print_table(
        ("JOB", "SCHEDULE", "NEXT", "LAST RUN", "TOOK", "FIGURES"),
        [
            (
                job["kind"],
                "-" if job["off"] else job["schedule_text"],
                when(job["next_at"]),
                _last(job["last_run"]),
                seconds((job["last_run"] or {}).get("duration")),
                job["off"] or _figures(job["last_run"]),
            )
            for job in found
        ],
    )


def _last(run: Any) -> str:
    if run is None:
        return "-"
    if run["outcome"] is None:
        return "under way" if run["started_at"] else "waits"
    return f"{run['outcome']}, {when(run['ended_at'])}"


def _figures(run: Any) -> str:
    if run is None:
        return ""
    return run["words"] or ", ".join(f"{name}={value}" for name, value in run["figures"].items())


_NO_DIGEST = "none was due: each is told once, after 7:00 in its project's zone, on channels that chose one"


@jobs_group.command("run")
@click.argument("job")
@click.option("--wait", type=DURATION, default=3600, help="Wait for its end for so long; 0: not at all.  [1h]")
@AS_JSON
@connected()
def run(*, job: str, wait: int, as_json: bool, api: Client) -> None:
    """Run a job now, by its kind or id, and wait for its end. Exit 1: it failed, or goes on still."""
    found = _find(api, job)
    asked = api.call("POST", f"/v1/jobs/{part(found['id'])}/run")
    ended = asyncio.run(_ended(api, found["id"], asked, wait, SystemClock()))
    if as_json:
        print_json(ended)
    else:
        click.echo(_told(found["kind"], ended))
    if ended["outcome"] != "ok" and wait:
        raise Exit(1)


async def _ended(api: Client, job_id: str, asked: Any, wait: int, clock: Clock) -> Any:
    """The run when it has ended, or as it is when we stop waiting."""
    give_up_at = clock.monotonic() + wait
    told = asked
    while told["outcome"] is None and clock.monotonic() < give_up_at:
        await clock.sleep(_LOOK_EVERY_S)
        newest = api.call("GET", f"/v1/jobs/{part(job_id)}/runs", limit=20)["items"]
        told = next((one for one in newest if one["id"] == asked["id"]), told)
    return told


def _told(kind: str, ended: Any) -> str:
    if ended["outcome"] is None:
        return f"{kind} goes on; `heartfly jobs list` shows how it ends."
    if ended["outcome"] == "failed":
        return f"{kind} failed: {ended['words']}"
    figures = _figures(ended)
    if kind == "digest" and ended["figures"].get("digests") == 0:
        figures += f"; {_NO_DIGEST}"
    return f"{kind} went well in {seconds(ended['duration'])}" + (f": {figures}." if figures else ".")


def _find(api: Client, name: str) -> Any:
    found = [job for job in api.listed("/v1/jobs") if name in {job["id"], job["kind"]}]
    if not found:
        raise click.ClickException(f"There is no job {name}; `heartfly jobs list` shows them.")
    return found[0]
