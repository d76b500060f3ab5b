"""`heartfly usage prices meters …`: what the use of our own meters costs, by group and from an hour on."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, print_json, print_table, say, since_instant


@click.group("meters")
def meters_group() -> None:
    """Prices of our own meters, and what their use comes to by them."""


@meters_group.command("list")
@click.argument("meter")
@AS_JSON
@connected()
def list_prices(*, meter: str, as_json: bool, api: Client) -> None:
    """List the prices of a meter, by group and then by time."""
    found = list(api.call("GET", f"/v1/meters/{part(meter)}/prices")["items"])
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo(f"{meter} has no price. `heartfly usage prices meters set` gives it one.")
        return
    print_table(
        ("ID", "OF", "PRICE OF ONE", "FROM", "UNTIL"),
        [
            (
                one["id"],
                _group(one["only"]),
                f"{one['amount']} {one['currency']}",
                one["from_at"] or "always",
                one["to_at"] or "-",
            )
            for one in found
        ],
    )


@meters_group.command("set")
@click.argument("meter")
@click.argument("amount")
@click.argument("currency")
@click.option("--only", "only", multiple=True, help="KEY=VALUE of a group key; KEY alone: figures without it.")
@click.option("--from", "from_at", help="From which hour of UTC on, such as 2026-03-02T09:00:00Z.  [always]")
@click.option("--to", "to_at", help="Until which hour.  [until further notice]")
@AS_JSON
@connected()
def set_price(*, meter: str, only: tuple[str, ...], as_json: bool, api: Client, **given: Any) -> None:
    """Say what one unit of a meter's figure costs, for all of them or for a group."""
    pairs = [text.partition("=") for text in only]
    asked = {name: value for name, value in given.items() if value is not None}
    asked["only"] = {key: value if sign else None for key, sign, value in pairs}
    told = api.call("POST", f"/v1/meters/{part(meter)}/prices", asked)
    of = _group(told["only"])
    said = f"One of {meter} ({of}) costs {told['amount']} {told['currency']}. It is price {told['id']}."
    say(said, told, as_json=as_json)


@meters_group.command("end")
@click.argument("meter")
@click.argument("price_id")
@click.argument("at")
@AS_JSON
@connected()
def end_price(*, meter: str, price_id: str, at: str, as_json: bool, api: Client) -> None:
    """Let a price of a meter end, AT an hour of UTC."""
    told = api.call("PATCH", f"/v1/meters/{part(meter)}/prices/{part(price_id)}", {"to_at": at})
    say(f"Price {price_id} of {meter} ends at {told['to_at']}.", told, as_json=as_json)


@meters_group.command("delete")
@click.argument("meter")
@click.argument("price_id")
@AS_JSON
@connected()
def delete_price(*, meter: str, price_id: str, as_json: bool, api: Client) -> None:
    """Delete a price of a meter, as if it had never been."""
    api.call("DELETE", f"/v1/meters/{part(meter)}/prices/{part(price_id)}")
    say(f"Price {price_id} of {meter} is deleted.", {"id": price_id, "deleted": True}, as_json=as_json)


@meters_group.command("costs")
@click.option("--customer", help="Only of this customer, by id.")
@click.option("--meter", help="Only of this meter.")
@click.option("--from", "from_at", help="A span back from now, a day or an instant.  [this month]")
@click.option("--to", "to_at", help="The day or instant before which.  [now]")
@AS_JSON
@connected()
def costs(*, from_at: str | None, to_at: str | None, as_json: bool, api: Client, **which: Any) -> None:
    """Show what the use of meters costs, in lines that add up to the last digit."""
    asked: dict[str, Any] = dict(which)
    asked |= {name: since_instant(text) for name, text in (("from", from_at), ("to", to_at)) if text is not None}
    told = api.call("GET", "/v1/usage/meter-costs", **asked)
    if as_json:
        print_json(told)
        return
    if not told["lines"]:
        click.echo("Nothing was used of a meter that has a price.")
        return
    print_table(
        ("METER", "OF", "FROM", "UNTIL", "QUANTITY", "PRICE OF ONE", "COST", "STATE"),
        [_line(one) for one in told["lines"]],
    )
    for currency, total in told["totals"].items():
        click.echo(f"Total: {total} {currency}")
    if told["lines_without_cost"]:
        click.echo(f"{told['lines_without_cost']} without a cost, which are in no total.")


def _line(one: Any) -> tuple[str, ...]:
    cost = one["untold"] or ("no price" if one["cost"] is None else f"{one['cost']} {one['currency']}")
    of = "-" if one["only"] is None else _group(one["only"])
    quantity, amount = one["quantity"] or "-", one["amount"] or "-"
    return one["name"], of, one["from_at"], one["to_at"], quantity, amount, cost, one["state"]


def _group(only: dict[str, str | None]) -> str:
    return ", ".join(key if value is None else f"{key}={value}" for key, value in only.items()) or "all"
