"""What happened to a check: one list of all kinds, filtered, paged, taken along as a file; its runs; what it said."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api.paging import cursor_of
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.models import checks, flips
from heartfly.web.json_text import is_json, laid_out
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_editing import fields_of
from tests.web.test_pages import rows, text_of

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def lived(town: Town, clock: SimClock, browser: Browser) -> str:
    """A channel; 4 pings, of which one fails; an edit."""
    w = town.world
    await browser.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    check = await w.check(START, name="Backup", slug="backup")
    path = f"/p/main/checks/{check.uuid}"
    await w.ping(check, START + MINUTE, PingKind.START, rid="r1")
    await w.ping(check, START + 2 * MINUTE, rid="r1", agent="=cmd|'/c calc'!A1", body=b"said", body_size=4)
    await w.ping(check, START + 3 * MINUTE, PingKind.FAIL, exit_status=3)
    clock.move_to(START + 4 * MINUTE)
    assert 303 == (await browser.post(f"{path}/edit", await fields_of(browser, f"{path}/edit") | {"grace": "7"})).status
    await w.ping(check, START + 5 * MINUTE)
    clock.move_to(START + 6 * MINUTE)
    return path


async def kinds(browser: Browser, path: str) -> list[str]:
    reply = await browser.get(path)
    assert 200 == reply.status, reply.body.decode()
    return re.findall(r'<tr class="e-(\w+)"', reply.body.decode())


async def lines(browser: Browser, path: str) -> list[Any]:
    return [json.loads(line) for line in (await browser.get(path)).body.splitlines()]


async def test_pings_flips_notifications_and_edits_stand_in_one_list(town: Town, clock: SimClock) -> None:
    browser = await town.owner()
    path = await lived(town, clock, browser)
    page = await text_of(browser, f"{path}/events")

    assert [
        "notification", "flip", "ping", "edit", "notification", "flip", "ping", "flip", "ping", "ping",
    ] == await kinds(browser, f"{path}/events")  # fmt: skip
    for said in ("exit status", "Told Ops", "waits to be sent", "user:owner@example.com", "grace: 600 → 420", "4 B"):
        assert said in page


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("kind=ping", ["ping"] * 4),
        ("kind=fail", ["ping"]),
        ("kind=flip", ["flip"] * 3),
        ("kind=notification", ["notification"] * 2),
        ("kind=edit", ["edit"]),
        ("kind=ping&since=2026-03-02T10:03:00Z", ["ping"] * 2),
        ("kind=ping&until=2026-03-02T10:02", ["ping"] * 2),
        ("kind=ping&since=2026-03-02T12:02:00%2B02:00&until=2026-03-02T10:02:00Z", ["ping"]),
        ("until=2026-03-02T09:00", []),
    ],
)
async def test_the_list_is_filtered_and_the_files_hold_the_same(
    town: Town, clock: SimClock, query: str, wanted: list[str]
) -> None:
    browser = await town.owner()
    path = await lived(town, clock, browser)
    assert wanted == await kinds(browser, f"{path}/events?{query}")
    assert wanted == [line["what"] for line in await lines(browser, f"{path}/events.ndjson?{query}")]


@on_sqlite
@pytest.mark.parametrize(
    "query",
    [
        "kind=moon",
        "since=soon",
        "until=2026-13-01",
        "before=nonsense",
        "since=0001-01-01T00:00%2B14:00",
        "until=9999-12-31T23:59-14:00",
        f"before={cursor_of('events', 1, 1, 2**62, 1)}",
    ],
)
async def test_a_filter_that_cannot_be_is_told(town: Town, query: str) -> None:
    check = await town.world.check(START, name="one")
    path = f"/p/main/checks/{check.uuid}"
    browser = await town.owner()
    told = await browser.get(f"{path}/events?{query}")
    assert 422 == told.status
    assert "Show all" in told.body.decode()


async def test_older_ones_are_loaded_without_a_gap_or_a_repeat(
    town: Town, clock: SimClock, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await town.owner()
    path = await lived(town, clock, browser)
    (check,) = await rows(db, sa.select(checks))
    whole = await kinds(browser, f"{path}/events")
    monkeypatch.setattr("heartfly.web.events.PAGE", 2)
    query: str | None = ""
    seen, pages = list[str](), 0
    while query is not None and pages < 20:
        page = (await browser.get(f"{path}/events{query}")).body.decode()
        seen += re.findall(r'<tr class="e-(\w+)"', page)
        older = re.search(r'href="[^"]*/events(\?[^"]*)">Load older', page)
        query, pages = (unescape(older[1]) if older else None), pages + 1
        if pages == 1:
            # What comes meanwhile shifts nothing.
            await town.world.ping(check, START + 7 * MINUTE)
    assert whole == seen
    assert 4 == pages


async def test_files_are_whole_and_no_spreadsheet_runs_what_a_job_said(town: Town, clock: SimClock) -> None:
    browser = await town.owner()
    path = await lived(town, clock, browser)
    reply = await browser.get(f"{path}/events.csv")
    found = list(csv.DictReader(io.StringIO(reply.body.decode())))

    assert 'attachment; filename="backup-events.csv"' == reply.headers["content-disposition"]
    assert "text/csv; charset=utf-8" == reply.headers["content-type"]
    assert 10 == len(found)
    (said,) = [row for row in found if row["n"] == "2" and row["what"] == "ping"]
    assert ("'=cmd|'/c calc'!A1", "r1", "4") == (said["agent"], said["run_id"], said["body_size"])
    raw = await lines(browser, f"{path}/events.ndjson")
    assert "=cmd|'/c calc'!A1" in [line["agent"] for line in raw]
    assert 422 == (await browser.get(f"{path}/events.csv?kind=moon")).status


async def test_a_viewer_does_not_see_who_edited(town: Town, clock: SimClock) -> None:
    path = await lived(town, clock, await town.owner())
    viewer = await town.viewer()
    for page in ("events", "events.csv", "events.ndjson", "events?kind=edit"):
        assert "owner@example.com" not in (await viewer.get(f"{path}/{page}")).body.decode()


async def test_changes_are_a_page_of_their_own_for_who_may_see_them(town: Town, clock: SimClock) -> None:
    browser = await town.owner()
    path = await lived(town, clock, browser)
    page = (await browser.get(f"{path}/events?kind=edit")).body.decode()
    assert re.search(r'href="[^"]*/events\?kind=edit" aria-current="page">Changes<', page)
    assert "owner@example.com" in page
    everything = (await browser.get(f"{path}/events")).body.decode()
    assert re.search(r'href="[^"]*/events" aria-current="page">Events<', everything)
    assert ">Changes<" not in (await (await town.viewer()).get(f"{path}/events")).body.decode()


async def test_a_check_that_nothing_happened_to_says_so(town: Town) -> None:
    check = await town.world.check(START, name="one")
    browser = await town.owner()
    for page in ("events", "runs"):
        assert 200 == (await browser.get(f"/p/main/checks/{check.uuid}/{page}")).status
    assert "No run yet" in await text_of(browser, f"/p/main/checks/{check.uuid}/runs")


async def test_runs_show_how_they_went_in_pages(town: Town, clock: SimClock, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = await town.owner()
    path = await lived(town, clock, browser)
    page = await text_of(browser, f"{path}/runs")
    for said in ("OK 10:01:00 10:02:00 1 min", "Failed", "#3", "#4"):
        assert said in page
    monkeypatch.setattr("heartfly.web.events.PAGE", 2)
    first = (await browser.get(f"{path}/runs")).body.decode()
    older = re.search(r'href="([^"]*/runs\?before=[^"]*)">Load older', first)
    assert older is not None
    second = (await browser.get(unescape(older[1]))).body.decode()
    assert (2, 1) == (first.count("<tr>") - 1, second.count("<tr>") - 1)
    assert 422 == (await browser.get(f"{path}/runs?before=x")).status


# --- one ping ------------------------------------------------------------------------------------


async def test_what_a_ping_said_can_be_linked_laid_out_and_taken_along(town: Town) -> None:
    w, browser = town.world, await town.owner()
    check = await w.check(START, name="one", slug="one")
    body = b'{"rows": 10.50, "rows": [], "deep": {"a": "<b>"}}'
    await w.ping(check, START, body=body, body_size=200_000)
    page = (await browser.get("/p/main/checks/one/events/1")).body.decode()

    assert f"200000 bytes, of which the first {len(body)} are kept" in page
    assert 1 == page.count('<li id="L')
    assert '<a class="ln" href="#L1"' in page
    pretty = (await browser.get("/p/main/checks/one/events/1?view=pretty")).body.decode()
    shown = [unescape(line) for line in re.findall(r"</a><span>([^<]*)</span>", pretty)]
    assert ["{", '  "rows": 10.50,', '  "rows": [],', '  "deep": {', '    "a": "<b>"', "  }", "}"] == shown
    taken = await browser.get("/p/main/checks/one/events/1/body?download=1")
    assert (body, 'attachment; filename="one-1.txt"') == (taken.body, taken.headers["content-disposition"])


async def test_earlier_and_later_are_pings_that_are_kept(town: Town, db: Database) -> None:
    w, browser = town.world, await town.owner()
    check = await w.check(START, name="one", slug="one")
    for i in range(4):
        await w.ping(check, START + i * MINUTE)
    await db.write(lambda tx: tx.conn.exec_driver_sql("DELETE FROM pings WHERE n IN (2, 3)"))
    page = (await browser.get("/p/main/checks/one/events/4")).body.decode()
    assert {f"/p/main/checks/{check.uuid}/events/1"} == set(re.findall(r'href="([^"]*/events/\d)" rel', page))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[]", "[]"),
        ('{"a":1}', '{\n  "a": 1\n}'),
        ('["x\\"]", 1e400, true]', '[\n  "x\\"]",\n  1e400,\n  true\n]'),
        ('{"a": {}}', '{\n  "a": {}\n}'),
    ],
)
def test_json_is_laid_out_token_by_token(text: str, wanted: str) -> None:
    assert is_json(text)
    assert wanted == laid_out(text)


@pytest.mark.parametrize("text", ["", "10", "true", "{", "[1,]", "{not: json}", "[" * 100_000])
def test_what_is_no_json_is_not_laid_out(text: str) -> None:
    assert not is_json(text)


async def flapping(town: Town, db: Database, *, channels: int, silent: int) -> str:
    """A check that goes down and up, told on so many channels, and then has so many flips that nobody hears of."""
    browser, w = await town.owner(), town.world
    check = await w.check(START, name="Flaps", slug="flaps")
    for n in range(channels):
        made = {"name": f"c{n}", "value": f"c{n}@example.com"}
        assert 303 == (await browser.post("/p/main/channels/new/email", made)).status
    for n, kind in enumerate((PingKind.SUCCESS, PingKind.FAIL, PingKind.SUCCESS, PingKind.FAIL)):
        await w.ping(check, START + n * MINUTE, kind)
    newest = (await w.flips(check))[-1]
    more = [
        newest._asdict() | {"flip_no": newest.flip_no + n, "at": START + timedelta(minutes=4, seconds=n)}
        for n in range(1, silent + 1)
    ]
    if more:
        await db.write(lambda tx: tx.conn.execute(sa.insert(flips), more).rowcount)
    return f"/p/main/checks/{check.uuid}/events"


async def walked(browser: Browser, path: str, query: str) -> list[list[str]]:
    """What each page lists, to the last."""
    pages: list[list[str]] = []
    following: str | None = query
    while following is not None and len(pages) < 30:
        page = (await browser.get(path + following)).body.decode()
        found: list[tuple[str, str]] = re.findall(r'<tr class="e-(\w+)"|Told <a[^>]*><bdi>(c\d+)', page)
        pages.append([kind or name for kind, name in found])
        older = re.search(r'href="[^"]*/events(\?[^"]*)">Load older', page)
        following = unescape(older[1]) if older else None
    return pages


async def test_who_was_told_is_on_the_first_page_however_many_flips_told_nobody(town: Town, db: Database) -> None:
    path = await flapping(town, db, channels=2, silent=250)
    pages = await walked(await town.owner(), path, "?kind=notification")

    assert [["notification", "c1", "notification", "c0"] * 3] == pages


@pytest.mark.parametrize("kind", ["", "notification"])
async def test_no_notification_is_dropped_however_many_channels_were_told(
    town: Town, db: Database, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = await flapping(town, db, channels=3, silent=0)
    browser = await town.owner()
    [whole] = await walked(browser, path, f"?kind={kind}")
    monkeypatch.setattr("heartfly.checks.timeline.MOST_TOLD", 4)
    pages = await walked(browser, path, f"?kind={kind}")

    assert 9 == whole.count("notification")
    assert (3, whole) == (len(pages), [one for page in pages for one in page])
    assert 9 == [line["what"] for line in await lines(browser, f"{path}.ndjson?kind={kind}")].count("notification")


async def test_one_look_for_who_was_told_is_bounded_and_the_next_goes_on(
    town: Town, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await flapping(town, db, channels=1, silent=7)
    monkeypatch.setattr("heartfly.checks.timeline.LOOKED_AT", 3)
    pages = await walked(await town.owner(), path, "?kind=notification")

    assert ["c0"] * 3 == [one for page in pages for one in page if one == "c0"]
    assert 6 > len(pages)
