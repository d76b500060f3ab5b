"""`heartfly budgets …`: what calls to others' APIs may cost, and have cost. Money is rounded for eyes only."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.output import AS_JSON, MOST, counted, print_facts, print_json, print_table, say

_PERIODS = ("monthly", "quarterly", "yearly", "project", "custom", "unlimited")
_STATES = ("active", "paused", "exceeded", "expired", "cancelled")
_CENTS, _PLACES = Decimal("0.01"), Decimal("0.000001")


@click.group("budgets")
def budgets_group() -> None:
    """Budgets: what calls to others' APIs may cost, whom they tell, and what is left."""


@budgets_group.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Of any of these.")
@MOST
@AS_JSON
@connected()
def list_budgets(*, states: tuple[str, ...], most: int, as_json: bool, api: Client) -> None:
    """List budgets, in the order in which they were made."""
    query = {"status": list(states)} if states else {}
    found = api.first("/v1/budgets", most, **query)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no budgets. To make one: heartfly budgets create 'AI models' --amount 500 --currency USD")
        return
    print_table(
        ("ID", "NAME", "STATE", "PERIOD", "AMOUNT", "TELLS AT"),
        [(one["id"], one["name"], one["state"], one["period"], _amount(one), _percents(one)) for one in found],
    )


@budgets_group.command("create")
@click.argument("name")
@click.option("--currency", required=True, help="Such as USD.")
@click.option("--amount", help="Such as 500; not of an unlimited one.")
@click.option("--period", type=click.Choice(_PERIODS), default="monthly", show_default=True)
@click.option("--from", "starts_on", help="The first day that counts, such as 2026-03-01.  [today]")
@click.option("--to", "ends_on", help="The last day, of a project.")
@click.option("--every", "every_days", type=int, help="Days, of a custom period.")
@click.option("--once", is_flag=True, help="Do not renew it.")
@click.option("--scope", "scopes", multiple=True, help="provider=openai, or model, customer, key, user, tag, meter.")
@click.option("--at", "thresholds", multiple=True, type=int, help="A percent to tell at.  [50, 80, 90, 100]")
@click.option("--part", "parts", multiple=True, help="provider:openai=200, or model, customer, meter.")
@click.option("--spike", help="200:10 tells of a day over 200 % of the days before, and of 10 at least.")
@click.option("--low-days", type=int, help="Tell when what is left lasts for so many days or less.")
@click.option("--hard-stop", is_flag=True, help="Refuse calls that would cost more than is left.")
@AS_JSON
@connected()
def create(*, name: str, as_json: bool, api: Client, **options: Any) -> None:
    """Make a budget. Every channel that there is hears of it."""
    told = api.call("POST", "/v1/budgets", {"name": name} | _asked(options))
    say(f"{told['id']}: {told['name']}, {_amount(told)} {told['period']}.", told, as_json=as_json)


@budgets_group.command("edit")
@click.argument("budget_id", metavar="ID")
@click.option("--name")
@click.option("--amount", help="A raise lets what is below again be told anew.")
@click.option("--from", "starts_on")
@click.option("--to", "ends_on")
@click.option("--scope", "scopes", multiple=True, help="All of them anew.")
@click.option("--at", "thresholds", multiple=True, type=int, help="All of them anew.")
@click.option("--part", "parts", multiple=True, help="All of them anew.")
@click.option("--spike")
@click.option("--low-days", type=int)
@click.option("--hard-stop/--no-hard-stop", default=None)
@AS_JSON
@connected()
def edit(*, budget_id: str, as_json: bool, api: Client, **options: Any) -> None:
    """Change a budget; what is not said stays."""
    told = api.call("PATCH", f"/v1/budgets/{budget_id}", _asked(options))
    say(f"{told['id']}: {told['name']}, {_amount(told)} {told['period']}.", told, as_json=as_json)


@budgets_group.command("show")
@click.argument("budget_id", metavar="ID")
@AS_JSON
@connected()
def show(*, budget_id: str, as_json: bool, api: Client) -> None:
    """Show what a budget agrees on."""
    one = api.call("GET", f"/v1/budgets/{budget_id}")
    if as_json:
        print_json(one)
        return
    scope = "; ".join(f"{name} {', '.join(values)}" for name, values in one["scope"].items())
    facts = [
        ("name", one["name"]),
        ("state", one["state"]),
        ("amount", _amount(one)),
        ("period", f"{one['period']}, from {one['starts_on']}{', renewed' if one['auto_renew'] else ''}"),
        ("scope", scope or "all calls"),
        ("tells at", _percents(one) or "-"),
    ]
    facts += [(f"part {part['by']}", f"{part['name']}: {_money(part['amount'])}") for part in one["allocations"]]
    print_facts([*facts, ("id", one["id"])])


@budgets_group.command("status")
@click.argument("budget_id", metavar="ID")
@AS_JSON
@connected()
def status(*, budget_id: str, as_json: bool, api: Client) -> None:
    """Show what is spent and left, how fast it goes, and what was told."""
    one = api.call("GET", f"/v1/budgets/{budget_id}/status")
    if as_json:
        print_json(one)
        return
    if one["period"] is None:
        click.echo(f"{one['name']} has not begun.")
        return
    currency, period = one["currency"], one["period"]
    facts = [
        ("budget", f"{one['name']} ({one['state']})"),
        ("period", f"{period['first_day']} to {period['last_day'] or 'further notice'}"),
        ("spent", f"{_money(one['spent'])} {currency}" + ("" if one["percent"] is None else f" ({one['percent']} %)")),
    ]
    if one["left"] is not None:
        facts.append(("left", f"{_money(one['left'])} of {_money(one['amount'])} {currency}"))
    if one["burn_per_day"] is not None:
        facts.append(("a day", f"{_money(one['burn_per_day'])} {currency}"))
    facts.append(("runs out", one["gone_on"] or "not within its period, as far as can be foreseen"))
    if one["foreseen"] is not None:
        seen = one["foreseen"]
        facts.append(("by its end", f"{_money(seen['likely'])} ({_money(seen['low'])} to {_money(seen['high'])})"))
    if one["n_unpriced"]:
        facts.append(("not counted", f"{counted(one['n_unpriced'], 'call', grouped=True)} whose cost is not known"))
    facts += [("not counted", f"{_money(much)} {name}") for name, much in one["other_currencies"].items()]
    facts += [
        (f"part {part['by']}", f"{part['name']}: {_money(part['spent'])} of {_money(part['amount'])}")
        for part in one["allocations"]
    ]
    print_facts([*facts, *((f"told {told['at'][:16]}", told["words"]) for told in one["told"])])


@budgets_group.command("history")
@click.argument("budget_id", metavar="ID")
@MOST
@AS_JSON
@connected()
def history(*, budget_id: str, most: int, as_json: bool, api: Client) -> None:
    """List its periods, the newest first."""
    found = api.first(f"/v1/budgets/{budget_id}/history", most)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("None of its periods has begun.")
        return
    rows = [
        (
            one["first_day"],
            one["last_day"] or "-",
            _money(one["spent"]),
            "-" if one["amount"] is None else _money(one["amount"]),
            "-" if one["percent"] is None else f"{one['percent']} %",
            "; ".join(told["words"] for told in one["told"]),
        )
        for one in found
    ]
    print_table(("FROM", "TO", "SPENT", "OF", "", "TOLD"), rows)


@budgets_group.command("summary")
@AS_JSON
@connected()
def summary(*, as_json: bool, api: Client) -> None:
    """Sum up all budgets that are active or exceeded, by currency."""
    found = api.call("GET", "/v1/budgets/summary")
    if as_json:
        print_json(found)
        return
    if not found["items"]:
        click.echo("No budget is active.")
        return
    rows = [
        (
            one["currency"],
            str(one["n_budgets"]),
            *(_money(one[name]) for name in ("amount", "allocated", "spent", "left")),
        )
        for one in found["items"]
    ]
    print_table(("CURRENCY", "BUDGETS", "AMOUNT", "ALLOCATED", "SPENT", "LEFT"), rows)


@budgets_group.command("pause")
@click.argument("budget_id", metavar="ID")
@AS_JSON
@connected()
def pause(*, budget_id: str, as_json: bool, api: Client) -> None:
    """Tell nothing of it until it is resumed."""
    _turn(api, budget_id, "pause", as_json=as_json)


@budgets_group.command("resume")
@click.argument("budget_id", metavar="ID")
@AS_JSON
@connected()
def resume(*, budget_id: str, as_json: bool, api: Client) -> None:
    """Go on; what its period has reached meanwhile is told now."""
    _turn(api, budget_id, "resume", as_json=as_json)


@budgets_group.command("cancel")
@click.argument("budget_id", metavar="ID")
@AS_JSON
@connected()
def cancel(*, budget_id: str, as_json: bool, api: Client) -> None:
    """End it for good; it keeps its history."""
    _turn(api, budget_id, "cancel", as_json=as_json)


@budgets_group.command("delete")
@click.argument("budget_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
@connected()
def delete(*, budget_id: str, yes: bool, as_json: bool, api: Client) -> None:
    """Delete it, with its history."""
    if not yes:
        click.confirm("Delete the budget with its history?", abort=True)
    api.call("DELETE", f"/v1/budgets/{budget_id}")
    say(f"{budget_id} is deleted.", {"id": budget_id, "deleted": True}, as_json=as_json)


def _turn(api: Client, budget_id: str, verb: str, *, as_json: bool) -> None:
    told = api.call("POST", f"/v1/budgets/{budget_id}/{verb}")
    say(f"{told['name']} is {told['state']}.", told, as_json=as_json)


# --- what was asked for


def _asked(options: dict[str, Any]) -> dict[str, Any]:
    plain = ("name", "currency", "amount", "period", "starts_on", "ends_on", "every_days", "low_days", "hard_stop")
    asked = {name: options[name] for name in plain if options.get(name) is not None}
    if options.get("once"):
        asked["auto_renew"] = False
    if options["thresholds"]:
        asked["thresholds"] = list(options["thresholds"])
    if options["scopes"]:
        asked["scope"] = {}
        for one in options["scopes"]:
            by, sign, value = one.partition("=")
            if not sign:
                raise click.BadParameter(f"{one!r} is not such as provider=openai", param_hint="--scope")
            asked["scope"].setdefault(by, []).append(value)
    if options["parts"]:
        asked["allocations"] = [_part(one) for one in options["parts"]]
    if options["spike"]:
        percent, sign, least = options["spike"].partition(":")
        if not sign or not (percent.isascii() and percent.isdigit() and len(percent) < 10):
            raise click.BadParameter(f"{options['spike']!r} is not such as 200:10", param_hint="--spike")
        asked["spike"] = {"percent": int(percent), "least": least}
    return asked


def _part(text: str) -> dict[str, str]:
    whose, sign, amount = text.rpartition("=")
    by, colon, name = whose.partition(":")
    if not sign or not colon:
        raise click.BadParameter(f"{text!r} is not such as provider:openai=200", param_hint="--part")
    return {"by": by, "name": name, "amount": amount}


# --- in words


def _amount(one: Any) -> str:
    return "unlimited" if one["amount"] is None else f"{_money(one['amount'])} {one['currency']}"


def _percents(one: Any) -> str:
    return ", ".join(f"{percent} %" for percent in one["thresholds"])


def _money(text: str) -> str:
    money = Decimal(text)
    unit = _CENTS if abs(money) >= 1 or not money else _PLACES
    whole, _, places = f"{money.quantize(unit, ROUND_HALF_EVEN):,f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"
