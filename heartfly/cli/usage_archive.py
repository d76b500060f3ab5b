"""`heartfly usage archive list|verify|restore`: days whose events are in files, whether those are whole, and one back.

What is archived, and when, the server's settings say (`archive.*`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import rich_click as click
from click.exceptions import Exit

from heartfly.cli.client import Client, connected
from heartfly.cli.output import AS_JSON, counted, plain, print_json, print_table, when

_PIECE_S = 900.0
"""A large file on a busy machine takes minutes."""


@click.group("archive")
def archive_group() -> None:
    """Days of usage whose events are in files."""


@archive_group.command("list")
@click.option("--from", "from_day", help="From this day on (2026-03-01).")
@click.option("--to", "to_day", help="Before this day (2026-04-01).")
@AS_JSON
@connected()
def list_archives(*, from_day: str | None, to_day: str | None, as_json: bool, api: Client) -> None:
    """List archived days, newest first: their files, and what is in them."""
    asked = {name: value for name, value in (("from", from_day), ("to", to_day)) if value is not None}
    found = list(api.listed("/v1/usage/archives", **asked))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Nothing is archived: archive.enabled says whether events that are old go into files.")
        return
    print_table(
        ("DAY", "FILE", "EVENTS", "CONFLICTS", "BYTES", "WRITTEN", "NOTE"),
        [
            (
                one["day"], one["file"], f"{one['n_events']:,}", f"{one['n_conflicts']:,}", f"{one['n_bytes']:,}",
                when(one["written_at"]), _note(one),
            )
            for one in found
        ],
    )  # fmt: skip


def _note(one: Any) -> str:
    if one["restored_until"] is not None:
        return f"is back until {datetime.fromisoformat(one['restored_until']):%Y-%m-%d %H:%M} UTC"
    return "" if one["let_go_at"] is not None else "its events are in the database, too"


@archive_group.command("verify")
@click.argument("day", required=False)
@AS_JSON
@connected()
def verify(*, day: str | None, as_json: bool, api: Client) -> None:
    """Read the files of a day, or of all days, to their ends. Exit 1: one is not as it was written."""
    api = replace(api, timeout_s=_PIECE_S)
    days = [_day(day)] if day is not None else list(_days(api))
    told = [api.call("POST", f"/v1/usage/archives/{one}/verify") for one in _shown(days, "Reading")]
    if as_json:
        print_json(told)
    else:
        for one in told:
            for file in one["files"]:
                click.echo(f"{one['day']} {plain(file['file'])}: {_said(file)}")
        if not told:
            click.echo("Nothing is archived.")
    if not all(one["is_whole"] for one in told):
        raise Exit(1)


def _said(file: Any) -> str:
    return f"{counted(file['n_events'], 'event')}, as it was written" if file["is_whole"] else plain(file["wrong"])


def _days(api: Client) -> Iterator[str]:
    """Each once, however many files it has."""
    last = ""
    for one in api.listed("/v1/usage/archives"):
        if one["day"] != last:
            last = one["day"]
            yield last


@archive_group.command("restore")
@click.argument("day")
@AS_JSON
@connected()
def restore(*, day: str, as_json: bool, api: Client) -> None:
    """Put a day's events back into the database, for a while. What it came to stays as it is. Again is safe."""
    from rich.console import Console  # noqa: PLC0415 - the others wait for none of it
    from rich.progress import Progress  # noqa: PLC0415

    day, api = _day(day), replace(api, timeout_s=_PIECE_S)
    done, n_restored, n_erased = 0, 0, 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Putting {day} back", total=None)
        while True:
            told = api.call("POST", f"/v1/usage/archives/{day}/restore", {"after": done})
            done, n_restored, n_erased = told["done"], n_restored + told["n_restored"], n_erased + told["n_erased"]
            progress.update(task, total=told["n"], completed=done)
            if told["is_over"]:
                break
    facts = {"day": day, "n": told["n"], "n_restored": n_restored, "n_erased": n_erased}
    if as_json:
        print_json(facts)
        return
    erased = f"; {n_erased} of customers who were erased stay away" if n_erased else ""
    click.echo(f"{day}: {counted(n_restored, 'event')} put back, of {counted(told['n'], 'row')}{erased}.")


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise click.BadParameter("must be a day such as 2026-03-01") from None


def _shown(days: list[str], what: str) -> Iterator[str]:
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import track  # noqa: PLC0415

    yield from track(days, what, console=Console(stderr=True), transient=True)
