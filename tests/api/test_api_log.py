"""One line for each request: what was asked, how it went, how long it took. Nothing secret in it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly import logs
from heartfly.config import Log
from heartfly.db.models import checks
from tests.api.conftest import START
from tests.api.door import House
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def written(clock: SimClock) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(Log(format="json"), stream, now=clock.now)
    yield stream
    logs.configure(Log(), io.StringIO(), now=clock.now)


def lines(stream: io.StringIO) -> list[Any]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_request_is_one_line_with_its_route_and_never_its_ids(house: House, written: io.StringIO) -> None:
    check = (await house.full("POST", "/v1/checks", {"name": "canary-name"})).json
    await house.read("GET", f"/v1/checks/{check['id']}/pings?cursor=canary-cursor")
    await house.nobody("GET", "/v1/checks?q=canary-query")
    await house.full("HEAD", "/canary-path")

    told = [(line["method"], line["route"], line["status"], line["key"], line["project"]) for line in lines(written)]
    assert [
        ("POST", "/v1/checks", 201, house.full.key[3:10], "main"),
        ("GET", "/v1/checks/{check_id}/pings", 422, house.read.key[3:10], "main"),
        ("GET", "/v1/checks", 401, "", ""),
        ("HEAD", "", 404, "", ""),
    ] == told
    assert "canary" not in written.getvalue()
    assert check["id"] not in written.getvalue()
    assert house.full.key[3:15] not in written.getvalue()


async def test_from_where_a_request_came_is_told_of_those_that_were_refused(house: House, written: io.StringIO) -> None:
    await house.read("GET", "/v1/checks")
    await house.read("POST", "/v1/checks", {"name": "x"})
    await house.nobody("GET", "/v1/checks")

    assert [(200, False), (403, True), (401, True)] == [(one["status"], "client" in one) for one in lines(written)]


async def test_a_failure_of_our_own_is_told_to_the_log_and_not_to_the_caller(
    house: House, written: io.StringIO
) -> None:
    check = await house.world.check(START)
    damage = sa.update(checks).where(checks.c.id == check.id).values(status="canary")
    await house.world.db.write(lambda tx: tx.conn.execute(damage))

    reply = await house.full("GET", f"/v1/checks/{check.uuid}")

    assert (500, "urn:heartfly:problem:internal-error") == (reply.status, reply.json["type"])
    assert b"canary" not in reply.body
    failed, line = lines(written)[-2:]
    assert ("error", True) == (failed["level"], "Traceback" in failed["exception"])
    assert ("request", 500) == (line["event"], line["status"])
