"""`heartfly usage watches`: which sources, customers and endpoints are watched, and to watch one."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.output import AS_JSON, print_json, print_table, when

_FACTOR = click.option("--factor", type=int, help="So many usual gaps, or times as slow, are too many.")
_LEAST = click.option("--least", type=int, help="Fewer requests than this tell nothing.")
_GAP = click.option("--gap", "gap_s", type=int, help="Seconds: no silence that is shorter is told.")


@click.group("watches")
def watches_group() -> None:
    """Watches of data: silent sources and customers, degraded endpoints, each a check in the list."""


@watches_group.command("list")
@AS_JSON
@connected()
def list_watches(*, as_json: bool, api: Client) -> None:
    """List watches, and what the last look at each found."""
    found = list(api.listed("/v1/usage/watches"))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Nothing is watched. To be told when a source falls silent: heartfly usage watches create source")
        return
    print_table(
        ("ID", "KIND", "WHAT", "STATUS", "LOOKED AT", "FOUND"),
        [(one["id"], one["kind"], one["what"], one["status"] or "new", _looked(one), one["words"]) for one in found],
    )


def _looked(one: Any) -> str:
    return "not yet" if one["looked_at"] is None else when(one["looked_at"])


@watches_group.command("create")
@click.argument("kind", type=click.Choice(["source", "customer", "endpoint"]))
@click.argument("what", default="*")
@_FACTOR
@_LEAST
@_GAP
@AS_JSON
@connected()
def create(*, kind: str, what: str, as_json: bool, api: Client, **limits: int | None) -> None:
    """Watch a source, a customer (by his id) or an endpoint; without a name all that are busy enough."""
    told = api.call("POST", "/v1/usage/watches", {"kind": kind, "what": what} | _given(limits))
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['id']} watches {told['kind']} {told['what']}; its check comes within a minute.")


@watches_group.command("edit")
@click.argument("watch_id", metavar="ID")
@_FACTOR
@_LEAST
@_GAP
@AS_JSON
@connected()
def edit(*, watch_id: str, as_json: bool, api: Client, **limits: int | None) -> None:
    """Change when a watch alarms; what is not said stays."""
    told = api.call("PATCH", f"/v1/usage/watches/{watch_id}", _given(limits))
    if as_json:
        print_json(told)
    else:
        gap = "" if told["gap_s"] is None else f", gap {told['gap_s']:,} s"
        click.echo(f"{told['id']}: factor {told['factor']:,}, least {told['least']:,}{gap}.")


@watches_group.command("delete")
@click.argument("watch_id", metavar="ID")
@AS_JSON
@connected()
def delete(*, watch_id: str, as_json: bool, api: Client) -> None:
    """Watch it no more. Its check goes with it."""
    api.call("DELETE", f"/v1/usage/watches/{watch_id}")
    if as_json:
        print_json({"id": watch_id, "deleted": True})
    else:
        click.echo(f"{watch_id} is deleted, with its check.")


def _given(limits: dict[str, int | None]) -> dict[str, int]:
    return {name: value for name, value in limits.items() if value is not None}
