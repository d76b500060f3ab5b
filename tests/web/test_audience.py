"""Who listens is asked for together with all others, and is believed for a second, not longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.accounts.members import Role
from heartfly.db.models import members, sessions
from heartfly.web.audience import AGE_S, Audience
from heartfly.web.state import WebState
from tests.sim_clock import SimClock
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio


async def test_all_are_asked_for_at_once_and_anew_after_a_second(town: Town, web: WebState, clock: SimClock) -> None:
    owner, viewer, other = [
        next(iter(one.cookies.values())) for one in (await town.owner(), await town.viewer(), await town.stranger())
    ]
    audience = Audience(town.world.project.pid, web.api.database, clock)
    with audience.listening(owner), audience.listening(viewer), audience.listening(other):
        told = {token: await audience.still(token) for token in (owner, viewer, other)}
        assert [Role.OWNER, Role.VIEWER, None] == [one and one.role for one in told.values()]

        gone = await town.user_id("viewer@example.com")
        pid = town.world.project.pid
        mine = (members.c.pid == pid, members.c.user_id == int(gone))
        await town.world.db.write(lambda tx: tx.conn.execute(sa.delete(members).where(*mine)).rowcount)
        assert told[viewer] == await audience.still(viewer)
        clock.move_to(START + timedelta(seconds=AGE_S + 0.1))
        assert [Role.OWNER, None] == [one and one.role for one in [await audience.still(t) for t in (owner, viewer)]]


async def test_who_comes_new_is_asked_for_at_once_and_a_session_that_ended_is_none(
    town: Town, web: WebState, clock: SimClock
) -> None:
    first, second = [next(iter(one.cookies.values())) for one in (await town.owner(), await town.admin())]
    audience = Audience(town.world.project.pid, web.api.database, clock)
    with audience.listening(first):
        assert await audience.still(first) is not None
        await town.world.db.write(lambda tx: tx.conn.execute(sa.delete(sessions)).rowcount)
        with audience.listening(second):
            assert await audience.still(second) is None
            assert await audience.still(first) is None
