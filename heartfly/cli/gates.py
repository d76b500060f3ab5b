"""Gates and coverage as people read them on a terminal."""

from __future__ import annotations

import sys
from typing import Any

import rich_click as click

from heartfly.cli.output import plain, print_json, print_table

_COVERED = (("covered", "spans"), ("missing", "gaps"), ("twice", "overlaps"))


def gate_words(gate: Any, *, broken: bool) -> str:
    over, of = (f"{word} {gate[name]}" if gate.get(name) else "" for word, name in (("/", "over"), ("of", "of")))
    text = " ".join(part for part in (gate["metric"], over, gate["op"], gate.get("value", ""), of) if part)
    return f"{text} ({gate['level']}{', broken' if broken else ''})"


def show_coverage(name: str, told: Any, *, as_json: bool) -> None:
    """Ends the command with 1 if something is missing."""
    if as_json:
        print_json(told)
    else:
        click.echo(plain(f"{name}: covered until {told['covered_until'] or 'no time at all'}."))
        rows = [(word, span["from"], span["to"]) for word, key in _COVERED for span in told[key]]
        if rows:
            print_table(("WHAT", "FROM", "TO"), rows)
    if told["gaps"]:
        sys.exit(1)
