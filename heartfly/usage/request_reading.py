"""What folding requests needs of a project, in one state of the data: rules, endpoints, and what stands already.

Only reads. What requests come to is decided in request_fold.py, and who may have which number in request_rows.py.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.access.as_event import TYPE
from heartfly.core.access.spelled import spelled_columns
from heartfly.core.columns import Amounts, Page
from heartfly.core.paths import Rules, rules_of
from heartfly.core.routing import Router
from heartfly.core.traffic import OTHER, Cube
from heartfly.core.windows import HOUR
from heartfly.db.models import dirty_hours, path_rules, request_rollups, usage_names, windows
from heartfly.db.snapshots import pages
from heartfly.usage.reading import by_size, read_events
from heartfly.usage.request_fold import RequestTally
from heartfly.usage.requests import Cell, Limits, Requests, Row, added, in_order


def tally_of(connection: sa.Connection, pid: int, from_at: datetime, limits: Limits) -> RequestTally:
    return RequestTally(limits, router_of(connection, pid), endpoints_of(connection, pid), from_at)


def router_of(connection: sa.Connection, pid: int) -> Router:
    rules = rules_kept(connection, pid)
    return Router(rules if rules is not None and (rules.templates or rules.segments) else None)


def rules_kept(connection: sa.Connection, pid: int) -> Rules | None:
    """The newest of the project."""
    newest = sa.select(path_rules.c.lines).where(path_rules.c.pid == pid).order_by(path_rules.c.id.desc()).limit(1)
    lines = connection.execute(newest).scalar()
    return None if lines is None else rules_of(lines.splitlines())


IS_ENDPOINT = sa.text("usage_names.kind = 'endpoint'")
"""Spelled out, as the index of endpoints is of these only."""


def endpoints_of(connection: sa.Connection, pid: int) -> dict[str, int]:
    query = sa.select(usage_names.c.text, usage_names.c.id).where(usage_names.c.pid == pid, IS_ENDPOINT)
    return {row.text: row.id for row in connection.execute(query)}


def look_for_room(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime, found: Requests) -> None:
    """Where a project has nearly all endpoints that it may, those that come up take the place of what nobody counts."""
    most = found.limits.endpoints
    if found.unnamed and len(endpoints_of(connection, pid)) + len(found.unnamed) > most:
        found.elsewhere = counted_elsewhere(connection, pid, from_at, to_at, most=most)


def counted_elsewhere(
    connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime, *, most: int
) -> frozenset[int]:
    """Endpoints that windows count which have no part in [from_at, to_at), and are not to be folded anew; of more than
    `most` some. A day has those of its hours.
    """
    w, r = windows.c, request_rollups.c
    marked = set(connection.execute(sa.select(dirty_hours.c.hour).where(dirty_hours.c.pid == pid)).scalars())
    columns = sa.select(w.start_at, w.end_at, w.gen).where(w.pid == pid, w.gen.is_not(None))
    apart = columns.where(sa.or_(w.end_at <= from_at, w.start_at >= to_at)).order_by(w.start_at.desc())
    moving = sorted(marked)

    def is_settled(one: Any) -> bool:
        place = bisect_right(moving, one.start_at - HOUR)
        return place == len(moving) or moving[place] >= one.end_at

    days = [one for one in connection.execute(apart.where(w.tier == "day", ~w.stale)).all() if is_settled(one)]
    starts = [one.start_at for one in reversed(days)]
    ends = [one.end_at for one in reversed(days)]

    def is_in_day(hour: Any) -> bool:
        place = bisect_right(starts, hour.start_at) - 1
        return place >= 0 and hour.end_at <= ends[place]

    hours = connection.execute(apart.where(w.tier == "hour", ~w.thinned)).all()
    counting = [("day", one) for one in days]
    counting += [("hour", one) for one in hours if one.start_at not in marked and not is_in_day(one)]
    found: set[int] = set()
    for tier, one in counting:
        of_window = (r.pid == pid, r.cube == int(Cube.ENDPOINT), r.tier == tier, r.start_at == one.start_at)
        keys = sa.select(r.key1).where(*of_window, r.gen == one.gen, r.key1 != OTHER).distinct()
        found.update(connection.execute(keys).scalars())
        if len(found) >= most:
            break
    return frozenset(found)


def type_of(connection: sa.Connection, pid: int) -> int | None:
    """The number of the type that requests are events of; None: none ever came."""
    query = sa.select(usage_names.c.id).where(
        usage_names.c.pid == pid, usage_names.c.text == TYPE, usage_names.c.kind == "type"
    )
    return connection.execute(query).scalar()


def fold_requests(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime, limits: Limits) -> Requests:
    """Of the raw events of [from_at, to_at), when nothing else of them is asked for."""
    type_id = type_of(connection, pid)
    tally, known = tally_of(connection, pid, from_at, limits), Amounts()
    if type_id is not None:
        names = ("at", "id", "type_id", "subject_id", "transaction_id", "properties")
        for page in read_events(connection, pid, from_at, to_at, *names):
            for rows in by_size([row for row in page if row[2] == type_id], 5):
                properties = [row[5] for row in rows]
                tally.take(Page(properties, known, spelled_columns(properties)), rows)
    return tally.found()


_ROW = ("n", "n_timed", "latency_us", "latency_max_us", "bytes_in", "bytes_out", "latencies")


def stored_requests(
    connection: sa.Connection, pid: int, tier: str, from_at: datetime, to_at: datetime, *, limits: Limits
) -> Requests:
    """What the windows of a tier that begin in [from_at, to_at) hold, put together; not those that were thinned."""
    w, r = windows.c, request_rollups.c
    query = sa.select(w.start_at, w.gen).where(w.pid == pid, w.tier == tier, ~w.thinned, w.gen.is_not(None))
    # Whatever was asked for stands in the total: where that has no row, no other sum has one.
    total = (r.pid == pid, r.cube == int(Cube.TOTAL), r.tier == tier, r.start_at == w.start_at, r.gen == w.gen)
    query = query.where(w.start_at >= from_at, w.start_at < to_at, sa.exists().where(*total))
    counting = connection.execute(query.order_by(w.start_at)).all()

    def rows() -> Iterator[tuple[Cell, Row]]:
        for cube in Cube:
            for start_at, gen in counting:
                of_window = (r.pid == pid, r.cube == int(cube), r.tier == tier, r.start_at == start_at, r.gen == gen)
                found = sa.select(r.key1, r.key2, r.status, *(r[name] for name in _ROW)).where(*of_window)
                for page in pages(connection, found):
                    for key1, key2, status, *figures in page:
                        yield (cube, key1, key2, status), Row(*figures)

    return Requests(limits, cells=in_order(added(rows())))


def thinned_hours(connection: sa.Connection, pid: int, from_at: datetime, to_at: datetime) -> list[datetime]:
    """Hours that begin in [from_at, to_at) and whose requests are kept by the day only."""
    w = windows.c
    query = sa.select(w.start_at).where(w.pid == pid, w.tier == "hour", w.thinned)
    return list(connection.execute(query.where(w.start_at >= from_at, w.start_at < to_at)).scalars())
