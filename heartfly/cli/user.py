"""`heartfly user …`: people, made and helped back in on the server's own machine, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rich_click as click

from heartfly.accounts import commands as accounts
from heartfly.accounts import second_step
from heartfly.accounts.erasure import erase_by_email
from heartfly.accounts.factors import factors_of
from heartfly.accounts.passkeys import remove_passkeys
from heartfly.accounts.passwords import hashed
from heartfly.audit.record import CLI
from heartfly.cli.options import CONFIG, DATA, PASSWORD_STDIN, password_from, settings_from
from heartfly.cli.output import AS_JSON, say
from heartfly.db.changes import Tx
from heartfly.ground import Ground, open_ground


@click.group("user")
def user_group() -> None:
    """People who may sign in. On SQLite stop the server first: these commands open its data themselves."""


@user_group.command("create")
@click.option("--email", required=True, help="The address to sign in with.")
@PASSWORD_STDIN
@click.option("--admin", is_flag=True, help="An administrator: owner of every project that there is.")
@AS_JSON
@CONFIG
@DATA
def create(
    *, email: str, password_stdin: bool, admin: bool, as_json: bool, config: Path | None, data: Path | None
) -> None:
    """Make a user. Without --admin he is in no project yet."""
    password_hash = hashed(password_from(stdin=password_stdin))
    with _ground(config, data) as ground:
        at = ground.clock.now()
        ground.database.transaction(
            lambda tx: accounts.create_user(
                tx, email=email, password_hash=password_hash, is_admin=admin, actor=CLI, at=at, ids=ground.ids
            )
        )
    where = ", as owner of every project." if admin else "; he is in no project yet."
    say(f"{email} may sign in{where}", {"email": email, "admin": admin}, as_json=as_json)


@user_group.command("reset")
@click.option("--email", required=True, help="The address of who lost his password.")
@PASSWORD_STDIN
@AS_JSON
@CONFIG
@DATA
def reset(*, email: str, password_stdin: bool, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Give a user a new password. The old one does not work any more."""
    password_hash = hashed(password_from(stdin=password_stdin))
    with _ground(config, data) as ground:
        at = ground.clock.now()
        ground.database.transaction(
            lambda tx: accounts.reset_password(
                tx, email=email, password_hash=password_hash, actor=CLI, at=at, ids=ground.ids
            )
        )
    say(f"{email} has a new password.", {"email": email}, as_json=as_json)


@user_group.command("reset-2fa")
@click.option("--email", required=True, help="The address of who lost his phone and his backup codes.")
@click.option("--passkeys", "and_passkeys", is_flag=True, help="Remove his passkeys, too.")
@AS_JSON
@CONFIG
@DATA
def reset_2fa(*, email: str, and_passkeys: bool, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Switch a user's second step off, and sign him out. Then his password is enough until he sets it up again.

    Where accounts.second_step is required, he sets one up when he signs in next, unless he has a passkey.
    """
    with _ground(config, data) as ground:
        at, is_demanded = ground.clock.now(), ground.settings.accounts.demands_more

        def work(tx: Tx) -> int:
            user_id = second_step.switch_off_by_email(tx, email, actor=CLI, at=at, ids=ground.ids)
            if and_passkeys:
                remove_passkeys(tx, user_id, actor=CLI, at=at, ids=ground.ids)
            return factors_of(tx, user_id).n_passkeys

        n_left = ground.database.transaction(work)
    if not is_demanded:
        said = f"{email} signs in with the password alone now."
    elif n_left:
        said = f"{email} signs in with a passkey, as there is one; --passkeys removes it, too."
    else:
        said = f"{email} signs in with the password, and sets up another second step or a passkey then."
    say(said, {"email": email, "n_passkeys": n_left}, as_json=as_json)


@user_group.command("delete")
@click.option("--email", required=True, help="The address of who goes.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
@CONFIG
@DATA
def delete(*, email: str, yes: bool, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Delete a user for good. What he changed and said stays in his projects. A project's last owner cannot go."""
    if not yes:
        click.confirm(f"Delete {email} for good?", abort=True)
    with _ground(config, data) as ground:
        at = ground.clock.now()
        ground.database.transaction(lambda tx: erase_by_email(tx, email, actor=CLI, at=at, ids=ground.ids))
    say(f"{email} is no user any more.", {"email": email}, as_json=as_json)


@contextmanager
def _ground(config: Path | None, data: Path | None) -> Iterator[Ground]:
    ground = open_ground(settings_from(config, DATA__DIR=data))
    try:
        yield ground
    finally:
        ground.close()
