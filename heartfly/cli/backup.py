"""`heartfly backup`: one file that holds all that this Heartfly knows, taken while it serves."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import print_json
from heartfly.clock import SystemClock
from heartfly.config import Settings
from heartfly.errors import StoreError

if TYPE_CHECKING:
    from heartfly.backup.take import Taken

_NICE = 10
"""Behind whatever else wants the processor; not 19, by which a busy machine would take minutes instead of seconds."""


@click.command()
@click.option("--to", type=click.Path(path_type=Path), help="A file, or a directory for it.  [DATA/backups]")
@click.option("--json", "as_json", is_flag=True, help="Print what was made, for machines.")
@CONFIG
@DATA
def backup(*, to: Path | None, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Back up the database and its keys into one file, also while Heartfly serves. Whoever reads it can read all."""
    _give_way()  # also with what is imported, which takes as long as to copy tens of megabytes
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.progress import Progress  # noqa: PLC0415 - see above

    from heartfly.backup.take import default_name, take  # noqa: PLC0415 - see above

    settings = settings_from(config, DATA__DIR=data)
    database = sqlite_file(settings, "back it up with pg_dump or pg_basebackup, together with {key}")
    clock = SystemClock()
    with Progress(console=Console(stderr=True), transient=True) as shown:
        copying = shown.add_task("Copying")
        taken = take(
            database=database,
            data_dir=settings.data.dir,
            target=_target(to, settings, default_name(clock.now())),
            clock=clock,
            progress=lambda done, of: shown.update(copying, completed=done, total=of),
        )
    if as_json:
        print_json(_wire(taken))
        return
    rows = taken.manifest.rows
    click.echo(f"{taken.path} ({taken.size / 1e6:.1f} MB, {rows.get('checks', 0)} checks) is whole and readable.")
    click.echo("It holds the database and its keys: whoever can read it can read every secret. Keep it elsewhere.")


def _give_way() -> None:
    os.nice(_NICE)
    if not hasattr(os, "SCHED_BATCH"):
        return
    with suppress(OSError):  # musl and some sandboxes have the name and not the call
        if os.sched_getscheduler(0) == os.SCHED_OTHER:  # who was told to be idle stays so, and may not always leave it
            # Woken after a rest it waits until whoever computes has done.
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def sqlite_file(settings: Settings, advice: str) -> Path:
    """StoreError with the advice, where the database is PostgreSQL's."""
    url = settings.database_url
    if url.startswith("postgresql"):
        key = settings.data.dir / "secret.key"
        raise StoreError(f"the database is PostgreSQL's: {advice.format(key=key)}, which opens the secrets in it")
    return Path(url.removeprefix("sqlite:///"))


def _target(to: Path | None, settings: Settings, name: str) -> Path:
    if to is None:
        return settings.data.dir / "backups" / name
    return to / name if to.is_dir() else to


def _wire(taken: Taken) -> dict[str, object]:
    manifest = taken.manifest
    return {
        "file": str(taken.path.absolute()),
        "size": taken.size,
        "taken_at": manifest.taken_at.isoformat().replace("+00:00", "Z"),
        "version": manifest.version,
        "schema": manifest.schema,
        "instance": manifest.instance,
        "epoch": manifest.epoch,
        "parts": sorted(manifest.parts),
        "rows": manifest.rows,
    }
