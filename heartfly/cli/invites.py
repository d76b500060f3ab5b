"""`heartfly invites …`: who is asked to join the project of a running server."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.members import ROLE
from heartfly.cli.output import AS_JSON, plain, print_json, print_table, say, when


@click.group("invites")
def invites_group() -> None:
    """Invites: who is asked by a link to join the project. He need not be a user yet."""


@invites_group.command("list")
@AS_JSON
@connected()
def list_invites(*, as_json: bool, api: Client) -> None:
    """List invites that were not used yet."""
    found = list(api.listed("/v1/invites"))
    if as_json:
        print_json(found)
    elif not found:
        click.echo("Nobody is invited. `heartfly invites create` invites somebody.")
    else:
        print_table(
            ("EMAIL", "ROLE", "INVITED BY", "ENDS", "ID"),
            [(one["email"], one["role"], one["invited_by"], when(one["expires_at"]), one["id"]) for one in found],
        )


@invites_group.command("create")
@click.argument("email")
@click.option("--role", type=ROLE, default="member", show_default=True)
@AS_JSON
@connected()
def create(*, email: str, role: str, as_json: bool, api: Client) -> None:
    """Invite somebody by his address. Without a mail server the link is shown, once."""
    _tell(api.call("POST", "/v1/invites", {"email": email, "role": role}), as_json=as_json)


@invites_group.command("resend")
@click.argument("invite")
@AS_JSON
@connected()
def resend(*, invite: str, as_json: bool, api: Client) -> None:
    """Send an invite again, by its address or id, with another link. The one before works no more."""
    _tell(api.call("POST", f"/v1/invites/{part(_find(api, invite)['id'])}/resend"), as_json=as_json)


@invites_group.command("revoke")
@click.argument("invite")
@AS_JSON
@connected()
def revoke(*, invite: str, as_json: bool, api: Client) -> None:
    """Take an invite back, by its address or id. Its link works no more."""
    found = _find(api, invite)
    api.call("DELETE", f"/v1/invites/{part(found['id'])}")
    say(f"The invite of {found['email']} is taken back.", found, as_json=as_json)


def _tell(told: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    elif told["sent"]:
        click.echo(f"A mail with the link is on its way to {told['email']}; it ends {when(told['expires_at'])}.")
    elif told["mail_error"]:
        raise click.ClickException(
            f"The mail to {told['email']} was not sent: {plain(told['mail_error'])}\n"
            f"He is invited all the same: `heartfly invites resend {told['email']}` sends it again."
        )
    else:
        click.echo("No mail server is set.")
        click.echo(f"Pass this link on to {told['email']}; it works once, and is shown only now:\n")
        click.echo(f"    {told['link']}")


def _find(api: Client, name: str) -> Any:
    for one in api.listed("/v1/invites"):
        if name.lower() in {one["email"].lower(), one["id"]}:
            return one
    raise click.ClickException(f"There is no invite of {name}; `heartfly invites list` shows them.")
