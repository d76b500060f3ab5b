"""`heartfly user …`: people, made and helped back in on the server's own machine, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from heartfly.accounts import commands as accounts
from heartfly.accounts.passwords import hashed
from heartfly.app import Ground, open_ground
from heartfly.audit.record import CLI
from heartfly.cli.options import CONFIG, DATA, PASSWORD_STDIN, password_from, settings_from


@click.group("user")
def user_group() -> None:
    """People who may sign in. On SQLite stop the server first: these commands open its data themselves."""


@user_group.command("create")
@click.option("--email", required=True, help="The address to sign in with.")
@PASSWORD_STDIN
@click.option("--admin", is_flag=True, help="An administrator: owner of every project that there is.")
@CONFIG
@DATA
def create(*, email: str, password_stdin: bool, admin: bool, config: Path | None, data: Path | None) -> None:
    """Make a user. Without --admin he is in no project yet."""
    password_hash = hashed(password_from(stdin=password_stdin))
    with _ground(config, data) as ground:
        at = ground.clock.now()
        ground.database.transaction(
            lambda tx: accounts.create_user(
                tx, email=email, password_hash=password_hash, is_admin=admin, actor=CLI, at=at, ids=ground.ids
            )
        )
    click.echo(f"{email} may sign in" + (", as owner of every project." if admin else "; he is in no project yet."))


@user_group.command("reset")
@click.option("--email", required=True, help="The address of who lost his password.")
@PASSWORD_STDIN
@CONFIG
@DATA
def reset(*, email: str, password_stdin: bool, config: Path | None, data: Path | None) -> None:
    """Give a user a new password. The old one does not work any more."""
    password_hash = hashed(password_from(stdin=password_stdin))
    with _ground(config, data) as ground:
        at = ground.clock.now()
        ground.database.transaction(
            lambda tx: accounts.reset_password(
                tx, email=email, password_hash=password_hash, actor=CLI, at=at, ids=ground.ids
            )
        )
    click.echo(f"{email} has a new password.")


@contextmanager
def _ground(config: Path | None, data: Path | None) -> Iterator[Ground]:
    ground = open_ground(settings_from(config, DATA__DIR=data))
    try:
        yield ground
    finally:
        ground.close()
