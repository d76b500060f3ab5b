"""The pulse tells that something was committed, by whoever lives."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from heartfly.db.database import Database
from heartfly.db.models import node_batches, nodes
from heartfly.db.pulse import pulse

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
DEAD, SILENT = 7001, 7002


async def test_what_is_committed_changes_it(db: Database) -> None:
    before = await pulse(db)
    assert before == await pulse(db)

    await db.write(lambda tx: tx.conn.execute(sa.select(sa.literal(1))).scalar())

    assert before != await pulse(db)


@pytest.mark.parametrize("database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
async def test_of_lives_that_are_over_it_tells_nothing_however_long_their_numbers_are_kept(db: Database) -> None:
    life = {"roles": [], "version": "x", "started_at": T0, "beat_at": T0, "heard_through": T0}
    lives = [life | {"id": DEAD, "fenced_at": T0}, life | {"id": SILENT, "fenced_at": None}]
    await db.write(lambda tx: tx.conn.execute(sa.insert(nodes), lives) and None)
    numbers = [{"node_id": node_id, "lane": 0, "last_batch": 5} for node_id in (DEAD, SILENT, 7003)]
    await db.write(lambda tx: tx.conn.execute(sa.insert(node_batches), numbers) and None)

    told = {row[0] for row in await pulse(db) if isinstance(row, tuple)}

    assert {SILENT, 7003} == told & {DEAD, SILENT, 7003}
