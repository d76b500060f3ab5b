"""Who ends an alert holds the rule before what stands of it, as a look does: so no two of them wait for each other."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from anyio.lowlevel import checkpoint

from heartfly.db.models import alert_rules, incidents, rule_standings
from heartfly.rules.commands import resolve
from tests.jobs.workshop import MINUTE
from tests.postgres_waits import N_WAITING
from tests.rules.neighbourhood import CALLS, TEN, Neighbourhood
from tests.world import TEST

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """Only PostgreSQL has several writing connections."""
    return postgres_url


async def test_resolving_waits_for_the_rule_before_it_holds_anything_else(there: Neighbourhood) -> None:
    rule = await there.rule(CALLS)
    await there.calls(TEN, 11)
    await there.look(TEN + 2 * MINUTE)
    (alert,) = await there.alerts()
    db, at = there.story.world.db, there.story.clock.now()

    def work() -> None:
        db.transaction(lambda tx: resolve(tx, there.pid, alert.uuid, "", at=at, actor=TEST, ids=there.ids))

    with db.engine.connect() as look, look.begin():
        look.execute(sa.select(alert_rules.c.id).where(alert_rules.c.uuid == rule).with_for_update(key_share=True))
        resolving = asyncio.ensure_future(asyncio.to_thread(work))
        async with asyncio.timeout(60):
            while not look.execute(N_WAITING).scalar_one():
                assert not resolving.done(), "it does not wait for who looks at the rule"
                await checkpoint()
        # What a look writes next is free for it.
        for table in (rule_standings, incidents):
            mine = sa.select(sa.func.count()).select_from(table).where(table.c.pid == there.pid)
            free = sa.select(table.c.id).where(table.c.pid == there.pid).with_for_update(skip_locked=True)
            assert look.execute(mine).scalar_one() == len(look.execute(free).all())
    async with asyncio.timeout(60):
        await resolving

    assert ["by_hand"] == [row.ended_by for row in await there.alerts()]
