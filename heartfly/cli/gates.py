"""Gates and coverage as people read them on a terminal, and which gates an edit leaves."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, Refused
from heartfly.cli.output import counted, plain, print_json, print_table
from heartfly.core.gate_text import gate_of_text
from heartfly.core.gates import Gate
from heartfly.errors import InvalidValueError

ALL = "all"
_TRIES = 10
_COVERED = (("covered", "spans"), ("missing", "gaps"), ("twice", "overlaps"))


def gate_words(gate: Any, *, broken: bool = False) -> str:
    return f"{_text(gate)} ({gate['level']}{', broken' if broken else ''})"


def _text(gate: Any) -> str:
    of = f"of {gate['of']}" if gate.get("of") else ""
    return " ".join(part for part in (_subject(gate), gate["op"], gate.get("value", ""), of) if part)


def _subject(gate: Any) -> str:
    return f"{gate['metric']} / {gate['over']}" if gate.get("over") else str(gate["metric"])


def edited(there: Sequence[Any], *, more: Sequence[str], fewer: Sequence[str]) -> list[Any]:
    """The gates that there shall be, as the API takes them: without `fewer`, and with `more`.

    One that is there already gets the level that is asked for. UsageError, if one of `fewer` is not there.
    """
    kept = [] if ALL in fewer else list(there)
    for name in fewer:
        if name != ALL and not any(_named(gate, name) for gate in there):
            has = "; ".join(_text(gate) for gate in there) or "none at all"
            raise click.UsageError(f"The check has no gate {name}. It has: {plain(has)}.")
        kept = [gate for gate in kept if not _named(gate, name)]
    new = [(line, _parsed(line)) for line in more]
    written = {gate.text for _, gate in new}
    return [gate for gate in kept if _text(gate) not in written] + [line for line, _ in new]


def with_gates(
    api: Client, path: str, asked: Mapping[str, Any], *, more: Sequence[str], fewer: Sequence[str]
) -> tuple[Sequence[Any], Any]:
    """Edit a check, also its gates: which it had, and the check since.

    All gates are sent together, so that what somebody else, or a ping, has changed meanwhile is read once more.
    """
    for _ in range(_TRIES):
        found, seen = api.tagged(path)
        gates = edited(found["gates"], more=more, fewer=fewer)
        try:
            return found["gates"], api.call("PATCH", path, {**asked, "gates": gates}, seen=seen)
        except Refused as refused:
            if refused.status != 412:
                raise
    raise click.ClickException("The check changes all the time, so its gates were not touched. Try again.")


def _parsed(line: str) -> Gate:
    try:
        return gate_of_text(line, field="gate")
    except InvalidValueError as error:
        raise click.BadParameter(f"{line!r} {error.message}", param_hint="--gate") from None


def _named(gate: Any, name: str) -> bool:
    """Whether that is its text, with or without its level, or the name of its figure."""
    with suppress(InvalidValueError):
        name = gate_of_text(name, field="gate").text
    wanted = "".join(name.split())
    return wanted in {"".join(text.split()) for text in (_text(gate), _subject(gate))}


def what_changed(before: Sequence[Any], after: Sequence[Any]) -> str:
    """Which gates came and went by an edit, and which there are now."""
    lines = [f"Gate added: {gate_words(gate)}" for gate in after if gate not in before]
    lines += [f"Gate removed: {gate_words(gate)}" for gate in before if gate not in after]
    stay = [gate for gate in after if gate in before]
    if stay:
        lines.append(f"{counted(len(stay), 'gate')} as before: {'; '.join(gate_words(gate) for gate in stay)}")
    return "\n".join(plain(line) for line in lines or ["It has no gates."])


def coverage_words(told: Any) -> str:
    until = f"until {told['covered_until'] or 'no time at all'}"
    return f"{until}; {counted(len(told['gaps']), 'gap')}" if told["gaps"] else until


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
