"""Watches of data in the browser: what is usual is told before one is saved; made, edited and deleted by who may."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from heartfly.core.events import read as parsed
from heartfly.db.models import watches
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.web.state import WebState
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_traffic_pages import ITEMS, hit
from tests.web.test_usage_pages import said, text

pytestmark = pytest.mark.anyio

HERE = "/p/main/usage/watches"
HOSTILE = "<script>alert(1)</script>"
LIMITS = {"gap_s": "300", "factor": "20", "least": "20"}
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


async def send(
    town: Town, web: WebState, clock: SimClock, at: datetime, *, source: str = "nginx-1", **told: Any
) -> None:
    """One request that comes, and happened, then."""
    clock.move_to(at)
    event = hit(round(at.timestamp()), at, **told)
    await web.api.events.take(town.world.project.pid, parsed(json.dumps([event])), wire="native", source=source)


async def three_hours(town: Town, web: WebState, clock: SimClock, *, source: str = "nginx-1") -> None:
    """From START on a request each two minutes, of one source."""
    for n in range(90):
        await send(town, web, clock, START + n * 2 * MINUTE, source=source, customer="c-1")
    await Folder(web.api.usage, web.api.clock, web.api.ids, hands=Hands(beside=False)).round()


async def made(town: Town) -> list[dict[str, object]]:
    async with town.world.db.read() as read:
        rows = (await read.execute(sa.select(watches.c.kind, watches.c.what, watches.c.limits))).all()
    return [{"kind": row.kind, "what": row.what, **row.limits} for row in rows]


async def the_one(town: Town, browser: Browser) -> str:
    """The address of the watch that there is."""
    page = (await browser.get(HERE)).body.decode()
    (found,) = set(re.findall(rf'href="({HERE}/[0-9a-f-]{{36}})"', page))
    return str(found)


async def test_where_nothing_is_watched_it_is_said_what_for_and_how(town: Town) -> None:
    shown, viewers = await text(await town.owner(), "/watches"), await text(await town.viewer(), "/watches")

    assert "Nothing is watched yet" in shown
    assert "heartfly usage watches create source" in shown
    assert ("Watch customers" in shown, "Watch customers" in viewers) == (True, False)


async def test_a_preview_tells_the_usual_gap_and_after_what_silence_it_would_alarm(
    town: Town, web: WebState, clock: SimClock
) -> None:
    await three_hours(town, web, clock, source=HOSTILE)
    clock.move_to(START + DAY + HOUR + 10 * MINUTE)
    owner = await town.owner()

    fields = LIMITS | {"kind": "source", "what": "*", "factor": "25", "preview": "1"}
    reply = await owner.post(f"{HERE}/new", fields)
    shown = said(reply.body)

    busier = await owner.post(f"{HERE}/new", LIMITS | {"kind": "source", "what": "*", "least": "400", "preview": "1"})

    assert 200 == reply.status
    assert "2 min 30 not busy enough" in said(busier.body)
    assert "1 source is watched; 1 would alarm now. Nothing is saved yet." in shown
    assert re.search(r"2 min 30 50 min Silent", shown), shown  # the usual gap, an hour's, and when it alarms
    assert f"{HOSTILE} has sent nothing for 22 h (usual gap 2 min)" in shown
    assert HOSTILE not in reply.body.decode()
    assert [] == await made(town)


async def test_who_is_not_known_for_long_enough_is_said_to_be_so(town: Town, web: WebState, clock: SimClock) -> None:
    await send(town, web, clock, START + MINUTE)
    owner = await town.owner()

    shown = said((await owner.post(f"{HERE}/new", LIMITS | {"kind": "source", "what": "*", "preview": "1"})).body)

    assert "1 source is watched; none would alarm now." in shown
    assert "not known for long enough, or nothing is usual now" in shown


async def test_a_customer_is_watched_under_the_name_that_people_know(
    town: Town, web: WebState, clock: SimClock
) -> None:
    owner = await town.owner()
    known = (await owner.post("/p/main/usage/customers", {"name": "Acme & Sons", "alias": "c-1"})).headers["location"]
    uuid = known.rpartition("/")[2]
    await three_hours(town, web, clock)
    clock.move_to(START + DAY + HOUR + 10 * MINUTE)
    owner = await town.owner()
    form = (await owner.get(f"{HERE}/new?kind=customer&what={uuid}")).body.decode()
    link = (await owner.get(known)).body.decode()

    shown = said((await owner.post(f"{HERE}/new", LIMITS | {"kind": "customer", "what": uuid, "preview": "1"})).body)
    saved = await owner.post(f"{HERE}/new", LIMITS | {"kind": "customer", "what": uuid})

    assert f'<option value="{uuid}" selected>Acme &amp; Sons</option>' in form
    assert f"{HERE}/new?kind=customer&amp;what={uuid}" in link
    assert "customer Acme & Sons at 0 for 22 h, usual 30/h" in shown
    assert (303, HERE) == (saved.status, saved.headers["location"])
    assert [{"kind": "customer", "what": uuid, "gap_s": 300, "factor": 20, "least": 20}] == await made(town)
    assert "Acme & Sons silent customer made by the first look" in await text(owner, "/watches")


async def test_a_preview_of_endpoints_tells_p95_and_errors_beside_the_usual_ones(
    town: Town, web: WebState, clock: SimClock
) -> None:
    for n in range(60):
        await send(town, web, clock, START + n * 50 * timedelta(seconds=1), endpoint=ITEMS)
    at = START + DAY + 20 * MINUTE
    for n in range(60):
        await send(town, web, clock, at + n * timedelta(seconds=5), endpoint=ITEMS, latency_ms=900, status=503)
    await Folder(web.api.usage, web.api.clock, web.api.ids, hands=Hands(beside=False)).round()
    clock.move_to(at + 6 * MINUTE)
    owner = await town.owner()
    fields = {"kind": "endpoint", "what": ITEMS, "factor": "2", "least": "50", "preview": "1"}

    shown = said((await owner.post(f"{HERE}/new", fields)).body)
    link = (await owner.get(f"{HERE}/new?kind=endpoint&what={quote(ITEMS)}")).body.decode()

    assert "1 endpoint is watched; 1 would alarm now." in shown
    assert re.search(
        r"GET /v1/items/\{id\} 60 \d{3} usual 20 , alarms from 120 100 % usual 0 % , alarms from 2 % Degraded", shown
    ), shown
    assert "100% of requests failed, usual 0%" in shown
    assert 'value="GET /v1/items/{id}"' in link


@pytest.mark.parametrize(
    ("sent", "field", "said_so"),
    [
        ({"factor": "1"}, "factor", "must be 2 to 10000"),
        ({"gap_s": "soon"}, "gap_s", "must be a whole number"),
        ({"least": "9" * 40}, "least", "must be a whole number"),
        ({"what": "two\nlines"}, "what", "must be a name, or * for all"),
        ({"kind": "endpoint", "what": "GET /none", "least": "50"}, "what", "is no endpoint that was ever asked for"),
        ({"kind": "customer", "what": "nobody"}, "what", "is the id of no customer"),
    ],
)
async def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(
    town: Town, sent: dict[str, str], field: str, said_so: str
) -> None:
    owner = await town.owner()

    reply = await owner.post(f"{HERE}/new", LIMITS | {"kind": "source", "what": "*"} | sent)

    assert 422 == reply.status
    assert f'id="{field}-wrong"' in reply.body.decode()
    assert said_so in said(reply.body)
    assert [] == await made(town)


async def test_what_is_watched_already_is_not_watched_twice(town: Town) -> None:
    owner = await town.owner()
    await owner.post(f"{HERE}/new", {"kind": "source", "what": "*"})

    again = await owner.post(f"{HERE}/new", {"kind": "source", "what": "*"})

    assert 409 == again.status
    assert "It is watched already; edit that watch." in said(again.body)
    assert 1 == len(await made(town))
    assert 422 == (await owner.get(f"{HERE}/new?kind=weather")).status


async def test_a_watch_is_edited_and_deleted_by_who_may_write(town: Town) -> None:
    owner, viewer, stranger = await town.owner(), await town.viewer(), await town.stranger()
    await owner.post(f"{HERE}/new", {"kind": "source", "what": "nginx-1"})
    path = await the_one(town, owner)

    seen = said((await viewer.get(path)).body)
    tried = await owner.post(path, {"gap_s": "3600", "factor": "5", "least": "", "preview": "1"})
    untouched = await made(town)
    saved = await owner.post(path, {"gap_s": "3600", "factor": "5", "least": ""})
    wrong = await owner.post(path, {"gap_s": "1", "factor": "5", "least": "20"})
    refused = [(await who.post(path + more, {})).status for who in (viewer, stranger) for more in ("", "/delete")]
    next_door = path.replace("/main/", "/next-door/")
    others = [(await stranger.get(next_door)).status, (await stranger.post(f"{next_door}/delete")).status]

    assert ("nginx-1" in seen, "Save" in seen, "Delete the watch" in seen) == (True, False, False)
    assert "As you typed it" in said(tried.body)
    assert [{"kind": "source", "what": "nginx-1", "gap_s": 300, "factor": 20, "least": 20}] == untouched
    assert 303 == saved.status
    assert [{"kind": "source", "what": "nginx-1", "gap_s": 3600, "factor": 5, "least": 20}] == await made(town)
    assert (422, True) == (wrong.status, "must be 60 to 604800" in said(wrong.body))
    assert [403, 403, 404, 404] == refused
    assert [404, 404] == others
    assert 303 == (await owner.post(f"{path}/delete")).status
    assert [] == await made(town)
    assert 404 == (await owner.get(path)).status


async def test_what_the_last_look_found_is_told(town: Town, web: WebState, clock: SimClock) -> None:
    owner = await town.owner()
    await owner.post(f"{HERE}/new", {"kind": "source", "what": "*"})
    words = f"{HOSTILE} has sent nothing for 9 min (usual gap 2 s)"
    await town.world.db.write(lambda tx: tx.conn.execute(sa.update(watches).values(words=words, looked_at=START)))

    shown = await text(owner, "/watches")

    assert f"All sources silent source made by the first look {words}" in shown
    assert HOSTILE not in (await owner.get(HERE)).body.decode()
