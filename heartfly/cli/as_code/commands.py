"""`heartfly plan`, `heartfly apply` and `heartfly export`: a project as a file, compared, made true, written down."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from heartfly.cli.as_code.differ import Change, Plan, fixed, plan_of, unknown_channels, unset_variables, wrong_needs
from heartfly.cli.as_code.doing import backtest, do
from heartfly.cli.as_code.export import exported
from heartfly.cli.as_code.file import Wanted, read
from heartfly.cli.as_code.schema import SCHEMA
from heartfly.cli.as_code.seen import ChangedSince, demand_same, digest_of
from heartfly.cli.as_code.settings import KINDS
from heartfly.cli.as_code.there import There, look
from heartfly.cli.as_code.words import Effects, done_words, plan_out, show_plan
from heartfly.cli.client import Client, Refused, connected
from heartfly.cli.output import AS_JSON, counted, print_json
from heartfly.clock import SystemClock

F = TypeVar("F", bound=Callable[..., Any])
DIFFERS = 3
_MOST_BYTES = 4_000_000
_STDIN = "-"


def _of_a_file(command: F) -> F:
    for option in reversed(
        (
            click.option(
                "-f", "--file", "file", default="heartfly.yaml", show_default=True, help="- is standard input."
            ),
            click.option("--prune", is_flag=True, help="Delete what the file manages and does not name."),
            click.option("--force", is_flag=True, help="With --prune: delete however much that is."),
            click.option("--secrets", is_flag=True, help="Write configurations of channels anew, with their secrets."),
            click.option(
                "--backtest/--no-backtest", "tries", default=True, help="Try changed checks on their past.  [yes]"
            ),
            AS_JSON,
        )
    ):
        command = option(command)
    return command


@click.command("plan")
@_of_a_file
@click.option("--exit-code", is_flag=True, help="Exit status 3 if something would be changed.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of such a file, and nothing else.")
@connected("--url", "--server", offline="schema")
def plan(*, exit_code: bool, schema: bool, as_json: bool, prune: bool, api: Client, **rest: Any) -> None:
    """Say what `heartfly apply` would make, change and delete so that the project is as the file says.

    A changed check is tried on its own past: how many alarms there would have been.
    """
    if schema:
        print_json(SCHEMA)
        return
    _, found, effects, _ = _planned(api, prune=prune, **rest)
    if as_json:
        print_json(plan_out(found, effects) | {"digest": digest_of(found)})
    else:
        show_plan(found, effects, prune=prune)
        if found.changes:
            digest = digest_of(found)
            click.echo(f"This is plan {digest}; `heartfly apply --digest {digest}` does it, and nothing else.")
    if exit_code and found.changes:
        raise SystemExit(DIFFERS)


@click.command("apply")
@_of_a_file
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--digest", default="", help="Do it only if it is this plan, as `heartfly plan` calls it.")
@connected("--url", "--server")
def apply(*, yes: bool, digest: str, as_json: bool, prune: bool, api: Client, **rest: Any) -> None:
    """Make the project as the file says. What the file does not name stays as it is.

    Again, it changes nothing. What somebody has set since it was looked at is not overwritten: that is told, and
    nothing more is done.
    """
    if as_json and not yes:
        raise click.UsageError("--json asks nothing: say --yes, or look with `heartfly plan`.")
    _, found, effects, there = _planned(api, prune=prune, **rest)
    if not as_json:
        show_plan(found, effects, prune=prune)
    if digest:
        demand_same(found, digest)
    if found.changes and not yes:
        click.confirm("\nDo it?", abort=True)
        seen = digest_of(found)
        _, found, _, there = _planned(api, prune=prune, **(rest | {"tries": False}))
        demand_same(found, seen)
    done: list[Change] = []

    def told(change: Change) -> None:
        done.append(change)
        if not as_json:
            click.echo(done_words(change))

    try:
        do(api, found.changes, there.channel_ids, told)
    except Refused as refused:
        at = found.changes[len(done)]
        raise click.ClickException(
            f"{at.kind}.{at.key}: {refused.message}\n{counted(len(done), 'change')} of {len(found.changes)} done; "
            "what is left is done by the next `heartfly apply`."
        ) from None
    except ChangedSince as changed:
        raise ChangedSince(
            f"{changed.message}\n{counted(len(done), 'change')} of {len(found.changes)} done, and that is left as it "
            "is: look with `heartfly plan` again."
        ) from None
    if as_json:
        print_json(plan_out(found, effects) | {"done": len(done)})


@click.command("export")
@click.option(
    "-f", "--file", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write it there.  [print it]"
)
@click.option("--only", multiple=True, type=click.Choice(KINDS), help="Only these sections; may be repeated.")
@AS_JSON
@connected("--url", "--server")
def export(*, file: Path | None, only: tuple[str, ...], as_json: bool, api: Client) -> None:
    """Write the project as a file that `heartfly plan` finds nothing to change in. Secrets stand as variables in it."""
    there = look(api, only or KINDS)
    if only and "channels" not in only:
        there = There(
            sections={kind: things for kind, things in there.sections.items() if kind in only}, twice=there.twice
        )
    text = exported(there)
    if file is not None:
        if file.exists():
            raise click.ClickException(f"{file} is there already: name another file.")
        file.write_text(text, encoding="utf-8")
    if as_json:
        things = {
            kind: {key: dict(thing.settings) for key, thing in some.items()} for kind, some in there.sections.items()
        }
        print_json({"file": None if file is None else str(file), "sections": things})
    elif file is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"Written to {file}. `heartfly plan -f {file}` compares.")


def _planned(
    api: Client, *, file: str, prune: bool, force: bool, secrets: bool, tries: bool
) -> tuple[Wanted, Plan, Effects, There]:
    """ClickException, of which WrongFile says what is wrong where."""
    wanted = read(_text(file), name=file, now=SystemClock().now(), env=os.environ)
    if prune and "checks" in wanted.sections and not wanted.mark:
        raise click.ClickException(
            f"{file}: --prune deletes checks that carry the file's mark, and it has none: say `managed_by: NAME` in it."
        )
    there = look(api, [kind for kind in KINDS if kind in wanted.sections])
    for kind, section in wanted.sections.items():
        for key in section:
            if key in there.twice.get(kind, ()):
                raise wanted.wrong([((kind, key), "several are called so there: give them names of their own first")])
    found = plan_of(wanted, there, prune=prune, secrets=secrets)
    wrong = [
        *unknown_channels(wanted, there),
        *wrong_needs(wanted, there),
        *unset_variables(found.changes),
        *fixed(found.changes),
    ]
    if wrong:
        raise wanted.wrong(wrong)
    if found.too_many and not force:
        n = {
            kind: sum(1 for one in found.changes if one.kind == kind and one.verb.value == "delete")
            for kind in found.too_many
        }
        said = ", ".join(f"{count} of {kind}" for kind, count in n.items())
        raise click.ClickException(
            f"{said} would be deleted, more than a quarter: nothing was done. Is it the right file? --force does it."
        )
    return wanted, found, _effects(api, found) if tries else {}, there


def _effects(api: Client, found: Plan) -> Effects:
    effects: dict[tuple[str, str], Mapping[str, Any]] = {}
    for change in found.changes:
        try:
            told = backtest(api, change)
        except Refused as refused:
            told = {"error": " ".join(refused.message.split())}
        if told is not None:
            effects[change.kind, change.key] = told
    return effects


def _text(name: str) -> str:
    if name == _STDIN:
        raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
    else:
        path = Path(name)
        if not path.is_file():
            raise click.ClickException(f"{name}: there is no such file. `heartfly export -f {name}` writes one.")
        raw = path.read_bytes()[: _MOST_BYTES + 1]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{name}: it is no UTF-8 at byte {error.start}.") from None


def schema_text() -> str:
    """As docs/heartfly.schema.json has it."""
    return json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"
