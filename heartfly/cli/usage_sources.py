"""`heartfly usage sources`: who sends events, how far each has come, and to retire one that sends no more."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.output import AS_JSON, print_json, print_table, when


@click.group("sources")
def sources_group() -> None:
    """Sources of events: a day is final when each that is live has come an hour past its end."""


@sources_group.command("list")
@AS_JSON
@connected()
def list_sources(*, as_json: bool, api: Client) -> None:
    """List sources, by name: up to when each has told, and when it was last heard."""
    found = list(api.listed("/v1/usage/sources"))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No source is known: events name none, and no request said whom it is from (Heartfly-Source).")
        return
    print_table(
        ("SOURCE", "WATERMARK", "BEHIND", "HEARD", "STATE"),
        [
            (one["name"], when(one["watermark"]), f"{one['lag_s']:,} s", when(one["seen_at"]), _state(one))
            for one in found
        ],
    )


def _state(one: Any) -> str:
    if one["retired_at"] is not None:
        return f"retired by {one['retired_by']}"
    return "live" if one["live_at"] is not None else "brings history"


@sources_group.command("retire")
@click.argument("name")
@AS_JSON
@connected()
def retire(*, name: str, as_json: bool, api: Client) -> None:
    """Let no day wait for a source any more. Should it tell again what happens, it is one as before."""
    told = api.call("POST", "/v1/usage/sources/retire", {"name": name})
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['name']} is retired; it had told up to {when(told['watermark'])}.")
