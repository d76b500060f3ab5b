"""`heartfly keys …`: list, create and revoke the API keys of a running server's project."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, DURATION, print_json, print_table, say, when
from heartfly.clock import SystemClock


@click.group("keys")
def keys_group() -> None:
    """API keys: who may use the API, and for what."""


@keys_group.command("list")
@click.option("--revoked", is_flag=True, help="With those that were revoked.")
@AS_JSON
@connected()
def list_keys(*, revoked: bool, as_json: bool, api: Client) -> None:
    """List API keys: what each may do, and when it was last used."""
    found = list(api.listed("/v1/keys", revoked="true" if revoked else None))
    if as_json:
        print_json(found)
        return
    print_table(
        ("NAME", "KEY", "MAY", "LAST USED", "ENDS", "ID"),
        [
            (key["name"], f"{key['prefix']}…", ", ".join(key["scopes"]), when(key["used_at"]), _end(key), key["id"])
            for key in found
        ],
    )


def _end(key: Any) -> str:
    if key["revoked_at"]:
        return f"revoked {when(key['revoked_at'])}"
    return when(key["expires_at"]) if key["expires_at"] else "never"


@keys_group.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["read", "write", "admin", "ingest"]),
    multiple=True,
    required=True,
    help="What it may do; may be repeated.",
)
@click.option("--expires-in", type=DURATION, help="It ends after so long.  [never]")
@click.option("--apitally", is_flag=True, help="One that Apitally's client takes.")
@AS_JSON
@connected()
def create(
    *, name: str, scopes: tuple[str, ...], expires_in: int | None, apitally: bool, as_json: bool, api: Client
) -> None:
    """Make an API key. It is shown only now."""
    asked: dict[str, Any] = {"name": name, "scopes": list(scopes)}
    if apitally:
        asked["form"] = "apitally"
    if expires_in is not None:
        asked["expires_at"] = _instant_in(expires_in)
    made = api.call("POST", "/v1/keys", asked)
    if as_json:
        print_json(made)
        return
    click.echo(f"{made['name']} may {', '.join(made['scopes'])}; it ends {_end(made)}. It is shown only now:\n")
    click.echo(f"    {made['secret']}")


def _instant_in(seconds: int) -> str:
    try:
        return (SystemClock().now() + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        raise click.BadParameter("is longer than time goes on.", param_hint="--expires-in") from None


@keys_group.command("revoke")
@click.argument("name", metavar="KEY")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
@connected()
def revoke(*, name: str, yes: bool, as_json: bool, api: Client) -> None:
    """Revoke an API key, by its name, its first letters or its id. Whatever uses it is refused at once."""
    found = _find(api, name)
    if not yes:
        click.confirm(f"Revoke {found['name']} ({found['prefix']}…), last used {when(found['used_at'])}?", abort=True)
    api.call("DELETE", f"/v1/keys/{part(found['id'])}")
    say(f"{found['name']} is revoked.", found, as_json=as_json)


def _find(api: Client, name: str) -> Any:
    letters = name.removesuffix("…")
    found = [key for key in api.listed("/v1/keys") if name in {key["id"], key["name"]} or letters == key["prefix"]]
    if not found:
        raise click.ClickException(f"There is no key {_shown(name)}; `heartfly keys list` shows them.")
    if len(found) > 1:
        raise click.UsageError(f"{len(found)} keys are called {_shown(name)}; name one by its id.")
    return found[0]


def _shown(name: str) -> str:
    """Who pastes a whole key by mistake must not find it in a log."""
    return f"{name[:10]}…" if name.startswith(("hf_", "apt_")) else name
