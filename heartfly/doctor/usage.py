"""Whether usage is summed up in time: an hour that cannot be folded holds its day back, and its figures.

Read without the lock, so also while a server runs.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from heartfly.config import Settings
from heartfly.db.ids import first_id
from heartfly.db.migrate import USAGE_HEAD, current
from heartfly.db.models import dirty_hours, windows
from heartfly.db.parts import USAGE
from heartfly.db.snapshots import Place, snapshot
from heartfly.doctor.finding import Finding, error, ok, warning
from heartfly.usage.kept_events import fullest

LATE_AFTER = timedelta(hours=1)
_MOST = 1_000
_NEARLY = 0.9


def look(settings: Settings, now: datetime) -> Finding:
    url = settings.database_url
    path = None if url.startswith("postgresql") else Path(url.removeprefix("sqlite:///")).with_name(USAGE.file)
    if path is not None and not path.exists():
        return ok("usage", "there is none yet")
    try:
        with snapshot(Place(url, path, USAGE)) as connection:
            if current(connection, USAGE) != USAGE_HEAD:  # of another one nobody knows what its tables say
                return ok("usage", "not looked at: its schema is not that of this version")
            return _inside(connection, now, settings.limits.events)
    except SQLAlchemyError as cause:
        told = str(getattr(cause, "orig", None) or cause).strip().splitlines()
        return error("usage", f"it cannot be read: {told[0]}", "See that it is there and that this user may read it.")


def _inside(connection: sa.Connection, now: datetime, most: int) -> Finding:
    before = first_id(now - LATE_AFTER)
    late = sa.select(dirty_hours.c.hour).where(dirty_hours.c.seq < before).order_by(dirty_hours.c.hour).limit(_MOST)
    hours = list(connection.execute(late).scalars())
    hour, day = windows.alias("hour"), windows.alias("day")
    made_of = (hour.c.pid == day.c.pid, hour.c.tier == "hour", hour.c.start_at >= day.c.start_at)
    folded_long_ago = sa.exists().where(
        *made_of, hour.c.start_at < day.c.end_at, hour.c.gen > sa.func.coalesce(day.c.gen, 0), hour.c.gen < before
    )
    stale = sa.select(day.c.start_at).where(day.c.tier == "day", day.c.stale, folded_long_ago)
    days = list(connection.execute(stale.order_by(day.c.start_at).limit(_MOST)).scalars())
    if not hours and not days:
        kept = fullest(connection)
        if 0 < most * _NEARLY < kept:
            told = f"a project keeps {kept:,} events, of at most {most:,} (limits.events); beyond it they are refused"
            return warning("usage", told, "Raise limits.events, or keep events for less long: usage.keep_days.")
        return ok("usage", "whatever has come is summed up, or will be within the hour")
    oldest = min(hours + days)
    n = f"{len(hours)} hour{'s' if len(hours) != 1 else ''} and {len(days)} day{'s' if len(days) != 1 else ''}"
    return warning(
        "usage",
        f"{n} of usage have waited over an hour to be summed up, the oldest from {oldest:%Y-%m-%d %H:%M} UTC",
        "See that `heartfly serve` runs, and what its log says of `fold`.",
    )
