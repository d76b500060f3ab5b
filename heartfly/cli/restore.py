"""`heartfly restore`: a backup becomes the database, and nobody is alarmed for the time that it does not know."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import rich_click as click

from heartfly.backup.marks import mark
from heartfly.backup.put_back import put_back
from heartfly.cli.backup import sqlite_file
from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import print_json
from heartfly.clock import SystemClock
from heartfly.config import Settings
from heartfly.db.changes import Tx
from heartfly.db.instance import Identity, refuse_while_alive
from heartfly.ground import open_ground


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Set aside the database that is there.")
@click.option(
    "--in-place",
    is_flag=True,
    help="The database was put back already, by PostgreSQL's tools or as a copy of its file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done, for machines.")
@CONFIG
@DATA
def restore(
    *, file: Path | None, force: bool, in_place: bool, as_json: bool, config: Path | None, data: Path | None
) -> None:
    """Make FILE, which `heartfly backup` wrote, the database. No server may run there; start one when it is done.

    What came after the backup is unknown: no check is held for down because of it, and what may have been told since is
    told again only as a possible duplicate.
    """
    settings = settings_from(config, DATA__DIR=data)
    if in_place == (file is not None):
        raise click.UsageError("Say which FILE to restore, or --in-place.")
    told = _in_place(settings) if file is None else _put_back(settings, file, force=force)
    if as_json:
        print_json(told)
        return
    click.echo(f"Restored: Heartfly knows what was known at {told['backup_at']}.")
    if told["set_aside"]:
        click.echo(f"What was there before is in {told['set_aside']}.")
    click.echo(
        "What was changed since is undone: keys revoked since then are valid again, checks paused since are expected.\n"
        "A server that still runs on what the backup was taken of must be stopped."
    )


def _put_back(settings: Settings, file: Path, *, force: bool) -> dict[str, object]:
    advice = "put it back with pg_restore, and {key}; then run `heartfly restore --in-place`"
    done = put_back(
        file,
        database=sqlite_file(settings, advice),
        data_dir=settings.data.dir,
        clock=SystemClock(),
        force=force,
    )
    return _wire(done.identity, set_aside=done.set_aside, schema=done.manifest.schema)


def _in_place(settings: Settings) -> dict[str, object]:
    ground = open_ground(settings)
    try:
        now = ground.clock.now()

        def work(tx: Tx) -> Identity:
            if tx.on_postgres:  # of SQLite we hold the lock
                refuse_while_alive(tx, at=now)
            return mark(tx, at=now)

        return _wire(ground.database.transaction(work), set_aside=None, schema=None)
    finally:
        ground.close()


def _wire(identity: Identity, *, set_aside: Path | None, schema: str | None) -> dict[str, object]:
    return {
        "instance": identity.uuid,
        "epoch": identity.epoch,
        "restored_at": _rfc3339(identity.restored_at),
        "backup_at": _rfc3339(identity.backup_at),
        "schema_of_backup": schema,
        "set_aside": None if set_aside is None else str(set_aside),
    }


def _rfc3339(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")
