"""`heartfly usage verify`: every rollup beside what its events come to now, also while Heartfly serves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import rich_click as click
import sqlalchemy as sa
from click.exceptions import Exit
from rich.console import Console
from rich.progress import track

from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import AS_JSON, counted, print_json
from heartfly.config import Settings
from heartfly.db.migrate import USAGE_HEAD, current
from heartfly.db.models import dirty_hours, windows
from heartfly.db.parts import USAGE
from heartfly.db.snapshots import Place, snapshot
from heartfly.errors import StoreError
from heartfly.usage.compare import Compared, compare

_SHOWN = 20


@click.command("verify")
@AS_JSON
@CONFIG
@DATA
def verify(*, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Work out every rollup of every project anew, and compare. Only reads. Exit 1: something differs.

    Hours that wait to be folded may differ; they are told, and are no fault. Sealed windows are left out, as
    their events are gone.
    """
    place = _place(settings_from(config, DATA__DIR=data))
    whole = Compared()
    for pid, at in track(_days(place), "Comparing", console=Console(stderr=True), transient=True):
        whole.add(compare(place, pid, at, at + timedelta(days=1)))
    if as_json:
        print_json(_wire(whole))
    else:
        _tell(whole)
    if whole.n_unexplained:
        raise Exit(1)


def _place(settings: Settings) -> Place:
    """StoreError: there is nothing to look at, or another version made it."""
    url = settings.database_url
    path = None if url.startswith("postgresql") else Path(url.removeprefix("sqlite:///")).with_name(USAGE.file)
    if path is not None and not path.exists():
        raise StoreError(f"there is no usage at {path}")
    place = Place(url, path, USAGE)
    with snapshot(place) as connection:
        if current(connection, USAGE) != USAGE_HEAD:
            raise StoreError("the schema is not that of this version: run `heartfly migrate` first")
    return place


def _days(place: Place) -> list[tuple[int, Any]]:
    """Of UTC, each with anything folded or to be folded."""
    found = set()
    with snapshot(place) as connection:
        for column, pid in ((windows.c.start_at, windows.c.pid), (dirty_hours.c.hour, dirty_hours.c.pid)):
            for row in connection.execute(sa.select(pid, column)):
                found.add((row[0], row[1].replace(hour=0, minute=0, second=0, microsecond=0)))
    return sorted(found)


def _wire(whole: Compared) -> dict[str, Any]:
    return {
        "windows": whole.n_windows,
        "sealed": whole.n_sealed,
        "events": whole.n_events,
        "waiting": whole.waiting,
        "differences": whole.n_differences,
        "unexplained": whole.n_unexplained,
        "told": [
            {
                "window": one.tier,
                "start_at": one.start_at.isoformat(),
                "meter": one.meter,
                "customer": one.subject,
                "group": one.group,
                "kept": one.kept,
                "would_be": one.would_be,
            }
            for one in whole.differences
        ],
    }


def _agreeing(n: int, what: str, one: str, more: str) -> str:
    return f"{counted(n, what)} {one if n == 1 else more}"


def _tell(whole: Compared) -> None:
    waiting = f" {_agreeing(whole.waiting, 'hour', 'waits', 'wait')} to be folded." if whole.waiting else ""
    click.echo(f"{counted(whole.n_windows, 'window')} of {counted(whole.n_events, 'event')} looked at.{waiting}")
    if whole.n_sealed:
        click.echo(
            f"{_agreeing(whole.n_sealed, 'window', 'is', 'are')} sealed and not looked at: the events are not kept."
        )
    if not whole.n_differences:
        click.echo("Every rollup is what its events come to.")
        return
    click.echo(f"{whole.n_differences} differ:")
    for one in whole.differences[:_SHOWN]:
        where = " ".join(part for part in (one.tier, one.meter, one.subject, one.group) if part)
        kept, would_be = one.kept or "nothing", one.would_be or "nothing"
        click.echo(f"  {one.start_at:%Y-%m-%d %H:%M} {where}: {kept}, would be {would_be}")
    if whole.n_differences > _SHOWN:
        click.echo(f"  and {whole.n_differences - _SHOWN} more")
    click.echo("`heartfly usage rerun DAY --yes` makes a day anew.")
