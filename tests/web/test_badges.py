"""Badges: what they say, to whom, and what their addresses do not tell."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from xml.etree import ElementTree as ET

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.models import audit, checks, projects
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.hostile import HOSTILE

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def with_badges(town: Town) -> Browser:
    owner = await town.owner()
    assert 303 == (await owner.post("/p/main/badges/key", {"do": "make"})).status
    return owner


async def address_of(browser: Browser, of: str, query: str = "") -> str:
    """The path of the picture that the builder shows."""
    page = (await browser.get(f"/p/main/badges?of={of}{query}")).body.decode()
    found = re.search(r'<img src="([^"]+)"', page)
    assert found is not None
    return unescape(found[1])


async def said(town: Town, path: str) -> dict[str, object]:
    reply = await town.nobody.get(re.sub(r"\.svg", ".json", path))
    assert 200 == reply.status
    told: dict[str, object] = reply.json
    return told


async def test_a_project_has_no_badges_until_somebody_makes_them(town: Town, db: Database) -> None:
    viewer = await town.viewer()
    before = (await viewer.get("/p/main/badges")).body.decode()
    owner = await with_badges(town)

    assert "No badges yet" in before
    assert "<form" not in before.partition("<main")[2]
    assert "Preview" in (await viewer.get("/p/main/badges")).body.decode()
    path = await address_of(owner, "all:")
    assert re.fullmatch(r"/badge/[\w-]{16}/3/[\w-]{16}\.svg", path)
    assert 200 == (await town.nobody.get(path)).status
    async with db.read() as read:
        entries = (
            await read.execute(sa.select(audit.c.actor, audit.c.after).where(audit.c.action.like("%badge%")))
        ).all()
    assert [("user:owner@example.com", {"has_badges": True})] == entries


async def test_a_badge_knows_two_words_or_three(town: Town, clock: SimClock) -> None:
    w = town.world
    late, fine = await w.check(START, name="late", tags=("a",)), await w.check(START, name="fine", tags=("a", "b"))
    await w.check(START, name="new", tags=("b",))
    owner = await with_badges(town)
    paths = {name: await address_of(owner, f"tag:{name}") for name in "ab"} | {"all": await address_of(owner, "all:")}
    paths["late"] = await address_of(owner, f"check:{late.uuid}")
    await w.ping(late, START)
    await w.ping(fine, START + 30 * MINUTE)

    clock.move_to(START + 61 * MINUTE)
    assert {"status": "late", "total": 2, "grace": 1, "down": 0} == await said(town, paths["a"])
    assert {"status": "up", "total": 2, "grace": 1, "down": 0} == await said(town, paths["a"].replace("/3/", "/2/"))
    assert {"status": "up", "total": 2, "grace": 0, "down": 0} == await said(town, paths["b"])
    assert {"status": "late", "total": 3, "grace": 1, "down": 0} == await said(town, paths["all"])
    assert {"status": "late", "total": 1, "grace": 1, "down": 0} == await said(town, paths["late"])
    await w.ping(late, START + 62 * MINUTE, PingKind.FAIL)
    clock.move_to(START + 62 * MINUTE)
    for states in ("/2/", "/3/"):
        told = await said(town, paths["all"].replace("/3/", states))
        assert {"status": "down", "total": 3, "grace": 0, "down": 1} == told


async def test_a_badge_is_a_picture_that_says_its_word_and_shields_has_a_form_of_its_own(town: Town) -> None:
    check = await town.world.check(START, name="Backup & more")
    await town.world.ping(check, START, PingKind.FAIL)
    path = await address_of(await with_badges(town), f"check:{check.uuid}")
    svg = await town.nobody.get(path)
    shields = await town.nobody.get(path.replace(".svg", ".shields"))

    root = ET.fromstring(svg.body)
    assert ("image/svg+xml", "img", "Backup & more: down") == (
        svg.headers["content-type"], root.get("role"), root.get("aria-label"),
    )  # fmt: skip
    assert ["Backup & more", "down"] == [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"schemaVersion": 1, "label": "Backup & more", "message": "down", "color": "critical"} == shields.json
    named = await town.nobody.get(f"{path}?label=Nightly%20job")
    assert "Nightly job: down" == ET.fromstring(named.body).get("aria-label")


async def test_a_badge_may_stand_anywhere_for_half_a_minute_and_sets_no_cookie(town: Town) -> None:
    path = await address_of(await with_badges(town), "all:")
    headers = (await (await town.owner()).get(path)).headers

    assert ("public, max-age=30", "*", "cross-origin") == (
        headers["cache-control"], headers["access-control-allow-origin"], headers["cross-origin-resource-policy"],
    )  # fmt: skip
    assert "set-cookie" not in headers
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_its_address_and_its_picture_tell_no_id_slug_or_ping_address(town: Town) -> None:
    check = await town.world.check(START, name="Backup", slug="secret-slug", tags=("internal",))
    row = await town.world.row(check)
    owner = await with_badges(town)
    for of in (f"check:{check.uuid}", "tag:internal", "all:"):
        path = await address_of(owner, of, "&label=x")
        told = path
        for kind in (".svg", ".json", ".shields"):
            told += (await town.nobody.get(path.replace(".svg", kind))).body.decode()
        for hidden in (row.uuid, row.ping_uuid, str(row.id), row.slug, "internal", "Backup", "main", "Main"):
            assert hidden not in told


async def test_who_knows_one_badge_knows_no_other(town: Town) -> None:
    await town.world.check(START, name="Backup", tags=("a", "b"))
    owner = await with_badges(town)
    one, other = await address_of(owner, "tag:a"), await address_of(owner, "tag:b")

    assert one.split("/")[2] == other.split("/")[2]
    assert one.split("/")[4] != other.split("/")[4]
    half = one.split("/")[2]
    for wrong in (
        f"/badge/{half}/3/a.svg", f"/badge/{half}/4/{one.split('/')[4]}", f"/badge/{'x' * 16}/3/{one.split('/')[4]}",
        one.replace(".svg", ".png"), one.replace(".svg", ""), f"/badge/{half}/3/%00.svg", "/badge", f"/badge/{half}",
    ):  # fmt: skip
        assert 404 == (await town.nobody.get(wrong)).status, wrong


async def test_a_new_key_or_none_ends_the_badges_of_before(town: Town, clock: SimClock) -> None:
    owner = await with_badges(town)
    first = await address_of(owner, "all:")
    await owner.post("/p/main/badges/key", {"do": "make"})
    second = await address_of(owner, "all:")

    assert 404 == (await town.nobody.get(first)).status
    assert 200 == (await town.nobody.get(second)).status
    await owner.post("/p/main/badges/key", {"do": "remove"})
    clock.move_to(START + MINUTE)  # past what the process has read
    assert 404 == (await town.nobody.get(second)).status
    assert 409 == (await owner.post("/p/main/badges/key", {"do": "remove"})).status
    assert 422 == (await owner.post("/p/main/badges/key", {"do": "dance"})).status


async def test_what_somebody_reads_is_read_once_in_five_seconds(town: Town, clock: SimClock) -> None:
    check = await town.world.check(START, name="Backup")
    path = await address_of(await with_badges(town), "all:")
    before = await said(town, path)
    await town.world.ping(check, START, PingKind.FAIL)

    assert before == await said(town, path)
    clock.move_to(START + timedelta(seconds=6))
    assert "down" == (await said(town, path))["status"]
    clock.step_wall(timedelta(hours=-1))  # what was read then is no news
    await town.world.db.write(lambda tx: tx.conn.execute(sa.update(checks).values(status="up")).rowcount)
    assert "up" == (await said(town, path))["status"]


async def test_what_was_picked_and_is_gone_is_told(town: Town) -> None:
    reply = await (await with_badges(town)).get("/p/main/badges?of=tag:nothing")

    assert 404 == reply.status
    assert "There is no such check or tag any more" in reply.body.decode()


async def test_hostile_names_and_labels_stay_text(town: Town) -> None:
    for number, text in enumerate(HOSTILE[:60]):
        if text.strip() and text.isprintable():
            await town.world.check(START, name=text[:100], slug=f"c-{number}", tags=(text[:50],))
    owner = await with_badges(town)
    page = (await owner.get("/p/main/badges")).body.decode()
    assert "<script>" not in page
    assert "onerror=" not in re.sub(r'(value|alt)="[^"]*"|>[^<]*<', "", page)
    path = await address_of(owner, "all:")
    for text in HOSTILE[:60]:
        query = "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))
        svg = (await town.nobody.get(f"{path}?label={query}")).body
        names = {one.tag.rpartition("}")[2] for one in ET.fromstring(svg).iter()}
        assert {"svg", "title", "clipPath", "rect", "g", "text"} == names


async def test_a_project_that_is_gone_has_no_badges(town: Town, clock: SimClock, db: Database) -> None:
    other = await town.stranger()
    await other.post("/p/next-door/badges/key", {"do": "make"})
    page = (await other.get("/p/next-door/badges")).body.decode()
    path = unescape(re.findall(r'<img src="([^"]+)"', page)[0])
    assert 200 == (await town.nobody.get(path)).status
    assert 303 == (await other.post("/p/next-door/settings/delete", {"sure": "Next-Door"})).status
    clock.move_to(START + MINUTE)

    assert 404 == (await town.nobody.get(path)).status
    async with db.read() as read:
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(projects))).scalar()
