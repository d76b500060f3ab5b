"""The page of the installation: what it tells, to whom, and that it answers when what it asks does not."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.models import blind_intervals, job_runs, jobs, nodes
from heartfly.pings.spool import Backlog
from heartfly.vitals.readiness import Facts
from heartfly.web import system
from heartfly.web.pages import pages
from heartfly.web.state import WebState
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD, START, Town

pytestmark = pytest.mark.anyio

TEMPLATES = Path(system.__file__).parent / "templates"


async def told(town: Town, state: WebState | None = None) -> str:
    browser = await town.owner() if state is None else Browser(pages(state))
    if state is not None:
        assert 303 == (await browser.sign_in("owner@example.com", PASSWORD)).status
    reply = await browser.get("/system")
    assert 200 == reply.status, reply.body.decode()[-2000:]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", reply.body.decode()))


async def furnish(town: Town) -> None:
    pid, ids = town.world.project.pid, town.world.ids
    minute = timedelta(minutes=1)
    of = {"expression": "0 3 * * *", "zone": "UTC", "next_at": START + timedelta(hours=17), "created_at": START}
    job = {"pid": pid, "id": ids.next(START), "uuid": "3f0f8f9e-6a1c-4a55-8d4c-111111111111", "kind": "retention"}
    run = {
        "pid": pid, "job_id": job["id"], "slot_at": START - minute, "by_hand": False, "epoch": 1, "figures": {},
        "outcome": "failed", "words": "the disk <b>hangs</b>", "started_at": START - minute, "ended_at": START,
    }  # fmt: skip
    gap = {"id": ids.next(START), "node_id": 7, "from_at": START - 9 * minute, "to_at": START - 4 * minute}
    alive = {"started_at": START - minute, "heard_through": START, "roles": ["serve"], "version": "9.8.7"}

    def work(tx: Any) -> None:
        tx.conn.execute(sa.insert(jobs).values(job | of))
        tx.conn.execute(sa.insert(job_runs).values(run))
        tx.conn.execute(sa.insert(blind_intervals).values(gap | {"cause": "the database was away"}))
        lying = {"spooled": 1_234, "spooled_from": START - 3 * minute}
        tx.conn.execute(sa.insert(nodes).values(alive | lying | {"id": 0xBEEF << 32, "beat_at": START}))
        tx.conn.execute(sa.insert(nodes).values(alive | {"id": 0xDEAD << 32, "beat_at": START - minute}))

    await town.world.db.write(work)


async def test_it_tells_what_runs_what_waits_and_when_nobody_heard(town: Town) -> None:
    await furnish(town)
    said = await told(town)

    kind = "PostgreSQL" if town.world.db.on_postgres else "SQLite"
    durable = "synchronous_commit on" if town.world.db.on_postgres else "synchronous FULL"
    for expected in (
        "Ready", f"Kind {kind}", durable, "Alerts to be sent none", "retention", "the disk &lt;b&gt;hangs&lt;/b&gt;",
        "5 min the database was away", "0000beef", "9.8.7", "base_url", "40.0 GB free of 100.0 GB (40 %)",
    ):  # fmt: skip
        assert expected in said, (expected, said)
    assert town.world.db.on_postgres == ("1,234 pings, from 3 min ago on" in said)
    assert "0000dead" not in said  # it has not beaten for a minute


async def test_an_empty_one_says_what_will_be_there(town: Town) -> None:
    said = await told(town)

    assert "None is planned yet" in said
    assert "Heartfly has heard all the time so far" in said
    assert "No process has beaten" in said


async def test_what_speaks_against_traffic_stands_first(town: Town, web: WebState) -> None:
    now = START
    late = Facts(now=now, last_beat_at=now - timedelta(seconds=60), watermark=None, broken=None)
    said = await told(town, replace(web, facts=lambda: late))

    assert "Not ready" in said
    assert "beat_late" not in said  # of a server that has not judged yet nothing more is said
    assert "not_started : nothing has been written since the start" in said


async def test_what_lies_in_this_nodes_spool_is_told_also_while_the_database_is_away(town: Town, web: WebState) -> None:
    lying = Backlog(1_234, START - timedelta(seconds=90), 5_600_000)
    facts = Facts(now=START, last_beat_at=START, watermark=START, broken=None, spool=lying)
    said = await told(town, replace(web, facts=lambda: facts))

    assert "Spool In use 1,234 pings wait on this node for the database, 5.6 MB, the oldest from" in said


async def test_that_nothing_reaches_us_stands_above_all_else(town: Town, web: WebState) -> None:
    since = START - timedelta(minutes=7)
    facts = Facts(now=START, last_beat_at=START, watermark=START, broken=None, cut_off_since=since)
    said = await told(town, replace(web, facts=lambda: facts))

    assert "Ready Nothing reaches Heartfly from outside Since" in said


async def test_a_doctor_who_waits_for_somebody_holds_up_nothing_else(
    town: Town, web: WebState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "LIMIT_S", 0.3)

    async def waits() -> Any:
        await asyncio.Event().wait()

    said = await told(town, replace(web, doctor=waits))

    assert "What the doctor asks did not answer" in said
    assert "Judged up to" in said


async def test_only_who_looks_after_the_installation_is_led_there(town: Town) -> None:
    owner, other = await town.owner(), await town.stranger()

    assert b'href="/system"' in (await owner.get("/account/security")).body
    assert b'href="/system"' not in (await other.get("/account/security")).body
    refused = await other.get("/system")
    assert (403, True) == (refused.status, b"Only owners of the first project" in refused.body)


def test_a_hint_is_not_glued_to_the_words_before_it() -> None:
    found = [path.name for path in TEMPLATES.glob("*.html") if '}}<span class="hint">' in path.read_text()]

    assert [] == found
