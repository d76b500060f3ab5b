"""`heartfly usage events | customers | dead-letters`: look at events, say whose they are, see to what came wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, BinaryIO

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, MOST, print_json, print_table, say, when
from heartfly.core.events import read, written

_OUTCOMES = ("accepted", "duplicate", "conflict", "rejected")


@click.group("events")
def events_group() -> None:
    """Events: what was used."""


@events_group.command("send")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Say what would become of them; store nothing.")
@AS_JSON
@connected()
def send(*, file: BinaryIO, dry_run: bool, as_json: bool, api: Client) -> None:
    """Send the events in FILE (`-`: standard input): an array of JSON, or one object. Exit 1 if any is rejected."""
    told = api.send("/v1/events" + ("?dry_run=true" if dry_run else ""), file.read())
    if as_json:
        print_json(told)
    else:
        for one in told["results"]:
            if one["outcome"] in {"rejected", "conflict"}:
                why = ": ".join(text for text in (one["field"], one["reason"]) if text)
                click.echo(f"{one['index']}: {one['outcome']}{f', {why}' if why else ''}")
        click.echo(", ".join(f"{told[name]} {name}" for name in _OUTCOMES))
    if told["rejected"]:
        raise SystemExit(1)


@events_group.command("list")
@click.option("--customer", help="Of this customer, by his id.")
@click.option("--customer-id", help="Of a customer as the sender calls him.")
@click.option("--type", "event_type", help="Of this type.")
@click.option("--from", "from_at", help="From this instant on (RFC 3339).")
@click.option("--to", "to_at", help="Before this instant (RFC 3339).")
@MOST
@AS_JSON
@connected()
def list_events(
    *,
    customer: str | None,
    customer_id: str | None,
    event_type: str | None,
    from_at: str | None,
    to_at: str | None,
    most: int,
    as_json: bool,
    api: Client,
) -> None:
    """List events, the newest first."""
    narrowed = {"customer": customer, "customer_id": customer_id, "event_type": event_type, "from": from_at}
    # Figures stand in them as they were sent: no float may come between.
    found = replace(api, read_json=read).first("/v1/events", most, **narrowed, to=to_at)
    if as_json:
        click.echo(written(found))
        return
    if not found:
        click.echo("There are no such events.")
        return
    print_table(
        ("HAPPENED", "TYPE", "CUSTOMER", "TRANSACTION ID"),
        [(one["timestamp"], one["event_type"], one["customer_id"], one["transaction_id"]) for one in found],
    )


@events_group.command("show")
@click.argument("transaction_id")
@AS_JSON
@connected()
def show_event(*, transaction_id: str, as_json: bool, api: Client) -> None:  # noqa: ARG001 - it is never otherwise
    """Show one, with what contradicts it, always as JSON. Figures stand there as they were sent."""
    click.echo(api.text(f"/v1/events/{part(transaction_id)}"))


@click.group("customers")
def customers_group() -> None:
    """Customers, and what senders call them."""


@customers_group.command("list")
@click.option("--archived", is_flag=True, help="With those that are archived.")
@AS_JSON
@connected()
def list_customers(*, archived: bool, as_json: bool, api: Client) -> None:
    """List customers, the oldest first."""
    found = list(api.listed("/v1/customers", archived="true" if archived else None))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no customers. Add one with `heartfly usage customers add`.")
        return
    print_table(
        ("NAME", "ALIASES", "ID"), [(one["name"], ", ".join(one["aliases"]) or "-", one["id"]) for one in found]
    )


@customers_group.command("add")
@click.argument("name")
@click.option("--alias", "aliases", multiple=True, help="What senders call him; may be repeated.")
@AS_JSON
@connected()
def add_customer(*, name: str, aliases: tuple[str, ...], as_json: bool, api: Client) -> None:
    """Add a customer. An alias that was another one's moves, with its usage."""
    _tell(api.call("POST", "/v1/customers", {"name": name, "aliases": list(aliases)}), as_json=as_json)


@customers_group.command("alias")
@click.argument("customer")
@click.option("--add", "added", multiple=True, help="May be repeated.")
@click.option("--remove", "removed", multiple=True, help="May be repeated.")
@AS_JSON
@connected()
def alias(*, customer: str, added: tuple[str, ...], removed: tuple[str, ...], as_json: bool, api: Client) -> None:
    """Give aliases to a customer, by his id, or take some away."""
    asked = {"add_aliases": list(added), "remove_aliases": list(removed)}
    _tell(api.call("PATCH", f"/v1/customers/{part(customer)}", asked), as_json=as_json)


def _tell(customer: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(customer)
        return
    click.echo(f"{customer['name']} ({customer['id']}): {', '.join(customer['aliases']) or 'no aliases'}")
    for one in customer["moved"]:
        click.echo(f"{one['alias']} was {one['from_name']}'s until now ({one['from_id']}).")


@customers_group.command("unknown")
@MOST
@AS_JSON
@connected()
def unknown(*, most: int, as_json: bool, api: Client) -> None:
    """List names in events that are nobody's alias."""
    found = api.first("/v1/customers/unknown", most)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Every event is a customer's.")
        return
    print_table(
        ("CUSTOMER ID", "EVENTS", "NEWEST"),
        [(one["customer_id"], f"{one['n_events']}{'+' if one['more'] else ''}", when(one["last_at"])) for one in found],
    )


@click.group("dead-letters")
def letters_group() -> None:
    """Dead letters: what came as an event and is none."""


@letters_group.command("list")
@click.option("--state", type=click.Choice(["open", "replayed", "dropped"]), default="open", show_default=True)
@click.option("--field", help="The field that was wrong.")
@click.option("--search", "q", help="A text within what came, or within the reason.")
@MOST
@AS_JSON
@connected()
def list_letters(*, state: str, field: str | None, q: str | None, most: int, as_json: bool, api: Client) -> None:
    """List them, the newest first."""
    found = api.first("/v1/dead-letters", most, state=state, field=field, q=q)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are none.")
        return
    print_table(
        ("CAME", "FIELD", "REASON", "ID"),
        [(when(one["received_at"]), one["field"] or "-", one["reason"], one["id"]) for one in found],
    )


@letters_group.command("replay")
@click.argument("letter", required=False)
@click.option("--all", "every", is_flag=True, help="All that are open, instead of one.")
@AS_JSON
@connected()
def replay(*, letter: str | None, every: bool, as_json: bool, api: Client) -> None:
    """Send one once more, by its id, or all that are open."""
    if (letter is None) != every:
        raise click.UsageError("Name one, or say --all.")
    if letter is not None:
        told = api.call("POST", f"/v1/dead-letters/{part(letter)}/replay")
        say(f"It is {told['outcome']}.", told, as_json=as_json)
        return
    counts, cursor = dict.fromkeys(_OUTCOMES, 0), None
    while True:
        told = api.call("POST", "/v1/dead-letters/replay", {"cursor": cursor})
        counts = {name: counts[name] + told[name] for name in _OUTCOMES}
        if (cursor := told["next"]) is None:
            break
    say(", ".join(f"{n} {name}" for name, n in counts.items()), counts, as_json=as_json)


@letters_group.command("drop")
@click.argument("letter")
@AS_JSON
@connected()
def drop(*, letter: str, as_json: bool, api: Client) -> None:
    """Drop one, by its id: it shall not be sent."""
    say("It is dropped.", api.call("POST", f"/v1/dead-letters/{part(letter)}/drop"), as_json=as_json)
