"""`heartfly migrate`: bring the database to this version's schema. `serve` does the same on start."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.db.migrate import HEAD
from heartfly.ground import open_ground


@click.command()
@CONFIG
@DATA
def migrate(config: Path | None, data: Path | None) -> None:
    """Bring the database to this version's schema. Safe to run again, also after it was killed."""
    open_ground(settings_from(config, DATA__DIR=data)).close()
    click.echo(f"The schema is at version {HEAD}.")
