"""`heartfly members …`: who may sign in to the project of a running server, and as what."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, print_json, print_table, say

ROLE = click.Choice(["owner", "admin", "member", "viewer"])


@click.group("members")
def members_group() -> None:
    """Members: who may sign in to the project. `heartfly user create` makes somebody a user first."""


@members_group.command("list")
@AS_JSON
@connected()
def list_members(*, as_json: bool, api: Client) -> None:
    """List members and their roles."""
    found = list(api.listed("/v1/members"))
    if as_json:
        print_json(found)
    elif not found:
        click.echo("The project has no members yet. `heartfly members add` adds a user.")
    else:
        print_table(("EMAIL", "ROLE", "ID"), [(one["email"], one["role"], one["id"]) for one in found])


@members_group.command("add")
@click.argument("email")
@click.option("--role", type=ROLE, default="member", show_default=True)
@AS_JSON
@connected()
def add(*, email: str, role: str, as_json: bool, api: Client) -> None:
    """Make a user, by his address, a member."""
    made = api.call("POST", "/v1/members", {"email": email, "role": role})
    print_json(made) if as_json else click.echo(f"{made['email']} is a member now, as {made['role']}.")


@members_group.command("role")
@click.argument("member")
@click.argument("role", type=ROLE)
@AS_JSON
@connected()
def change_role(*, member: str, role: str, as_json: bool, api: Client) -> None:
    """Give a member, by his address or id, another ROLE. The last owner stays one."""
    told = api.call("PATCH", f"/v1/members/{part(_find(api, member)['id'])}", {"role": role})
    print_json(told) if as_json else click.echo(f"{told['email']} is {told['role']} now.")


@members_group.command("remove")
@click.argument("member")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
@connected()
def remove(*, member: str, yes: bool, as_json: bool, api: Client) -> None:
    """Remove a member, by his address or id. He stays a user. The last owner cannot go."""
    found = _find(api, member)
    if not yes:
        click.confirm(f"Remove {found['email']} ({found['role']}) from the project?", abort=True)
    api.call("DELETE", f"/v1/members/{part(found['id'])}")
    say(f"{found['email']} is no member any more.", found, as_json=as_json)


def _find(api: Client, name: str) -> Any:
    for member in api.listed("/v1/members"):
        if name.lower() in {member["email"].lower(), member["id"]}:
            return member
    raise click.ClickException(f"There is no member {name}; `heartfly members list` shows them.")
