"""`heartfly notifications …`: what was told to whom, how each delivery went, and one that failed sent again."""

from __future__ import annotations

from typing import Any

import rich_click as click

from heartfly.cli.checks import channel_id
from heartfly.cli.checks import find as find_check
from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, MOST, print_facts, print_json, print_table, since_instant, when

_UUID_CHARS = 36


@click.group("notifications")
def notifications_group() -> None:
    """Notifications: what was told to whom, and how each delivery went."""


@notifications_group.command("list")
@click.option(
    "--state", type=click.Choice(["held", "pending", "merged", "sent", "failed", "untold"]), help="Only those.  [all]"
)
@click.option("--channel", help="To this channel, by name or id.")
@click.option("--check", help="About this check, by slug or id.")
@click.option("--since", help="Made since then: 90m, 12h, 2d; or an instant, 2026-03-02T01:30:00Z.")
@MOST
@AS_JSON
@connected()
def list_notifications(
    *,
    state: str | None,
    channel: str | None,
    check: str | None,
    since: str | None,
    most: int,
    as_json: bool,
    api: Client,
) -> None:
    """List what was told to whom, the newest first."""
    found = api.first(
        "/v1/notifications",
        most,
        state=state,
        channel=None if channel is None else channel_id(api, channel),
        check=None if check is None else find_check(api, check)["id"],
        since=None if since is None else since_instant(since),
    )
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Nothing was told." if not (state or channel or check or since) else "No notification is like that.")
        return
    print_table(
        ("STATE", "EVENT", "CHECK", "CHANNEL", "WHEN", "TRIES", "ID"),
        [
            (
                _state(one),
                one["event"],
                one["check_name"] or "-",
                one["channel_name"] or "deleted",
                when(one["created_at"]),
                str(len(_attempts(one["delivery"]))),
                one["id"],
            )
            for one in found
        ],
    )


def _attempts(delivery: Any) -> list[Any]:
    return delivery["attempts"] if delivery else []


def _state(one: Any) -> str:
    """With why, where it did not arrive."""
    errors = [attempt["error"] for attempt in _attempts(one["delivery"]) if attempt["error"]]
    return f"{one['state']}: {errors[-1]}" if errors and one["state"] != "sent" else str(one["state"])


@notifications_group.command("show")
@click.argument("notification")
@AS_JSON
@connected()
def show(*, notification: str, as_json: bool, api: Client) -> None:
    """Show one by its id, with each attempt to deliver it."""
    found = _find(api, notification)
    if as_json:
        print_json(found)
        return
    delivery = found["delivery"]
    print_facts(
        [
            ("event", found["event"]),
            ("check", found["check_name"] or "-"),
            ("channel", found["channel_name"] or "deleted"),
            ("state", found["state"]),
            ("at", found["at"]),
            ("explain", found["explain"] or "-"),
            ("incident", found["incident"] or "-"),
            ("delivery", delivery["id"] if delivery else "-"),
            ("tried next", when(delivery["retry_at"]) if delivery else "-"),
        ]
    )
    if attempts := _attempts(delivery):
        click.echo("\nAttempts")
        print_table(
            ("N", "STARTED", "CODE", "ERROR", "REPLY"),
            [
                (
                    str(one["n"]),
                    one["started_at"],
                    "-" if one["code"] is None else str(one["code"]),
                    one["error"] or "-",
                    one["reply"] or "-",
                )
                for one in attempts
            ],
        )


@notifications_group.command("resend")
@click.argument("notification")
@AS_JSON
@connected()
def resend(*, notification: str, as_json: bool, api: Client) -> None:
    """Send one that failed again, by its id or that of its delivery. It keeps the id, and says it may be a repeat."""
    delivery = notification if len(notification) == _UUID_CHARS else _delivery(_find(api, notification))
    told = api.call("POST", f"/v1/deliveries/{part(delivery)}/resend")
    if as_json:
        print_json(told)
        return
    click.echo("It is on the way again; `heartfly notifications list` shows how it ends.")


def _delivery(found: Any) -> str:
    if found["delivery"] is None:
        raise click.ClickException("It has not been sent yet, so there is nothing to send again.")
    delivery: str = found["delivery"]["id"]
    return delivery


def _find(api: Client, name: str) -> Any:
    found = api.read(f"/v1/notifications/{part(name)}")
    if found is None:
        raise click.ClickException(f"There is no notification {name}; `heartfly notifications list` shows them.")
    return found
