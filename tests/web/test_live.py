"""An open page is told what changed, nothing else, and no longer than its reader may know it."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly import __version__
from heartfly.clock import SystemClock
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import channels, checks, deliveries, sessions
from heartfly.web.feed import BEAT_S, LINGER_S
from heartfly.web.live import TICK_S, TRUST_S
from heartfly.web.state import WebState
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.listener import Listener, Told

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def page_of(browser: Browser, path: str = "/p/main/checks") -> str:
    reply = await browser.get(path)
    assert 200 == reply.status
    return reply.body.decode()


def mark_in(page: str) -> str:
    found = re.search(r'data-after="([^"]*)"', page)
    assert found is not None
    return found[1]


async def asleep(clock: SimClock) -> None:
    """Return when the stream waits for time to pass."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(30):
        while not clock.n_asleep:
            turn = loop.create_future()
            loop.call_soon(turn.set_result, None)
            await turn


def squeezed(html: str) -> str:
    return re.sub(r"\s*\n\s*", "\n", html).strip()


def by_kind(told: list[Told]) -> dict[str, str]:
    return {event.kind: event.data for event in told}


async def test_a_ping_is_told_as_the_row_that_the_page_shows(town: Town, web: WebState) -> None:
    check = await town.world.check(START, name="Back<up>", tags=("p&d",))
    browser = await town.owner()
    before = await page_of(browser)

    async with Listener(browser, f"/p/main/live?after={mark_in(before)}") as tab:
        assert ("text/event-stream", "no", 200) == (
            tab.headers["content-type"].partition(";")[0], tab.headers["x-accel-buffering"], tab.status,
        )  # fmt: skip
        assert __version__ == (await tab.until("hello"))[0].data
        assert ["tick"] == [event.kind for event in await tab.until("tick")]
        await town.world.ping(check, START, PingKind.FAIL)
        await web.feeds.beat()
        told = by_kind(await tab.until("tick"))

    after = await page_of(browser)
    assert {"row", "counts", "marks", "tick"} == set(told)
    assert squeezed(told["row"]) in squeezed(after)
    assert squeezed(told["row"]) not in squeezed(before)
    assert ("down=1", "incidents=1 channels=0") == (told["counts"], told["marks"])
    assert "0\n10:00:00 UTC" == told["tick"]


async def test_what_came_between_the_page_and_its_stream_is_told_too(town: Town, web: WebState) -> None:
    check = await town.world.check(START, name="Backup")
    browser = await town.owner()
    mark = mark_in(await page_of(browser))
    await town.world.ping(check, START)
    await web.feeds.beat()

    async with Listener(browser, f"/p/main/live?after={mark}") as tab:
        first = [event.kind for event in await tab.until("tick")]
        told = first + ([] if "row" in first else [event.kind for event in await tab.until("tick")])
    assert "row" in told
    assert "resync" not in told


async def test_a_browser_that_was_away_hears_what_it_missed_or_that_it_must_ask_for_all(
    town: Town, web: WebState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.web.feed.RING", 6)
    made = [await town.world.check(START, name=f"c{i}") for i in range(4)]
    browser = await town.owner()
    async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
        await tab.until("tick")
        await town.world.ping(made[0], START)
        await web.feeds.beat()
        last = (await tab.until("tick"))[-1].id

    for check in made[1:3]:
        await town.world.ping(check, START)
        await web.feeds.beat()
    async with Listener(browser, last_id=last) as tab:
        missed = await tab.until("counts")
    assert [made[1].uuid, made[2].uuid] == [
        found[1] for event in missed if (found := re.search(r"/checks/([0-9a-f-]{36})", event.data))
    ]

    for check in (*made, made[0]):
        await town.world.ping(check, START + MINUTE)
        await web.feeds.beat()
    for unknown in (last, "other-1", "nonsense", last.partition("-")[0] + "-99999", ""):
        async with Listener(browser, last_id=unknown) as tab:
            assert ["hello", "resync", "tick"] == [event.kind for event in await tab.until("tick")], unknown


async def test_a_check_that_is_late_by_nothing_but_time_is_told(town: Town, web: WebState, clock: SimClock) -> None:
    check = await town.world.check(START, name="Backup")
    await town.world.ping(check, START)
    browser = await town.owner()
    async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
        await tab.until("tick")
        await asleep(clock)
        clock.move_to(START + timedelta(hours=1) - timedelta(seconds=1))
        await web.feeds.beat()
        assert ["tick"] == [event.kind for event in await tab.until("tick")]
        clock.move_to(START + timedelta(hours=1))
        await web.feeds.beat()
        assert "s-late" in by_kind(await tab.until("row"))["row"]


async def test_what_people_do_and_what_is_to_be_sent_is_told_by_a_word(town: Town, web: WebState) -> None:
    """An acknowledgement, a channel, its test: pages that show such things fetch themselves anew."""
    owner, check = await town.owner(), await town.world.check(START, name="Backup", slug="backup")
    await town.world.ping(check, START, PingKind.FAIL)
    listed = await page_of(owner, "/p/main/incidents")
    (incident,) = set(re.findall(r"/p/main/incidents/[0-9a-f-]{36}", listed))
    assert 'data-after="' in listed
    done: list[tuple[str, dict[str, str]]] = [
        (f"{incident}/acknowledge", {"text": "I look"}),
        ("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com", "test": "1"}),
    ]
    async with Listener(owner, last_id=mark_in(listed)) as listener:
        await listener.until("tick")
        for path, fields in done:
            assert 303 == (await owner.post(path, fields)).status
            await web.feeds.beat()
            assert ["news", "tick"] == [event.kind for event in await listener.until("tick")]
        await web.feeds.beat()
        delivery = {
            "id": "11111111-1111-4111-8111-111111111111", "pid": town.world.project.pid, "channel_id": 0,
            "state": "pending", "attempt": 0, "possible_duplicate": False, "created_at": START,
        }  # fmt: skip
        async with town.world.db.read() as read:
            delivery["channel_id"] = (await read.execute(sa.select(channels.c.id))).scalars().first()
        changes = (
            sa.insert(deliveries).values(delivery),
            sa.update(deliveries).values(attempt=1, lease_until=START + MINUTE),
            sa.update(deliveries).values(state="sent", done_at=START),
        )
        for change in changes:
            await town.world.db.write(partial(_done, change))
            await web.feeds.beat()
            assert ["news", "tick"] == [event.kind for event in await listener.until("tick")]
        await town.world.ping(check, START + MINUTE, PingKind.LOG)
        await web.feeds.beat()
        assert "news" not in [event.kind for event in await listener.until("tick")]


def _done(change: Any, tx: Tx) -> None:
    tx.conn.execute(change)


async def test_a_check_that_is_no_more_is_told(town: Town, web: WebState) -> None:
    check = await town.world.check(START, name="Backup")
    browser = await town.owner()
    async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
        await tab.until("tick")
        assert 303 == (await browser.post(f"/p/main/checks/{check.uuid}/delete", {"name": "Backup"})).status
        await web.feeds.beat()
        told = by_kind(await tab.until("tick"))
    assert (f"c-{check.uuid[:8]}", "") == (told["gone"], told["counts"])


async def test_more_than_a_page_wants_to_hear_is_told_by_one_word(
    town: Town, web: WebState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.web.feed.MOST_ROWS", 3)
    made = [await town.world.check(START) for _ in range(4)]
    browser = await town.owner()
    async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
        await tab.until("tick")
        await town.world.pings([town.world.request(check, START) for check in made])
        await web.feeds.beat()
        assert ["resync", "tick"] == [event.kind for event in await tab.until("tick")]


async def test_another_projects_changes_are_not_told(town: Town, web: WebState) -> None:
    ours = await town.world.check(START, name="ours")
    theirs = await town.next_door.check(START, name="theirs")
    browser = await town.owner()
    async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
        await tab.until("tick")
        await town.next_door.ping(theirs, START)
        await web.feeds.beat()
        await town.world.ping(ours, START)
        await web.feeds.beat()
        await tab.until("counts")
        assert b"ours" in tab.body
        assert b"theirs" not in tab.body


@pytest.mark.parametrize("how", ["revoked", "signed out", "put out of the project", "too old"])
async def test_a_stream_ends_with_the_right_to_hear_it(
    town: Town, web: WebState, clock: SimClock, db: Database, how: str
) -> None:
    check = await town.world.check(START, name="Backup")
    browser, other = await town.owner(), await town.owner()
    async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
        await tab.until("tick")
        if how == "revoked":
            await other.post("/account/security/sessions/revoke-others")
        elif how == "signed out":
            await browser.post("/sign-out")
        elif how == "put out of the project":
            await db.write(lambda tx: tx.conn.execute(sa.text("DELETE FROM members WHERE role = 'owner'")).rowcount)
        passes = timedelta(hours=24) if how == "too old" else timedelta(seconds=TRUST_S)
        clock.move_to(clock.now() + passes)
        await town.world.ping(check, START)
        await web.feeds.beat()

        assert ["end"] == [event.kind for event in await tab.all() if event.kind != "tick"]
        assert b"Backup" not in tab.body
    assert {} == dict(web.feeds.streams)


async def test_a_quiet_stream_goes_on_saying_until_when_it_knows(town: Town, web: WebState, clock: SimClock) -> None:
    await town.world.check(START, name="Backup")
    browser = await town.owner()
    async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
        await tab.until("tick")
        await asleep(clock)
        clock.move_to(START + timedelta(seconds=5))
        await web.feeds.beat()
        clock.move_to(START + timedelta(seconds=TICK_S))
        assert "4\n10:00:05 UTC" == (await tab.until("tick"))[-1].data


async def test_while_the_database_cannot_be_asked_nothing_is_said_to_be_fresh(
    town: Town, web: WebState, clock: SimClock, db: Database
) -> None:
    check = await town.world.check(START, name="Backup")
    browser = await town.owner()
    async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
        await tab.until("tick")
        await town.world.ping(check, START)
        reading, db._reading = db._reading, None
        clock.move_to(START + timedelta(seconds=TRUST_S - 1))
        await web.feeds.beat()
        (feed,) = web.feeds._feeds.values()
        assert START == feed.as_of
        db._reading = reading
        await web.feeds.beat()
        told = by_kind(await tab.until("counts"))
        assert "up=1" == told["counts"]


async def test_a_user_has_so_many_streams_and_no_more(
    town: Town, web: WebState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.web.live.PER_USER", 2)
    owner, viewer = await town.owner(), await town.viewer()
    async with Listener(owner) as one, Listener(owner) as two:
        await one.until("tick")
        await two.until("tick")
        assert 429 == (await owner.get("/p/main/live")).status
        async with Listener(viewer) as other:
            assert 200 == other.status
        one.leave()
        await one.gone()
        async with Listener(owner) as three:
            assert 200 == three.status
            await three.until("tick")
    assert {} == dict(web.feeds.streams)


async def test_every_stream_ends_at_once_when_the_process_wants_to(town: Town, web: WebState) -> None:
    owner, viewer = await town.owner(), await town.viewer()
    async with Listener(owner) as one, Listener(viewer) as two:
        await one.until("tick")
        await two.until("tick")
        web.feeds.stop.set()
        assert [["bye"], ["bye"]] == [[event.kind for event in await tab.all()] for tab in (one, two)]
        async with Listener(owner) as late:
            assert "bye" == (await late.all())[-1].kind


async def test_a_stream_is_no_use_of_the_session_nor_is_what_a_page_fetches_by_itself(
    town: Town, clock: SimClock, db: Database
) -> None:
    browser = await town.owner()

    async def seen_at() -> list[Any]:
        async with db.read() as read:
            return list((await read.execute(sa.select(sessions.c.seen_at))).scalars())

    before = await seen_at()
    clock.move_to(START + 30 * MINUTE)
    async with Listener(browser) as tab:
        await tab.until("tick")
    assert 200 == (await browser.get("/p/main/checks", headers=[("X-Heartfly-Live", "1")])).status
    assert before == await seen_at()
    await browser.get("/p/main/checks")
    assert before != await seen_at()


async def test_a_head_of_a_stream_is_answered_and_ends(town: Town) -> None:
    async with Listener(await town.owner(), method="HEAD") as tab:
        assert [] == await tab.all()
        assert (200, b"") == (tab.status, tab.body)


async def test_nobody_looks_while_nobody_watches(town: Town, web: WebState, clock: SimClock) -> None:
    browser = await town.owner()
    await page_of(browser)
    async with Listener(browser) as tab:
        await tab.until("tick")
        clock.move_to(START + timedelta(seconds=2 * LINGER_S))
        await web.feeds.beat()
        assert 1 == len(web.feeds._feeds)
    clock.move_to(clock.now() + timedelta(seconds=LINGER_S))
    await web.feeds.beat()
    assert 1 == len(web.feeds._feeds)
    clock.move_to(clock.now() + timedelta(seconds=1))
    await web.feeds.beat()
    assert {} == web.feeds._feeds


async def test_the_service_looks_by_itself_and_ends_when_told(town: Town, web: WebState, clock: SimClock) -> None:
    check = await town.world.check(START, name="Backup")
    ended = asyncio.Event()
    service = asyncio.ensure_future(web.feeds.run(ended))
    browser = await town.owner()
    async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
        await tab.until("tick")
        await town.world.ping(check, START)
        for _ in range(100):
            clock.move_to(clock.now() + timedelta(seconds=BEAT_S))
            event = asyncio.ensure_future(tab.until("row"))
            done, _ = await asyncio.wait({event}, timeout=0.1)
            event.cancel()
            if done or b"event: row" in tab.body:
                break
        assert b"event: row" in tab.body
    ended.set()
    async with asyncio.timeout(30):
        await service


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_what_another_node_commits_is_told(town: Town, web: WebState, database_url: str, tmp_path: Path) -> None:
    check = await town.world.check(START, name="Backup")
    other = Database(url=database_url, data_dir=tmp_path / "other", clock=SystemClock(), node_id=2)
    other.start()
    try:
        browser = await town.owner()
        async with Listener(browser, f"/p/main/live?after={mark_in(await page_of(browser))}") as tab:
            await tab.until("tick")

            def rename(tx: Any) -> Any:
                mine = (checks.c.pid == town.world.project.pid, checks.c.uuid == check.uuid)
                return tx.conn.execute(sa.update(checks).where(*mine).values(name="Renamed", rev=checks.c.rev + 1))

            await other.write(lambda tx: rename(tx).rowcount)
            await web.feeds.beat()
            assert "Renamed" in by_kind(await tab.until("row"))["row"]
    finally:
        await other.stop()


# --- a new check ---------------------------------------------------------------------------------


async def test_a_new_check_waits_for_its_first_ping_with_what_helps_and_says_that_it_came(
    town: Town, clock: SimClock
) -> None:
    check = await town.world.check(START, name="Backup")
    owner, viewer, path = await town.owner(), await town.viewer(), f"/p/main/checks/{check.uuid}"

    early = await page_of(owner, path)
    assert ("Waiting for the first ping" in early, 'data-again="61"' in early, "Nothing came" in early) == (
        True, True, False,
    )  # fmt: skip
    seen = await page_of(viewer, path)
    assert ("Waiting for the first ping" in seen, check.ping_uuid in seen) == (True, False)
    clock.move_to(START + MINUTE)
    late = await page_of(owner, path)
    assert ("data-again" in late, "Nothing came for 1 min" in late) == (False, True)

    await town.world.ping(check, START + MINUTE, remote="203.0.113.7", agent="curl/8")
    came = await page_of(owner, path)
    assert ("Waiting" in came, "The first ping came" in came, "203.0.113.7" in came) == (False, True, True)
    await town.world.ping(check, START + MINUTE, PingKind.FAIL)
    assert "The first ping came" not in await page_of(owner, path)  # all is well, it would say beside what is not
    await town.world.ping(check, START + MINUTE)
    assert "The first ping came" in await page_of(owner, path)
    clock.move_to(START + 12 * MINUTE)
    assert "The first ping came" not in await page_of(owner, path)


async def test_the_script_is_of_the_page_that_needs_it(town: Town) -> None:
    owner, page = await town.owner(), await page_of(await town.owner())
    found = re.search(r'<script type="module" src="(/static/live[^"]+)"></script>', page)
    assert found is not None
    packed = await owner.get(found[1], headers=[("Accept-Encoding", "gzip")])

    assert ("text/javascript", "gzip") == (
        packed.headers["content-type"].partition(";")[0],
        packed.headers["content-encoding"],
    )
    for path in ("/account/security", "/p/main/settings/team"):
        assert "/static/live" not in await page_of(owner, path)
