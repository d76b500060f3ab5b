"""Which generation of each window counts, as a part of a query that is worked out first: then each window is a seek.

Were it joined as it stands, SQLite would walk down all rollups of the time and look up the window of each: a day of one
customer would cost as much as that of all.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.core.traffic import Cube
from heartfly.db.models import request_sheets, windows


def counting(pid: int, tier: str, from_at: datetime, to_at: datetime, *, without: Cube | None = None) -> sa.CTE:
    """Windows of a tier that begin in [from_at, to_at): `start_at`, `end_at`, `gen`. `without`: only those that have no
    sheet of it.
    """
    w, h = windows.c, request_sheets.c
    query = sa.select(w.start_at, w.end_at, w.gen).where(
        w.pid == pid, w.tier == tier, w.start_at >= from_at, w.start_at < to_at, w.gen.is_not(None)
    )
    if without is not None:
        of_window = (h.pid == pid, h.cube == int(without), h.tier == tier, h.start_at == w.start_at, h.gen == w.gen)
        query = query.where(~sa.exists().where(*of_window).correlate(windows))
    return query.cte("counting").prefix_with("MATERIALIZED")
