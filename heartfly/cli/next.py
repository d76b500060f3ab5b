"""`heartfly next` shows when a schedule fires, and what clock changes do to it.

Asks the same rules as the server, needs no server, and stores nothing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import rich_click as click

from heartfly.clock import SystemClock
from heartfly.core.describe import describe, notices
from heartfly.core.schedule import Cron, Dialect, Kind, OnCalendar, parse, timetables, upcoming
from heartfly.core.zones import zone as find_zone
from heartfly.errors import InvalidValueError

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2190, 1, 1, tzinfo=UTC)
_YEAR = timedelta(days=366)


@click.command(name="next")
@click.argument("expression")
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone in which the expression is read.")
@click.option(
    "--dialect",
    type=click.Choice([str(dialect) for dialect in Dialect]),
    default=str(Dialect.CRON),
    show_default=True,
    help="Which scheduler runs the job; they differ when clocks change. OnCalendar is always systemd.",
)
@click.option(
    "--from", "from_text", metavar="INSTANT", help="Start here instead of now; ISO 8601, in --zone if it names none."
)
@click.option("--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many runs to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def next_command(expression: str, zone: str, dialect: str, from_text: str | None, count: int, *, as_json: bool) -> None:
    """Show when a schedule fires next, in local time and in UTC.

    EXPRESSION is a cron expression of five fields, an alias such as @daily, or a systemd OnCalendar time.
    """
    try:
        from_at = _instant(from_text, zone)
        kind = _kind(expression)
        schedule = parse(kind, expression=expression, zone=zone, dialect=Dialect(dialect), after=from_at)
    except InvalidValueError as error:
        raise click.UsageError(str(error)) from error
    assert isinstance(schedule, Cron | OnCalendar)
    fires = upcoming(schedule, from_at, count)
    warnings = notices(schedule, from_at, from_at + _YEAR)
    if as_json:
        click.echo(json.dumps(_wire(schedule, from_at, fires, warnings), indent=2))
        return
    click.echo(describe(schedule))
    click.echo()
    _print_table(schedule, fires)
    for line in ["", *warnings] if warnings else []:
        click.echo(line)


def _kind(expression: str) -> Kind:
    """Tell cron (five fields, or an @word) from OnCalendar, which has at most four words a line."""
    fields = expression.split()
    is_cron = len(expression.splitlines()) == 1 and (len(fields) >= 5 or fields[0].startswith("@"))
    return Kind.CRON if is_cron else Kind.ONCALENDAR


def _instant(text: str | None, zone: str) -> datetime:
    if text is None:
        return SystemClock().now()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValueError("from", f"{text[:40]!r} is not an instant such as 2026-03-28T00:00:00Z") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=find_zone(zone))
    if not _FIRST.year <= instant.year < _LAST.year:
        raise InvalidValueError("from", f"it must lie between {_FIRST.year} and {_LAST.year}")
    return instant.astimezone(UTC)


def _print_table(schedule: Cron | OnCalendar, fires: list[datetime]) -> None:
    place = _place(schedule)
    in_utc = place.key == "UTC"
    click.echo("UTC" if in_utc else f"{place.key:<32}UTC")
    for fire in fires:
        local = f"{fire.astimezone(place):%a %Y-%m-%d %H:%M:%S %z}"
        click.echo(local if in_utc else f"{local:<32}{fire:%Y-%m-%d %H:%M:%S}")


def _place(schedule: Cron | OnCalendar) -> ZoneInfo:
    """Where its times are read: the zone that all its lines name, else the one that was asked for."""
    zones = {table.zone.key for table in timetables(schedule)}
    return find_zone(zones.pop() if len(zones) == 1 else schedule.zone)


def _wire(
    schedule: Cron | OnCalendar, from_at: datetime, fires: list[datetime], warnings: list[str]
) -> dict[str, object]:
    place = _place(schedule)
    return {
        "schedule": {
            "kind": str(Kind.CRON if isinstance(schedule, Cron) else Kind.ONCALENDAR),
            "expression": schedule.expression,
            "zone": schedule.zone,
            "dialect": str(schedule.dialect if isinstance(schedule, Cron) else Dialect.SYSTEMD),
        },
        "description": describe(schedule),
        "from": _rfc3339(from_at),
        "runs": [{"at": _rfc3339(fire), "local": fire.astimezone(place).isoformat()} for fire in fires],
        "notices": warnings,
    }


def _rfc3339(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
