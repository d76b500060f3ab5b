"""`heartfly usage costs` and its neighbours: what calls to other people's APIs cost, will cost, and cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.output import AS_JSON, MOST, counted, plain, print_table
from heartfly.cli.usage_asked import answer_of, on_the_hour

_ORDERS = ("cost", "calls", "errors", "unpriced", "latency")
_WINDOWS = ("hour", "day", "week", "month")
_PERIODS = ("day", "week", "month", "quarter", "year")
_NAMES = ("provider", "model", "endpoint", "customer", "user", "tag", "status")
_FILTERS = (
    click.option("--provider", multiple=True, help="Only of these providers."),
    click.option("--model", multiple=True, help="Only of these models or products."),
    click.option("--endpoint", multiple=True, help="Only at these endpoints."),
    click.option("--customer", multiple=True, help="Only of these, by id, or as they were sent."),
    click.option("--user", multiple=True, help="Only of these users."),
    click.option("--api-key", multiple=True, help="Only with these keys."),
    click.option("--tag", multiple=True, help="Only with one of these tags."),
    click.option("--status", multiple=True, help="Only these: 5xx, 429, unknown."),
)
_SINCE = (
    click.option("--since", default="30d", show_default=True, help="From then on, on the hour: 24h, 30d; or when."),
    click.option("--until", help="Before then: the same. Now, if not said."),
)
_CSV = click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet.")
Command = Callable[..., None]


def _with(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


@click.command("costs")
@click.option("--by", default="provider", show_default=True, help="Up to three, with commas: provider, model, tag …")
@click.option("--order", type=click.Choice(_ORDERS), default="cost", show_default=True)
@click.option("--currency", help="In which costs are ranked; that of most rows, if not said.")
@click.option("--per", type=click.Choice(_WINDOWS), help="Over time instead: a row for each hour, day, week or month.")
@click.option("--compare", is_flag=True, help="Beside it what the time before came to.")
@MOST
@_with(*_SINCE, *_FILTERS, _CSV, AS_JSON)
@connected()
def costs(
    *, by: str, order: str, currency: str | None, per: str | None, compare: bool, most: int, api: Client, **asked: Any
) -> None:
    """What calls cost, by provider, model, endpoint, customer, user, key, tag or status."""
    if per is not None:
        _over_time(api, per, by, asked)
        return
    query = {"by": by, "order": order, "limit": min(most, 500), "currency": currency}
    found = _told(api, "costs", query | ({"compare": "true"} if compare else {}), asked)
    if found is None:
        return
    if not found["items"]:
        click.echo("No calls in that time.")
        return
    rows = [*found["items"], *([found["others"]] if found["others"] is not None else [])]
    names = [_name(one, found["by"]) for one in rows]
    columns: list[tuple[str, Callable[[Any], str]]] = [
        ("CALLS", lambda one: f"{one['calls']:,}"),
        ("ERRORS", lambda one: _percent(one["errors"], one["calls"])),
        ("COST", lambda one: _money(one["cost"])),
        (_share_of(found), lambda one: "-" if one.get("share") is None else f"{one['share'] / 10:.1f} %"),
        ("UNPRICED", lambda one: f"{one['unpriced']:,}" if one["unpriced"] else "-"),
        ("UNITS", lambda one: _units(one["units"])),
    ]
    if compare:
        columns.insert(3, ("BEFORE", lambda one: _money((one.get("before") or {}).get("cost"))))
    cells = [_right([name, *(of_row(one) for one in rows)]) for name, of_row in columns]
    print_table(
        (", ".join(found["by"]).upper() or "ALL", *(column[0] for column in cells)),
        list(zip(names, *(column[1:] for column in cells), strict=True)),
    )
    _foot(found)


def _share_of(found: Mapping[str, Any]) -> str:
    """Shares of money are of one currency; where there are several, which one is said."""
    is_one = found["order"] != "cost" or len(found["all"]["cost"]) <= 1
    return "SHARE" if is_one else f"SHARE OF {found['currency']}"


def _over_time(api: Client, per: str, by: str, asked: Mapping[str, Any]) -> None:
    found = _told(api, "costs/series", {"window": per, "by": "" if by == "provider" else by}, asked)
    if found is None:
        return
    print_table(
        ("FROM", *([", ".join(found["by"]).upper()] if found["by"] else []), "CALLS", "ERRORS", "COST", "UNPRICED"),
        [
            (
                f"{datetime.fromisoformat(one['from_at']):%Y-%m-%d %H:%M}",
                *([_name(one, found["by"])] if found["by"] else []),
                f"{one['calls']:,}",
                _percent(one["errors"], one["calls"]),
                _money(one["cost"]),
                f"{one['unpriced']:,}" if one["unpriced"] else "-",
            )
            for one in found["items"]
        ],
    )


@click.command("forecast")
@click.option("--period", type=click.Choice(_PERIODS), default="month", show_default=True, help="Until its end.")
@_with(*_FILTERS, AS_JSON)
@connected()
def forecast(*, period: str, api: Client, **asked: Any) -> None:
    """What calls will have cost by the end of the period, with a range."""
    found = _told(api, "costs/forecast", {"period": period}, asked)
    if found is None:
        return
    if not found["items"]:
        click.echo("Nothing has cost anything yet.")
        return
    print_table(
        ("CURRENCY", "SO FAR", "LOW", "EXPECTED", "HIGH"),
        [
            (one["currency"], *(_short(one[name]) for name in ("so_far", "low", "expected", "high")))
            for one in found["items"]
        ],
    )
    if found["days"] < found["least_days"]:
        click.echo(f"\nNot enough data: {counted(found['days'], 'whole day')}, and it takes {found['least_days']}.")
    else:
        click.echo(f"\nOf {found['days']} days; {found['level'] / 10:.0f} % of such periods end within the range.")
        if young := [one["currency"] for one in found["items"] if one["expected"] is None]:
            since = f"{found['least_days']} whole days since the first call that cost something in it"
            click.echo(f"Not enough data of {', '.join(young)}: it takes {since}.")
    if found["unpriced"]:
        click.echo(
            f"The cost of {counted(found['unpriced'], 'call', grouped=True)} of the period is not known, and not in it."
        )


@click.command("unpriced")
@_with(*_SINCE, *_FILTERS, _CSV, AS_JSON)
@connected()
def unpriced(*, api: Client, **asked: Any) -> None:
    """Products of which some units have no price, so that their cost is not known."""
    found = _told(api, "costs/unpriced", {}, asked)
    if found is None:
        return
    if not found["items"]:
        click.echo("The cost of all calls is known.")
        return
    print_table(
        ("PROVIDER", "MODEL", "CALLS", "WITHOUT A PRICE", "LAST"),
        [
            (
                one["provider"],
                one["model"] or "-",
                f"{one['unpriced']:,} of {one['calls']:,}",
                ", ".join(one["kinds"]),
                "-" if one["last_at"] is None else f"{datetime.fromisoformat(one['last_at']):%Y-%m-%d %H:%M}",
            )
            for one in found["items"]
        ],
    )


@click.command("calls")
@MOST
@_with(*_SINCE, *_FILTERS, _CSV, AS_JSON)
@connected()
def calls(*, most: int, api: Client, **asked: Any) -> None:
    """Single calls, the newest first, each with its cost."""
    found = _told(api, "calls", {"limit": min(most, 500)}, asked)
    if found is None:
        return
    if not found["items"]:
        click.echo("No calls in that time." if found["next"] is None else "None among the newest events: ask for less.")
        return
    print_table(
        ("AT", "PROVIDER", "MODEL", "STATUS", "TOOK", "COST", "CUSTOMER", "ID"),
        [
            (
                f"{datetime.fromisoformat(one['at']):%Y-%m-%d %H:%M:%S}",
                one["provider"],
                one["model"] or "-",
                one["error"][:40] or str(one["status"] or "-"),
                "-" if one["latency_ms"] is None else f"{one['latency_ms']:,.0f} ms",
                "unknown" if one["cost"] is None else _money(one["cost"]),
                one["customer_name"],
                one["transaction_id"],
            )
            for one in found["items"]
        ],
    )


def _told(api: Client, of: str, query: Mapping[str, Any], asked: Mapping[str, Any]) -> Any:
    """As answer_of."""
    given: dict[str, Any] = {**query, **{name: asked[name] for name in _NAMES}, "key": asked["api_key"]}
    for bound, name in (("from", "since"), ("to", "until")):
        given[bound] = None if asked.get(name) is None else on_the_hour(asked[name])
    return answer_of(api, f"/v1/usage/{of}", given, as_csv=asked.get("as_csv", False), as_json=asked["as_json"])


def _foot(found: Any) -> None:
    whole = found["all"]
    from_at, to_at, up_to = (datetime.fromisoformat(found[name]) for name in ("from_at", "to_at", "complete_up_to"))
    errors = f"{_percent(whole['errors'], whole['calls'])} errors" if whole["errors"] else "no errors"
    click.echo(
        f"\n{counted(whole['calls'], 'call', grouped=True)}, {errors}, "
        f"{_money(whole['cost'])}, from {from_at:%Y-%m-%d %H:%M} to {to_at:%Y-%m-%d %H:%M} UTC"
        + ("." if up_to >= to_at else f"; complete up to {up_to:%Y-%m-%d %H:%M} UTC.")
    )
    if whole["unpriced"]:
        click.echo(f"The cost of {whole['unpriced']:,} of them is not known: `heartfly usage unpriced` says why.")
    if found["partial"]:
        click.echo("There were too many to count them one by one: the newest only. Ask for less, or by less.")


# --- in columns


def _name(one: Any, by: Sequence[str]) -> str:
    if "name" not in one:
        return "(others)"
    return plain(", ".join(one["name"][name] or "(none)" for name in by)) or "all"


def _money(cost: Mapping[str, str] | None) -> str:
    return "-" if not cost else " + ".join(f"{_short(amount)} {currency}" for currency, amount in cost.items())


def _short(amount: str | None) -> str:
    """To cents, or to six places what is less than one; exactly it stands in --json."""
    if amount is None:
        return "-"
    value = Decimal(amount)
    return f"{value:,.2f}" if value >= 1 or not value else f"{value:.6f}"


def _units(units: Mapping[str, str]) -> str:
    told = {kind: amount for kind, amount in units.items() if kind != "requests"} or units
    return ", ".join(f"{Decimal(amount):,.0f} {kind}" for kind, amount in list(told.items())[:3])


def _right(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def _percent(n: int, of: int) -> str:
    return "-" if not n else f"{100 * n / of:.1f} %"
