"""`heartfly usage meters …`: which meters there are, what they count, and what that comes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, counted, print_facts, print_json, print_table, say, since_instant, when
from heartfly.core.amounts import stored
from heartfly.core.meters import Aggregation
from heartfly.core.sketches import spelled

_AGGREGATIONS = ("count", "sum", "min", "max", "average", "latest", "unique", "percentile")
_WINDOWS = ("minute", "hour", "day", "month", "none")


@click.group("meters")
def meters_group() -> None:
    """Meters: questions about events, answered by window, customer and group."""


@meters_group.command("list")
@click.option("--all", "everything", is_flag=True, help="The archived ones, too.")
@AS_JSON
@connected()
def list_meters(*, everything: bool, as_json: bool, api: Client) -> None:
    """List meters and what they count."""
    found = list(api.listed("/v1/meters", archived=None if everything else "false"))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no meters. Make one with `heartfly usage meters create`.")
        return
    print_table(
        ("METER", "NAME", "COUNTS", "UNIT", "VERSIONS", "ARCHIVED"),
        [
            (
                one["slug"],
                one["name"],
                _counts(one["current"]),
                one["unit"] or "-",
                str(len(one["versions"])),
                when(one["archived_at"]),
            )
            for one in found
        ],
    )


def _counts(version: Any) -> str:
    value = f" of {version['value']}" if version["value"] else ""
    percent = f" {version['percentile']}" if version["percentile"] else ""
    return f"{version['aggregation']}{percent}{value}, {' or '.join(version['event_types'])}"


_DEFINING = (
    click.option("--type", "types", multiple=True, help="An event type that counts; several: any of them."),
    click.option("--aggregation", type=click.Choice(_AGGREGATIONS), help="How events add up.  [count]"),
    click.option("--value", help="A property, or an expression such as 'num_recipients * size'."),
    click.option("--percentile", help="Above 0, up to 100; for percentile."),
    click.option("--group-key", "group_keys", multiple=True, help="A property by whose values figures are told apart."),
    click.option(
        "--filter",
        "filters",
        multiple=True,
        help="PROPERTY=VALUE or PROPERTY!=VALUE; several of one property and sign: any of the values, or none.",
    ),
    click.option(
        "--file",
        "file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A JSON file with all that the API takes; options come on top of it.",
    ),
)


def _defining(command: Any) -> Any:
    for option in reversed(_DEFINING):
        command = option(command)
    return command


def _definition(given: dict[str, Any]) -> dict[str, Any]:
    """What the options and the file say, as the API takes it."""
    asked: dict[str, Any] = {}
    if given["file"] is not None:
        try:
            asked = json.loads(given["file"].read_text(encoding="utf-8"))
        except ValueError as error:
            raise click.ClickException(f"{given['file']} is not JSON: {error}") from None
        if not isinstance(asked, dict):
            raise click.ClickException(f"{given['file']} must hold a JSON object.")
    for name, value in (
        ("event_types", list(given["types"])),
        ("aggregation", given["aggregation"]),
        ("value", given["value"]),
        ("percentile", given["percentile"]),
        ("group_keys", list(given["group_keys"])),
        ("filters", _filters(given["filters"])),
    ):
        if value:
            asked[name] = value
    asked.setdefault("aggregation", "count")
    asked.setdefault("event_types", [])
    return asked


def _filters(given: tuple[str, ...]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text} is not PROPERTY=VALUE or PROPERTY!=VALUE", param_hint="--filter")
        key = "none_of" if name.endswith("!") else "any_of"
        one = found.setdefault(name.removesuffix("!"), {"property": name.removesuffix("!")})
        one.setdefault(key, []).append(value)
    return list(found.values())


@meters_group.command("create")
@click.argument("slug")
@click.option("--name", help="Its name.  [the slug]")
@click.option("--unit", help="What its figures are of, such as bytes.")
@_defining
@AS_JSON
@connected()
def create(*, slug: str, name: str | None, unit: str | None, as_json: bool, api: Client, **given: Any) -> None:
    """Make a meter. It applies to the events that have come already, too."""
    named = {key: value for key, value in (("name", name), ("unit", unit)) if value is not None}
    made = api.call("POST", "/v1/meters", _definition(given) | named | {"slug": slug})
    if as_json:
        print_json(made)
        return
    click.echo(
        f"{made['slug']} counts: {_counts(made['current'])}. `heartfly usage meters query {made['slug']}` asks it."
    )


@meters_group.command("show")
@click.argument("meter")
@AS_JSON
@connected()
def show(*, meter: str, as_json: bool, api: Client) -> None:
    """Show a meter, its versions, and how its events of the last 24 hours fared."""
    found = api.call("GET", f"/v1/meters/{part(meter)}")
    if as_json:
        print_json(found)
        return
    lately = found["lately"]
    facts = [
        ("Meter", f"{found['slug']} ({found['name']})"),
        ("Id", found["id"]),
        ("Counts", _counts(found["current"])),
        ("Unit", found["unit"] or "-"),
        ("Grouped by", ", ".join(["customer", "subject", *found["current"]["group_keys"]])),
        ("Last 24 hours", f"{counted(lately['counted'], 'event')} counted"),
        ("Versions", "\n".join(f"{_span(one)}: {_counts(one)}" for one in found["versions"])),
    ]
    if found["archived_at"]:
        facts.append(("Archived", when(found["archived_at"])))
    if lately["warning"]:
        facts.append(("Warning", lately["warning"]))
    print_facts(facts)


def _span(version: Any) -> str:
    start = f"from {version['from_at']}" if version["from_at"] else "since ever"
    return f"{start} until {version['to_at']}" if version["to_at"] else start


@meters_group.command("archive")
@click.argument("meter")
@AS_JSON
@connected()
def archive(*, meter: str, as_json: bool, api: Client) -> None:
    """Let a meter count nothing that happens from now on; what it has counted stays."""
    say(f"{meter} is archived.", api.call("POST", f"/v1/meters/{part(meter)}/archive"), as_json=as_json)


@meters_group.command("unarchive")
@click.argument("meter")
@AS_JSON
@connected()
def unarchive(*, meter: str, as_json: bool, api: Client) -> None:
    """Let a meter count again, also what happened while it was archived."""
    say(f"{meter} counts again.", api.call("POST", f"/v1/meters/{part(meter)}/unarchive"), as_json=as_json)


@meters_group.command("query")
@click.argument("meter")
@click.option("--from", "from_at", default="7d", show_default=True, help="A span back from now, a day or an instant.")
@click.option("--to", "to_at", help="A span back from now, an instant, or the day before which.  [now]")
@click.option("--window", type=click.Choice(_WINDOWS), default="day", show_default=True)
@click.option("--zone", help="Whose days, such as Europe/Berlin.  [the project's]")
@click.option("--customer", multiple=True, help="Only this customer, by id.")
@click.option("--subject", multiple=True, help="Only what was sent under this name.")
@click.option("--by", "group_by", multiple=True, help="customer, subject, or a group key of the meter.")
@click.option("--filter", "only", multiple=True, help="Only this value of a group key, as region:eu.")
@click.option("--limit", "most", type=click.IntRange(1, 10_000), default=1_000, show_default=True)
@AS_JSON
@connected()
def query(*, meter: str, as_json: bool, api: Client, **given: Any) -> None:
    """Show what a meter comes to, exactly, and how sure each figure is."""
    asked = {
        "from": since_instant(given["from_at"]),
        "to": None if given["to_at"] is None else since_instant(given["to_at"]),
        "window": given["window"],
        "zone": given["zone"],
        "customer": given["customer"],
        "subject": given["subject"],
        "group_by": given["group_by"],
        "filter": given["only"],
        "limit": given["most"],
    }
    told = api.call("GET", f"/v1/meters/{part(meter)}/query", **asked)
    if as_json:
        print_json(told)
        return
    if not told["items"]:
        click.echo("Nothing counts there.")
        return
    by, are_near = given["group_by"], _is_percentile(api, meter)
    print_table(
        ("FROM", "STATE", *(name.upper() for name in by), "EVENTS", f"VALUE {told['unit']}".strip().upper()),
        [
            (
                one["from_at"],
                one["state"],
                *(_group(one, name) for name in by),
                str(one["n"]),
                _near(one["value_exact"]) if are_near else one["value_exact"] or "-",
            )
            for one in told["items"]
        ],
    )
    if are_near:
        click.echo("A percentile is told as near as it is known, ± how far the true one may be.")
    click.echo(f"Complete up to {told['complete_up_to']}.")
    if told["next"] is not None:
        click.echo("There is more: ask for a shorter time, or with --limit.")


def _is_percentile(api: Client, meter: str) -> bool:
    """Always: it may have been another question once."""
    versions = api.call("GET", f"/v1/meters/{part(meter)}")["versions"]
    return all(version["aggregation"] == Aggregation.PERCENTILE for version in versions)


def _near(value: str | None) -> str:
    return "-" if value is None else spelled(stored(value))


def _group(one: Any, name: str) -> str:
    if name == "customer":
        return one["customer"]["name"] if one["customer"] else f"{one['subject']} (unknown)"
    return str(one["subject"]) if name == "subject" else one["group"].get(name) or "-"


@meters_group.command("preview")
@_defining
@click.option("--meter", help="A meter that would change so; else it would be a new one.")
@click.option("--from", "from_at", default="7d", show_default=True, help="A span back from now, or an instant.")
@AS_JSON
@connected()
def preview(*, meter: str | None, from_at: str, as_json: bool, api: Client, **given: Any) -> None:
    """Show what a meter would come to, by customer and day, before it is saved."""
    asked = _definition(given) | {"from": since_instant(from_at)}
    told = api.call("POST", "/v1/meters/preview", asked | ({"meter": meter} if meter else {}))
    if as_json:
        print_json(told)
        return
    click.echo(
        f"{counted(told['looked_at'], 'event')} looked at: {told['matched']} count, {told['missing']} lack a property, "
        f"{told['no_amount']} hold no amount."
    )
    if not told["whole"]:
        click.echo(f"What happened before {told['looked_from']} was not looked at.")
    if told["items"]:
        print_table(
            ("FROM", "CUSTOMER", "EVENTS", "NOW", "WOULD BE"),
            [
                (
                    one["from_at"],
                    one["customer"]["name"] if one["customer"] else f"{one['subject']} (unknown)",
                    str(one["n"]),
                    one["before_exact"] or "-",
                    one["value_exact"] or "-",
                )
                for one in told["items"]
            ],
        )
