"""How much came as an event and was none: letters by the time at which they came, whatever became of them since."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import sqlalchemy as sa
from typing_extensions import override

from heartfly.core.alert_rules import Family
from heartfly.core.windows import Window
from heartfly.db.ids import first_id
from heartfly.db.models import dead_letters
from heartfly.rules.figures import Row, Table
from heartfly.rules.sources.base import Reads, Source, What
from heartfly.rules.sources.first_event import first_event
from heartfly.usage.dead_letters import STATES


class DeadLetters(Source):
    of: ClassVar[Family] = Family.DEAD_LETTERS

    @override
    async def read(self, reads: Reads, what: What, window: Window) -> Table:
        c = dead_letters.c
        # By their numbers, which grow with time and stand in an index behind the state.
        query = sa.select(sa.func.count()).where(
            c.pid == reads.pid,
            c.state.in_(STATES),
            c.id >= first_id(window.from_at),
            c.id < first_id(window.to_at),
        )
        n: int = (await reads.usage.execute(query)).scalar_one()
        return {(): Row(n=n)} if n else {}

    @override
    async def first_at(self, reads: Reads) -> datetime | None:
        query = sa.select(dead_letters.c.received_at).where(dead_letters.c.pid == reads.pid)
        first = (await reads.usage.execute(query.order_by(dead_letters.c.id).limit(1))).scalar()
        events = await first_event(reads.usage, reads.pid)
        return min((at for at in (first, events) if at is not None), default=None)
