"""`heartfly silences …` and `heartfly checks snooze`: who is left in peace, when, and until when."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.checks import channel_id
from heartfly.cli.checks import find as find_check
from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, DURATION, MOST, instant_ahead, plain, print_json, print_table, say, when

_COVERS = {"project": "all", "check": "check", "tag": "tag", "channel": "channel"}


@click.group("silences")
def silences_group() -> None:
    """Silences: snoozes, maintenance windows, mutes and quiet hours. They hold alerts, and drop none."""


@silences_group.command("list")
@click.option("--state", type=click.Choice(["living", "ended"]), help="Only those.  [all]")
@MOST
@AS_JSON
@connected()
def list_silences(*, state: str | None, most: int, as_json: bool, api: Client) -> None:
    """List silences, the newest first."""
    found = api.first("/v1/silences", most, state=state)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no silences. For maintenance: heartfly silences create maintenance --for 2h")
        return
    print_table(
        ("KIND", "COVERS", "STATE", "WHEN", "EFFECT", "NOTE", "ID"),
        [
            (
                one["kind"],
                _covers(one),
                one["state"].replace("_", " "),
                _when(one),
                _effect(one),
                one["note"],
                one["id"],
            )
            for one in found
        ],
    )


def _covers(one: Any) -> str:
    if one["scope"] == "project":
        return "all"
    names = [name or f"{target} (deleted)" for target, name in zip(one["targets"], one["names"], strict=True)]
    return f"{_COVERS[one['scope']]} {', '.join(names)}"


def _when(one: Any) -> str:
    if one["until"] is not None:
        return f"until {when(one['until'])}"
    if one["next_from"] is not None:
        return f"from {when(one['next_from'])}"
    return "-" if one["to"] is None else f"ended {when(one['to'])}"


def _effect(one: Any) -> str:
    below = f" below {one['below']}" if one["below"] else ""
    return ("not judged" if one["effect"] == "ignore" else "held") + below


@silences_group.command("create")
@click.argument("kind", type=click.Choice(["maintenance", "mute", "quiet"]))
@click.option("--check", "checks", multiple=True, help="Of this check, by slug or id; several times for more.")
@click.option("--tag", "tags", multiple=True, help="Of checks with this tag; several times for more.")
@click.option("--channel", "channels", multiple=True, help="Of this channel, by name or id; several times for more.")
@click.option("--from", "from_", metavar="TIME", help="An instant, or how long from now.  [now]")
@click.option("--until", metavar="TIME", help="An instant, or how long from now.")
@click.option("--for", "lasts", type=DURATION, help="How long, such as 2h; with --cron, each time.")
@click.option("--cron", help="Again and again: when it begins, such as '0 2 * * 0'.")
@click.option("--zone", default="UTC", show_default=True, help="Of the cron expression.")
@click.option("--ignore", is_flag=True, help="What is missed or hangs meanwhile is not judged, either.")
@click.option(
    "--below", type=click.Choice(["medium", "high", "critical"]), help="Quiet hours hold what is less severe."
)
@click.option("--note", default="", help="It stands with each alert that is held.")
@AS_JSON
@connected()
def create(*, kind: str, as_json: bool, api: Client, **asked: Any) -> None:
    """Plan maintenance, mute the project or a channel, or keep quiet hours; of everything, unless said."""
    scope, targets = _targets(api, asked)
    body = {"kind": kind, "scope": scope, "targets": targets, "note": asked["note"]}
    if asked["ignore"]:
        body["effect"] = "ignore"
    for name, value in (("from", asked["from_"]), ("to", asked["until"])):
        if value is not None:
            body[name] = instant_ahead(value)
    for name in ("lasts", "cron", "below"):
        if asked[name] is not None:
            body[name] = int(asked[name]) if name == "lasts" else asked[name]
    if asked["cron"] is not None:
        body["zone"] = asked["zone"]
    told = api.call("POST", "/v1/silences", body)
    if as_json:
        print_json(told)
    else:
        click.echo(plain(f"{told['kind']} {told['id']}: {_covers(told)}, {_when(told)}, {_effect(told)}."))


@silences_group.command("edit")
@click.argument("silence", metavar="ID")
@click.option(
    "--check", "checks", multiple=True, help="Of this check from now on, by slug or id; several times for more."
)
@click.option("--tag", "tags", multiple=True, help="Of checks with this tag; several times for more.")
@click.option("--channel", "channels", multiple=True, help="Of this channel, by name or id; several times for more.")
@click.option("--all", "everything", is_flag=True, help="Of everything.")
@click.option("--from", "from_", metavar="TIME", help="An instant, or how long from now.")
@click.option("--until", metavar="TIME", help="An instant, or how long from now.")
@click.option("--for", "lasts", type=DURATION, help="How long, such as 2h, from its beginning; with a cron, each time.")
@click.option("--cron", help="Again and again: when it begins, such as '0 2 * * 0'.")
@click.option("--zone", help="Of the cron expression.")
@click.option("--effect", type=click.Choice(["hold", "ignore"]), help="Whether what is missed meanwhile is judged.")
@click.option(
    "--below", type=click.Choice(["medium", "high", "critical"]), help="Quiet hours hold what is less severe."
)
@click.option("--note", help="It stands with each alert that is held.")
@AS_JSON
@connected()
def edit(*, silence: str, everything: bool, as_json: bool, api: Client, **asked: Any) -> None:
    """Change what is said, from now on; what it was until now stays on record."""
    body = {name: asked[name] for name in ("cron", "zone", "effect", "below", "note") if asked[name] is not None}
    scope, targets = _targets(api, asked)
    if everything and targets:
        raise click.UsageError("Say --all, or of what it shall be.")
    if everything or targets:
        body |= {"scope": scope, "targets": targets}
    body |= {
        name: instant_ahead(asked[of]) for name, of in (("from", "from_"), ("to", "until")) if asked[of] is not None
    }
    if asked["lasts"] is not None:
        body["lasts"] = int(asked["lasts"])
    if not body:
        raise click.UsageError("Say what shall be changed.")
    told = api.call("PATCH", f"/v1/silences/{part(silence)}", body)
    if as_json:
        print_json(told)
    else:
        click.echo(plain(f"{told['kind']} {told['id']}: {_covers(told)}, {_when(told)}, {_effect(told)}."))


def _targets(api: Client, asked: Any) -> tuple[str, list[str]]:
    given = [name for name in ("checks", "tags", "channels") if asked[name]]
    if len(given) > 1:
        raise click.UsageError("Say one of --check, --tag and --channel; make two silences for both.")
    if not given:
        return "project", []
    if given == ["checks"]:
        return "check", [find_check(api, name)["id"] for name in asked["checks"]]
    if given == ["tags"]:
        return "tag", list(asked["tags"])
    return "channel", [channel_id(api, name) for name in asked["channels"]]


@silences_group.command("end")
@click.argument("silence", metavar="ID")
@AS_JSON
@connected()
def end(*, silence: str, as_json: bool, api: Client) -> None:
    """End the time that is in force; what comes again and again goes on with the next one."""
    told = api.call("POST", f"/v1/silences/{part(silence)}/end")
    say(f"It has ended; {_when(told)}.", told, as_json=as_json)


@silences_group.command("delete")
@click.argument("silence", metavar="ID")
@AS_JSON
@connected()
def delete(*, silence: str, as_json: bool, api: Client) -> None:
    """Never again. What it held is told if it is still true."""
    api.call("DELETE", f"/v1/silences/{part(silence)}")
    say(f"{silence} is deleted.", {"id": silence, "deleted": True}, as_json=as_json)


@silences_group.command("snooze")
@click.argument("check")
@click.option("--for", "lasts", type=DURATION, help="How long, such as 30m.")
@click.option("--until", metavar="TIME", help="An instant, or how long from now.")
@click.option("--next-run", is_flag=True, help="Until the end of its next slot.")
@click.option("--note", default="")
@AS_JSON
@connected()
def snooze(
    *, check: str, lasts: float | None, until: str | None, next_run: bool, note: str, as_json: bool, api: Client
) -> None:
    """Snooze a check, by slug or id: its alerts wait. For two hours, if nothing is said."""
    if (lasts is not None) + (until is not None) + next_run > 1:
        raise click.UsageError("Say one of --for, --until and --next-run.")
    body: dict[str, Any] = {"note": note}
    if next_run:
        body["next_run"] = True
    elif until is not None:
        body["until"] = instant_ahead(until)
    else:
        body["lasts"] = 7200 if lasts is None else int(lasts)
    found = find_check(api, check)
    told = api.call("POST", f"/v1/checks/{part(found['id'])}/snooze", body)
    say(plain(f"{found['name']} is snoozed {_when(told)}."), told, as_json=as_json)
