"""`heartfly usage prices …`: what calls to other people's APIs cost, one by one or out of a file."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, MOST, print_json, print_table, say, since_instant
from heartfly.cli.usage_meter_prices import meters_group

_WORKING_S = 300.0
"""A process is started for it, reads a file of some megabytes, and looks at up to 200,000 events."""
_SHOWN = 20
_LITELLM = Path("litellm") / "model_prices_and_context_window_backup.json"


@click.group("prices")
def prices_group() -> None:
    """Prices: what one unit of each kind costs at a provider, and what the use of our own meters costs."""


prices_group.add_command(meters_group)


@prices_group.command("list")
@click.option("--provider", help="Only of this provider.")
@click.option("--product", help="Only of this product; '*': of every one.")
@click.option("--unit", help="Only of this kind of unit, such as input_tokens.")
@click.option("--tier", help="Only of this tier, such as batch; '': the standard one.")
@click.option("--source", type=click.Choice(["hand", "litellm", "csv"]), help="Only of those that came so.")
@click.option("--at", help="Only those in force at this instant, or so long ago.")
@MOST
@AS_JSON
@connected()
def list_prices(*, most: int, at: str | None, as_json: bool, api: Client, **which: Any) -> None:
    """List prices, by provider, product, unit, tier, condition, and then by time."""
    found = api.first("/v1/prices", most, at=None if at is None else since_instant(at), **which)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no such prices. `heartfly usage prices set` adds one, `… import` reads in a file.")
        return
    print_table(
        ("ID", "PROVIDER", "PRODUCT", "UNIT", "TIER", "CONDITION", "PRICE OF ONE", "IN FORCE", "SOURCE"),
        [
            (
                one["id"],
                one["provider"],
                one["product"],
                one["unit"],
                one["tier"] or "-",
                one["condition"] or "-",
                f"{one['amount']} {one['currency']}",
                span(one),
                one["source"],
            )
            for one in found
        ],
    )


def span(one: Any) -> str:
    if one["to_at"] is None:
        return f"from {one['from_at']}" if one["from_at"] else "always"
    return f"{one['from_at'] or 'always'} until {one['to_at']}"


@prices_group.command("set")
@click.argument("provider")
@click.argument("product")
@click.argument("unit")
@click.argument("amount")
@click.argument("currency")
@click.option("--tier", default="", help="Such as batch.  [the standard one]")
@click.option("--condition", default="", help="Such as above_200k_tokens.  [none]")
@click.option("--from", "from_at", help="From when on: an instant, a day, or a span back from now.  [always]")
@click.option("--to", "to_at", help="Until when.  [until further notice]")
@click.option("--dry-run", is_flag=True, help="Show what calls would cost by it, and set nothing.")
@AS_JSON
@connected()
def set_price(
    *, from_at: str | None, to_at: str | None, dry_run: bool, as_json: bool, api: Client, **given: Any
) -> None:
    """Say what one UNIT costs, such as: openai gpt-4o input_tokens 0.0000025 USD. PRODUCT '*': every one.

    If a price of that kind is in force at --from, it ends there.
    """
    asked = given | _times(from_at, to_at)
    asked = {name: value for name, value in asked.items() if value != ""}
    held = _in_force(api, asked) if from_at is not None and to_at is None else None
    edit = {name: asked[name] for name in ("amount", "currency", "from_at") if name in asked}
    if dry_run:
        body = {"create": asked} if held is None else {"price_id": held["id"], "edit": edit}
        _foresee(replace(api, timeout_s=_WORKING_S).call("POST", "/v1/prices/preview", body), as_json=as_json)
        return
    if held is None:
        told = api.call("POST", "/v1/prices", asked)
    else:
        told = api.call("PATCH", f"/v1/prices/{part(held['id'])}", edit)
    say(
        f"One {told['unit']} of {told['provider']} {told['product']} costs {told['amount']} {told['currency']} "
        f"({span(told)}). It is price {told['id']}.",
        told,
        as_json=as_json,
    )


def _in_force(api: Client, asked: dict[str, Any]) -> Any:
    """The price of the same kind at the instant from which another one shall hold; None: there is none."""
    which = {name: asked.get(name, "") for name in ("provider", "product", "unit", "tier")}
    which["product"] = which["product"] or "*"
    for one in api.listed("/v1/prices", at=asked["from_at"], **which):
        if one["condition"] == asked.get("condition", ""):
            return one
    return None


def _times(from_at: str | None, to_at: str | None) -> dict[str, str]:
    given = (("from_at", from_at), ("to_at", to_at))
    return {name: _instant(text) for name, text in given if text is not None}


def _instant(text: str) -> str:
    """A day is its beginning in UTC."""
    found = since_instant(text)
    return f"{found}T00:00:00Z" if len(found) == len("2026-03-02") else found


@prices_group.command("end")
@click.argument("price_id")
@click.option("--at", default="0s", help="When: an instant, a day, or a span back from now.  [now]")
@click.option("--dry-run", is_flag=True, help="Show what calls would cost then, and end nothing.")
@AS_JSON
@connected()
def end_price(*, price_id: str, at: str, dry_run: bool, as_json: bool, api: Client) -> None:
    """Let a price end; calls from then on have none of its kind."""
    edit = {"to_at": _instant(at)}
    if dry_run:
        body = {"price_id": price_id, "edit": edit}
        _foresee(replace(api, timeout_s=_WORKING_S).call("POST", "/v1/prices/preview", body), as_json=as_json)
        return
    told = api.call("PATCH", f"/v1/prices/{part(price_id)}", edit)
    say(f"Price {price_id} ends at {told['to_at']}.", told, as_json=as_json)


@prices_group.command("delete")
@click.argument("price_id")
@click.option("--yes", is_flag=True, help="Delete it; without it, what calls would cost then is shown.")
@AS_JSON
@connected()
def delete_price(*, price_id: str, yes: bool, as_json: bool, api: Client) -> None:
    """Delete a price, as if it had never been."""
    if not yes:
        told = replace(api, timeout_s=_WORKING_S).call("POST", "/v1/prices/preview", {"price_id": price_id})
        _foresee(told, as_json=as_json)
        return
    api.call("DELETE", f"/v1/prices/{part(price_id)}")
    say(f"Price {price_id} is deleted.", {"id": price_id, "deleted": True}, as_json=as_json)


@prices_group.command("import")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--format", "form", type=click.Choice(["litellm", "csv"]), help="What it is.  [by its name]")
@click.option("--litellm", is_flag=True, help="The file of the package litellm, if that is installed here.")
@click.option("--from", "from_at", help="From when on its prices hold: 'always', an instant or a day.  [now]")
@click.option("--over-hand", is_flag=True, help="Also in the place of prices that somebody has set by hand.")
@click.option("--dry-run", is_flag=True, help="Show what it would change, and change nothing.")
@AS_JSON
@connected()
def import_prices(
    *,
    file: IO[bytes] | None,
    form: str | None,
    litellm: bool,
    from_at: str | None,
    over_hand: bool,
    dry_run: bool,
    as_json: bool,
    api: Client,
) -> None:
    """Read in FILE: LiteLLM's list of prices (JSON), or a table (CSV: provider, product, unit, tier, condition, from,
    to, amount, currency). What it says already holds stays; only what differs becomes a new version.
    """
    raw, kind = _file(file, form, litellm=litellm)
    start = from_at if from_at in {None, "always"} else _instant(str(from_at))
    query: dict[str, Any] = {"format": kind, "from": start, "dry_run": "true" if dry_run else None}
    query |= {"over_hand": "true" if over_hand else None}
    told = replace(api, timeout_s=_WORKING_S).send("/v1/prices/imports", raw, **query)
    if as_json:
        print_json(told)
    else:
        _tell(told, dry_run=dry_run)


def _tell(told: Any, *, dry_run: bool) -> None:
    verb = "would be" if dry_run else "are"
    click.echo(
        f"{told['entries']:,} in the file, which hold {told['prices']:,} prices: {told['new']:,} {verb} new, "
        f"{told['changed']:,} {verb} changed, {told['same']:,} hold already."
    )
    for name, words in (
        ("kept", "were set by hand, and stay (--over-hand changes them)"),
        ("missing", "are not in the file any more, and go on"),
        ("unmapped", "are no prices"),
    ):
        if told[f"n_{name}"]:
            click.echo(f"\n{told[f'n_{name}']:,} {words}:")
            for one in told[name][:_SHOWN]:
                click.echo(f"  {one['where']}: {one['reason']}")
            if told[f"n_{name}"] > _SHOWN:
                click.echo(f"  and {told[f'n_{name}'] - _SHOWN:,} more (--json tells them)")
    if told["preview"] is not None:
        click.echo("")
        _foresee(told["preview"], as_json=False)


def _file(file: IO[bytes] | None, form: str | None, *, litellm: bool) -> tuple[bytes, str]:
    if litellm == (file is not None):
        raise click.UsageError("give a file, or --litellm")
    if file is None:
        found = importlib.util.find_spec("litellm")
        if found is None or found.origin is None:
            raise click.UsageError("the package litellm is not installed here; give its file of prices")
        return (Path(found.origin).parent.parent / _LITELLM).read_bytes(), "litellm"
    by_name = {".json": "litellm", ".csv": "csv"}.get(Path(getattr(file, "name", "")).suffix.lower())
    if form is None and by_name is None:
        raise click.UsageError("say with --format what the file is: litellm or csv")
    return file.read(), form or str(by_name)


def _foresee(told: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    if not told["prices"]:
        click.echo("Nothing would change.")
        return
    start, end = told["from_at"] or "since ever", told["to_at"] or "on"
    click.echo(f"Calls from {start} {'on' if end == 'on' else f'until {end}'}: {told['calls']:,} of what it is about.")
    if told["looked_from"]:
        click.echo(f"Only those since {told['looked_from']} were looked at: there are too many.")
    if told["calls_with_own_cost"]:
        click.echo(f"{told['calls_with_own_cost']:,} of them tell their own cost, and stay as they are.")
    click.echo(
        f"{told['calls_changed']:,} would cost otherwise; {told['calls_priced']:,} would have a cost and have none "
        f"now, {told['calls_unpriced']:,} would have none any more; {told['calls_unknown']:,} would have none."
    )
    for currency in sorted(told["before"].keys() | told["after"].keys()):
        before, after = (told[when].get(currency, "0") for when in ("before", "after"))
        click.echo(f"{currency}: {before} now, {after} then.")
    click.echo("Nothing was changed.")
