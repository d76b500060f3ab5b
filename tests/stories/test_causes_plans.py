"""However much a project has, what is asked while causes begin, are told and end is read from an index."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.monitor.judge import Judge
from heartfly.notify.commands import edit_channel
from heartfly.notify.policies import AskedPolicy
from tests.notify.receivers import HttpReceiver
from tests.stories.story import Story, begin
from tests.stories.test_causes import heard, needs
from tests.world import SEALER

pytestmark = [pytest.mark.story, pytest.mark.anyio]

GROWS = ("alerts", "check_channels", "check_needs", "checks", "flips", "incidents", "notifications", "pings", "runs")
OF_ALL = re.compile(
    rf"SCAN (?:{'|'.join(GROWS)})(?:_\d)?(?! USING INDEX)|(?:{'|'.join(GROWS)})(?:_\d)? [^|]*\(pid=\?\)"
)
"""In SQLite's plans: a table read from its beginning, or all of a project in it."""


@pytest.fixture
async def story(db: Database, ids: IdSource) -> AsyncIterator[Story]:
    async with HttpReceiver() as receiver:
        told = await begin(db, ids, receiver)
        yield told
        await told.http.aclose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_reads_all_that_a_project_has(story: Story) -> None:
    """PostgreSQL plans by how much there is."""
    parent = await story.check("parent", every="1h", grace="1h", host="db-1")
    children = [await story.check(f"child-{n}", every="1h", grace="1m", host="db-1") for n in range(4)]
    await story.channel("people", kind="slack")
    second = await story.channel("second", kind="slack")
    policy = AskedPolicy(after_s=600, every_s=600)
    await story.world.db.write(
        lambda tx: edit_channel(tx, parent.pid, second.uuid, policy=policy, at=story.clock.now(), sealer=SEALER)
    )
    for child in children[:3]:
        await needs(story, child, "parent")
    for check in (*children, parent):
        await story.ping("00:01", check)
    said: dict[str, tuple[str, Any]] = {}

    def note(_: object, __: object, statement: str, parameters: Any, ___: object, many: bool) -> None:  # noqa: FBT001
        said.setdefault(statement, (statement, parameters[0] if many and parameters else parameters))

    sa.event.listen(Engine, "before_cursor_execute", note)
    try:
        await story.ping("00:02", parent, PingKind.FAIL, body=b"said")
        for child in children:
            await story.ping("00:03", child, PingKind.FAIL, body=b"said")
        await story.ping("00:05", parent)
        await heard(story, "00:20")
        for child in children:
            await story.ping("00:21", child)
        for child in children:
            await story.ping("00:41", child, PingKind.FAIL)
        await heard(story, "01:10")
    finally:
        sa.event.remove(Engine, "before_cursor_execute", note)
    raw = story.world.db.engine.raw_connection()
    try:
        plans = {
            statement: " | ".join(row[3] for row in raw.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", given))
            for statement, given in said.values()
            if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE"))
        }
    finally:
        raw.close()
    assert any("cause_tellings" in statement for statement in plans)
    assert [] == [(plan, statement) for statement, plan in plans.items() if OF_ALL.search(plan)]


async def test_a_net_that_fails_costs_no_statement_for_each_host(story: Story) -> None:
    judge, at = Judge(ids=story.world.ids), story.at("00:01")
    spent: list[int] = []
    for n in (3, 12):
        jobs = [await story.check(f"job-{n}-{m}", every="1h", grace="1m", host=f"host-{n}-{m}") for m in range(n)]
        await story.world.pings([story.world.request(job, at) for job in jobs])
        later = at + timedelta(hours=1, minutes=2)
        said: list[str] = []
        judging, note = partial(judge.judge, through=later, now=later), partial(_note, said)
        sa.event.listen(Engine, "before_cursor_execute", note)
        try:
            judged = story.world.db.transaction(judging)
        finally:
            sa.event.remove(Engine, "before_cursor_execute", note)
        assert (n, n) == (judged.n, judged.flips)
        spent.append(len(said))
    assert spent[0] == spent[1]


def _note(said: list[str], _: object, __: object, statement: str, *___: object) -> None:
    said.append(statement)
