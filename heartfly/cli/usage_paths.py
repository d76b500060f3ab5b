"""`heartfly usage paths`: the project's rules for paths, and what others would make of the paths that it has."""

from __future__ import annotations

from dataclasses import replace
from typing import IO, Any

import rich_click as click

from heartfly.cli.client import Client, Refused, connected
from heartfly.cli.output import AS_JSON, counted, print_json, print_table

_SHOWN = 40
_PREVIEW_S = 120.0
"""A process is started for it, and reads 50,000 events."""


@click.command("paths")
@click.argument("file", type=click.File(encoding="utf-8"), required=False)
@click.option("--yes", is_flag=True, help="Let the rules of the file hold. Without it what they would change is shown.")
@AS_JSON
@connected()
def paths(*, file: IO[str] | None, yes: bool, as_json: bool, api: Client) -> None:
    """Show the rules by which paths become routes; or with FILE ('-': standard input) what its rules would change.

    A rule a line: `/users/{name}` is a route, `sku-* {sku}` puts {sku} for such a segment, `iPhone* =` lets it stay.
    With --yes they hold, and the requests that are kept are counted anew by them, in the background.
    """
    if file is None:
        if yes:
            raise click.UsageError("--yes goes with a file of rules")
        _show(api.call("GET", "/v1/usage/path-rules"), as_json=as_json)
        return
    body = {"lines": [line.rstrip("\r") for line in file.read().rstrip("\n").split("\n")]}
    body["lines"] = [] if body["lines"] == [""] else body["lines"]
    api = replace(api, timeout_s=_PREVIEW_S)
    method, path = ("PATCH", "/v1/usage/path-rules") if yes else ("POST", "/v1/usage/path-rules/preview")
    try:
        told = api.call(method, path, body)
    except Refused as refused:
        raise click.ClickException(refused.message) from None
    if as_json:
        print_json(told)
    elif yes:
        click.echo(
            f"These rules hold from now on (version {told['version']}); {counted(told['hours_to_fold'], 'hour')} of "
            "history will be folded anew."
        )
    else:
        _foresee(told)


def _show(told: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    elif told["lines"]:
        click.echo("\n".join(told["lines"]))
    else:
        click.echo("No rules: identifiers in paths are found by what is built in.")


def _foresee(told: Any) -> None:
    if not told["requests"]:
        click.echo("There are no requests yet.")
        return
    if told["changes"]:
        rows = [
            (str(one["requests"]), str(one["paths"]), one["before"], one["after"], one["path"])
            for one in told["changes"][:_SHOWN]
        ]
        print_table(("REQUESTS", "PATHS", "BEFORE", "AFTER", "SUCH AS"), rows)
        more = told["more"] + max(0, len(told["changes"]) - _SHOWN)
        if more:
            click.echo(f"And {counted(more, 'change')} more.")
    click.echo(
        f"Of the last {counted(told['requests'], 'request')} {told['requests_changed']} would count for another "
        f"endpoint; endpoints: {told['endpoints_before']} now, {told['endpoints_after']} then, "
        f"{told['endpoints_most']} at most."
    )
    click.echo("Nothing was changed; --yes does it.")
