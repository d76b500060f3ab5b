"""The job that takes old events of usage out of the database and into files, day by day, if it is asked to.

What of a day goes when, and what is written first, usage/archive/let_go.py decides. A file that is not as it was
written fails the run, and nothing of it is let go. Where it is not asked to any more, customers who are erased still go
from the files that there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.core.zones import is_zone
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import projects
from heartfly.errors import HeartflyError
from heartfly.jobs.kind import Done, Work
from heartfly.usage.archive.erasures import rewrite
from heartfly.usage.archive.files import is_ours
from heartfly.usage.archive.let_go import Rules, archive_old, remove_strays

NAME = "archive"
_UNTIL = timedelta(hours=2)
"""A run begins no day after so long; the next one goes on."""
FIGURES = ("days", "events", "conflicts", "bytes", "events_let_go", "days_held", "days_left", "files_rewritten")


def archiving(usage: Database, rules: Rules, *, is_on: bool) -> Callable[[Work], Awaitable[Done]]:
    """`is_on` not: only who was erased goes from files."""

    async def archive(work: Work) -> Done:
        began, figures, wrong = work.now, dict.fromkeys(FIGURES, 0), list[str]()
        fence = partial(work.write, _nothing)  # in another part, where nobody knows of our lease

        def has_time() -> bool:
            return work.now - began < _UNTIL and not work.stopping()

        async with work.read() as read:
            homes = (await read.execute(sa.select(projects.c.id, projects.c.zone).order_by(projects.c.id))).all()
        await asyncio.to_thread(_remove_folders, rules.folder, [pid for pid, _ in homes])
        for pid, zone in homes:
            try:
                await remove_strays(usage, pid, rules)
                figures["files_rewritten"] += await rewrite(usage, pid, rules, fence=fence)
            except (HeartflyError, OSError) as error:
                wrong.append(str(error))
            if not is_on:
                continue
            home = ZoneInfo(zone if is_zone(zone) else "UTC")
            told = await archive_old(usage, pid, home, rules, now=began, fence=fence, has_time=has_time)
            figures["days"] += told.days
            figures["events"] += told.events
            figures["conflicts"] += told.conflicts
            figures["bytes"] += told.n_bytes
            figures["events_let_go"] += told.gone
            figures["days_held"] += told.held
            figures["days_left"] += told.left
            wrong += told.wrong
        return Done(figures=figures, failure="; ".join(wrong))

    return archive


def _nothing(_: Tx) -> None:
    """A transaction that is fenced like any other."""


def _remove_folders(folder: Path, pids: Sequence[int]) -> None:
    """Of projects that are no more; what else somebody has put there stays."""
    if not folder.is_dir():
        return
    known = {str(pid) for pid in pids}
    for path in folder.iterdir():
        if not (path.is_dir() and path.name.isdecimal()) or path.name in known:
            continue
        others = False
        for file in path.iterdir():
            if is_ours(file.name):
                file.unlink()
            else:
                others = True
        if not others:
            path.rmdir()
