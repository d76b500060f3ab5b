"""What machines watch by the Healthchecks API: metrics for Prometheus, and of the server."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heartfly.api.native import native_api
from heartfly.config import Settings
from heartfly.config.settings import Metrics
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.api.conftest import START
from tests.api.door import House, Reply, state_of
from tests.api.theirs import nobody, reader, writer
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

PROJECT = "/projects/3f0f8f9e-6a1c-4a55-8d4c-111111111111/metrics"


def samples(reply: Reply) -> dict[str, dict[str, float]]:
    """By family, then by the name of the check or tag."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(reply.body.decode()):
        for one in family.samples:
            found.setdefault(one.name, {})[one.labels.get("name", one.labels.get("tag", ""))] = one.value
    return found


@pytest.mark.parametrize("slash", ["", "/"])
async def test_prometheus_reads_a_project_with_a_reader_s_key(house: House, clock: SimClock, slash: str) -> None:
    quoted = 'q"\\x'
    names = {"up": "a b", "down": "b", "paused": "", "late": "", "running": "", quoted: ""}
    rows = {
        name: await house.world.check(START, name=name, slug="s" * (i + 1), tags=tuple(tags.split()))
        for i, (name, tags) in enumerate(names.items())
    }
    await house.world.ping(rows["up"], START)
    await house.world.ping(rows["down"], START, PingKind.FAIL)
    await house.world.ping(rows["running"], START, PingKind.START)
    await writer(house)("POST", f"checks/{rows['paused'].ping_uuid}/pause")
    await house.world.ping(rows["late"], START - timedelta(minutes=65))

    key = house.world.project.read_key
    told = await nobody(house)("GET", f"{PROJECT}/{key}{slash}")
    bearer = await nobody(house)("GET", f"{PROJECT}{slash}", headers=[("authorization", f"Bearer {key}")])

    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (told.status, told.headers["content-type"])
    assert told.body == bearer.body
    found = samples(told)
    assert {"up": 1, "down": 0, "paused": 1, "late": 1, "running": 1, quoted: 1} == found["hc_check_up"]
    assert ["running"] == [name for name, value in found["hc_check_started"].items() if value]
    assert ["late"] == [name for name, value in found["hc_check_grace"].items() if value]
    assert ["paused"] == [name for name, value in found["hc_check_paused"].items() if value]
    assert {"a": 1, "b": 0} == found["hc_tag_up"]
    assert ({"": 6}, {"": 1}) == (found["hc_checks_total"], found["hc_checks_down_total"])
    (seen,) = [one for one in (await reader(house)("GET", "checks/")).json["checks"] if one["name"] == "up"]
    assert f'name="up",tags="a b",unique_key="{seen["unique_key"]}"' in told.body.decode()


async def test_what_maintenance_leaves_unjudged_is_in_no_grace_and_expected_after_it(house: House) -> None:
    """One that maintenance only silences is late as ever."""
    hour = timedelta(hours=1)
    for name in ("left", "held", "late"):
        check = await house.world.check(START, name=name, tags=(name,))
        await house.world.ping(check, START - timedelta(minutes=65))
    for tag, effect in (("left", "ignore"), ("held", "hold")):
        silence = {"kind": "maintenance", "scope": "tag", "targets": [tag], "effect": effect, "lasts": 3600}
        assert 201 == (await house.full("POST", "/v1/silences", silence)).status

    checks = {one["name"]: one for one in (await reader(house)("GET", "checks/")).json["checks"]}
    alone = (await reader(house)("GET", f"checks/{checks['left']['unique_key']}")).json
    told = samples(await nobody(house)("GET", f"{PROJECT}/{house.world.project.read_key}"))

    assert {"left": "up", "held": "grace", "late": "grace"} == {name: one["status"] for name, one in checks.items()}
    assert checks["left"] == alone
    assert (START + 2 * hour).isoformat() == alone["next_ping"]  # the slot after it
    assert (START - hour / 12).isoformat() == checks["held"]["next_ping"] == checks["late"]["next_ping"]
    assert {"left": 0, "held": 1, "late": 1} == told["hc_check_grace"]


async def test_prometheus_needs_a_key_that_may_only_read(house: House, neighbour: House) -> None:
    await house.world.check(START)
    writes = house.world.project.api_key

    statuses = [
        (await nobody(house)("GET", path)).status for path in (PROJECT, f"{PROJECT}/{writes}", f"{PROJECT}/{'x' * 32}")
    ]
    other = await nobody(house)("GET", f"{PROJECT}/{neighbour.world.project.read_key}")

    assert [401, 403, 403] == statuses
    assert {"": 0} == samples(other)["hc_checks_total"]


async def test_the_server_s_own_figures_need_the_token_of_the_settings(
    house: House, db: Database, ids: IdSource, clock: SimClock
) -> None:
    token = "a token of sixteen characters"
    settings = Settings(metrics=Metrics(token=token))
    client = replace(nobody(house), api=native_api(state_of(db, clock, ids, settings)))
    check = await house.world.check(START)
    await house.world.ping(check, START)

    told = await client("GET", "metrics/", headers=[("x-metrics-key", token)])

    assert {"ts": 1772445600, "max_ping_id": 1, "max_notification_id": None, "num_unprocessed_flips": 0} == told.json
    for other in (client, nobody(house)):
        refused = await other("GET", "metrics/", headers=[("x-metrics-key", "")])
        assert (403, b"") == (refused.status, refused.body)
