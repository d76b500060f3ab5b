"""Pages that ask for themselves anew, for screens on a wall; and the icon that says that something is down."""

from __future__ import annotations

import re
from html import unescape

import pytest

from heartfly.core.words import PingKind
from tests.web.browser import Browser
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

LIST = "/p/main/checks"


async def again(browser: Browser, path: str) -> str | None:
    return (await browser.get(path)).headers.get("refresh")


@pytest.mark.parametrize(
    ("asked", "every"),
    [("30", "30"), ("1", "10"), ("86400", "3600"), ("0", None), ("x", None), ("", None), ("²", None), ("9" * 99, None)],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_it_is_asked_for_within_bounds(town: Town, asked: str, every: str | None) -> None:
    assert every == await again(await town.owner(), f"{LIST}?refresh={asked}")


async def test_a_page_of_errors_comes_back_by_itself_and_the_sign_in_stays_as_it_is(town: Town) -> None:
    owner = await town.owner()

    assert "30" == await again(owner, "/p/main/checks/none?refresh=30")
    assert await again(owner, LIST) is None
    led = await town.nobody.get(f"{LIST}?refresh=30")
    assert (303, None) == (led.status, led.headers.get("refresh"))
    assert await again(town.nobody, led.headers["location"]) is None


async def test_the_foot_of_a_live_page_offers_it_and_how_to_stop_it(town: Town) -> None:
    owner = await town.owner()
    filtered = f"{LIST}?q=tag%3Aetl&status=down"

    async def offered(path: str) -> tuple[str, str]:
        (found,) = re.findall(
            r'<a href="([^"]+)">(Refresh every 30 s|Stop that)<', (await owner.get(path)).body.decode()
        )
        return unescape(found[0]), found[1]

    assert (f"{filtered}&refresh=30", "Refresh every 30 s") == await offered(filtered)
    assert (filtered, "Stop that") == await offered(f"{filtered}&refresh=45")
    assert (LIST, "Stop that") == await offered(f"{LIST}?refresh=45")
    assert "Refresh every" not in (await owner.get("/account/profile")).body.decode()


async def test_the_icon_says_when_something_is_down(town: Town) -> None:
    owner, w = await town.owner(), town.world
    check = await w.check(START, name="Backup", slug="backup")
    places = [LIST, f"{LIST}?view=timeline", f"{LIST}?view=next", f"{LIST}/backup", "/p/main/incidents"]

    async def icons(paths: list[str]) -> set[str]:
        pages = [(await owner.get(path)).body.decode() for path in paths]
        found = [re.findall(r'<link id="icon" rel="icon" type="image/svg\+xml" href="([^"]+)"', page) for page in pages]
        assert all(len(one) == 1 for one in found)
        return {one[0] for one in found}

    await w.ping(check, START)
    (calm,) = await icons(places)
    await w.ping(check, START, PingKind.FAIL)
    listed = (await owner.get("/p/main/incidents")).body.decode()
    (incident,) = set(re.findall(r"/p/main/incidents/[0-9a-f-]{36}", listed))
    (alarmed,) = await icons([*places, incident])
    await w.ping(check, START)

    assert {calm} == await icons([*places, incident])
    assert calm != alarmed
    picture = await town.nobody.get(alarmed)
    assert (200, "image/svg+xml", True) == (picture.status, picture.headers["content-type"], b"<svg" in picture.body)
