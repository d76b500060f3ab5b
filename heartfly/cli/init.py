"""`heartfly init`: the first administrator, project and keys, without a browser."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich_click as click

from heartfly.accounts import commands as accounts
from heartfly.accounts.commands import NewProject
from heartfly.accounts.passwords import hashed
from heartfly.cli.options import CONFIG, DATA, PASSWORD_STDIN, password_from, settings_from
from heartfly.db.changes import Tx
from heartfly.ground import leave_key, open_ground


@click.command()
@click.option("--email", required=True, help="The address of the first administrator.")
@PASSWORD_STDIN
@click.option("--project", required=True, help="The slug of the first project, at most 30 characters.")
@click.option("--zone", default="UTC", show_default=True, help="The project's time zone.")
@click.option("--json", "as_json", is_flag=True, help="Print the keys as JSON.")
@CONFIG
@DATA
def init(
    *,
    email: str,
    password_stdin: bool,
    project: str,
    zone: str,
    as_json: bool,
    config: Path | None,
    data: Path | None,
) -> None:
    """Make the first administrator, a project and its keys. Refused when there are users."""
    password_hash = hashed(password_from(stdin=password_stdin))
    ground = open_ground(settings_from(config, DATA__DIR=data))
    now = ground.clock.now()

    def work(tx: Tx) -> NewProject:
        user_id = accounts.create_first_user(tx, email=email, password_hash=password_hash, at=now, ids=ground.ids)
        made = accounts.create_project(
            tx, slug=project, name=project, zone=zone, sealer=ground.sealer, at=now, ids=ground.ids
        )
        accounts.adopt_projects(tx, user_id)
        return made

    try:
        made = ground.database.transaction(work)
        if not (ground.settings.data.dir / "cli-key").exists():
            leave_key(ground, made)  # the key of a project that is in use must not be lost
    finally:
        ground.close()
    keys = {"project": made.slug, "api_key": made.api_key, "read_key": made.read_key, "ping_key": made.ping_key}
    if as_json:
        click.echo(msgspec.json.encode(keys).decode())
        return
    click.echo(f"Project {made.slug} is ready. These keys are shown only now:\n")
    for name, key in list(keys.items())[1:]:
        click.echo(f"    {name:<9} {key}")
