"""The job that tells each project what its day or its week was, on the channels that asked for it.

It looks each hour which projects have had their 7:00 since it last went well, so that whoever chooses a digest hears
of it next at that time. What fell due while nobody was there to tell it is told once: of each cadence the newest. The
key of a digest is that of its project and its days, so that a run that is repeated tells nobody twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert
from heartfly.core.digests import Period, due
from heartfly.core.words import AlertKind
from heartfly.core.zones import zone as find_zone
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import job_runs, jobs, projects
from heartfly.errors import InvalidValueError
from heartfly.jobs.daily_sums import sum_days
from heartfly.jobs.digest_figures import figures
from heartfly.jobs.kind import Done, Work
from heartfly.notify.digest_readers import readers, still_there
from heartfly.notify.outbox import Entry, enqueue
from heartfly.sealing import Sealer

NAME = "digest"
_STEP = timedelta(hours=1)
"""How far the first run of all looks back."""


def digesting(*, sealer: Sealer, ids: IdSource) -> Callable[[Work], Awaitable[Done]]:
    async def tell(work: Work) -> Done:
        counts = {"projects": 0, "digests": 0}
        found = await _due(work, sealer)
        if found:
            # Its last runs and alarms had yet to end when the day was summed up, some minutes after midnight.
            await sum_days(work, anew={project.id for project, _ in found})
        for project, periods in found:
            n_told = 0
            for period, channel_ids in periods:
                n_told += await _tell(work, project, period, channel_ids, ids)
            counts["projects"] += bool(n_told)
            counts["digests"] += n_told
        return Done(figures=counts)

    return tell


async def _due(work: Work, sealer: Sealer) -> list[tuple[Any, list[tuple[Period, Collection[int]]]]]:
    """Each project to be told something, with what, and the channels that chose it."""
    query = sa.select(projects.c.id, projects.c.slug, projects.c.name, projects.c.zone).order_by(projects.c.id)
    found: list[tuple[Any, list[tuple[Period, Collection[int]]]]] = []
    async with work.read() as read:
        went_well = (
            sa.select(sa.func.max(job_runs.c.slot_at))
            .join(jobs, sa.and_(jobs.c.pid == job_runs.c.pid, jobs.c.id == job_runs.c.job_id))
            .where(jobs.c.kind == NAME, job_runs.c.outcome == "ok", job_runs.c.slot_at < work.slot_at)
        )
        after: datetime = (await read.execute(went_well)).scalar() or work.slot_at - _STEP
        for project in (await read.execute(query)).all():
            try:
                zone = find_zone(project.zone, field=f"project {project.slug}")
            except InvalidValueError:
                # The daily sums fail for it, and say so. If we failed as well, we would forget till when all was told.
                continue
            periods = due(zone, after=after, through=work.slot_at)
            chosen = await readers(read, project.id, sealer) if periods else {}
            wanted: list[tuple[Period, Collection[int]]] = [
                (period, chosen[period.cadence]) for period in periods if period.cadence in chosen
            ]
            if wanted:
                found.append((project, wanted))
    return found


async def _tell(work: Work, project: Any, period: Period, channel_ids: Collection[int], ids: IdSource) -> bool:
    """Put it into the outbox. False: it is there already, or nobody is left to read it."""
    async with work.read() as read:
        digest = await figures(read, project, period, now=work.now)
    alert = Alert(
        key=period.key,
        kind=AlertKind.DIGEST,
        project_slug=project.slug,
        project_name=project.name,
        at=period.to_at,
        decided_at=work.now,
        digest=digest,
    )

    def put(tx: Tx) -> bool:
        there = still_there(tx, project.id, channel_ids)
        entry = Entry(pid=project.id, source=period.key, alert=alert, channel_ids=there)
        return bool(enqueue(tx, [entry], ids=ids, now=work.now))

    return await work.write(put)
