"""`heartfly user …`: people, made and helped back in on the server's own machine, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from heartfly.accounts import commands as accounts
from heartfly.accounts import second_step
from heartfly.accounts.erasure import erase_by_email
from heartfly.accounts.passwords import hashed
from heartfly.audit.record import CLI
from heartfly.cli.options import CONFIG, DATA, PASSWORD_STDIN, password_from, settings_from
from heartfly.ground import Ground, open_ground


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


@user_group.command("reset-2fa")
@click.option("--email", required=True, help="The address of who lost his phone and his backup codes.")
@CONFIG
@DATA
def reset_2fa(*, email: str, config: Path | None, data: Path | None) -> None:
    """Switch a user's second step off. Then his password is enough, until he sets it up again."""
    with _ground(config, data) as ground:
        at = ground.clock.now()
        ground.database.transaction(
            lambda tx: second_step.switch_off_by_email(tx, email, actor=CLI, at=at, ids=ground.ids)
        )
    click.echo(f"{email} signs in with the password alone now.")


@user_group.command("delete")
@click.option("--email", required=True, help="The address of who goes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@CONFIG
@DATA
def delete(*, email: str, yes: bool, config: Path | None, data: Path | None) -> None:
    """Delete a user for good. What he changed and said stays in his projects. A project's last owner cannot go."""
    if not yes:
        click.confirm(f"Delete {email} for good?", abort=True)
    with _ground(config, data) as ground:
        at = ground.clock.now()
        ground.database.transaction(lambda tx: erase_by_email(tx, email, actor=CLI, at=at, ids=ground.ids))
    click.echo(f"{email} is no user any more.")


@contextmanager
def _ground(config: Path | None, data: Path | None) -> Iterator[Ground]:
    ground = open_ground(settings_from(config, DATA__DIR=data))
    try:
        yield ground
    finally:
        ground.close()
