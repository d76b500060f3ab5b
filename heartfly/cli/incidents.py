"""`heartfly incidents …`: what was down and when, who takes care of it, and what people say about it."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.checks import find as find_check
from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, MOST, plain, print_facts, print_json, print_table, seconds, when

_UUID_CHARS = 36


@click.group("incidents")
def incidents_group() -> None:
    """Incidents: spans in which a check was down."""


@incidents_group.command("list")
@click.option("--state", type=click.Choice(["open", "closed"]), help="Only those.  [all]")
@click.option("--check", help="Of this check, by slug or id.")
@MOST
@AS_JSON
@connected()
def list_incidents(*, state: str | None, check: str | None, most: int, as_json: bool, api: Client) -> None:
    """List incidents, the newest first."""
    of = None if check is None else find_check(api, check)["id"]
    found = api.first("/v1/incidents", most, state=state, check=of)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no incidents." if not (state or check) else "No incident is like that.")
        return
    print_table(
        ("STATE", "CHECK", "OPENED", "LASTED", "CAUSE", "ACKNOWLEDGED BY", "ID"),
        [
            (
                _state(incident),
                incident["check_name"],
                when(incident["opened_at"]),
                seconds(incident["duration"]),
                incident["cause"],
                incident["acknowledged_by"] or "-",
                incident["id"],
            )
            for incident in found
        ],
    )


def _state(incident: Any) -> str:
    return f"{incident['state']} (disproved)" if incident["disproved"] else str(incident["state"])


@incidents_group.command("show")
@click.argument("incident")
@AS_JSON
@connected()
def show(*, incident: str, as_json: bool, api: Client) -> None:
    """Show one, by its id or by its check, whose newest it is then: what happened, who was told, what people said."""
    found = _find(api, incident)
    if as_json:
        print_json(found)
        return
    print_facts(
        [
            ("check", found["check_name"]),
            ("id", found["id"]),
            ("state", _state(found)),
            ("opened", f"{found['opened_at']}, {when(found['opened_at'])}"),
            ("lasted", seconds(found["duration"])),
            ("cause", found["cause"]),
            ("explain", found["explain"] or "-"),
            ("ended by", found["ended_by"] or "-"),
            ("acknowledged", _acknowledged(found)),
        ]
    )
    click.echo("\nWhat happened")
    print_table(("AT", "WHAT", ""), [(fact["at"], fact["what"], fact["text"]) for fact in found["facts"]])
    if found["notifications"]:
        click.echo("\nWho was told")
        print_table(
            ("EVENT", "CHANNEL", "STATE", "WHEN", "ID"),
            [
                (one["event"], one["channel_name"] or "-", one["state"], when(one["created_at"]), one["id"])
                for one in found["notifications"]
            ],
        )
    for note in found["notes"]:
        click.echo(f"\n{note['by']}, {when(note['at'])}:")
        for line in note["text"].splitlines():
            click.echo(plain(f"    {line}"))


def _acknowledged(incident: Any) -> str:
    if incident["acknowledged_at"] is None:
        return "-"
    return f"by {incident['acknowledged_by']}, {when(incident['acknowledged_at'])}"


@incidents_group.command("acknowledge")
@click.argument("incident")
@AS_JSON
@connected()
def acknowledge(*, incident: str, as_json: bool, api: Client) -> None:
    """Say that you take care of one, by its id or its check. It changes no status and silences nobody."""
    found = _find(api, incident)
    told = api.call("POST", f"/v1/incidents/{part(found['id'])}/acknowledge")
    if as_json:
        print_json(told)
        return
    click.echo(plain(f"The incident of {told['check_name']} is acknowledged {_acknowledged(told)}."))


@incidents_group.command("comment")
@click.argument("incident")
@click.argument("text")
@AS_JSON
@connected()
def comment(*, incident: str, text: str, as_json: bool, api: Client) -> None:
    """Say something about one, by its id or its check, open or closed."""
    found = _find(api, incident)
    told = api.call("POST", f"/v1/incidents/{part(found['id'])}/comments", {"text": text})
    if as_json:
        print_json(told)
        return
    click.echo(plain(f"Noted at the incident of {found['check_name']}."))


def _find(api: Client, name: str) -> Any:
    """The incident of that id, whole, or the newest of the check of that slug or id."""
    found = api.read(f"/v1/incidents/{part(name)}") if len(name) == _UUID_CHARS else None
    if found is not None:
        return found
    try:
        check = find_check(api, name)
    except click.ClickException as error:
        if type(error) is not click.ClickException:
            raise  # two of that slug, or a server that does not answer or allow it
        raise click.ClickException(
            f"There is no incident and no check {name}; `heartfly incidents list` shows them."
        ) from None
    newest = api.first("/v1/incidents", 1, check=check["id"])
    if not newest:
        raise click.ClickException(f"{check['name']} has no incident: it was never down.")
    return api.call("GET", f"/v1/incidents/{part(newest[0]['id'])}")
