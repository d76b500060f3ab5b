"""`heartfly alert-rules …` and `heartfly alerts …`: rules over numbers, and what they raised."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import (
    AS_JSON,
    DURATION,
    MOST,
    counted,
    plain,
    print_facts,
    print_json,
    print_table,
    say,
    seconds,
    since_instant,
    when,
)

_UUID_CHARS = 36
_SEVERITIES = ("low", "medium", "high", "critical")


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
@click.option("--severity", type=click.Choice(_SEVERITIES), default="medium", show_default=True)
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
    found = _find(api, rule)
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
    found = _find(api, rule)
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
    found = _find(api, rule)
    api.call("DELETE", f"/v1/alert-rules/{part(found['id'])}")
    say(plain(f"{found['name']} is deleted."), {"id": found["id"], "deleted": True}, as_json=as_json)


def _find(api: Client, name: str) -> Any:
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


# --- alerts


@click.group("alerts")
def alerts_group() -> None:
    """Alerts that rules raised: list them, sum them up, say that you take care of one, or end it."""


@alerts_group.command("list")
@click.option("--state", type=click.Choice(["firing", "acknowledged", "resolved"]), help="Only those.  [all]")
@click.option("--severity", type=click.Choice(_SEVERITIES), help="Only of this severity.")
@click.option("--rule", help="Only of this rule, by id or name.")
@click.option("--since", help="Fired then or later: 7d, or an instant.")
@MOST
@AS_JSON
@connected()
def list_alerts(
    *,
    state: str | None,
    severity: str | None,
    rule: str | None,
    since: str | None,
    most: int,
    as_json: bool,
    api: Client,
) -> None:
    """List alerts, the newest first."""
    asked = {
        "state": state,
        "severity": severity,
        "rule": None if rule is None else _find(api, rule)["id"],
        "since": None if since is None else since_instant(since),
    }
    found = api.first("/v1/alert-rules/alerts", most, **asked)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no alerts." if not any(asked.values()) else "No alert is like that.")
        return
    print_table(
        ("STATE", "SEVERITY", "RULE", "SCOPE", "FIRED", "EXPLAIN", "ID"),
        [
            (
                one["state"],
                one["severity"],
                one["rule_name"],
                one["scope_words"] or "-",
                when(one["fired_at"]),
                one["explain"],
                one["id"],
            )
            for one in found
        ],
    )


@alerts_group.command("statistics")
@click.option("--severity", type=click.Choice(_SEVERITIES), help="Only of this severity.")
@click.option("--rule", help="Only of this rule, by id or name.")
@click.option("--since", help="Fired then or later: 7d, or an instant.")
@AS_JSON
@connected()
def statistics(*, severity: str | None, rule: str | None, since: str | None, as_json: bool, api: Client) -> None:
    """How many alerts there were and are, by type and severity, and how long they took to end."""
    asked: dict[str, Any] = {
        "severity": severity,
        "rule": None if rule is None else _find(api, rule)["id"],
        "since": None if since is None else since_instant(since),
    }
    told = api.call("GET", "/v1/alert-rules/statistics", **asked)
    if as_json:
        print_json(told)
        return
    if not told["total"]:
        click.echo("There are no alerts." if not any(asked.values()) else "No alert is like that.")
        return
    print_table(
        ("OF", "ALERTS", "STILL"),
        [
            (plain(name), f"{one['total']:,}", f"{one['active']:,}")
            for name, one in [*told["by_severity"].items(), *told["by_type"].items(), ("all", told)]
        ],
    )
    if told["mean_time_to_resolve"] is not None:
        click.echo(f"\nOn average they ended after {seconds(told['mean_time_to_resolve'])}.")


@alerts_group.command("ack")
@click.argument("alert")
@AS_JSON
@connected()
def ack(*, alert: str, as_json: bool, api: Client) -> None:
    """Say that you take care of one, by its id."""
    told = api.call("POST", f"/v1/alert-rules/alerts/{part(alert)}/ack")
    say(plain(f"The alert of {told['rule_name']} is acknowledged."), told, as_json=as_json)


@alerts_group.command("resolve")
@click.argument("alert")
@click.option("--note", default="", help="What it was, for whoever looks later.")
@AS_JSON
@connected()
def resolve(*, alert: str, note: str, as_json: bool, api: Client) -> None:
    """End one, by its id. It is told again when its conditions have let go in between, or a cooldown is over."""
    told = api.call("POST", f"/v1/alert-rules/alerts/{part(alert)}/resolve", {"note": note})
    say(plain(f"The alert of {told['rule_name']} is resolved."), told, as_json=as_json)
