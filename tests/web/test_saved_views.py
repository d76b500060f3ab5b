"""Filters of the list of checks, kept under a name for all who see the project."""

from __future__ import annotations

import re
from html import unescape

import pytest
import sqlalchemy as sa

from heartfly.checks.views import MOST_VIEWS
from heartfly.db.models import audit, check_views
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.hostile import HOSTILE

pytestmark = pytest.mark.anyio

LIST, SAVE = "/p/main/checks", "/p/main/views"


async def saved(browser: Browser, path: str = LIST) -> list[tuple[str, str]]:
    """Addresses and names, as the list shows them."""
    page = (await browser.get(path)).body.decode()
    found = re.search(r'<nav class="views" aria-label="Saved views">(.*?)</nav>', page)
    links = re.findall(r'<a href="([^"]+)"[^>]*><bdi>(.*?)</bdi></a>', found[1]) if found else []
    return [(unescape(href), unescape(name)) for href, name in links]


async def test_a_filter_is_saved_under_a_name_and_everybody_in_the_project_finds_it(town: Town) -> None:
    member, viewer, other = await town.member(), await town.viewer(), await town.stranger()
    await town.world.check(START, name="Load", slug="load", tags=("etl",))
    query = "q=tag%3Aetl+is%3Aup&status=down"

    offered = (await member.get(f"{LIST}?{query}")).body.decode()
    done = await member.post(SAVE, {"name": " ETL down ", "q": "tag:etl is:up", "status": "down"})

    assert "Save this view as" in offered
    assert (303, f"{LIST}?{query}") == (done.status, done.headers["location"])
    assert [(f"{LIST}?{query}", "ETL down")] == await saved(viewer) == await saved(member)
    assert [] == await saved(other, "/p/next-door/checks")
    shown = (await member.get(f"{LIST}?{query}")).body.decode()
    assert 'aria-current="page"><bdi>ETL down</bdi>' in shown
    assert ("Save this view as" in shown, "Forget the view" in shown) == (False, True)
    assert "Forget the view" not in (await viewer.get(f"{LIST}?{query}")).body.decode()
    assert "Save this view as" not in (await member.get(LIST)).body.decode()  # of all checks there is nothing to keep


async def test_other_views_are_saved_with_their_range(town: Town) -> None:
    owner = await town.owner()
    await town.world.check(START, name="Load", slug="load")

    await owner.post(SAVE, {"name": "Week", "view": "timeline", "range": "7d", "q": "load"})

    assert [(f"{LIST}?view=timeline&q=load&range=7d", "Week")] == await saved(owner)
    assert 200 == (await owner.get(f"{LIST}?view=timeline&q=load&range=7d")).status


async def test_a_view_is_forgotten_and_both_are_in_the_audit(town: Town) -> None:
    owner, other = await town.owner(), await town.stranger()
    await town.world.check(START, name="Load", slug="load")
    await owner.post(SAVE, {"name": "ETL", "q": "tag:etl"})
    page = (await owner.get(f"{LIST}?q=tag%3Aetl")).body.decode()
    (forget,) = re.findall(r'action="(/p/main/views/[0-9a-f-]{36}/delete)"', page)

    assert 404 == (await other.post(forget.replace("main", "next-door"))).status
    assert 303 == (await owner.post(forget)).status
    assert 404 == (await owner.post(forget)).status

    assert [] == await saved(owner)
    async with town.world.db.read() as read:
        query = sa.select(audit.c.action, audit.c.before, audit.c.after).where(audit.c.action.like("view.%"))
        entries = (await read.execute(query.order_by(audit.c.id))).all()
    view = {"name": "ETL", "query": "q=tag%3Aetl"}
    assert [("view.create", None, view), ("view.delete", view, None)] == [tuple(entry) for entry in entries]


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"name": "", "q": "tag:etl"}, 422, "Must not be empty"),
        ({"name": "x" * 61, "q": "tag:etl"}, 422, "60 characters"),
        ({"name": "Mine"}, 422, "Filter first"),
        ({"name": "Mine", "status": "loud"}, 422, "must be one of"),
        ({"name": "Mine", "view": "round", "q": "x"}, 422, "must be one of"),
        ({"name": "Taken", "q": "tag:etl"}, 409, "There is a saved view of that name"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_cannot_be_is_told_and_what_was_typed_stays(
    town: Town, sent: dict[str, str], status: int, said: str
) -> None:
    owner = await town.owner()
    await town.world.check(START, name="Load", slug="load")
    await owner.post(SAVE, {"name": "Taken", "q": "load"})

    refused = await owner.post(SAVE, sent)

    page = unescape(refused.body.decode())
    assert (status, True) == (refused.status, said in page), page
    assert [(f"{LIST}?q=load", "Taken")] == await saved(owner)
    if "name-wrong" in page:
        assert f'value="{sent["name"]}"' in page


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_there_is_room_for_so_many_and_any_name_is_shown_as_text(town: Town) -> None:
    owner = await town.owner()
    await town.world.check(START, name="Load", slug="load")
    row = {"pid": town.world.project.pid, "created_at": START}
    rows = [row | {"id": n, "uuid": f"{n}", "name": f"{n} {HOSTILE}", "query": f"q={n}"} for n in range(MOST_VIEWS)]
    await town.world.db.write(lambda tx: tx.conn.execute(sa.insert(check_views), rows).rowcount)

    refused = await owner.post(SAVE, {"name": "One more", "q": "tag:etl"})

    assert (409, True) == (refused.status, "all that it may have" in refused.body.decode())
    names = [name for _, name in await saved(owner)]
    assert (MOST_VIEWS, True) == (len(names), f"7 {HOSTILE}" in names)


async def test_what_is_the_name_of_no_view_is_none(town: Town) -> None:
    owner = await town.owner()
    for name in ("%00", "x", "00000000-0000-4000-8000-000000000000"):
        assert 404 == (await owner.post(f"/p/main/views/{name}/delete")).status
