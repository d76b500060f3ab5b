"""Which generation of each window counts, as a part of a query that is worked out first: then each window is a seek.

Were it joined as it stands, SQLite would walk down all rollups of the time and look up the window of each: a day of one
customer would cost as much as that of all.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.db.models import windows


def counting(pid: int, tier: str, from_at: datetime, to_at: datetime) -> sa.CTE:
    """Windows of a tier that begin in [from_at, to_at): `start_at`, `end_at`, `gen`."""
    query = sa.select(windows.c.start_at, windows.c.end_at, windows.c.gen).where(
        windows.c.pid == pid, windows.c.tier == tier, windows.c.start_at >= from_at, windows.c.start_at < to_at
    )
    return query.where(windows.c.gen.is_not(None)).cte("counting").prefix_with("MATERIALIZED")
