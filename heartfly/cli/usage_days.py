"""`heartfly usage days` and `rerun`: how each day of usage stands, and to close one or many anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import rich_click as click
from click.exceptions import Exit

from heartfly.cli.client import Client, Refused, connected
from heartfly.cli.output import AS_JSON, counted, print_json, print_table, when

_MOST = 400
_SHOWN = 20
_A_DAY_S = 900.0
"""A large day on a busy machine takes minutes."""


@click.command("days")
@click.option("--from", "from_day", help="From this day on (2026-03-01).")
@click.option("--to", "to_day", help="Before this day (2026-04-01).")
@AS_JSON
@connected()
def days(*, from_day: str | None, to_day: str | None, as_json: bool, api: Client) -> None:
    """List days of usage, newest first: their state, and what they came to."""
    asked = {name: value for name, value in (("from", from_day), ("to", to_day)) if value is not None}
    found = list(api.listed("/v1/usage/days", **asked))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No day of usage was closed yet: the daily aggregation does so at 1:10, after the first events.")
        return
    print_table(
        ("DAY", "STATE", "EVENTS", "CUSTOMERS", "LATE", "REJECTED", "UNCOUNTED", "PROVED", "NOTE"),
        [
            (
                one["day"],
                one["state"],
                *(str(one["figures"].get(name, "-")) for name in _COUNTS),
                when(one["reconciled_at"]),
                _note(one),
            )
            for one in found
        ],
    )


_COUNTS = ("events_raw", "customers", "late", "rejected", "uncounted")


def _note(one: Any) -> str:
    """What does not add up; or which meters the state is about, and which could not count some events."""
    if one["mismatch"]:
        return str(one["mismatch"])
    if one["waits_for"]:
        return f"waits for {', '.join(one['waits_for'])}"
    told = [f"without {', '.join(one['without'])}"] if one["without"] else []
    told += [f"{n} not counted by {slug}" for slug, n in one["uncounted"].items()]
    for state in ("provisional", "amended"):
        if one["state"] == state and one[f"{state}_meters"]:
            told.insert(0, f"{state}: {', '.join(one[f'{state}_meters'])}")
    return "; ".join(told)


@click.command("rerun")
@click.argument("span", metavar="DAY|FROM..TO")
@click.option("--yes", is_flag=True, help="Do it. Without it the differences are shown, and nothing is changed.")
@AS_JSON
@connected()
def rerun(*, span: str, yes: bool, as_json: bool, api: Client) -> None:
    """Close a day anew, or each of a span (FROM..TO, both included): fold its raw events once more, and prove it.

    Without --yes it only says what would change. Exit 1: a day does not agree with its events.
    """
    from rich.console import Console  # noqa: PLC0415 - `days` waits for none of it
    from rich.progress import track  # noqa: PLC0415

    wanted = _days(span)
    api = replace(api, timeout_s=_A_DAY_S)
    console = Console(stderr=True)
    told = [
        _one(api, day, dry_run=not yes)
        for day in track(wanted, "Closing" if yes else "Comparing", console=console, transient=True)
    ]
    if as_json:
        print_json(told)
    else:
        for one in told:
            _tell(one)
        if not yes:
            click.echo("Nothing was changed; --yes does it.")
    if any(one["closed"] is not None and one["closed"]["mismatch"] for one in told):
        raise Exit(1)


def _days(span: str) -> list[date]:
    first, dots, last = span.partition("..")
    try:
        from_day, to_day = date.fromisoformat(first), date.fromisoformat(last if dots else first)
    except ValueError:
        raise click.BadParameter("must be a day such as 2026-03-01, or two: 2026-03-01..2026-03-07") from None
    n = (to_day - from_day).days + 1
    if not 0 < n <= _MOST:
        raise click.BadParameter(f"must be 1 to {_MOST} days, the earlier one first")
    return [from_day + timedelta(days=place) for place in range(n)]


def _one(api: Client, day: date, *, dry_run: bool) -> Any:
    try:
        return api.call("POST", "/v1/usage/runs", {"day": day.isoformat(), "dry_run": dry_run})
    except Refused as refused:
        raise click.ClickException(f"{day}: {refused.message}") from None


def _tell(one: Any) -> None:
    closed = one["closed"]
    state = f", {closed['state']}" if closed else ""
    waiting = f", {counted(one['n_waiting'], 'hour')} not folded yet" if one["n_waiting"] else ""
    differences = counted(one["n_differences"], "difference") if one["n_differences"] else "no difference"
    click.echo(f"{one['day']}: {counted(one['n_events'], 'event')}, {differences}{waiting}{state}")
    for difference in one["differences"][:_SHOWN]:
        where = " ".join(part for part in (difference["meter"], difference["customer"], difference["group"]) if part)
        kept, would_be = (difference[name] or "nothing" for name in ("kept", "would_be"))
        click.echo(f"  {difference['start_at']} {difference['window']} {where}: {kept} → {would_be}")
    if one["n_differences"] > _SHOWN:
        click.echo(f"  and {one['n_differences'] - _SHOWN} more")
    if one["was_proved"]:
        n = one["n_changed"]
        click.echo(f"  since it was last proved: {n or 'no'} figure{'s' if n != 1 else ''} changed")
        if one["unknown_meters"]:
            click.echo(f"  what was proved of {', '.join(one['unknown_meters'])} has been changed, and tells nothing")
    for changed in one["changed_since_proved"][:_SHOWN]:
        proved, would_be = (
            f"{changed[name] or 'nothing'} of {changed[f'{name}_n']} events" for name in ("proved", "would_be")
        )
        click.echo(f"  {changed['meter']} {changed['customer']}: {proved} → {would_be}")
    if one["n_changed"] > _SHOWN:
        click.echo(f"  and {one['n_changed'] - _SHOWN} more")
    if closed and closed["mismatch"]:
        click.echo(f"  does not add up: {closed['mismatch']}")
