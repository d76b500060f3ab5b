"""A signal at the door holds back the judging of its check from before it has a time of receipt."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import cast

from typing_extensions import override

from heartfly.db.database import Database
from heartfly.pings.apply import PingApplier
from heartfly.pings.ingest import Ingest
from heartfly.pings.request import ByUuid, Target
from tests.monitor.tower import SECOND, T0
from tests.sim_clock import SimClock

TARGET = ByUuid("0b7a4b52-3c1e-4f0b-9d3a-5a1b1f6e2d47")


class Noting(SimClock):
    """Notes who was under way each time that somebody read it. No two read the same time."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.ingest = Ingest(cast("Database", None), cast("PingApplier", None), self)
        self.under_way: dict[datetime, Collection[Target]] = {}

    @override
    def now(self) -> datetime:
        at = super().now()
        self.under_way[at] = self.ingest.under_way().keys()
        self.move_to(at + SECOND)
        return at


def test_a_signal_is_under_way_before_its_time_of_receipt_is_read() -> None:
    clock = Noting(T0)

    _, received_at = clock.ingest.arrived(TARGET)

    # Whoever reads a later time, and then who is under way, as the beat does in a thread of its own, sees it.
    assert [TARGET] == list(clock.under_way[received_at])
    assert clock.ingest.under_way()[TARGET] <= received_at
