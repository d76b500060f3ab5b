"""`heartfly alert-rules …`: rules over numbers. What they raised: cli/alerts.py."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import (
    AS_JSON,
    DURATION,
    counted,
    plain,
    print_facts,
    print_json,
    print_table,
    say,
    seconds,
    when,
)

_UUID_CHARS = 36
_OF_A_CONDITION = ("threshold", "window", "least", "clear")
SEVERITIES = ("low", "medium", "high", "critical")


@click.group("alert-rules")
def alert_rules_group() -> None:
    """Alert rules: over calls, requests, meters, limits and dead letters, for each customer or provider."""


@alert_rules_group.command("list")
@AS_JSON
@connected()
def list_rules(*, as_json: bool, api: Client) -> None:
    """List alert rules, and how they stand."""
    found = list(api.listed("/v1/alert-rules"))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no alert rules. Five that are usual: heartfly alert-rules defaults")
        return
    print_table(
        ("STATE", "NAME", "SEVERITY", "FOR EACH", "CONDITIONS", "FIRED", "ID"),
        [
            (
                _state(rule),
                rule["name"],
                rule["severity"],
                ", ".join(rule["by"]) or "-",
                _conditions(rule),
                when(rule["fired_at"]) if rule["fired_at"] else "-",
                rule["id"],
            )
            for rule in found
        ],
    )


def _state(rule: Any) -> str:
    n = f" ({rule['n_firing']})" if rule["n_firing"] else ""
    return f"broken: {rule['trouble']}" if rule["trouble"] else f"{rule['state']}{n}"


def _conditions(rule: Any) -> str:
    joint = " and " if rule["match"] == "all" else " or "
    return joint.join(one["words"] for one in rule["conditions"])


def _definition(params: dict[str, Any]) -> dict[str, Any]:
    condition: dict[str, Any] = {
        "of": params["of"],
        "metric": params["metric"],
        "window": params["window"],
        "op": params["op"],
        "against": params["against"],
        "least": params["least"],
        "name": params["what"],
    }
    given = ("threshold", "windows_before", "clear", "percentile")
    condition |= {name: params[name] for name in given if params[name] is not None}
    where: dict[str, list[str]] = {}
    for text in params["where"]:
        group, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text} is not as provider=openai", param_hint="--where")
        where.setdefault(group, []).append(value)
    condition["where"] = where
    return {
        "conditions": [condition],
        "by": list(params["by"]),
        "for": params["wait"],
        "cooldown": params["cooldown"],
    }


def _of_a_rule(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--of",
                type=click.Choice(["calls", "requests", "meter", "limits", "dead_letters"]),
                default="calls",
                show_default=True,
            ),
            click.option("--metric", required=True, help="Such as error_rate, cost, latency, requests, use, value."),
            click.option("--what", default="", help="Of units their kind, of cost its currency, of a meter its id."),
            click.option("--window", type=DURATION, default="1h", show_default=True),
            click.option("--op", type=click.Choice([">", ">=", "<", "<="]), default=">", show_default=True),
            click.option("--threshold", help="A number, or a factor of a baseline."),
            click.option(
                "--against",
                type=click.Choice(["number", "before", "burn", "absence"]),
                default="number",
                show_default=True,
            ),
            click.option("--windows-before", type=int, help="How many windows a baseline has."),
            click.option("--least", type=int, default=0, help="Fewer requests tell nothing."),
            click.option("--clear", help="It fires until the figure is past this."),
            click.option("--percentile", help="Of latency.  [95]"),
            click.option("--where", multiple=True, metavar="GROUP=VALUE", help="Only those; may be said again."),
            click.option(
                "--by", multiple=True, metavar="GROUP", help="For each of these, such as provider or customer."
            ),
            click.option("--for", "wait", type=DURATION, default="0s", help="So long it must hold."),
            click.option("--cooldown", type=DURATION, default="0s", help="So long it does not fire again in a scope."),
        )
    ):
        command = option(command)
    return command


@alert_rules_group.command("create")
@click.argument("name")
@_of_a_rule
@click.option("--severity", type=click.Choice(SEVERITIES), default="medium", show_default=True)
@click.option("--channel", "channels", multiple=True, help="Only to this channel, by id; may be said again.  [all]")
@AS_JSON
@connected()
def create(*, name: str, severity: str, channels: tuple[str, ...], as_json: bool, api: Client, **params: Any) -> None:
    """Make a rule of one condition; of several, the API and the pages do. It is looked at each minute."""
    asked = {"name": name, "severity": severity, **_definition(params)}
    if channels:
        asked["channels"] = list(channels)
    told = api.call("POST", "/v1/alert-rules", asked)
    if as_json:
        print_json(told)
    else:
        click.echo(plain(f"{told['id']}: {told['name']} fires when {_conditions(told)}."))


@alert_rules_group.command("edit")
@click.argument("rule")
@click.option("--name")
@click.option("--severity", type=click.Choice(SEVERITIES))
@click.option("--channel", "channels", multiple=True, help="Only to this channel, by id; all of them anew.")
@click.option("--disable/--enable", "disables", default=None, help="A disabled one is not looked at.")
@click.option("--by", multiple=True, metavar="GROUP", help="All of them anew.")
@click.option("--for", "for", type=DURATION, help="So long it must hold.")
@click.option("--cooldown", type=DURATION, help="So long it does not fire again in a scope.")
@click.option("--threshold", help="A number, or a factor of a baseline; of a rule of one condition.")
@click.option("--window", type=DURATION, help="The same.")
@click.option("--least", type=int, help="The same.")
@click.option("--clear", help="The same.")
@AS_JSON
@connected()
def edit(*, rule: str, disables: bool | None, as_json: bool, api: Client, **given: Any) -> None:
    """Change one, by its id or name; what is not said stays. Of several conditions the API changes each."""
    found = find(api, rule)
    asked = {name: value for name, value in given.items() if value not in {None, ()}}
    if disables is not None:
        asked["enabled"] = not disables
    changed = {name: asked.pop(name) for name in _OF_A_CONDITION if name in asked}
    if changed:
        if len(found["conditions"]) > 1:
            raise click.UsageError(
                f"{rule} has {len(found['conditions'])} conditions; the API and the pages change those"
            )
        (told,) = found["conditions"]
        asked["conditions"] = [{k: v for k, v in told.items() if v is not None and k != "words"} | changed]
    if not asked:
        raise click.UsageError("nothing is to be changed; `heartfly alert-rules edit --help` shows what can be")
    asked = {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}
    now = api.call("PATCH", f"/v1/alert-rules/{part(found['id'])}", asked)
    say(plain(f"{now['id']}: {now['name']} fires when {_conditions(now)}."), now, as_json=as_json)


@alert_rules_group.command("defaults")
@AS_JSON
@connected()
def defaults(*, as_json: bool, api: Client) -> None:
    """Make those of the default rules that are missing: limits at 80 and 95 %, and the error rate of providers."""
    made = api.call("POST", "/v1/alert-rules/defaults")["made"]
    if as_json:
        print_json(made)
    else:
        click.echo(f"{len(made)} made." if made else "They are all there.")


@alert_rules_group.command("show")
@click.argument("rule")
@AS_JSON
@connected()
def show(*, rule: str, as_json: bool, api: Client) -> None:
    """Show one, by its id or name, and how it stands in each scope that matters."""
    found = find(api, rule)
    scopes = api.call("GET", f"/v1/alert-rules/{part(found['id'])}/scopes")["items"]
    if as_json:
        print_json({**found, "scopes": scopes})
        return
    print_facts(
        [
            ("name", found["name"]),
            ("id", found["id"]),
            ("state", _state(found)),
            ("severity", found["severity"]),
            ("fires when", _conditions(found)),
            ("for each", ", ".join(found["by"]) or "-"),
            ("held for", seconds(found["for"])),
            ("cooldown", seconds(found["cooldown"])),
            ("looked at", when(found["looked_at"]) if found["looked_at"] else "not yet"),
            ("told on", ", ".join(found["channels"]).replace("*", "all channels") or "no channel"),
        ]
    )
    if scopes:
        click.echo()
        print_table(
            ("SCOPE", "STATE", "SINCE", "FIGURE"),
            [
                (
                    ", ".join(f"{group} {value}" for group, value in one["scope"].items()) or "the project",
                    one["state"],
                    when(one["since"]),
                    one["figure"],
                )
                for one in scopes
            ],
        )


@alert_rules_group.command("test")
@click.argument("rule")
@AS_JSON
@connected()
def test(*, rule: str, as_json: bool, api: Client) -> None:
    """Tell where one would have fired in the last seven days, by its id or name."""
    found = find(api, rule)
    told = api.call("GET", f"/v1/alert-rules/{part(found['id'])}/backtest")
    if as_json:
        print_json(told)
        return
    if told["unknown"]:
        click.echo(plain(f"Not known: {told['unknown']}."))
        return
    for one in told["conditions"]:
        held = f"held {counted(one['held'], 'time', grouped=True)}"
        how = "never held" if one["never"] else "always held" if one["always"] else held
        click.echo(plain(f"{one['words']}: {how}, {counted(one['unknown'], 'look', grouped=True)} not known"))
    if not told["fired"]:
        click.echo("It would not have fired.")
        return
    print_table(
        ("SCOPE", "FROM", "TO"),
        [(one["scope_words"] or "the project", one["from_at"], one["to_at"] or "still") for one in told["fired"]],
    )


@alert_rules_group.command("delete")
@click.argument("rule")
@AS_JSON
@connected()
def delete(*, rule: str, as_json: bool, api: Client) -> None:
    """Delete one, by its id or name. Its alerts stay; those that are open end without a word."""
    found = find(api, rule)
    api.call("DELETE", f"/v1/alert-rules/{part(found['id'])}")
    say(plain(f"{found['name']} is deleted."), {"id": found["id"], "deleted": True}, as_json=as_json)


def find(api: Client, name: str) -> Any:
    """By its id, or by its name if only one has it."""
    if len(name) == _UUID_CHARS:
        found = api.read(f"/v1/alert-rules/{part(name)}")
        if found is not None:
            return found
    named = [rule for rule in api.listed("/v1/alert-rules") if rule["name"] == name]
    if len(named) == 1:
        return named[0]
    if named:
        raise click.ClickException(f"{len(named)} alert rules are called {name}: say which by its id.")
    raise click.ClickException(f"There is no alert rule {name}; `heartfly alert-rules list` shows them.")
