"""The job that looks at a project's alert rules each minute, all of them together (rules/look.py).

A rule that cannot be looked at fails the job's run, so that its check tells of it; the others are looked at all the
same. A project that calls other people's APIs is given the default rules with its first call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.jobs.kind import Done, Work
from heartfly.rules import queries
from heartfly.rules.defaults import give_defaults, lacks_defaults
from heartfly.rules.look import judged, with_last_values, write
from heartfly.rules.rows import by_rule, stored
from heartfly.rules.seeing import Sight, deaf_times, opening, whole_minute

NAME = "alert-rules"
_MOST_TOLD = 20


def looking(usage: Database, *, ids: IdSource) -> Callable[[Work], Awaitable[Done]]:
    async def look(work: Work) -> Done:
        async with work.read() as main, usage.read() as events:
            given = await lacks_defaults(main, events, work.pid)
        if given:
            await work.write(lambda tx: give_defaults(tx, work.pid, at=work.now, ids=ids))
        now = whole_minute(work.now)
        async with work.read() as main:
            rows = await queries.looked_at(main, work.pid)
            known = await queries.standings(main, work.pid)
            sight = Sight(now, await deaf_times(main, now=now))
        # Beside the event loop, as all that is computed of thousands of them.
        rules = await asyncio.to_thread(lambda: [stored(row) for row in rows])
        standings = await asyncio.to_thread(by_rule, known)
        opened = opening(work.read, usage.read, work.pid, now=now)
        await sight.read(opened, (one.rule for one in rules))
        found, looked = await judged(rules, sight, standings)
        found = await with_last_values(opened, now, found)
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
