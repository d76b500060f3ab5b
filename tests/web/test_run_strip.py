"""A line of the list tells how the check's newest runs went, how long the last took, and that nobody would hear."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.checks.recent import MOST
from heartfly.core.words import PingKind, RunOutcome
from heartfly.db.models import channels
from heartfly.web.run_strip import strip
from tests.sim_clock import SimClock
from tests.web.conftest import START, Town
from tests.web.test_live import page_of

MINUTE = timedelta(minutes=1)


def test_bars_that_follow_one_another_are_one_stroke_and_the_newest_is_at_the_right() -> None:
    ok, failed, missed = RunOutcome.OK, RunOutcome.FAILED, RunOutcome.MISSED
    assert ((("o", "M0 11h120"),), "30 runs: 30 ok") == (strip((ok,) * MOST).paths, strip((ok,) * MOST).said)
    assert (("o", "M104 11h16"), ("b", "M108 8h4")) == strip((ok, failed, ok, ok)).paths
    assert (("b", "M112 8h8"),) == strip((failed, failed)).paths
    assert (("o", "M108 11h4M116 11h4"), ("m", "M112.5 .5h2v15h-2z")) == strip((ok, missed, ok)).paths
    assert (("m", "M116.5 .5h2v15h-2z"),) == strip((missed,)).paths
    assert "1 run: missed" == strip((missed,)).said
    assert "4 runs: 2 ok, 1 failed, 1 missed" == strip((failed, ok, missed, ok)).said
    assert ((), "") == (strip(()).paths, strip(()).said)


def test_no_two_outcomes_are_drawn_alike_but_a_failure_and_a_run_that_hung() -> None:
    drawn = {outcome: strip((outcome,)).paths for outcome in RunOutcome}
    assert drawn[RunOutcome.FAILED] == drawn.pop(RunOutcome.HUNG)
    assert len(drawn) == len(set(drawn.values()))


@pytest.mark.anyio
async def test_a_line_tells_of_runs_durations_and_a_channel_that_fails(town: Town, clock: SimClock) -> None:
    check, idle = await town.world.check(START, name="Backup"), await town.world.check(START, name="Idle")
    owner = await town.owner()
    await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    for n in range(6):
        await town.world.ping(check, START + n * MINUTE, PingKind.START)
        await town.world.ping(check, START + n * MINUTE + timedelta(seconds=10))
    await town.world.ping(check, START + 7 * MINUTE, PingKind.START)
    await town.world.ping(check, START + 7 * MINUTE + timedelta(seconds=45), PingKind.FAIL)
    clock.move_to(START + 20 * MINUTE)

    lines = _lines(await page_of(owner))
    assert "7 runs: 6 ok, 1 failed" in lines[check.uuid]
    assert '45.0 s <span class="dim">usually 10.0 s</span>' in lines[check.uuid]
    assert re.search(r'class="dim since"><time[^>]*>12 min ago<', lines[check.uuid])
    assert "A channel that should tell of it fails" not in lines[check.uuid]
    assert "<svg class=" not in lines[idle.uuid]
    assert "since" not in lines[idle.uuid]

    failing = sa.update(channels).where(channels.c.pid == town.world.project.pid).values(failing_since=START)
    await town.world.db.write(lambda tx: tx.conn.execute(failing).rowcount)
    lines = _lines(await page_of(owner))
    assert "A channel that should tell of it fails" in lines[check.uuid]


def _lines(page: str) -> dict[str, str]:
    found = {}
    for line in page.split('<div class="row s-')[1:]:
        of = re.search(r"/checks/([0-9a-f-]{36})", line)
        assert of is not None
        found[of[1]] = line
    return found
