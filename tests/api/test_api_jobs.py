"""Heartfly's own jobs over the native API: what there is, how it went, a run now, and their checks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.models import audit
from heartfly.errors import StoreError
from heartfly.jobs.kind import Done, Work
from tests.api.conftest import START
from tests.api.door import House
from tests.jobs.workshop import Workshop, kind_of
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NIGHT = START + timedelta(hours=17)


@pytest.fixture
async def shop(house: House, clock: SimClock) -> Workshop:
    async def work(run: Work) -> Done:
        clock.move_to(clock.now() + timedelta(seconds=90))
        if run.slot_at > NIGHT:
            raise StoreError("there is no room")
        return Done(figures={"rows": 12345678901234567890})

    shop = Workshop(house.world, clock, kind_of(work), kind_of(name="never", off="nobody wants it"))
    await shop.look()
    return shop


async def listed(house: House) -> dict[str, Any]:
    return {job["kind"]: job for job in (await house.read("GET", "/v1/jobs")).json["items"]}


async def test_without_a_run_a_job_says_when_it_will_and_why_not(house: House, shop: Workshop) -> None:
    jobs = await listed(house)

    assert {
        "id": jobs["sweep"]["id"],
        "kind": "sweep",
        "schedule": {"kind": "cron", "expression": "0 3 * * *", "zone": "UTC", "dialect": "cron", "period": None},
        "schedule_text": "At 03:00 (UTC)",
        "next_at": "2026-03-03T03:00:00Z",
        "off": None,
        "check": None,
        "running": False,
        "last_run": None,
    } == jobs["sweep"]
    assert ("nobody wants it", None) == (jobs["never"]["off"], jobs["never"]["next_at"])


async def test_runs_are_listed_newest_first_with_figures_and_words_page_by_page(
    house: House, shop: Workshop, clock: SimClock
) -> None:
    await shop.go(NIGHT)
    await shop.go(NIGHT + DAY)

    job = (await listed(house))["sweep"]
    path = f"/v1/jobs/{job['id']}/runs"
    first = (await house.read("GET", f"{path}?limit=1")).json
    second = (await house.read("GET", f"{path}?limit=1&cursor={first['next']}")).json
    assert job["last_run"] == first["items"][0]
    assert None is second["next"]
    failed, well = first["items"][0], second["items"][0]
    assert ("failed", "there is no room", {}) == (failed["outcome"], failed["words"], failed["figures"])
    assert failed["id"] != well["id"]
    assert {
        "id": "1772506800000000",
        "slot_at": "2026-03-03T03:00:00Z",
        "by": "schedule",
        "outcome": "ok",
        "started_at": "2026-03-03T03:00:00Z",
        "ended_at": "2026-03-03T03:01:30Z",
        "duration": 90.0,
        "attempt": 1,
        "figures": {"rows": "12345678901234567890"},
        "words": "",
    } == well

    (check,) = (await house.read("GET", "/v1/checks?tag=heartfly")).json["items"]
    assert (job["check"], "sweep", "down") == (check["id"], check["job"], check["status"])


async def test_a_run_now_waits_for_a_node_is_in_the_audit_and_is_one_at_a_time(
    house: House, shop: Workshop, clock: SimClock
) -> None:
    jobs = await listed(house)
    path = f"/v1/jobs/{jobs['sweep']['id']}/run"

    asked = await house.full("POST", path)
    again = await house.full("POST", path)

    assert (202, "hand", None, None, 0) == (
        asked.status, *(asked.json[name] for name in ("by", "outcome", "started_at", "attempt")))  # fmt: skip
    assert (409, "a run of sweep is under way already") == (again.status, again.json["detail"])
    assert (await listed(house))["sweep"]["running"]
    (entry,) = await house.world._all(sa.select(audit).where(audit.c.action == "job.run"))
    assert (f"job:{jobs['sweep']['id']}", True) == (entry.object, entry.actor.startswith("key:hf_"))

    await shop.look()
    (ran,) = (await house.read("GET", f"{path}s")).json["items"]
    assert ("ok", "hand", asked.json["id"]) == (ran["outcome"], ran["by"], ran["id"])
    assert 202 == (await house.full("POST", path)).status
    # The slot of the night has not moved.
    assert "2026-03-03T03:00:00Z" == (await listed(house))["sweep"]["next_at"]


async def test_what_is_off_cannot_be_run_and_says_why(house: House, shop: Workshop) -> None:
    reply = await house.full("POST", f"/v1/jobs/{(await listed(house))['never']['id']}/run")

    assert (409, "never does not run here: nobody wants it") == (reply.status, reply.json["detail"])


@pytest.mark.parametrize("job", ["sweep", "3f0f8f9e-6a1c-4a55-8d4c-111111111111", "%00"])
async def test_what_is_no_job_is_not_found(house: House, shop: Workshop, job: str) -> None:
    for method, path in (("GET", f"/v1/jobs/{job}/runs"), ("POST", f"/v1/jobs/{job}/run")):
        assert 404 == (await house.full(method, path)).status


async def test_jobs_of_the_installation_are_seen_by_its_first_project_only(
    house: House, neighbour: House, shop: Workshop
) -> None:
    await shop.go(NIGHT)
    job = (await listed(house))["sweep"]

    assert [] == (await neighbour.full("GET", "/v1/jobs")).json["items"]
    assert 404 == (await neighbour.full("GET", f"/v1/jobs/{job['id']}/runs")).status
    assert 404 == (await neighbour.full("POST", f"/v1/jobs/{job['id']}/run")).status
    assert [] == (await neighbour.full("GET", "/v1/checks")).json["items"]


async def test_the_check_of_a_job_is_edited_and_paused_but_neither_deleted_nor_rescheduled(
    house: House, shop: Workshop
) -> None:
    await shop.go(NIGHT)
    path = f"/v1/checks/{(await listed(house))['sweep']['check']}"

    deleted = await house.full("DELETE", path)
    moved = await house.full("PATCH", path, {"schedule": {"kind": "period", "period": 60}})

    assert (409, "it watches Heartfly's own job sweep, which goes on; pause it instead") == (
        deleted.status, deleted.json["detail"])  # fmt: skip
    assert (409, True) == (moved.status, "its schedule is that of Heartfly's own job sweep" in moved.json["detail"])
    assert 7200 == (await house.full("PATCH", path, {"grace": 7200, "channels": []})).json["grace"]
    assert "paused" == (await house.full("POST", f"{path}/pause")).json["status"]
