"""`heartfly usage report | reports`: a customer's report as a file, links to it, and to whom it is mailed by itself."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import rich_click as click

from heartfly.cli.client import Client, Refused, connected, part
from heartfly.cli.output import AS_JSON, DURATION, print_facts, print_json, print_table, say, when

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_FORMS = ("pdf", "csv", "json", "ndjson", "parquet", "html")
_PATIENCE_S = 120.0
"""A PDF is made behind everything else that the server does."""
_TEXTS = frozenset({"csv", "json", "ndjson", "html"})
_MONTH = click.option("--month", help="A month such as 2026-11, in place of --from and --to.")
_FROM = click.option("--from", "first", metavar="DAY", help="The first day, such as 2026-11-01.")
_TO = click.option("--to", "last", metavar="DAY", help="The last day.")


@click.command("report")
@click.argument("customer")
@_MONTH
@_FROM
@_TO
@click.option("--format", "form", type=click.Choice(_FORMS), help="What to write.  [by the name of --out; else words]")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write it into this file; `-`: standard output.")
@AS_JSON
@connected()
def report(
    *,
    customer: str,
    month: str | None,
    first: str | None,
    last: str | None,
    form: str | None,
    out: Path | None,
    as_json: bool,
    api: Client,
) -> None:
    """Report what CUSTOMER used, by his id, name or alias: of the last 30 days, if nothing else is said."""
    wanted = "json" if as_json else form or _by_name(out)
    asked = {name: value for name, value in (("month", month), ("from", first), ("to", last)) if value is not None}
    path = f"/v1/usage/customers/{part(_id_of(api, customer))}/report"
    if wanted is None or (wanted == "json" and out is None):
        told = api.call("GET", path, **asked)
        print_json(told) if wanted == "json" else _tell(told)
        return
    target = f"{path}?{urlencode(asked | {'format': wanted})}"
    api = replace(api, timeout_s=_PATIENCE_S)
    if out is None or str(out) == "-":
        if wanted not in _TEXTS and sys.stdout.isatty():
            raise click.UsageError(f"{wanted} is nothing for a terminal; say with -o into which file")
        api.copy(target, sys.stdout.buffer)
        return
    _write(api, target, out)
    click.echo(f"Written to {out}.")


def _by_name(out: Path | None) -> str | None:
    if out is None or str(out) == "-":
        return None
    form = out.suffix.removeprefix(".").lower()
    if form not in _FORMS:
        raise click.UsageError(f"say with --format what to write into {out}: {', '.join(_FORMS)}")
    return form


def _write(api: Client, target: str, out: Path) -> None:
    """Beside, and then in place: what was there stays until all is here."""
    beside = out.with_name(f"{out.name}.part")
    try:
        with beside.open("wb") as into:
            api.copy(target, into)
        beside.replace(out)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error}") from None
    finally:
        beside.unlink(missing_ok=True)


def _id_of(api: Client, named: str) -> str:
    """Of who has this id, name or alias. Two of one name are told apart by their ids only."""
    if _UUID.fullmatch(named):
        return named
    found = [
        one for one in api.listed("/v1/customers", archived="true") if named == one["name"] or named in one["aliases"]
    ]
    if len(found) > 1:
        ids = ", ".join(str(one["id"]) for one in found)
        raise click.ClickException(f"Several customers are called {named}; give the id of one: {ids}")
    if not found:
        raise Refused(404, {"detail": f"there is no customer {named}"})
    return str(found[0]["id"])


def _cost(one: Any) -> tuple[str, ...]:
    of = ", ".join(f"{name}: {'none' if value is None else value}" for name, value in (one["only"] or {}).items())
    cost = one["untold"] or ("no price" if one["cost"] is None else f"{one['cost']} {one['currency']}")
    return one["name"], of or "-", one["quantity"] or "-", one["amount"] or "-", cost


def _tell(told: Any) -> None:
    total = told["total"]
    sure = "final" if told["is_final"] else f"provisional: {told['days_final']} of {len(told['days'])} days are final"
    if told["partial"]:
        sure = f"{sure}; requests are missing from these figures"
    facts = [
        ("customer", f"{told['customer']['name']} ({told['customer']['id']})"),
        ("days", f"{told['from']} to {told['to']} ({told['zone']}), {sure}"),
        ("requests", f"{total['requests']:,}, of which {total['succeeded']:,} succeeded"),
        ("errors", f"{total['client_errors']:,} of the client, {total['server_errors']:,} of the server"),
        ("p50/p95/p99", " / ".join(in_ms(total[name]) for name in ("p50_ms", "p95_ms", "p99_ms")) + " ms"),
        ("bytes", f"{total['bytes_in']:,} received, {total['bytes_out']:,} sent"),
        ("fingerprint", told["fingerprint"]),
    ]
    print_facts(facts)
    meters = [
        (one["name"], one["value_exact"] or "-", one["unit"] or "-", f"{one['events']:,}", one["state"])
        for one in told["meters"]
    ]
    if meters:
        click.echo()
        print_table(("METER", "QUANTITY", "UNIT", "EVENTS", "STATE"), meters)
    if told["costs"]:
        click.echo()
        print_table(("METER", "OF", "QUANTITY", "PRICE OF ONE", "COST"), [_cost(one) for one in told["costs"]])
        for currency, total in told["cost_totals"].items():
            click.echo(f"Total: {total} {currency}")
    if told["endpoints"]:
        click.echo()
        endpoints = [(one["endpoint"], one["requests"]) for one in told["endpoints"]]
        if told["other_endpoints"] is not None:
            endpoints.append(("(all others)", told["other_endpoints"]))
        print_table(
            ("ENDPOINT", "REQUESTS", "4XX", "5XX", "P95 MS"),
            [
                (
                    name,
                    f"{of['requests']:,}",
                    f"{of['client_errors']:,}",
                    f"{of['server_errors']:,}",
                    in_ms(of["p95_ms"]),
                )
                for name, of in endpoints
            ],
        )


def in_ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


@click.group("reports")
def reports_group() -> None:
    """Links to customers' reports, and to whom they are mailed by themselves."""


@reports_group.command("share")
@click.argument("customer")
@_MONTH
@_FROM
@_TO
@click.option("--lasts", type=DURATION, default="30d", show_default=True, help="How long the link works; 366d at most.")
@AS_JSON
@connected()
def share(
    *,
    customer: str,
    month: str | None,
    first: str | None,
    last: str | None,
    lasts: int,
    as_json: bool,
    api: Client,
) -> None:
    """Make a link by which whoever has it reads a report. It is shown once."""
    asked = {"month": month or "", "from": first or "", "to": last or "", "lasts": lasts}
    told = api.call("POST", f"{_report(api, customer)}/shares", asked)
    say(
        f"{told['url']}\nIt shows {told['from']} to {told['to']}, and works until {told['expires_at']}.",
        told,
        as_json=as_json,
    )


@reports_group.command("links")
@click.argument("customer")
@AS_JSON
@connected()
def links(*, customer: str, as_json: bool, api: Client) -> None:
    """List the links to a customer's reports that work."""
    found = api.call("GET", f"{_report(api, customer)}/shares")["items"]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no links to his reports.")
        return
    print_table(
        ("LINK", "DAYS", "MADE BY", "WORKS UNTIL"),
        [(one["id"], f"{one['from']} to {one['to']}", one["by"], one["expires_at"]) for one in found],
    )


@reports_group.command("unshare")
@click.argument("customer")
@click.argument("link")
@AS_JSON
@connected()
def unshare(*, customer: str, link: str, as_json: bool, api: Client) -> None:
    """Take a link back, by its number: it shows nothing any more."""
    path = f"{_report(api, customer)}/shares"
    was = next((one for one in api.call("GET", path)["items"] if one["id"] == link), None)
    api.call("DELETE", f"{path}/{part(link)}")
    say("The link shows nothing any more.", was, as_json=as_json)


@reports_group.command("mail")
@click.argument("customer")
@click.argument("addresses", nargs=-1, required=True)
@click.option("--rhythm", type=click.Choice(["month", "30-days"]), default="month", show_default=True)
@AS_JSON
@connected()
def mail(*, customer: str, addresses: tuple[str, ...], rhythm: str, as_json: bool, api: Client) -> None:
    """Mail a customer's report to these addresses by itself, each period once."""
    asked = {"addresses": list(addresses), "rhythm": rhythm}
    told = api.call("POST", f"{_report(api, customer)}/mails", asked)
    say(f"Mailing {told['id']}: {', '.join(told['addresses'])}, {told['rhythm']}.", told, as_json=as_json)


@reports_group.command("mailings")
@click.argument("customer")
@AS_JSON
@connected()
def mailings(*, customer: str, as_json: bool, api: Client) -> None:
    """List to whom a customer's report is mailed, and what became of the last one."""
    found = api.call("GET", f"{_report(api, customer)}/mails")["items"]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("It is mailed to nobody.")
        return
    print_table(
        ("MAILING", "TO", "RHYTHM", "LAST"),
        [(one["id"], ", ".join(one["addresses"]), one["rhythm"], _last(one["last"])) for one in found],
    )


def _last(sent: list[Any]) -> str:
    if not sent:
        return "nothing yet"
    wrong = [one for one in sent if one["wrong"]]
    failed = f", {len(wrong)} of {len(sent)} not sent: {wrong[0]['wrong']}" if wrong else ""
    return f"from {sent[0]['first_day']}, {when(sent[0]['at'])}{failed}"


@reports_group.command("end")
@click.argument("customer")
@click.argument("mailing")
@AS_JSON
@connected()
def end(*, customer: str, mailing: str, as_json: bool, api: Client) -> None:
    """End a mailing, by its number."""
    path = f"{_report(api, customer)}/mails"
    was = next((one for one in api.call("GET", path)["items"] if one["id"] == mailing), None)
    api.call("DELETE", f"{path}/{part(mailing)}")
    say("Nothing is mailed by it any more.", was, as_json=as_json)


def _report(api: Client, customer: str) -> str:
    return f"/v1/usage/customers/{part(_id_of(api, customer))}/report"
