"""`heartfly checks …`: list, create, show, pause, resume and delete checks of a running server."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.check_options import asked_of, schedule_options
from heartfly.cli.check_words import (
    facts_of,
    how_to_ping,
    outcome_of,
    reasons_of,
    schedule_of,
)
from heartfly.cli.client import Client, connected, part
from heartfly.cli.gates import show_coverage, what_changed, with_gates
from heartfly.cli.output import (
    AS_JSON,
    DURATION,
    counted,
    instant_ahead,
    plain,
    print_facts,
    print_json,
    print_table,
    say,
    seconds,
    status,
    when,
)

_SHOWN = 5


@click.group("checks")
def checks_group() -> None:
    """Checks: the jobs that we expect to hear from."""


@checks_group.command("list")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(["new", "up", "degraded", "down", "paused"]),
    help="Only those; may be repeated.",
)
@click.option("--tag", "tags", multiple=True, help="Only those with this tag; repeated: with all of them.")
@click.option("--search", "q", help="Only those with this text in name, slug or a tag.")
@AS_JSON
@connected()
def list_checks(*, statuses: tuple[str, ...], tags: tuple[str, ...], q: str | None, as_json: bool, api: Client) -> None:
    """List checks with their status."""
    found = list(api.listed("/v1/checks", status=statuses, tag=tags, q=q))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no checks yet." if not (statuses or tags or q) else "No check is like that.")
        return
    print_table(
        ("STATUS", "NAME", "SLUG", "SCHEDULE", "LAST PING", "GOES DOWN"),
        [
            (
                status(check),
                check["name"],
                check["slug"],
                schedule_of(check),
                when(check["last_ping_at"]),
                when(check["goes_down_at"]),
            )
            for check in found
        ],
    )


@checks_group.command("create")
@click.argument("name")
@schedule_options
@click.option("--slug", help="Its name in ping addresses.  [made of NAME]")
@click.option("--tag", "tags", multiple=True, help="May be repeated.")
@click.option("--description")
@click.option("--first-ping-by", help="If it has not pinged by then, it goes down: 2h, 1d; or an instant.  [never]")
@click.option("--channel", "channels", multiple=True, help="Who hears of it, by name or id.  [every channel]")
@AS_JSON
@connected()
def create(
    *, name: str, as_json: bool, channels: tuple[str, ...], first_ping_by: str | None, api: Client, **rest: Any
) -> None:
    """Make a check and print the address that its job shall ping.

    Without a schedule its pings are expected daily. Left out, the zone is UTC, the dialect cron, the grace an hour, and
    a started run may take as long as the grace.
    """
    asked = {"name": name} | asked_of(**rest)
    if channels:
        asked["channels"] = [channel_id(api, channel) for channel in channels]
    if first_ping_by is not None:
        asked["first_ping_by"] = instant_ahead(first_ping_by)
    made = api.call("POST", "/v1/checks", asked)
    if as_json:
        print_json(made)
        return
    click.echo(f"{made['name']}: expected {schedule_of(made)}, grace {seconds(made['grace'])}.\n")
    click.echo(how_to_ping(made))
    if made["first_ping_by"]:
        click.echo(f"\nIts first ping is wanted by {made['first_ping_by']}: without one it goes down.")


@checks_group.command("edit")
@click.argument("check")
@click.option("--name", help="Another name. Its slug stays.")
@schedule_options
@click.option(
    "--no-gate", "fewer_gates", multiple=True, help="One to take away: as it is written, its figure's name, or all."
)
@click.option("--slug", help="Another name in ping addresses: who pings by the old one must be told.")
@click.option("--tag", "tags", multiple=True, help="May be repeated. In the place of all that it has.")
@click.option("--description")
@click.option("--first-ping-by", help="If it has not pinged by then, it goes down: 2h, 1d; an instant; or never.")
@click.option("--channel", "channels", multiple=True, help="Who hears of it, in the place of all that do now.")
@AS_JSON
@connected()
def edit(
    *,
    check: str,
    as_json: bool,
    channels: tuple[str, ...],
    fewer_gates: tuple[str, ...],
    first_ping_by: str | None,
    api: Client,
    **rest: Any,
) -> None:
    """Change a check, by its slug or id. What is not named stays as it is.

    A new schedule or grace counts from now on.
    """
    asked = asked_of(**rest)
    if first_ping_by is not None:
        asked["first_ping_by"] = None if first_ping_by == "never" else instant_ahead(first_ping_by)
    if not (asked or channels or fewer_gates):
        raise click.UsageError("Say what to change; `heartfly checks edit --help` lists it.")
    if channels:
        asked["channels"] = [channel_id(api, channel) for channel in channels]
    path = f"/v1/checks/{part(find(api, check)['id'])}"
    more, had = asked.pop("gates", ()), None
    if more or fewer_gates:
        had, made = with_gates(api, path, asked, more=more, fewer=fewer_gates)
    else:
        made = api.call("PATCH", path, asked)  # what is not named stays, whoever else edits the check meanwhile
    if as_json:
        print_json(made)
        return
    click.echo(plain(f"{made['name']}: expected {schedule_of(made)}, grace {seconds(made['grace'])}."))
    if made["first_ping_by"]:
        click.echo(f"Its first ping is wanted by {made['first_ping_by']}: without one it goes down.")
    if had is not None:
        click.echo(what_changed(had, made["gates"]))


@checks_group.command("show")
@click.argument("check")
@AS_JSON
@connected()
def show(*, check: str, as_json: bool, api: Client) -> None:
    """Show one check, by its slug or id: how to ping it, its gates, what it covered, its last runs and flips."""
    found = find(api, check)
    path = f"/v1/checks/{part(found['id'])}"
    runs = api.call("GET", f"{path}/runs", limit=_SHOWN)["items"]
    flips = api.call("GET", f"{path}/flips", limit=_SHOWN)["items"]
    coverage = api.call("GET", f"{path}/coverage")
    if as_json:
        print_json(found | {"runs": runs, "flips": flips, "coverage": coverage})
        return
    print_facts(facts_of(found, coverage, needs=[_named(api, one) for one in found["needs"]]))
    click.echo(f"\n{how_to_ping(found)}")
    if runs:
        click.echo("\nLast runs")
        print_table(
            ("OUTCOME", "WHEN", "DURATION", "FIGURES"),
            [
                (
                    outcome_of(run),
                    when(run["started_at"] or run["ended_at"] or run["slot_at"]),
                    seconds(run["duration"]),
                    ", ".join(f"{metric}={value}" for metric, value in run["metrics"].items()),
                )
                for run in runs
            ],
        )
    if flips:
        click.echo("\nLast flips")
        print_table(
            ("FROM", "TO", "REASON", "WHEN"),
            [(flip["from_status"], flip["to_status"], flip["reason"], when(flip["at"])) for flip in flips],
        )


def _named(api: Client, check: str) -> str:
    found = api.read(f"/v1/checks/{part(check)}")
    return str(check if found is None else found["slug"] or found["name"])


@checks_group.command("explain")
@click.argument("check")
@AS_JSON
@connected()
def explain(*, check: str, as_json: bool, api: Client) -> None:
    """Say why a check has its status, by its slug or id: what is expected of it, until when, and what we heard."""
    found = find(api, check)
    told = api.call("GET", f"/v1/checks/{part(found['id'])}/explain")
    if as_json:
        print_json(told)
        return
    click.echo(plain(f"{found['name']} is {told['status']}."))
    for sentence in (*told["sentences"], *told["notices"]):
        click.echo(plain(f"  {sentence}"))
    click.echo()
    print_facts(reasons_of(told))


@checks_group.command("coverage")
@click.argument("check")
@AS_JSON
@connected()
def coverage(*, check: str, as_json: bool, api: Client) -> None:
    """Say from when to when the runs of a check processed data, by its slug or id: gaps and overlaps.

    Exit status 1 if something is missing.
    """
    found = find(api, check)
    told = api.call("GET", f"/v1/checks/{part(found['id'])}/coverage")
    show_coverage(found["name"], told, as_json=as_json)


def _command(name: str, verb: str, done: str) -> None:
    @checks_group.command(name, help=f"{verb} a check, by its slug or id.")
    @click.argument("check")
    @AS_JSON
    @connected()
    def command(*, check: str, as_json: bool, api: Client) -> None:
        found = find(api, check)
        told = api.call("POST", f"/v1/checks/{part(found['id'])}/{name}")
        print_json(told) if as_json else click.echo(f"{told['name']} {done}")


_command("pause", "Pause", "is paused: nothing is expected of it, nobody is told.")
_command("resume", "Resume", "is new again: it waits for its next ping.")


@checks_group.command("copy")
@click.argument("check")
@click.argument("name")
@AS_JSON
@connected()
def copy(*, check: str, name: str, as_json: bool, api: Client) -> None:
    """Make a check like one, by its slug or id, under another NAME: its schedule, rules and channels."""
    found = find(api, check)
    made = api.call("POST", f"/v1/checks/{part(found['id'])}/copy", {"name": name})
    if as_json:
        print_json(made)
        return
    click.echo(plain(f"{made['name']} is made like {found['name']}, with the slug {made['slug']}."))
    click.echo(f"\n{how_to_ping(made)}")


@checks_group.command("rotate-ping-url")
@click.argument("check")
@click.option("--overlap", type=DURATION, default="24h", show_default=True, help="So long the old address works on.")
@AS_JSON
@connected()
def rotate_ping_url(*, check: str, overlap: int, as_json: bool, api: Client) -> None:
    """Give a check a new address to ping, by its slug or id. Its job must be changed before the overlap ends."""
    found = find(api, check)
    made = api.call("POST", f"/v1/checks/{part(found['id'])}/rotate-ping-url", {"overlap": overlap})
    if as_json:
        print_json(made)
        return
    click.echo(how_to_ping(made))
    until = made["old_ping_url_until"]
    click.echo(f"\nThe old address ends {when(until)}." if until else "\nThe old address does not work any more.")


@checks_group.command("delete")
@click.argument("check")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
@connected()
def delete(*, check: str, yes: bool, as_json: bool, api: Client) -> None:
    """Delete a check with its whole history, by its slug or id."""
    found = find(api, check)
    if not yes:
        click.confirm(f"Delete {found['name']} with its history of {counted(found['n_pings'], 'ping')}?", abort=True)
    api.call("DELETE", f"/v1/checks/{part(found['id'])}")
    say(f"{found['name']} is deleted.", found, as_json=as_json)


# --- names -------------------------------------------------------------------------------------------


def find(api: Client, name: str) -> Any:
    """The check of that slug or id."""
    by_slug = api.call("GET", "/v1/checks", slug=name, limit=2)["items"] if len(name) <= 100 else []
    if len(by_slug) > 1:
        raise click.UsageError(f"Two checks have the slug {name}; name one by its id.")
    if by_slug:
        return by_slug[0]
    found = api.read(f"/v1/checks/{part(name)}")
    if found is None:
        raise click.ClickException(f"There is no check with the slug or id {name}; `heartfly checks list` shows them.")
    return found


def channel_id(api: Client, name: str) -> str:
    """The id of the channel of that name or id."""
    for channel in api.listed("/v1/channels"):
        if name in {channel["name"], channel["id"]}:
            found: str = channel["id"]
            return found
    raise click.ClickException(f"There is no channel {name}; `heartfly channels list` shows them.")
