"""The job that looks at a project's alert rules each minute, all of them together (rules/look.py).

A rule that cannot be looked at fails the job's run, so that its check tells of it; the others are looked at all the
same. A project that calls other people's APIs is given the default rules with its first call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.core.data_silence import apart
from heartfly.core.zones import is_zone
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import projects
from heartfly.db.types import EPOCH
from heartfly.jobs.kind import Done, Work
from heartfly.rules import queries
from heartfly.rules.defaults import give_defaults, lacks_defaults
from heartfly.rules.look import moves, with_last_values, write
from heartfly.rules.rows import by_rule, stored
from heartfly.rules.seeing import Sight
from heartfly.rules.sources.base import Reads
from heartfly.traffic.watched import deaf

NAME = "alert-rules"
_MINUTE = timedelta(minutes=1)
_HEARD_BACK = timedelta(days=62)
"""As far as a window and its baseline go back."""
_MOST_TOLD = 20


def looking(usage: Database, *, ids: IdSource) -> Callable[[Work], Awaitable[Done]]:
    async def look(work: Work) -> Done:
        async with work.read() as main, usage.read() as events:
            given = await lacks_defaults(main, events, work.pid)
        if given:
            await work.write(lambda tx: give_defaults(tx, work.pid, at=work.now, ids=ids))
        now = whole_minute(work.now)
        async with work.read() as main, usage.read() as events:
            rules = [stored(row) for row in await queries.looked_at(main, work.pid)]
            standings = by_rule(await queries.standings(main, work.pid))
            name = (await main.execute(sa.select(projects.c.zone).where(projects.c.id == work.pid))).scalar_one()
            reads = Reads(main, events, work.pid, ZoneInfo(name if is_zone(name) else "UTC"), now)
            sight = Sight(now, apart(await deaf(main, now - _HEARD_BACK)))
            await sight.read(reads, (one.rule for one in rules))
            found, looked = moves(rules, sight, standings)
            found = await with_last_values(reads, found)
        await work.write(lambda tx: write(tx, work.pid, rules, found, looked, now=now, ids=ids))
        names = {one.id: one.row.name for one in rules}
        told = [f"{names[number]}: {why}" for number, why in list(looked.trouble.items())[:_MOST_TOLD]]
        more = len(looked.trouble) - len(told)
        figures = {
            "rules": looked.rules,
            "scopes": looked.scopes,
            "readings": len(sight.tables),
            "fired": looked.fired,
            "resolved": looked.resolved,
            "firing": looked.firing,
            "failed": len(looked.trouble),
        }
        return Done(figures=figures, failure="; ".join([*told, *([f"and {more} more"] if more > 0 else [])]))

    return look


def whole_minute(at: datetime) -> datetime:
    """Rules share their windows, which end with it."""
    return at - (at - EPOCH) % _MINUTE
