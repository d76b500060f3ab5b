"""`heartfly backup`: one file that holds all that this Heartfly knows, taken while it serves."""

from __future__ import annotations

import os
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.progress import Progress

from heartfly.backup.take import Taken, default_name, take
from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import print_json
from heartfly.clock import SystemClock
from heartfly.config import Settings
from heartfly.errors import StoreError

_NICE = 10
"""So that a ping never waits for the processor because of us."""


@click.command()
@click.option("--to", type=click.Path(path_type=Path), help="A file, or a directory for it.  [DATA/backups]")
@click.option("--json", "as_json", is_flag=True, help="Print what was made, for machines.")
@CONFIG
@DATA
def backup(*, to: Path | None, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Back up the database and its keys into one file, also while Heartfly serves. Whoever reads it can read all."""
    settings = settings_from(config, DATA__DIR=data)
    database = sqlite_file(settings, "back it up with pg_dump or pg_basebackup, together with {key}")
    clock = SystemClock()
    os.nice(_NICE)
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
