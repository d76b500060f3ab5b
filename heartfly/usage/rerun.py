"""A day of usage closed anew because somebody asks for it: which days can be, what would change, and to let it.

The API and the pages ask here. What closing is, is decided in close_day.py.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action, Actor, record
from heartfly.clock import Clock
from heartfly.core.days import ONE, Day, day_in
from heartfly.core.zones import is_zone
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import projects
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage.close_day import Closed, Closer
from heartfly.usage.compare import Compared, compare
from heartfly.usage.dirty import mark_folded
from heartfly.usage.generations import OvertakenError, SealedError
from heartfly.usage.seal import has_sealed
from heartfly.usage.since_proved import SinceProved, since_proved

_FIRST = date(1970, 1, 2)


async def zone_of(read: AsyncConnection, pid: int) -> ZoneInfo:
    """In which the project's days are; `read` is of the main part."""
    zone: str = (await read.execute(sa.select(projects.c.zone).where(projects.c.id == pid))).scalar_one()
    return ZoneInfo(zone if is_zone(zone) else "UTC")


def day_that_is_over(zone: ZoneInfo, day: date, *, now: datetime) -> Day:
    """InvalidValueError: it is not, or never was."""
    if day < _FIRST or day > now.date() + ONE:
        raise InvalidValueError("day", "must be one that events can be of")
    span = day_in(zone, day)
    if span.to_at > now:
        raise InvalidValueError("day", f"is not over yet in {zone.key}")
    if span.from_at == span.to_at:
        raise InvalidValueError("day", f"did not happen in {zone.key}")
    return span


async def foretold(usage: Database, closer: Closer, pid: int, span: Day) -> Compared:
    """InvalidValueError: its events are not kept any more, so it stays what it was."""
    async with usage.read() as read:
        if await has_sealed(read, pid, span.from_at, span.to_at):
            raise InvalidValueError("day", "is sealed: its events are older than is kept, and what they came to stays")
    return await closer.hands.run(compare, usage.place, pid, span.from_at, span.to_at)


async def foretold_since_proved(usage: Database, closer: Closer, pid: int, span: Day) -> SinceProved:
    """What it would come to beside what it was proved to be; of a day that is not sealed."""
    return await closer.hands.run(since_proved, usage.place, pid, span.from_at, span.to_at)


async def close_anew(
    main: Database,
    usage: Database,
    closer: Closer,
    *,
    pid: int,
    span: Day,
    zone: ZoneInfo,
    seen: Compared,
    actor: Actor,
    clock: Clock,
    ids: IdSource,
) -> Closed:
    """Folds its hours once more and proves it. `seen`: what was foretold. ConflictError: it is being closed already."""
    at = clock.now()
    await main.write(
        lambda tx: record(
            tx, pid, actor=actor, action=Action.USAGE_RERUN, of=f"usage_day:{span.date}",
            before={}, after={"day": span.date.isoformat(), "differences": seen.n_differences}, at=at, ids=ids,
        )
    )  # fmt: skip
    seq = ids.next(at)
    await usage.write(lambda tx: mark_folded(tx, pid, from_at=span.from_at, to_at=span.to_at, seq=seq))
    try:
        return await closer.close(pid, span.date, zone)
    except (OvertakenError, SealedError) as error:
        raise ConflictError(str(error)) from error
