"""`heartfly move`: everything from SQLite into a PostgreSQL database, while nobody serves."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.progress import Progress

from heartfly.cli.backup import sqlite_file
from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import print_json
from heartfly.config import Database
from heartfly.errors import InvalidValueError, StoreError
from heartfly.ground import open_ground
from heartfly.upkeep.move import move


@click.command("move")
@click.option("--to", required=True, help="postgresql://user@host/name, an empty database.")
@click.option("--json", "as_json", is_flag=True, help="Print what was moved, for machines.")
@CONFIG
@DATA
def move_command(*, to: str, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Move everything from SQLite to PostgreSQL. The server must be stopped. What was there stays as it is."""
    url = _target(to)
    settings = settings_from(config, DATA__DIR=data)
    database = sqlite_file(settings, "move it with pg_dump and pg_restore, and take {key} along")
    if not database.exists():
        raise StoreError(f"there is no database at {database}")
    ground = open_ground(settings)
    try:
        with Progress(console=Console(stderr=True), transient=True) as shown:
            copying = shown.add_task("Copying")
            moved = move(
                ground.database,
                ground.usage,
                url,
                progress=lambda table, done, of: shown.update(
                    copying, completed=done, total=of, description=f"Copying {table}"
                ),
            )
    finally:
        ground.close()
    if as_json:
        print_json({"rows": moved.rows, "compared": moved.n_compared})
        return
    click.echo(
        f"{moved.n_rows} rows of {len(moved.rows)} tables are there, as many of each as here;"
        f" {moved.n_compared} of them were compared.\n"
        f"Now set database.url (HEARTFLY_DATABASE__URL) to it and start the server, with the same data directory:\n"
        f"{settings.data.dir / 'secret.key'} opens the secrets in it. {database} is as it was, and not used any more."
    )


def _target(to: str) -> str:
    try:
        url = Database(url=to).url
    except ValueError as error:
        raise InvalidValueError("--to", str(error).partition(": ")[2]) from error
    if not url.startswith("postgresql"):
        raise InvalidValueError("--to", "Expected postgresql://…, as only a move to PostgreSQL is known")
    if importlib.util.find_spec("psycopg") is None:
        raise StoreError("PostgreSQL needs the extra: pip install 'heartfly[postgres]'")
    return url
