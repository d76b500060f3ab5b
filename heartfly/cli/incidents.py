"""`heartfly incidents …`: what was down and when, who takes care of it, and what people say about it."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.checks import find as find_check
from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, DURATION, MOST, plain, print_facts, print_json, print_table, say, seconds, when
from heartfly.core.alerts import cause_words

_UUID_CHARS = 36


@click.group("incidents")
def incidents_group() -> None:
    """Incidents: spans in which a check was down."""


@incidents_group.command("list")
@click.option("--state", type=click.Choice(["open", "closed"]), help="Only those.  [all]")
@click.option("--check", help="Of this check, by slug or id.")
@click.option("--by-cause", is_flag=True, help="Without those that are part of a cause, which stands for them.")
@MOST
@AS_JSON
@connected()
def list_incidents(
    *, state: str | None, check: str | None, by_cause: bool, most: int, as_json: bool, api: Client
) -> None:
    """List incidents, the newest first."""
    of = None if check is None else find_check(api, check)["id"]
    found = api.first("/v1/incidents", most, state=state, check=of, by_cause="true" if by_cause else None)
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
                name_of(incident),
                when(incident["opened_at"]),
                seconds(incident["duration"]),
                incident["cause"],
                incident["acknowledged_by"] or "-",
                incident["id"],
            )
            for incident in found
        ],
    )


def name_of(incident: Any) -> str:
    """What it is of."""
    is_cause = incident["source"] in {"host", "upstream"}
    return cause_words(incident["source"], incident["check_name"]) if is_cause else str(incident["check_name"])


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
            ("check" if found["check"] else "of", name_of(found)),
            ("id", found["id"]),
            ("state", _state(found)),
            ("opened", f"{found['opened_at']}, {when(found['opened_at'])}"),
            ("lasted", seconds(found["duration"])),
            ("cause", found["cause"]),
            ("explain", found["explain"] or "-"),
            ("ended by", found["ended_by"] or "-"),
            ("acknowledged", _acknowledged(found)),
            *([("part of", _cause(api, found))] if found["part_of"] else []),
        ]
    )
    if found["members"]:
        click.echo("\nMembers")
        print_table(
            ("STATE", "CHECK", "DOWN SINCE", "JOINED", "UP AGAIN", "ACKNOWLEDGED BY"),
            [
                (
                    one["state"],
                    one["check_name"],
                    when(one["down_at"]),
                    when(one["joined_at"]),
                    when(one["up_at"]),
                    one["acknowledged_by"] or "-",
                )
                for one in found["members"]
            ],
        )
    click.echo("\nWhat happened")
    print_table(("AT", "WHAT", ""), [(fact["at"], fact["what"], fact["text"]) for fact in found["facts"]])
    if found["notifications"]:
        click.echo("\nWho was told")
        print_table(
            ("EVENT", "CHANNEL", "STATE", "WHEN", "WHY NOT AT ONCE", "ID"),
            [
                (
                    one["event"],
                    one["channel_name"] or "-",
                    one["state"],
                    when(one["created_at"]),
                    one["why"] or "-",
                    one["id"],
                )
                for one in found["notifications"]
            ],
        )
    for note in found["notes"]:
        click.echo(f"\n{note['by']}, {when(note['at'])}:")
        for line in note["text"].splitlines():
            click.echo(plain(f"    {line}"))


def _cause(api: Client, member: Any) -> str:
    found = api.read(f"/v1/incidents/{part(member['part_of'])}")
    return f"{name_of(found)}, {member['part_of']}" if found is not None else str(member["part_of"])


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
    click.echo(plain(f"The incident of {name_of(told)} is acknowledged {_acknowledged(told)}."))


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
    click.echo(plain(f"Noted at the incident of {name_of(found)}."))


@incidents_group.command("share")
@click.argument("incident")
@click.option("--for", "lasts", type=DURATION, default="7d", show_default=True, help="For how long: 5m to 30d.")
@click.option("--comments", "with_comments", is_flag=True, help="With what people said, without their names.")
@AS_JSON
@connected()
def share(*, incident: str, lasts: int, with_comments: bool, as_json: bool, api: Client) -> None:
    """Make a link by which whoever has it reads one, by its id or its check, and nothing else. It is shown once."""
    found = _find(api, incident)
    asked = {"lasts": lasts, "with_comments": with_comments}
    told = api.call("POST", f"/v1/incidents/{part(found['id'])}/shares", asked)
    if as_json:
        print_json(told)
        return
    click.echo(plain(f"Whoever has this link reads the incident of {name_of(found)}; it is shown only now:\n"))
    click.echo(f"    {told['url']}\n")
    end = f"heartfly incidents unshare {found['id']} {told['id']}"
    click.echo(f"It ends {when(told['expires_at'])}; `{end}` ends it now.")


@incidents_group.command("shares")
@click.argument("incident")
@AS_JSON
@connected()
def list_shares(*, incident: str, as_json: bool, api: Client) -> None:
    """List the links by which one can be read, by its id or its check."""
    found = _find(api, incident)
    links = api.call("GET", f"/v1/incidents/{part(found['id'])}/shares")["items"]
    if as_json:
        print_json(links)
    elif not links:
        click.echo(plain(f"The incident of {name_of(found)} has no link."))
    else:
        print_table(
            ("MADE BY", "MADE", "ENDS", "COMMENTS", "ID"),
            [
                (
                    one["by"],
                    when(one["created_at"]),
                    when(one["expires_at"]),
                    "shown" if one["with_comments"] else "-",
                    one["id"],
                )
                for one in links
            ],
        )


@incidents_group.command("unshare")
@click.argument("incident")
@click.argument("link")
@AS_JSON
@connected()
def unshare(*, incident: str, link: str, as_json: bool, api: Client) -> None:
    """Take a link back, by the incident (its id or its check) and the link's id. It shows nothing from then on."""
    found = _find(api, incident)
    api.call("DELETE", f"/v1/incidents/{part(found['id'])}/shares/{part(link)}")
    told = plain(f"The link to the incident of {name_of(found)} is taken back.")
    say(told, {"incident": found["id"], "id": link}, as_json=as_json)


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
