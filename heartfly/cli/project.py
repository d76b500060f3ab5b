"""`heartfly project …`: show the project of a running server, and change its ping key."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.output import AS_JSON, DURATION, print_facts, print_json, when


@click.group("project")
def project_group() -> None:
    """The project: its name, its time zone and its ping key."""


@project_group.command("show")
@AS_JSON
@connected()
def show(*, as_json: bool, api: Client) -> None:
    """Show the project of the key that is used, with its ping key."""
    project = api.call("GET", "/v1/project")
    if as_json:
        print_json(project)
        return
    print_facts(_facts(project))


def _facts(project: Any) -> list[tuple[str, Any]]:
    facts = [
        ("name", project["name"]),
        ("slug", project["slug"]),
        ("zone", project["zone"]),
        ("ping key", project["ping_key"] or "cannot be opened: its secret.key is lost; rotate it"),
    ]
    if project["old_ping_key_until"]:
        facts.append(("old ping key", f"ends {when(project['old_ping_key_until'])}"))
    return [*facts, ("made", when(project["created_at"])), ("id", project["id"])]


@project_group.command("rotate-ping-key")
@click.option("--overlap", type=DURATION, default="24h", show_default=True, help="So long the old key works on.")
@AS_JSON
@connected()
def rotate_ping_key(*, overlap: int, as_json: bool, api: Client) -> None:
    """Make a new ping key. Jobs that ping with the old one must be changed before the overlap ends."""
    project = api.call("POST", "/v1/project/rotate-ping-key", {"overlap": overlap})
    if as_json:
        print_json(project)
        return
    click.echo(f"The new ping key of {project['name']}:\n\n    {project['ping_key']}\n")
    until = project["old_ping_key_until"]
    click.echo(f"The old one ends {when(until)}." if until else "The old one does not work any more.")
