"""`heartfly limits …`: limits of calls to other people's APIs, how each stands, and whether a call may be made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, counted, print_facts, print_json, print_table, say

DENIED = 3
"""The exit code of a check that is denied; 1 is an error."""
_SHOWN = 20
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group("limits")
def limits_group() -> None:
    """Limits: how much of other people's APIs may be used, and by whom."""


def _rule(command: Command) -> Command:
    """The options that say what a limit is."""
    for option in reversed((
        click.argument("policy", default=""),
        click.option("--amount", help="How much, such as 1000 or 2.50."),
        click.option("--unit", help="requests (if not said), tokens, a kind such as input_tokens, or cost:USD."),
        click.option("--per", "period", help="A rolling period, such as 60s, 1h or 24h."),
        click.option("--rate", "rate", help="A rate's period instead: 60s; with --burst."),
        click.option("--burst", help="Of a rate: how much at once."),
        click.option("--window", help="A window of the calendar instead: hour, day, week, month, quarter or year."),
        click.option("--for", "scope", multiple=True, metavar="DIMENSION=VALUE",
                     help="For which calls, such as provider=openai or customer=each; several may be given."),
        click.option("--always", is_flag=True, help="It holds beside more special ones, too."),
        click.option("--deny-on-failure", is_flag=True, help="Deny calls while nothing can be looked up."),
        click.option("--name", help="What it says, if none is given."),
    )):  # fmt: skip
        command = option(command)
    return command


def _asked(**given: Any) -> dict[str, Any]:
    scope = {}
    for text in given["scope"]:
        dimension, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--for {text}: is as provider=openai")
        scope[dimension] = value
    asked: dict[str, Any] = {"scope": scope, "policy": given["policy"]}
    for name in ("amount", "unit", "burst", "window", "name"):
        if given[name] is not None:
            asked[name] = given[name]
    ways = [name for name in ("period", "rate", "window") if given[name] is not None]
    if len(ways) > 1:
        raise click.UsageError("one of --per, --rate and --window says within which time")
    if ways:
        asked["kind"] = {"period": "rolling", "rate": "rate", "window": "calendar"}[ways[0]]
    if (period := given["period"] or given["rate"]) is not None:
        asked["period_s"] = _seconds(period)
    if given["always"]:
        asked["always"] = True
    if given["deny_on_failure"]:
        asked["on_failure"] = "deny"
    return asked


_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _seconds(text: str) -> int:
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _SECONDS else (text, "s")
    if not (number.isascii() and number.isdecimal() and len(number) < 9):
        raise click.UsageError(f"{text} is no duration, such as 60s, 15m, 1h or 7d")
    return int(number) * _SECONDS[unit]


@limits_group.command("list")
@AS_JSON
@connected()
def list_limits(*, as_json: bool, api: Client) -> None:
    """List limits, each with its fullest counter and its last 24 hours."""
    found = list(api.listed("/v1/limits"))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo('There are no limits. Make one with `heartfly limits create "1000;w=3600;s=customer"`.')
        return
    print_table(
        ("ID", "NAME", "USED", "LEFT", "OF WHOM", "CHECKED 24 H", "DENIED 24 H"),
        [
            (
                one["id"],
                one["name"] + ("" if one["active"] else " (paused)"),
                f"{_much(one, 'used')} ({one['fullest']['percent']} %)" if one["fullest"] else "0",
                _much(one, "remaining") if one["fullest"] else "all",
                _whom(one["fullest"]),
                f"{one['checked_24h']:,}",
                f"{one['denied_24h']:,}",
            )
            for one in found
        ],
    )


def _much(one: Any, name: str) -> str:
    """Of money with its currency."""
    _, _, currency = one["unit"].partition(":")
    return f"{one['fullest'][name]} {currency}".strip()


def _whom(counter: Any) -> str:
    return ", ".join(counter["values"].values()) or "all" if counter else "all"


@limits_group.command("create")
@_rule
@AS_JSON
@connected()
def create(*, as_json: bool, api: Client, **given: Any) -> None:
    """Make a limit: by options, or in one line, as gateways write it: `1000;w=3600;u=request;s=user`."""
    told = api.call("POST", "/v1/limits", _asked(**given))
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['id']}: {told['name']}. It counts from now on.")


@limits_group.command("show")
@click.argument("limit_id", metavar="ID")
@AS_JSON
@connected()
def show(*, limit_id: str, as_json: bool, api: Client) -> None:
    """A limit, its fullest counters, and who was denied."""
    limit = api.call("GET", f"/v1/limits/{part(limit_id)}")
    counters = api.first(f"/v1/limits/{part(limit_id)}/counters", _SHOWN)
    denials = api.first("/v1/limits/denials", _SHOWN, limit_id=limit["id"])
    if as_json:
        print_json(limit | {"counters_fullest": counters, "denials": denials})
        return
    print_facts([
        ("Name", limit["name"]),
        ("State", "active" if limit["active"] else "paused"),
        ("On failure", limit["on_failure"]),
        ("Checked, 24 h", f"{limit['checked_24h']:,}"),
        ("Denied, 24 h", f"{limit['denied_24h']:,}"),
        ("Unseen, 24 h", f"{limit['opened_24h']:,}"),
    ])  # fmt: skip
    if counters:
        print_table(
            ("OF WHOM", "USED", "RESERVED", "LEFT", "PERCENT"),
            [(_whom(one), one["used"], one["reserved"], one["remaining"], f"{one['percent']} %") for one in counters],
        )
    if denials:
        print_table(
            ("LAST DENIED", "OF WHOM", "TIMES", "WANTED", "USED THEN"),
            [(one["last_at"], _whom(one), f"{one['n']:,}", one["wanted"], one["used"]) for one in denials],
        )


@limits_group.command("check")
@click.option(
    "--for", "scope", multiple=True, metavar="DIMENSION=VALUE", help="Whose call: provider=openai, tag=batch."
)
@click.option("--unit", "units", multiple=True, metavar="KIND=AMOUNT", help="What it takes: input_tokens=1200.")
@click.option("--cost", "costs", multiple=True, metavar="CURRENCY=AMOUNT", help="What it costs: USD=0.02.")
@click.option("--reserve", is_flag=True, help="Take it; else it is only looked.")
@AS_JSON
@connected()
def check(
    *,
    scope: tuple[str, ...],
    units: tuple[str, ...],
    costs: tuple[str, ...],
    reserve: bool,
    as_json: bool,
    api: Client,
) -> None:
    """Whether a call may be made now. Exit 3: it is denied."""
    whose: dict[str, Any] = {"tags": []}
    for name, value in map(_pair, scope):
        if name == "tag":
            whose["tags"].append(value)
        else:
            whose[name] = value
    asked = {"scope": whose, "units": dict(map(_pair, units)), "cost": dict(map(_pair, costs)), "reserve": reserve}
    told = api.call("POST", "/v1/limits/check", asked)
    if as_json:
        print_json(told)
    else:
        _say(told)
    if not told["allowed"]:
        raise SystemExit(DENIED)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{text}: is as NAME=VALUE")
    return name, value


def _say(told: Any) -> None:
    if told["allowed"]:
        held = f" Reserved as {told['reservation']}." if told["reservation"] else ""
        click.echo(("Allowed." if told["limits"] else "Allowed: no limit holds for it.") + held)
    else:
        after = "never for so much" if told["retry_after"] is None else f"in {told['retry_after']:g} s"
        click.echo(f"Denied by {told['limit']['name']}; room {after}.")
    for one in told["limits"]:
        click.echo(f"  {one['name']}: {one['used']} of {one['limit']} used, {one['remaining']} left")


@limits_group.command("edit")
@click.argument("limit_id", metavar="ID")
@click.option("--name")
@click.option("--amount", help="How much, such as 1000 or 2.50.")
@click.option("--rate", help="Of a rate: its period, such as 60s.")
@click.option("--burst", help="Of a rate: how much at once.")
@click.option("--always/--not-always", default=None, help="Whether it holds beside more special ones, too.")
@click.option("--deny-on-failure/--allow-on-failure", "denies", default=None, help="While nothing can be looked up.")
@click.option("--approaching", type=int, help="From so many per cent on it says that it is near.")
@click.option("--pause/--resume", "pauses", default=None, help="A paused one denies nobody.")
@AS_JSON
@connected()
def edit(
    *,
    limit_id: str,
    rate: str | None,
    denies: bool | None,
    pauses: bool | None,
    as_json: bool,
    api: Client,
    **given: Any,
) -> None:
    """Change one; what is not said stays, and so does what was used."""
    asked = {name: value for name, value in given.items() if value is not None}
    if rate is not None:
        asked["period_s"] = _seconds(rate)
    if denies is not None:
        asked["on_failure"] = "deny" if denies else "allow"
    if pauses is not None:
        asked["active"] = not pauses
    if not asked:
        raise click.UsageError("nothing is to be changed; `heartfly limits edit --help` shows what can be")
    told = api.call("PATCH", f"/v1/limits/{part(limit_id)}", asked)
    say(f"{told['id']}: {told['name']}, {'active' if told['active'] else 'paused'}.", told, as_json=as_json)


@limits_group.command("delete")
@click.argument("limit_id", metavar="ID")
@AS_JSON
@connected()
def delete(*, limit_id: str, as_json: bool, api: Client) -> None:
    """It denies nobody any more. What was counted for it goes with it."""
    api.call("DELETE", f"/v1/limits/{part(limit_id)}")
    if as_json:
        print_json({"id": limit_id, "deleted": True})
    else:
        click.echo(f"{limit_id} is deleted.")


@limits_group.command("simulate")
@_rule
@AS_JSON
@connected()
def simulate(*, as_json: bool, api: Client, **given: Any) -> None:
    """What a limit would have denied of the calls of the last seven days. Nothing is stored."""
    told = api.call("POST", "/v1/limits/simulate", _asked(**given))
    if as_json:
        print_json(told)
        return
    fitting = counted(told["fitting"], "call", grouped=True)
    click.echo(f"It would have denied {told['denied']:,} of {fitting}, out of {told['calls']:,}.")
    if told["cut"]:
        click.echo(f"There were more; looked at are those before {told['to_at']}.")
    hit = [one for one in told["by_value"] if one["denied"] and one["values"]]
    if hit:
        print_table(
            ("OF WHOM", "DENIED", "USED AT MOST"),
            [(", ".join(one["values"]), f"{one['denied']:,}", one["used_at_most"]) for one in hit],
        )
