"""`heartfly usage void | amend | undo | backfill`: events that were wrong are set right, and that can be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, MOST, print_facts, print_json, print_table, say
from heartfly.core.events import read, written

_OUTCOMES = ("accepted", "duplicate", "conflict", "rejected")
_PIECE_EVENTS, _PIECE_CHARACTERS = 1_000, 1_000_000
_LONG_S = 600.0
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what it would change, by day, meter and customer.")
_REASON = click.option("--reason", required=True, help="Why, in a line; it is kept with the correction.")


@click.command("void")
@click.argument("transaction_id")
@_REASON
@_DRY_RUN
@AS_JSON
@connected()
def void(*, transaction_id: str, reason: str, dry_run: bool, as_json: bool, api: Client) -> None:
    """Let an event count nothing any more. It is kept, and `undo` lets it count again."""
    query = {"dry_run": "true"} if dry_run else {}
    asked = {"transaction_id": transaction_id, "reason": reason}
    told = _exact(api, dry_run=dry_run).call("POST", "/v1/events/void", asked, **query)
    if as_json:
        click.echo(written(told))
    elif dry_run:
        _tell_changes(told["preview"]["changes"])
    else:
        click.echo("It is void.")


@click.command("amend")
@click.argument("transaction_id")
@_REASON
@click.option("--customer-id", help="The customer, as senders call him.")
@click.option("--timestamp", help="When it happened (RFC 3339).")
@click.option("--type", "event_type", help="Its type.")
@click.option("--properties", help="All its properties, as JSON; numbers stay as they are written.")
@AS_JSON
@_DRY_RUN
@connected()
def amend(
    *,
    transaction_id: str,
    reason: str,
    customer_id: str | None,
    timestamp: str | None,
    event_type: str | None,
    properties: str | None,
    dry_run: bool,
    as_json: bool,
    api: Client,
) -> None:
    """Let an event count with other content. What is not said stays; what it was is kept, and `undo` puts it back."""
    given: dict[str, Any] = {"customer_id": customer_id, "timestamp": timestamp, "event_type": event_type}
    if properties is not None:
        given["properties"] = _json(properties, "--properties")
    asked = {name: value for name, value in given.items() if value is not None}
    if not asked:
        raise click.UsageError("Say what shall differ: --customer-id, --timestamp, --type or --properties.")
    body = {"transaction_id": transaction_id, "reason": reason} | asked
    sent = written(body).encode("utf-8", "surrogatepass")
    told = _exact(api, dry_run=dry_run).send("/v1/events/amend" + ("?dry_run=true" if dry_run else ""), sent)
    if as_json:
        click.echo(written(told))
        return
    if dry_run:
        _tell_differences(told["preview"]["differences"])
        _tell_changes(told["preview"]["changes"])
        return
    newest = next((one for one in told["corrections"] if one["undone_at"] is None), None)
    _tell_differences([] if newest is None else newest["differences"])


def _exact(api: Client, *, dry_run: bool = False) -> Client:
    """Figures stand in its answers as they were sent; a preview may take long."""
    return replace(api, read_json=read, timeout_s=_LONG_S if dry_run else api.timeout_s)


def _tell_differences(found: Sequence[Any]) -> None:
    for one in found:
        click.echo(f"{one['field']}: {_shown(one['before'])} -> {_shown(one['after'])}")


@click.command("undo")
@click.argument("transaction_id")
@AS_JSON
@connected()
def undo(*, transaction_id: str, as_json: bool, api: Client) -> None:
    """Take back the newest correction of an event that stands: what counted before it counts again."""
    told = _exact(api).call("POST", "/v1/events/undo", {"transaction_id": transaction_id})
    click.echo(written(told) if as_json else "It counts as it did before.")


@click.group("backfill")
def backfill_group() -> None:
    """Sets of events that come in together or not at all, and can be reverted."""


@backfill_group.command("open")
@click.argument("name")
@click.option("--from", "from_at", required=True, help="From this instant on (RFC 3339).")
@click.option("--to", "to_at", required=True, help="Before this instant (RFC 3339).")
@click.option(
    "--replace/--add", "replaces", required=True, help="What counts in that time before goes; or it stays as well."
)
@click.option("--type", "event_types", multiple=True, help="Only of this type; may be repeated.")
@click.option("--customer", "customers", multiple=True, help="Only of this one, by his id or a name; may be repeated.")
@AS_JSON
@connected()
def open_set(
    *,
    name: str,
    from_at: str,
    to_at: str,
    replaces: bool,
    event_types: tuple[str, ...],
    customers: tuple[str, ...],
    as_json: bool,
    api: Client,
) -> None:
    """Open one, and say its id."""
    asked = {"name": name, "from": from_at, "to": to_at, "replaces": replaces}
    asked |= {"event_types": list(event_types), "customers": list(customers)}
    _tell(api.call("POST", "/v1/backfills", asked), as_json=as_json)


@backfill_group.command("send")
@click.argument("backfill")
@click.argument("file", type=click.File("rb"))
@AS_JSON
@connected()
def send(*, backfill: str, file: BinaryIO, as_json: bool, api: Client) -> None:
    """Send the events in FILE (`-`: standard input) into one: an array of JSON, or lines of it. Exit 1 if any is none
    of its events.
    """
    counts, index = dict.fromkeys(_OUTCOMES, 0), 0
    results: list[dict[str, Any]] = []
    for some in _pieces(_events(_text_of(file))):
        told = api.send(
            f"/v1/backfills/{part(backfill)}/events", f"[{','.join(some)}]".encode("utf-8", "surrogatepass")
        )
        for one in told["results"]:
            results.append(one | {"index": index + one["index"]})
            if not as_json and one["outcome"] in {"rejected", "conflict"}:
                why = ": ".join(text for text in (one["field"], one["reason"]) if text)
                click.echo(f"{index + one['index']}: {one['outcome']}{f', {why}' if why else ''}")
        counts = {name: counts[name] + told[name] for name in _OUTCOMES}
        index += len(some)
    say(", ".join(f"{n} {name}" for name, n in counts.items()), counts | {"results": results}, as_json=as_json)
    if counts["rejected"]:
        raise SystemExit(1)


def _events(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        return [written(one) for one in _json(text, "FILE")]
    return [written(_json(line, f"line {n}")) for n, line in enumerate(text.split("\n"), 1) if line.strip()]


def _json(text: str, what: str) -> Any:
    try:
        return read(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{what} is no JSON: {str(error)[:200]}") from error


def _pieces(found: Sequence[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for one in found:
        if some and (len(some) == _PIECE_EVENTS or size + len(one) > _PIECE_CHARACTERS):
            yield some
            some, size = [], 0
        some.append(one)
        size += len(one)
    if some:
        yield some


@backfill_group.command("list")
@click.option("--state", type=click.Choice(["open", "closed", "reverted"]), help="Only those in this state.")
@MOST
@AS_JSON
@connected()
def list_sets(*, state: str | None, most: int, as_json: bool, api: Client) -> None:
    """List them, the newest first."""
    found = api.first("/v1/backfills", most, state=state)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are none.")
        return
    print_table(
        ("NAME", "FROM", "TO", "STATE", "EVENTS", "ID"),
        [(one["name"], one["from"], one["to"], one["state"], str(one["n_events"]), one["id"]) for one in found],
    )


@backfill_group.command("show")
@click.argument("backfill")
@AS_JSON
@connected()
def show(*, backfill: str, as_json: bool, api: Client) -> None:
    """Show one."""
    _tell(api.read(f"/v1/backfills/{part(backfill)}"), as_json=as_json)


@backfill_group.command("preview")
@click.argument("backfill")
@AS_JSON
@connected()
def preview(*, backfill: str, as_json: bool, api: Client) -> None:
    """Say what closing one would change, by day, meter and customer."""
    found = replace(api, timeout_s=_LONG_S).read(f"/v1/backfills/{part(backfill)}/preview")
    if as_json:
        print_json(found)
        return
    click.echo(_counted(found["counts"]))
    _tell_changes(found["changes"])
    if found["more"]:
        click.echo(f"And {found['more']} more.")


def _tell_changes(found: Sequence[Any]) -> None:
    if not found:
        click.echo("No figure changes.")
        return
    print_table(
        ("DAY", "METER", "CUSTOMER", "NOW", "THEN"),
        [(one["day"], one["meter"], one["name"], _shown(one["before"]), _shown(one["after"])) for one in found],
    )


@backfill_group.command("close")
@click.argument("backfill")
@click.option("--empty", is_flag=True, help="Also if it holds nothing, and so only takes away.")
@AS_JSON
@connected()
def close(*, backfill: str, empty: bool, as_json: bool, api: Client) -> None:
    """Close one: its events count from now on, all of them or none."""
    path = f"/v1/backfills/{part(backfill)}/close" + ("?empty=true" if empty else "")
    _tell(api.call("POST", path), as_json=as_json)


@backfill_group.command("revert")
@click.argument("backfill")
@AS_JSON
@connected()
def revert(*, backfill: str, as_json: bool, api: Client) -> None:
    """Revert one: all counts as before it was closed. One that is open is given up."""
    _tell(api.call("POST", f"/v1/backfills/{part(backfill)}/revert"), as_json=as_json)


def _tell(one: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    facts = [("Id", one["id"]), ("Name", one["name"]), ("State", one["state"])]
    facts += [("Time", f"{one['from']} to {one['to']}"), ("Events", str(one["n_events"]))]
    facts += [("Types", ", ".join(one["event_types"]))] if one["event_types"] else []
    facts += [("Customers", ", ".join(one["customers"]))] if one["customers"] else []
    facts += [("Closing", "replaces what counts in that time" if one["replaces"] else "adds to what counts")]
    facts += [("It did", _counted(one["counts"]))] if one["counts"] else []
    print_facts(facts)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items() if n) or "nothing"


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def _text_of(file: BinaryIO) -> str:
    try:
        return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"FILE is not UTF-8: byte {error.start + 1}") from None
