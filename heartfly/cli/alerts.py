"""`heartfly alerts …`: what alert rules raised."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.alert_rules import SEVERITIES, find
from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, MOST, plain, print_json, print_table, say, seconds, since_instant, when


@click.group("alerts")
def alerts_group() -> None:
    """Alerts that rules raised: list them, sum them up, say that you take care of one, or end it."""


@alerts_group.command("list")
@click.option("--state", type=click.Choice(["firing", "acknowledged", "resolved"]), help="Only those.  [all]")
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only of this severity.")
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
        "rule": None if rule is None else find(api, rule)["id"],
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
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only of this severity.")
@click.option("--rule", help="Only of this rule, by id or name.")
@click.option("--since", help="Fired then or later: 7d, or an instant.")
@AS_JSON
@connected()
def statistics(*, severity: str | None, rule: str | None, since: str | None, as_json: bool, api: Client) -> None:
    """How many alerts there were and are, by type and severity, and how long they took to end."""
    asked: dict[str, Any] = {
        "severity": severity,
        "rule": None if rule is None else find(api, rule)["id"],
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
