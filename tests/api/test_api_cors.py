"""Pages of other origins: which of them a browser lets read, and that none may write or come with cookies."""

from __future__ import annotations

from typing import Any

import pytest

from heartfly.api.native import NativeApi, native_api
from heartfly.config import Server, Settings, load
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import SettingsError
from tests.api.door import Door, House, Reply, state_of
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

PAGE = "https://status.example.org"
CORS = ("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers")


@pytest.fixture
async def api(db: Database, ids: IdSource, clock: SimClock) -> NativeApi:
    return serving(db, ids, clock, (PAGE, "http://localhost:3000"))


def serving(db: Database, ids: IdSource, clock: SimClock, origins: tuple[str, ...]) -> NativeApi:
    return native_api(state_of(db, clock, ids, settings=Settings(server=Server(cors_origins=origins))))


def told(reply: Reply) -> list[str | None]:
    assert "access-control-allow-credentials" not in reply.headers
    return [reply.headers.get(name) for name in CORS]


async def preflight(door: Door, method: str, *, origin: str = PAGE, path: str = "/v1/checks") -> Reply:
    headers = [("Origin", origin), ("Access-Control-Request-Method", method)]
    return await door("OPTIONS", path, headers=[*headers, ("Access-Control-Request-Headers", "authorization")])


async def test_a_page_of_a_named_origin_may_read(house: House) -> None:
    asked = await preflight(house.nobody, "GET")
    read = await house.read("GET", "/v1/checks", headers=[("Origin", PAGE)])

    assert (204, b"", [PAGE, "GET, HEAD", "Authorization"]) == (asked.status, asked.body, told(asked))
    assert ("600", "Origin", "no-store") == (
        asked.headers["access-control-max-age"],
        asked.headers["vary"],
        asked.headers["cache-control"],
    )
    assert (200, [PAGE, None, None]) == (read.status, told(read))
    assert ("ETag, Retry-After", "Origin") == (read.headers["access-control-expose-headers"], read.headers["vary"])


async def test_a_page_can_read_why_it_was_refused(house: House) -> None:
    no_key = await house.nobody("GET", "/v1/checks", headers=[("Origin", PAGE)])
    nothing = await house.read("GET", "/v1/nothing", headers=[("Origin", PAGE)])

    assert [(401, PAGE), (404, PAGE)] == [(reply.status, told(reply)[0]) for reply in (no_key, nothing)]


@on_sqlite
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://status.example.org.evil.example",
        "http://status.example.org",
        "https://status.example.org:8443",
        "https://STATUS.example.org",
        "https://evil.example/https://status.example.org",
        "null",
        "",
        "*",
        "\xff",
    ],
)
async def test_no_other_origin_is_named(house: House, origin: str) -> None:
    asked = await preflight(house.nobody, "GET", origin=origin)
    read = await house.read("GET", "/v1/checks", headers=[("Origin", origin)])

    assert [None] * 6 == told(asked) + told(read)
    assert ("Origin", "Origin") == (asked.headers["vary"], read.headers["vary"])


@on_sqlite
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT", "get", "\xff"])
async def test_no_page_may_write(house: House, method: str) -> None:
    asked = await preflight(house.nobody, method)
    written = await house.full("POST", "/v1/checks", {"name": method}, headers=[("Origin", PAGE)])

    assert [None] * 6 == told(asked) + told(written)


async def test_where_no_origin_is_named_nothing_is_said(
    db: Database, ids: IdSource, clock: SimClock, house: House
) -> None:
    closed = serving(db, ids, clock, ())

    asked = await preflight(Door(closed, ""), "GET")
    read = await Door(closed, house.read.key)("GET", "/v1/checks", headers=[("Origin", PAGE)])

    assert [None] * 6 == told(asked) + told(read)
    assert "vary" not in read.headers


async def test_any_origin_may_be_allowed_but_still_not_to_write(
    db: Database, ids: IdSource, clock: SimClock, house: House
) -> None:
    door = Door(serving(db, ids, clock, ("*",)), house.full.key)

    read = await door("GET", "/v1/checks", headers=[("Origin", "https://anywhere.example")])
    asked = await preflight(door, "POST", origin="https://anywhere.example")

    assert ["*", None, None] == told(read)
    assert [None] * 3 == told(asked)


@pytest.mark.parametrize(
    "origin",
    ["", "status.example.org", "https://", "https://a/", "https://a/x", "https://A.example", "ftp://a", "https://*.a"],
)
def test_what_no_browser_sends_cannot_be_allowed(origin: str, tmp_path: Any) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[server]\ncors_origins = ["https://a.example", "{origin}"]\n')

    with pytest.raises(SettingsError, match=r"^server\.cors_origins\[1\]: Expected http"):
        load(file, {})
