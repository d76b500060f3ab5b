"""`heartfly audit …`: who changed what, when and from where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import rich_click as click

from heartfly.cli.checks import find as find_check
from heartfly.cli.client import Client, connected
from heartfly.cli.lazy import Lazy
from heartfly.cli.output import AS_JSON, MOST, print_json, print_table, since_instant, when

_LONGEST = 60


@click.group(
    "audit",
    cls=Lazy,
    commands_at={"list": "heartfly.cli.audit:list_entries", "verify": "heartfly.cli.audit_verify:verify"},
)
def audit_group() -> None:
    """The audit: who changed what."""


@click.command("list")
@click.option("--action", help="Only this: check.edit, or check for all that is done to checks.")
@click.option("--object", "of", help="Only what was done to this: check:<id>, or check for any.")
@click.option("--check", help="Only what was done to this check, by slug or id.")
@click.option("--actor", help="Only by key:hf_…, cli, ping or heartfly.")
@click.option("--since", help="From then on: 90m, 12h, 2d; or an instant, 2026-03-02T01:30:00Z.")
@click.option("--until", help="Before then: 90m, 12h, 2d ago; or an instant.")
@MOST
@AS_JSON
@connected()
def list_entries(
    *,
    action: str | None,
    of: str | None,
    check: str | None,
    actor: str | None,
    since: str | None,
    until: str | None,
    most: int,
    as_json: bool,
    api: Client,
) -> None:
    """List who changed what, the newest first. It needs a key with the scope admin."""
    if of is not None and check is not None:
        raise click.UsageError("Only one of --object, --check.")
    if check is not None:
        of = f"check:{find_check(api, check)['id']}"
    asked = {"action": action, "object": of, "actor": actor}
    asked |= {"from": None if since is None else since_instant(since)}
    asked |= {"to": None if until is None else since_instant(until)}
    found = api.first("/v1/audit", most, **asked)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No change is like that.")
        return
    print_table(
        ("WHEN", "ACTOR", "FROM", "ACTION", "OBJECT", "CHANGED"),
        [
            (
                when(entry["at"]),
                entry["actor"],
                entry["ip"] or "-",
                entry["action"],
                entry["object"],
                ", ".join(_changed(entry)),
            )
            for entry in found
        ],
    )


def _changed(entry: Any) -> Iterator[str]:
    """Of an edit what was and what is, else what it was called."""
    before, after = entry["before"], entry["after"]
    if before is None or after is None:
        name = (before or after or {}).get("name")
        if name:
            yield str(name)
        return
    for field in after:
        yield f"{field}: {_short(before.get(field))} → {_short(after[field])}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
