"""`heartfly channels …`: list, create and test channels of a running server, and send again what they gave up."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import rich_click as click
from click.exceptions import Exit

from heartfly.cli.checks import channel_id, find
from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, DURATION, counted, plain, print_json, print_table, seconds, since_instant, when
from heartfly.clock import Clock, SystemClock
from heartfly.core.digests import CHOICES

KINDS = (
    "email", "slack", "webhook", "discord", "teams", "telegram", "mattermost", "zulip", "matrix", "ntfy", "pushover",
    "sms", "pagerduty", "opsgenie", "github", "apprise",
)  # fmt: skip
"""As notify/channels/ has them, of which nothing is loaded here."""
_WAIT_S = 30.0
_LOOK_EVERY_S = 0.2


@click.group("channels")
def channels_group() -> None:
    """Channels: the ways to reach people."""


@channels_group.command("list")
@AS_JSON
@connected()
def list_channels(*, as_json: bool, api: Client) -> None:
    """List channels and whether they work."""
    found = list(api.listed("/v1/channels"))
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no channels yet: alerts reach nobody. `heartfly channels create --help` adds one.")
        return
    print_table(
        ("NAME", "KIND", "TO", "CHECKS", "STATE"),
        [
            (channel["name"], channel["kind"], channel["receiver"] or "-", str(channel["n_checks"]), _state(channel))
            for channel in found
        ],
    )


def _state(channel: Any, *, now: datetime | None = None) -> str:
    state = str(channel["state"])
    if state == "ok":
        return state
    return f"{state} since {when(channel[f'{state}_since'], now=now)}: {channel['last_error'] or 'no reason known'}"


@channels_group.command("create")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--name", required=True, help="What it is called, such as ops.")
@click.option("--to", help="The address, for email.")
@click.option("--url", "address", help="Where to send, for slack and webhook.")
@click.option("--address", "named", help="The name of an address in apprise.addresses, for apprise.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="What any other kind must know, such as chat=-1001234; may be repeated. docs/channels.md lists them.",
)
@click.option("--method", type=click.Choice(["POST", "PUT", "GET"]), help="For webhook.  [POST]")
@click.option("--digest", type=click.Choice(list(CHOICES)), help="Send one, at 7:00. Not for machines.  [none]")
@click.option("--event", "events", multiple=True, help="What it hears; may be repeated.  [all but check.late]")
@click.option("--check", "checks", multiple=True, help="Only for this check, by slug or id.  [every check]")
@AS_JSON
@connected("--server")
def create(
    *, kind: str, name: str, as_json: bool, checks: tuple[str, ...], events: tuple[str, ...], api: Client, **rest: Any
) -> None:
    """Add a channel. It hears of every check there is, unless --check says which."""
    asked: dict[str, Any] = {"kind": kind, "name": name, "config": _config(kind, **rest)}
    if events:
        asked["events"] = list(events)
    if checks:
        asked["checks"] = [find(api, check)["id"] for check in checks]
    made = api.call("POST", "/v1/channels", asked)
    if as_json:
        print_json(made)
        return
    click.echo(f"{made['name']} ({kind}) hears of {counted(made['n_checks'], 'check')}.")
    if made["warning"]:
        click.echo(f"\nBut {made['warning']}.")
    click.echo(f"\nTry it:\n\n    heartfly channels test {shlex.quote(name)}")
    if made["secret"]:
        click.echo(f"\nIts signing secret, shown only now:\n\n    {made['secret']}")


_NEEDS = {"email": "--to", "slack": "--url", "webhook": "--url", "apprise": "--address"}


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise click.BadParameter(f"{text} is not NAME=VALUE.", param_hint="--set")
    return name.strip(), value


def _config(
    kind: str,
    *,
    to: str | None,
    address: str | None,
    named: str | None,
    method: str | None,
    digest: str | None,
    settings: tuple[str, ...],
) -> dict[str, Any]:
    own = dict(_setting(one) for one in settings)
    if kind not in _NEEDS:
        for option, value in {"--to": to, "--url": address, "--address": named, "--method": method}.items():
            if value is not None:
                raise click.UsageError(f"{option} is not for {kind}: it takes --set {option.removeprefix('--')}=….")
        return own | ({"digest": digest} if digest else {})
    if own:
        raise click.UsageError(f"--set is not for {kind}.")
    strange = {
        "--to": to,
        "--url": address,
        "--address": named,
        "--method": method if kind != "webhook" else None,
        "--digest": digest if kind == "webhook" else None,
    }
    wanted = {_NEEDS[kind]: strange[_NEEDS[kind]]}
    for option, value in wanted.items():
        if value is None:
            raise click.UsageError(f"{kind} needs {option}.")
    for option, value in strange.items():
        if value is not None and option not in wanted:
            raise click.UsageError(f"{option} is not for {kind}.")
    given = {"to": to, "url": address, "address": named, "method": method, "digest": digest}
    return {name: value for name, value in given.items() if value is not None}


@channels_group.command("policy")
@click.argument("channel")
@click.option("--tag", "tags", multiple=True, help="Only for checks with one of these tags; may be repeated.")
@click.option("--least", type=click.Choice(["low", "medium", "high", "critical"]), help="Nothing less severe.")
@click.option("--after", type=DURATION, help="Told if nobody has acknowledged it by then, such as 15m.")
@click.option("--every", type=DURATION, help="Remind so often until somebody does, such as 1h.")
@click.option("--title", default="", help="In the place of our title: a template such as '$STATUS $NAME'.")
@click.option("--text", default="", help="In the place of our first sentence.")
@click.option(
    "--words",
    "of_events",
    nargs=3,
    multiple=True,
    metavar="EVENT TITLE TEXT",
    help="Other words for an event such as check.up; either may be empty. May be repeated.",
)
@click.option("--everything", is_flag=True, help="It hears all, at once, once, in our words; instead of the others.")
@AS_JSON
@connected()
def policy(
    *,
    channel: str,
    everything: bool,
    as_json: bool,
    api: Client,
    tags: tuple[str, ...],
    of_events: Sequence[tuple[str, str, str]],
    **asked: Any,
) -> None:
    """Say what a channel is there for, by its name or id. What is not said here is forgotten; nothing said: show it."""
    says = bool(tags or of_events) or any(value not in {None, ""} for value in asked.values())
    if says and everything:
        raise click.UsageError("--everything stands alone: it takes all of the others away.")
    path = f"/v1/channels/{part(channel_id(api, channel))}"
    if says or everything:
        words = {event: {"title": title, "text": text} for event, title, text in of_events}
        told = api.call("PATCH", path, {"policy": {"tags": list(tags), "words": words} | asked})
    else:
        told = api.call("GET", path)
    if as_json:
        print_json(told)
        return
    said = {name: value for name, value in told["policy"].items() if value}
    click.echo(plain(f"{told['name']}: " + (", ".join(f"{name} {_told(said[name])}" for name in said) or "everything")))


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return "for " + ", ".join(value)
    return " ".join(value) if isinstance(value, list) else seconds(value) if isinstance(value, int) else str(value)


@channels_group.command("preview")
@click.argument("channel")
@click.option("--title", default="")
@click.option("--text", default="")
@AS_JSON
@connected()
def preview(*, channel: str, title: str, text: str, as_json: bool, api: Client) -> None:
    """Try own words: what the newest alert of a channel would read like. Nothing is saved or sent."""
    found = channel_id(api, channel)
    told = api.call("POST", f"/v1/channels/{part(found)}/preview", {"title": title, "text": text})
    if as_json:
        print_json(told)
    else:
        click.echo(plain(told["title"]))
        for line in told["text"].splitlines():
            click.echo(plain(line))


@channels_group.command("test")
@click.argument("channel")
@AS_JSON
@connected()
def test(*, channel: str, as_json: bool, api: Client) -> None:
    """Send a test message through a channel, by its name or id, and wait for its end. Exit 1: it failed."""
    found = channel_id(api, channel)
    sent = api.call("POST", f"/v1/channels/{part(found)}/test")
    told = asyncio.run(_ended(api, found, sent, SystemClock()))
    if as_json:
        print_json(told)
    else:
        click.echo(_outcome(told))
    if told["state"] != "sent":
        raise Exit(1)


async def _ended(api: Client, channel: str, sent: Any, clock: Clock) -> Any:
    """The notification when it is done, or as it is when we stop waiting."""
    give_up_at = clock.monotonic() + _WAIT_S
    told = sent
    while told["state"] == "pending" and clock.monotonic() < give_up_at:
        await clock.sleep(_LOOK_EVERY_S)
        newest = api.call("GET", "/v1/notifications", channel=channel, limit=50)["items"]
        told = next((one for one in newest if one["id"] == sent["id"]), told)
    return told


def _outcome(told: Any) -> str:
    attempts = (told["delivery"] or {}).get("attempts") or []
    last = attempts[-1] if attempts else None
    if told["state"] == "sent":
        return f"{told['channel_name']} took it" + (f" ({last['code']})." if last and last["code"] else ".")
    why = (last or {}).get("error") or "it is still waiting; `heartfly channels list` shows what is wrong"
    return f"{told['channel_name']} did not take it: {why}"


@channels_group.command("rotate-secret")
@click.argument("channel")
@click.option("--overlap", type=DURATION, default="24h", show_default=True, help="So long the old one signs, too.")
@AS_JSON
@connected()
def rotate_secret(*, channel: str, overlap: int, as_json: bool, api: Client) -> None:
    """Make a new signing secret for a webhook, by its name or id. Take it into its receiver before the overlap ends."""
    found = channel_id(api, channel)
    made = api.call("POST", f"/v1/channels/{part(found)}/rotate-secret", {"overlap": overlap})
    if as_json:
        print_json(made)
        return
    click.echo(f"The new signing secret of {made['name']}, shown only now:\n\n    {made['secret']}\n")
    until = made["old_secret_until"]
    click.echo(f"The old one signs, too, until {until}." if until else "The old one does not sign any more.")


@channels_group.command("retry")
@click.option("--since", required=True, help="How far back: 90m, 12h, 2d; or an instant, 2026-03-02T01:30:00Z.")
@click.option("--channel", help="Only of this channel, by name or id.  [every channel]")
@AS_JSON
@connected()
def retry(*, since: str, channel: str | None, as_json: bool, api: Client) -> None:
    """Send again what failed since then. It keeps its id, and says that it may be a repeat."""
    asked: dict[str, Any] = {"since": since_instant(since)}
    if channel is not None:
        asked["channel"] = channel_id(api, channel)
    n, more = 0, True
    while more:
        told = api.call("POST", "/v1/deliveries/retry", asked)
        n += told["n"]
        # Where none could be taken, somebody else is sending them: to ask on would not end.
        more = told["more"] and told["n"] > 0
    n_overtaken = told["n_overtaken"]
    if as_json:
        print_json({"n": n, "n_overtaken": n_overtaken, "since": asked["since"]})
        return
    if n:
        click.echo(f"{counted(n, 'message')} on the way again. `heartfly channels list` shows how the channels do.")
    if n_overtaken:
        click.echo(f"Left as they are, for later news has arrived: {counted(n_overtaken, 'message')}.")
    if not (n or n_overtaken):
        click.echo("Nothing has failed since then.")
