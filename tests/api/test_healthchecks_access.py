"""Who may what by the Healthchecks API, route by route: its own, another's, a reader, nobody; and what browsers may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.accounts.keys import Scope, make_key
from heartfly.api.compat.healthchecks.asked import Access
from heartfly.api.compat.healthchecks.door import ROUTES
from heartfly.core.words import PingKind
from heartfly.db.models import addresses, badge_addresses, check_channels, checks, pings
from tests.api.conftest import START
from tests.api.door import House
from tests.api.theirs import Theirs, nobody, reader, writer

pytestmark = pytest.mark.anyio

# Route: what is sent, who may, and what the owner hears.
TABLE: dict[tuple[str, str], tuple[Any, Access, int]] = {
    ("GET", "checks"): (None, Access.READ, 200),
    ("POST", "checks"): ({"name": "x"}, Access.WRITE, 201),
    ("GET", "checks/{check}"): (None, Access.READ, 200),
    ("POST", "checks/{check}"): ({"desc": "changed"}, Access.WRITE, 200),
    ("POST", "checks/{check}/pause"): (None, Access.WRITE, 200),
    ("POST", "checks/{check}/resume"): (None, Access.WRITE, 200),  # the row above paused it
    ("GET", "checks/{check}/pings"): (None, Access.WRITE, 200),
    ("GET", "checks/{check}/pings/{n}/body"): (None, Access.WRITE, 200),
    ("GET", "checks/{check}/flips"): (None, Access.READ, 200),
    ("GET", "channels"): (None, Access.WRITE, 200),
    ("GET", "badges"): (None, Access.READ, 200),
    ("GET", "status"): (None, Access.ANYBODY, 200),
    ("GET", "metrics"): (None, Access.ANYBODY, 403),
    ("DELETE", "checks/{check}"): (None, Access.WRITE, 200),
}
ELSEWHERE = {"/b/{states}/{badge}", "/badge/{key}/{badge}", "/projects/{project}/metrics/{key}"}
"""What has no version: in test_healthchecks_badges.py and test_healthchecks_watching.py."""


def routes() -> Iterator[tuple[str, str, Access]]:
    for route in ROUTES:
        for method, (_, access) in route.methods.items():
            yield method, route.template.removeprefix("/api/v{version}/"), access


async def furnished(house: House) -> str:
    """A check with a ping that said something; its address."""
    check = await house.world.check(START)
    await house.world.ping(check, START, PingKind.FAIL, body=b"said", body_size=4)
    return str(check.ping_uuid)


def filled(path: str, uuid: str) -> str:
    return path.replace("{check}", uuid).replace("{n}", "1")


async def everything(house: House) -> list[Any]:
    async with house.world.db.read() as read:
        return [
            [tuple(row) for row in await read.execute(sa.select(table).where(table.c.pid == house.world.project.pid))]
            for table in (checks, addresses, check_channels, pings, badge_addresses)
        ]


def test_every_route_has_its_row() -> None:
    assert {(method, path): access for method, path, access in routes() if path not in ELSEWHERE} == {
        route: access for route, (_, access, _) in TABLE.items()
    }


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_the_owner_is_served_in_every_version(house: House, version: int) -> None:
    uuid, client = await furnished(house), writer(house).of(version)

    heard = {
        (method, path): (await client(method, filled(path, uuid), asked)).status
        for (method, path), (asked, _, _) in TABLE.items()
    }

    assert {route: status for route, (_, _, status) in TABLE.items()} == heard


async def test_another_project_reads_exactly_as_nothing_at_all(house: House, neighbour: House) -> None:
    uuid = await furnished(house)
    before, missing = await everything(house), "3f0f8f9e-6a1c-4a55-8d4c-111111111111"

    for (method, path), (asked, _, _) in TABLE.items():
        if "{check}" not in path:
            continue
        told, of_none = [await writer(neighbour)(method, filled(path, one), asked) for one in (uuid, missing)]
        assert (404, {"error": "not found"}) == (told.status, told.json), path
        assert (of_none.status, of_none.body, of_none.headers) == (told.status, told.body, told.headers), path
    assert before == await everything(house)
    assert [] == (await writer(neighbour)("GET", "checks/")).json["checks"]


async def test_another_project_s_unique_key_and_channels_are_none(house: House, neighbour: House) -> None:
    await furnished(house)
    hook = {"kind": "webhook", "name": "ops", "config": {"url": "https://hooks.example.com/x"}}
    channel = (await house.full("POST", "/v1/channels", hook)).json["id"]
    (seen,) = (await reader(house)("GET", "checks/")).json["checks"]

    assert 404 == (await reader(neighbour)("GET", f"checks/{seen['unique_key']}")).status
    for name in ("ops", channel):
        told = await writer(neighbour)("POST", "checks/", {"name": "x", "channels": name})
        assert (400, {"error": f"invalid channel identifier: {name}"}) == (told.status, told.json)


async def test_unique_looks_at_one_project_only(house: House, neighbour: House) -> None:
    await writer(house).made(name="Same")

    assert 201 == (await writer(neighbour)("POST", "checks/", {"name": "Same", "unique": ["name"]})).status
    assert 1 == len((await writer(house)("GET", "checks/")).json["checks"])


async def test_a_reader_may_read_and_hears_of_the_rest_that_its_key_is_wrong(house: House) -> None:
    uuid = await furnished(house)
    before = await everything(house)

    for (method, path), (asked, access, status) in TABLE.items():
        told = await reader(house)(method, filled(path, uuid), asked)
        expected = (401, {"error": "wrong api key"}) if access is Access.WRITE else (status, None)
        assert expected == (told.status, told.json if told.status == 401 else None), path
    assert before == await everything(house)


@pytest.mark.parametrize(
    ("key", "text"), [("", "missing api key"), ("x", "wrong api key"), ("hf_" + "x" * 43, "wrong api key")]
)
async def test_who_has_no_key_hears_so(house: House, key: str, text: str) -> None:
    uuid = await furnished(house)

    for (method, path), (asked, access, status) in TABLE.items():
        told = await Theirs(house.full.api, key)(method, filled(path, uuid), asked)
        expected = (status, None) if access is Access.ANYBODY else (401, {"error": text})
        assert expected == (told.status, told.json if told.status == 401 else None), path


async def test_a_key_for_events_alone_may_nothing_here(house: House) -> None:
    made = await house.world.db.write(
        lambda tx: make_key(
            tx, house.world.project.pid, name="in", scopes=frozenset({Scope.INGEST}), at=START, ids=house.world.ids
        )
    )
    uuid = await furnished(house)

    for (method, path), (asked, access, _) in TABLE.items():
        if access is not Access.ANYBODY:
            assert 401 == (await Theirs(house.full.api, made.secret)(method, filled(path, uuid), asked)).status


async def test_a_key_may_stand_in_the_body_of_a_post_and_the_header_wins(house: House) -> None:
    key = house.world.project.api_key

    by_body = await nobody(house)("POST", "checks/", {"name": "x", "api_key": key})
    header = await Theirs(house.full.api, "wrong")("POST", "checks/", {"name": "x", "api_key": key})
    of_get = await nobody(house)("GET", "checks/", {"api_key": key})
    no_text = await nobody(house)("POST", "checks/", {"api_key": 5})

    assert (201, 401, 401) == (by_body.status, header.status, of_get.status)
    assert {"error": "missing api key"} == no_text.json


async def test_a_key_that_was_revoked_ends_at_once(house: House) -> None:
    client = writer(house)
    assert 200 == (await client("GET", "checks/")).status
    listed = (await house.full("GET", "/v1/keys")).json["items"]
    mine = next(one for one in listed if one["name"] == "first key")
    await house.full("POST", "/v1/keys", {"name": "another", "scopes": ["admin"]})
    await house.full("DELETE", f"/v1/keys/{mine['id']}")

    assert 401 == (await client("GET", "checks/")).status


@pytest.mark.parametrize("path", ["checks/", "checks/{check}", "checks/{check}/pause", "channels/", "badges/"])
async def test_pages_of_every_origin_may_call(house: House, path: str) -> None:
    uuid = await furnished(house)
    methods = ", ".join(
        next(route for route in ROUTES if route.pattern.fullmatch(f"/api/v3/{filled(path, uuid)}")).methods
    )

    asked = await nobody(house)("OPTIONS", filled(path, uuid))
    refused = await nobody(house)("GET", filled(path, uuid))

    for told in (asked, refused):
        assert ("*", "X-Api-Key", methods, "600") == tuple(
            told.headers[f"access-control-{name}"]
            for name in ("allow-origin", "allow-headers", "allow-methods", "max-age")
        )
    assert (204, b"") == (asked.status, asked.body)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH"])
async def test_other_methods_are_refused_without_a_word(house: House, method: str) -> None:
    told = await writer(house)(method, "checks/")

    assert (405, b"", "*") == (told.status, told.body, told.headers["access-control-allow-origin"])


async def test_status_and_metrics_are_not_for_other_origins(house: House) -> None:
    told = await nobody(house)("GET", "status/")

    assert (200, b"OK", False) == (told.status, told.body, "access-control-allow-origin" in told.headers)
    assert 405 == (await nobody(house)("OPTIONS", "status/")).status


async def test_each_call_is_one_line_without_id_key_or_query(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    uuid = await furnished(house)
    capsys.readouterr()

    await writer(house)("GET", f"checks/{uuid}?tag=secret")
    await nobody(house)("GET", f"/projects/x/metrics/{house.world.project.read_key}")

    (said,) = [capsys.readouterr().err]
    assert ["/api/v{version}/checks/{check}", "/projects/{project}/metrics/{key}"] == re.findall(
        r'"route":"([^"]+)"', said
    )
    for secret in (uuid, "tag", house.world.project.read_key, house.world.project.api_key):
        assert secret not in said


async def test_too_many_requests_are_told_by_429(house: House) -> None:
    client = writer(house)
    statuses = {(await client("GET", "channels/")).status for _ in range(601)}
    last = await client("GET", "channels/")

    assert {200, 429} >= statuses
    assert (429, ["error"], True) == (last.status, list(last.json), int(last.headers["retry-after"]) > 0)
