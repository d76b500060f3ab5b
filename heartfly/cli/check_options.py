"""How a check is told on the command line: the options that its commands share, and what they ask of the API.

What an option's text means is decided by the API; here only which of them go together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click

from heartfly.cli.check_words import slo_asked, tolerance_asked
from heartfly.cli.output import DURATION

F = TypeVar("F", bound=Callable[..., Any])


def schedule_options(command: F) -> F:
    """When a job runs, and how late is still fine; the same for a new check and an edit."""
    for option in reversed(
        (
            click.option("--period", type=DURATION, help="How far apart its pings are: 90s, 10m, 2h, 1d."),
            click.option("--cron", help='A cron expression: "30 2 * * *".'),
            click.option("--oncalendar", help='A systemd calendar: "Mon..Fri 02:30".'),
            click.option("--zone", help="The time zone of a calendar."),
            click.option("--dialect", type=click.Choice(["cron", "systemd", "kubernetes"]), help="Whose cron it is."),
            click.option("--grace", type=DURATION, help="How late is still fine."),
            click.option("--max-run", type=DURATION, help="How long a started run may take."),
            click.option(
                "--gate",
                "gates",
                multiple=True,
                help='What must hold: "rows > 0", "errors == 0 warn". May be repeated; those that are there stay.',
            ),
            click.option(
                "--tolerate",
                help='When it goes down: "3 in a row", "50% of 10", "3 in a row, 50% of 10, up after 2"; or nothing.',
            ),
            click.option(
                "--slo", help='What is aimed at: "on time 99%", "on time 99.5%, success 98%, 90 days"; or nothing.'
            ),
            click.option(
                "--bound",
                "bounds",
                multiple=True,
                help='"run >= 1m", "start within 10m", "apart >= 1m", "at most 5 runs in 1h", "5 reports by address", '
                '"early 10%". May be repeated; in the place of all that it has; none takes them away.',
            ),
            click.option("--host", help="The machine that it runs on; empty: as its pings say."),
            click.option(
                "--needs",
                multiple=True,
                help="A check, by slug or id, without whose success it cannot go well: while that is down, it waits. "
                "May be repeated; in the place of all that it has; none takes them away.",
            ),
        )
    ):
        command = option(command)
    return command


def asked_of(
    *,
    period: int | None,
    cron: str | None,
    oncalendar: str | None,
    zone: str | None,
    dialect: str | None,
    tags: tuple[str, ...],
    gates: tuple[str, ...],
    tolerate: str | None,
    slo: str | None,
    bounds: tuple[str, ...],
    needs: tuple[str, ...],
    **plain: Any,
) -> dict[str, Any]:
    kinds = {"period": period, "cron": cron, "oncalendar": oncalendar}
    given = {kind: value for kind, value in kinds.items() if value is not None}
    if len(given) > 1:
        raise click.UsageError(f"Only one of {', '.join(f'--{kind}' for kind in given)}.")
    calendar = {name: value for name, value in (("zone", zone), ("dialect", dialect)) if value is not None}
    asked = {name: value for name, value in plain.items() if value is not None}
    for kind, value in given.items():
        asked["schedule"] = {"kind": kind, "period" if kind == "period" else "expression": value} | calendar
    if calendar and not (cron or oncalendar):
        raise click.UsageError(f"--{next(iter(calendar))} goes with --cron or --oncalendar.")
    lists = {"tags": tags, "gates": gates, "bounds": bounds, "needs": needs}
    asked |= {name: list(value) for name, value in lists.items() if value}
    asked |= {name: [] for name, value in (("bounds", bounds), ("needs", needs)) if value == ("none",)}
    if slo is not None:
        asked["slo"] = slo_asked(slo)
    if tolerate is not None:
        asked["tolerance"] = tolerance_asked(tolerate)
    return asked
