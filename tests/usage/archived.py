"""Days of calls in files: three calls each, closed, and let go by what the job of production calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from heartfly.config import Settings
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import projects
from heartfly.usage.archive.let_go import Let, Rules, archive_old
from heartfly.usage.close_day import Closer
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.sim_clock import SimClock

PER_DAY = 3
AGE = timedelta(days=92)


def calls_of(days: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "transaction_id": f"{day}-{number}",
            "customer_id": "acme",
            "timestamp": f"{day}T12:00:0{number}Z",
            "event_type": "api.call",
            "properties": {"provider": "openai", "cost": "0.1", "units.input_tokens": str(number)},
        }
        for day in days
        for number in range(PER_DAY)
    ]


async def let_go(
    db: Database, usage: Database, clock: SimClock, ids: IdSource, settings: Settings, *, pid: int, days: Sequence[str]
) -> Let:
    """AGE passes after they were closed."""
    closer = Closer(usage, Folder(usage, clock, ids, hands=Hands(beside=False)), clock, ids)
    async with db.read() as read:
        zone = ZoneInfo((await read.execute(sa.select(projects.c.zone).where(projects.c.id == pid))).scalar_one())
    for day in days:
        await closer.close(pid, date.fromisoformat(day), zone)
    rules = Rules(folder=settings.archive_dir, format="ndjson", after=timedelta(days=90), calls_only=False)
    clock.move_to(clock.now() + AGE)

    async def ours() -> None:
        return None

    return await archive_old(usage, pid, zone, rules, now=clock.now(), fence=ours, has_time=lambda: True)
