"""`heartfly import …`: take over what another server has, or what runs on a machine. It says first what would come.

What is here takes over from Healthchecks; jobs of machines are import_jobs.py's.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.healthchecks import Source
from heartfly.cli.import_jobs import crontab, github_actions, k8s, systemd
from heartfly.cli.output import AS_JSON, counted, plain, print_json, print_table

_AT_ONCE = 50
_WORDS = {
    "new": ("would be made", "made"),
    "updated": ("would be changed", "changed"),
    "same": ("the same already", "the same already"),
    "differs": ("here already, and different", "here already, and different"),
    "refused": ("refused", "refused"),
}
_HOLDS = {"same": ("works here already", "works here already"), "new": ("would work here", "works here")}


@click.group("import")
def import_group() -> None:
    """Take over what another server has, or make checks for the jobs that are there."""


for _command in (crontab, systemd, k8s, github_actions):
    import_group.add_command(_command)


@import_group.command("healthchecks")
@click.option("--url", required=True, help="Where it is: https://healthchecks.io, say.")
@click.option("--key", envvar="HC_API_KEY", required=True, help="An API key of a project there, which may write.")
@click.option("--ping-key", help="The project's ping key there, if jobs ping by slug: it works on here.")
@click.option("--keep-key", is_flag=True, help="The key works on here, too: it may read and write checks.")
@click.option("--keep-read-key", metavar="KEY", help="A read-only key of the project there that works on here.")
@click.option("--update", is_flag=True, help="Make checks that are here already as they are there.")
@click.option("--yes", is_flag=True, help="Do it. Without this it says what would come of it.")
@AS_JSON
@connected("--server", key="--server-key")
def healthchecks(
    *,
    url: str,
    key: str,
    ping_key: str | None,
    keep_key: bool,
    keep_read_key: str | None,
    update: bool,
    yes: bool,
    as_json: bool,
    api: Client,
) -> None:
    """Take over the checks of a project of Healthchecks, or of whatever speaks its API.

    They keep the addresses that jobs ping, so that only the host name in them changes, and badges keep theirs. Channels
    are found by their names: what the API does not tell of them must be typed in here first. What is here is left as it
    is, and each difference told.

    Exit status 1 if a check was refused.
    """
    source = Source(url.rstrip("/"), key)
    found, channels, badges = source.checks(), source.channels(), source.badges()
    whole = {
        "channels": channels,
        "badges": badges,
        "ping_key": ping_key,
        "api_key": key if keep_key else None,
        "read_key": keep_read_key,
    }
    asked = {"update": update, "dry_run": not yes}
    told = api.call("POST", "/v1/import/healthchecks", asked | whole)
    for some in _pieces(found):
        piece = api.call("POST", "/v1/import/healthchecks", asked | {"checks": some, "channels": channels})
        told["checks"] += piece["checks"]
        told["new_badges"] += piece["new_badges"]
    if as_json:
        print_json(told)
    else:
        _tell(told, yes=yes)
    if any(check["outcome"] == "refused" for check in told["checks"]):
        raise SystemExit(1)


def _pieces(found: list[Any]) -> Iterable[list[Any]]:
    pieces = [found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE)]
    if not sys.stderr.isatty():
        return pieces
    return _shown(pieces)


def _shown(pieces: list[list[Any]]) -> Iterator[list[Any]]:
    from rich.console import Console  # noqa: PLC0415 - what prints into a pipe waits for none of it
    from rich.progress import track  # noqa: PLC0415

    yield from track(pieces, description="Checks", console=Console(stderr=True), transient=True)


def _tell(told: Mapping[str, Any], *, yes: bool) -> None:
    checks = told["checks"]
    if checks:
        print_table(
            ("CHECK", "ADDRESS", "WHAT BECOMES OF IT" if not yes else "WHAT BECAME OF IT"),
            [(check["name"] or "unnamed", check["address"], _became(check, yes=yes)) for check in checks],
        )
    else:
        click.echo("There are no checks there.")
    for check in checks:
        for one in check["differences"]:
            click.echo(
                plain(f"{check['name']}: {one['field']} is {_said(one['theirs'])} there, {_said(one['ours'])} here")
            )
        for note in check["notes"] if check["outcome"] != "refused" else ():
            click.echo(plain(f"{check['name']}: {note}"))
    counts = Counter(check["outcome"] for check in checks)
    parts = [f"{counted(counts[name], 'check')} {words[yes]}" for name, words in _WORDS.items() if counts[name]]
    if told["new_badges"]:
        n, kept = told["new_badges"], "kept" if yes else "would be kept"
        parts.append(f"{n} address{'' if n == 1 else 'es'} of badges {kept}")
    for name, words in (("ping_key", "ping key"), ("api_key", "API key"), ("read_key", "read-only key")):
        if told[name] is not None:
            parts.append(f"the {words} {_HOLDS['same' if told[name] == 'same' else 'new'][yes]}")
    if parts:
        click.echo(f"\n{', '.join(parts)}.")
    if not yes:
        click.echo("Nothing was changed: this is what --yes would do.")


def _became(check: Mapping[str, Any], *, yes: bool) -> str:
    words = _WORDS[check["outcome"]][yes]
    return f"{words}: {'; '.join(check['notes'])}" if check["outcome"] == "refused" else words


def _said(value: Any) -> str:
    return "not set" if value in {None, ""} else str(value)
