"""`heartfly usage top …`: which endpoints, customers, requests and statuses there were most of, or took longest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.output import AS_JSON, MOST, counted, print_table
from heartfly.cli.usage_asked import answer_of, on_the_hour

_ORDERS = ("requests", "errors", "client_errors", "p95", "latency", "bytes", "time")
_FILTERS = (
    click.option("--since", default="24h", show_default=True, help="From then on, on the hour: 90m, 24h, 7d; or when."),
    click.option("--until", help="Before then: the same. Now, if not said."),
    click.option("--endpoint", multiple=True, help="Only these, as `GET /v1/orders/{id}`."),
    click.option("--customer", multiple=True, help="Only of these, by id, or as they were sent."),
    click.option("--method", multiple=True, help="Only these methods."),
    click.option("--status", multiple=True, help="Only these: 5xx, 404, unknown."),
    click.option("--api-key", multiple=True, help="Only of these API keys; counted event by event."),
    click.option("--source", multiple=True, help="Only of these sources; counted event by event."),
    click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet."),
    AS_JSON,
)
_ORDER = click.option("--order", type=click.Choice(_ORDERS), default="requests", show_default=True)
Command = Callable[..., None]


def _filtered(command: Command) -> Command:
    return reduce(lambda made, option: option(made), reversed(_FILTERS), command)


@click.group("top")
def top_group() -> None:
    """Rank what was served: endpoints, customers, slow requests, statuses."""


@top_group.command("endpoints")
@_ORDER
@MOST
@_filtered
@connected()
def endpoints(*, order: str, most: int, api: Client, **asked: Any) -> None:
    """Endpoints, those first that were called most, or --order."""
    _ranking(api, "endpoints", "ENDPOINT", {"order": order, "limit": min(most, 500)}, asked)


@top_group.command("customers")
@_ORDER
@MOST
@_filtered
@connected()
def customers(*, order: str, most: int, api: Client, **asked: Any) -> None:
    """Customers, those first that called most, or --order."""
    _ranking(api, "customers", "CUSTOMER", {"order": order, "limit": min(most, 500)}, asked)


@top_group.command("statuses")
@_filtered
@connected()
def statuses(*, api: Client, **asked: Any) -> None:
    """Status codes, each with how often it was answered and how long that took."""
    _ranking(api, "statuses", "STATUS", {}, asked)


@top_group.command("slow")
@MOST
@_filtered
@connected()
def slow(*, most: int, api: Client, **asked: Any) -> None:
    """The slowest requests, as they are kept of each hour."""
    found = _told(api, "slow", {"limit": min(most, 500)}, asked)
    if found is None:
        return
    if not found["items"]:
        click.echo("No slow requests in that time.")
        return
    times = _right([_ms(one["latency_ms"]) for one in found["items"]])
    print_table(
        ("TOOK", "AT", "STATUS", "ENDPOINT", "CUSTOMER", "PATH", "REQUEST"),
        [
            (
                time,
                f"{datetime.fromisoformat(one['at']):%Y-%m-%d %H:%M:%S}",
                str(one["status"] or "-"),
                one["endpoint"],
                one["customer_name"],
                one["path"] or "-",
                one["request_id"] or "-",
            )
            for time, one in zip(times, found["items"], strict=True)
        ],
    )


def _ranking(api: Client, of: str, heading: str, query: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    found = _told(api, of, query, asked)
    if found is None:
        return
    if not found["items"]:
        click.echo("No requests in that time.")
        return
    rows = [*found["items"], *([found["others"]] if found["others"] is not None else [])]
    columns: Sequence[tuple[str, Callable[[Any], str]]] = (
        ("REQUESTS", lambda one: f"{one['requests']:,}"),
        ("SHARE", lambda one: f"{one['share'] / 10:.1f} %"),
        ("4XX", lambda one: _percent(one["client_errors"], one["requests"])),
        ("5XX", lambda one: _percent(one["server_errors"], one["requests"])),
        ("MEAN", lambda one: _ms(one["mean_ms"])),
        ("P50", lambda one: _ms(one["p50_ms"])),
        ("P95", lambda one: _ms(one["p95_ms"])),
        ("P99", lambda one: _ms(one["p99_ms"])),
        ("MAX", lambda one: _ms(one["max_ms"])),
        ("OUT", lambda one: _bytes(one["bytes_out"])),
    )
    names = [one["name"] or "(none)" for one in rows]
    cells = [_right([name, *(of_row(one) for one in rows)]) for name, of_row in columns]
    print_table((heading, *(column[0] for column in cells)), list(zip(names, *(c[1:] for c in cells), strict=True)))
    _foot(found)


def _foot(found: Any) -> None:
    whole = found["figures"]
    from_at, to_at, up_to = (datetime.fromisoformat(found[name]) for name in ("from_at", "to_at", "complete_up_to"))
    click.echo(
        f"\n{counted(whole['requests'], 'request', grouped=True)}, "
        f"{_percent(whole['server_errors'], whole['requests'])} server errors, "
        f"p95 {_ms(whole['p95_ms'])}, from {from_at:%Y-%m-%d %H:%M} to {to_at:%Y-%m-%d %H:%M} UTC"
        + ("." if up_to >= to_at else f"; complete up to {up_to:%Y-%m-%d %H:%M} UTC.")
    )
    if found["partial"]:
        click.echo("There were too many to count them one by one: the newest only. Ask for less, or for whole hours.")


def _told(api: Client, of: str, query: Mapping[str, Any], asked: Mapping[str, Any]) -> Any:
    """As answer_of."""
    given = {**query, "from": on_the_hour(asked["since"])}
    given["to"] = None if asked["until"] is None else on_the_hour(asked["until"])
    given |= {name: asked[name] for name in ("endpoint", "customer", "method", "status", "source")}
    given["key"] = asked["api_key"]
    return answer_of(api, f"/v1/usage/traffic/{of}", given, as_csv=asked["as_csv"], as_json=asked["as_json"])


# --- in columns


def _right(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def _percent(n: int, of: int) -> str:
    if not n:
        return "-"
    share = 100 * n / of
    return f"{share:.1f} %" if share >= _LEAST else "<0.1 %"


_LEAST = 0.1


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= _SECOND:
        return f"{value / _SECOND:,.2f} s"
    return f"{value:.0f} ms" if value >= _WHOLE else f"{value:.2g} ms"


_SECOND, _WHOLE = 1_000, 10


def _bytes(value: int) -> str:
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if size < _SECOND:
            return f"{size:.0f} {unit}" if unit == "B" or size >= _WHOLE else f"{size:.1f} {unit}"
        size /= _SECOND
    return f"{size:,.1f} TB"
