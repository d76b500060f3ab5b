"""`heartfly rotate-key`: all secrets at rest are sealed with a new key, and the old one goes."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import counted, print_json
from heartfly.db.instance import refuse_while_alive
from heartfly.ground import open_ground
from heartfly.upkeep.reseal import rotate


@click.command("rotate-key")
@click.option("--json", "as_json", is_flag=True, help="Print what was done, for machines.")
@CONFIG
@DATA
def rotate_key(*, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Seal all secrets at rest with a new secret.key. The server must be stopped. Killed, it can be run again."""
    ground = open_ground(settings_from(config, DATA__DIR=data))
    key_file = ground.settings.data.dir / "secret.key"
    try:
        if ground.database.on_postgres:  # of SQLite we hold the lock
            ground.database.transaction(lambda tx: refuse_while_alive(tx, at=ground.clock.now()))
        done = rotate(ground.database, key_file)
    finally:
        ground.close()
    if as_json:
        print_json({"secrets": done.n_secrets, "resealed": done.n_resealed, "resumed": done.resumed})
        return
    click.echo(
        f"{counted(done.n_secrets, 'secret')} sealed with a new key, which is in {key_file}; the old one is gone."
    )
    if done.resumed:
        click.echo("An earlier change of keys had not ended; this run has ended it, and made no other key.")
    click.echo("A backup from before holds the old key in itself, and goes on to open. Each node needs the new file.")
