"""`heartfly project …`: show the project of a running server, change its ping key, export it, delete it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.output import AS_JSON, DURATION, print_facts, print_json, say, when


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
        ("made by pings", "checks, if they ask for it" if project["create_by_ping"] else "nothing"),
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


@project_group.command("export")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Into a file.  [standard output]")
@connected()
def export(*, output: Path | None, api: Client) -> None:
    """Write everything in the project but secrets: a line of JSON for each row. A file is whole, or is not there."""
    if output is None:
        api.copy("/v1/project/export", sys.stdout.buffer)
        return
    part = output.with_name(output.name + ".part")
    try:
        # What pings said stands in it: it is its owner's alone.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as handle:
        try:
            api.copy("/v1/project/export", handle)
        except BaseException:
            part.unlink()
            raise
    part.replace(output)
    click.echo(f"The project is in {output}.")


@project_group.command("delete")
@click.argument("slug")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
@connected()
def delete(*, slug: str, yes: bool, as_json: bool, api: Client) -> None:
    """Delete the project of that slug, which must be that of the key, with everything in it. It cannot be undone."""
    if not yes:
        click.confirm(f"Delete {slug} with its checks, their history, its channels, keys and audit?", abort=True)
    api.call("DELETE", "/v1/project", confirm=slug)
    say(f"{slug} is deleted.", {"slug": slug}, as_json=as_json)
