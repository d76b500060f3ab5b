"""`heartfly migrate`: bring the database to this version's schema. `serve` does the same on start."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import AS_JSON, say
from heartfly.db.migrate import HEAD
from heartfly.ground import open_ground


@click.command()
@AS_JSON
@CONFIG
@DATA
def migrate(*, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Bring the database to this version's schema. Safe to run again, also after it was killed."""
    open_ground(settings_from(config, DATA__DIR=data)).close()
    say(f"The schema is at version {HEAD}.", {"schema": HEAD}, as_json=as_json)
