"""The list of checks: a filter in words, and what is done to many at once."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from heartfly.checks.filters import SHOWN, Terms, terms
from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.models import audit, channels, check_channels, checks, pings
from heartfly.errors import InvalidValueError
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_pages import names_listed, rows, text_of

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("q", "wanted"),
    [
        ("", Terms()),
        ("nightly  backup", Terms(words=["nightly", "backup"])),
        ("tag:etl is:DOWN channel:slack", Terms(tags=["etl"], states=["down"], channels=["slack"])),
        ('tag:"a b" "two words"', Terms(tags=["a b"], words=["two words"])),
        ("host:db1 is", Terms(words=["host:db1", "is"])),
        ('tag:"" ""', Terms()),
        ("late>90m late>2H", Terms(late=[timedelta(minutes=90), timedelta(hours=2)])),
        ("late>x tag:late>1h late", Terms(words=["late>x", "late"], tags=["late>1h"])),
    ],
)
def test_a_filter_is_read_as_terms_and_words(q: str, wanted: Terms) -> None:
    assert wanted == terms(q, known=SHOWN)


@pytest.mark.parametrize("q", ["is:asleep", "a " * 21, "x" * 201, "a\nb"])
def test_a_filter_that_cannot_be_is_refused(q: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        terms(q, known=SHOWN)
    assert "q" == refused.value.field


async def test_the_list_is_filtered_by_words_tags_states_and_channels(
    town: Town, clock: SimClock, db: Database
) -> None:
    w, browser = town.world, await town.owner()
    for kind, name, value in (
        ("email", "Ops mailbox", "a@example.com"),
        ("webhook", "Pager", "https://h.example.com/x"),
    ):
        assert await browser.post(f"/p/main/channels/new/{kind}", {"name": name, "value": value})
    down = await w.check(START, name="one", tags=("etl", "a b"), description="Loads the warehouse")
    late = await w.check(START, name="two", tags=("etl",))
    runs = await w.check(START, name="three")
    await w.ping(down, START, PingKind.FAIL)
    await w.ping(late, START)
    await w.ping(runs, START, PingKind.START)
    clock.move_to(START + 62 * MINUTE)
    await db.write(
        lambda tx: tx.conn.execute(sa.delete(check_channels).where(check_channels.c.check_id.in_([late.id, runs.id])))
    )

    for q, wanted in {
        "": ["one", "two", "three"],
        "tag:etl": ["one", "two"],
        'tag:"a b"': ["one"],
        "tag:etl is:down": ["one"],
        "is:down is:late": ["one", "two"],
        "is:running": ["three"],
        "is:failing": [],
        "channel:email": ["one"],
        "channel:pag": ["one"],
        "channel:slack": [],
        "WAREHOUSE loads": ["one"],
        "loads nothing": [],
        "o tag:etl is:late": ["two"],
    }.items():
        assert wanted == await names_listed(browser, f"?q={quote(q)}"), q
    assert [] == await names_listed(browser, "?q=is:down&status=late")
    assert "must be one of down, late" in await text_of(browser, "/p/main/checks?q=is:asleep", 422)


async def statuses(db: Database) -> dict[str, str]:
    return {row.name: row.status for row in await rows(db, sa.select(checks.c.name, checks.c.status))}


async def test_those_that_are_late_for_long_are_found(town: Town, clock: SimClock) -> None:
    w, browser = town.world, await town.owner()
    for name, hours in (("long", 0), ("short", 2), ("up", 3)):
        check = await w.check(START, name=name, every=timedelta(hours=1), grace=timedelta(days=1))
        await w.ping(check, START + timedelta(hours=hours))
    clock.move_to(START + timedelta(hours=3, minutes=30))

    assert ["long", "short"] == await names_listed(browser, "?q=is:late")
    assert ["long"] == await names_listed(browser, "?q=late%3E1h")
    assert ["long", "short"] == await names_listed(browser, "?q=late%3E29m")
    assert [] == await names_listed(browser, "?q=late%3E150m")


async def test_what_is_ticked_is_paused_and_resumed_and_nothing_else(town: Town, db: Database) -> None:
    made = [await town.world.check(START, name=name) for name in ("a", "b", "c")]
    browser = await town.owner()
    ticked = [one.uuid for one in made[:2]]
    sent = await browser.post("/p/main/checks", {"do": "pause", "check": ticked, "q": "is:new"})

    assert (303, "/p/main/checks?q=is%3Anew&done=pause-2") == (sent.status, sent.headers["location"])
    assert "2 checks paused." in await text_of(browser, sent.headers["location"])
    assert {"a": "paused", "b": "paused", "c": "new"} == await statuses(db)
    # What is not paused goes on.
    assert 303 == (await browser.post("/p/main/checks", {"do": "resume", "check": [one.uuid for one in made]})).status
    assert {"a": "new", "b": "new", "c": "new"} == await statuses(db)
    done = await rows(db, sa.select(audit.c.action, audit.c.actor).where(audit.c.action.startswith("check")))
    assert {("check.pause", "user:owner@example.com"), ("check.resume", "user:owner@example.com")} == set(
        map(tuple, done)
    )
    assert 4 == len(done)


async def all_of(browser: Browser, q: str) -> dict[str, str]:
    """As the list sends it once "all shown" is ticked."""
    return {"all": "1", "q": q, "shown": await browser.hidden(f"/p/main/checks?q={quote(q)}", "shown")}


async def test_all_that_the_filter_shows_are_tagged_untagged_and_given_a_grace(town: Town, db: Database) -> None:
    for name in ("a1", "a2", "b1"):
        await town.world.check(START, name=name, tags=("old",))
    browser = await town.owner()
    chosen = await all_of(browser, "a")
    for fields in (
        {"do": "tag", "tags": "new, old"},
        {"do": "grace", "grace": "2", "grace_unit": "hours"},
    ):
        assert 303 == (await browser.post("/p/main/checks", chosen | fields)).status
    found = await rows(db, sa.select(checks.c.name, checks.c.tags, checks.c.grace_s).order_by(checks.c.name))
    assert [("a1", ["old", "new"], 7200), ("a2", ["old", "new"], 7200), ("b1", ["old"], 600)] == [
        (row.name, list(row.tags), row.grace_s) for row in found
    ]
    assert 303 == (await browser.post("/p/main/checks", chosen | {"do": "untag", "tags": "old"})).status
    assert [["new"], ["new"], ["old"]] == [
        list(row.tags) for row in await rows(db, sa.select(checks.c.tags).order_by(checks.c.name))
    ]


async def heard(db: Database) -> dict[str, set[str]]:
    """By check: the names of the channels that hear of it."""
    of_check = sa.and_(check_channels.c.pid == checks.c.pid, check_channels.c.check_id == checks.c.id)
    of_channel = sa.and_(check_channels.c.pid == channels.c.pid, check_channels.c.channel_id == channels.c.id)
    query = sa.select(checks.c.name, channels.c.name.label("channel"))
    query = query.outerjoin(check_channels, of_check).outerjoin(channels, of_channel)
    found: dict[str, set[str]] = {}
    for row in await rows(db, query):
        found.setdefault(row.name, set()).update([row.channel] if row.channel else [])
    return found


async def test_a_channel_hears_of_many_checks_at_once_and_of_those_no_more(town: Town, db: Database) -> None:
    browser = await town.owner()
    for kind, name, value in (("email", "Ops", "a@example.com"), ("webhook", "Pager", "https://h.example.com/x")):
        await browser.post(f"/p/main/channels/new/{kind}", {"name": name, "value": value})
    made = [await town.world.check(START, name=name) for name in ("a", "b", "c")]
    page = (await browser.get("/p/main/checks")).body.decode()
    (pager,) = re.findall(r'<option value="([^"]+)">Pager</option>', page)
    chosen = {"channel": pager, "check": [one.uuid for one in made[:2]]}

    gone = await browser.post("/p/main/checks", chosen | {"do": "untell"})
    without = await heard(db)
    await browser.post("/p/main/checks", chosen | {"do": "untell"})  # of what it does not hear nothing changes
    back = await browser.post("/p/main/checks", {"channel": pager.upper(), "check": made[0].uuid, "do": "tell"})

    assert ("done=untell-2", "done=tell-1") == (gone.headers["location"][-13:], back.headers["location"][-11:])
    assert "2 checks told to the channel no more." in await text_of(browser, gone.headers["location"])
    assert {"a": {"Ops"}, "b": {"Ops"}, "c": {"Ops", "Pager"}} == without
    assert {"a": {"Ops", "Pager"}, "b": {"Ops"}, "c": {"Ops", "Pager"}} == await heard(db)
    changed = await rows(db, sa.select(audit.c.before, audit.c.after).where(audit.c.action == "check.edit"))
    assert [(2, 1), (2, 1), (1, 2)] == [(len(row.before["channels"]), len(row.after["channels"])) for row in changed]


async def test_a_channel_of_another_project_is_none(town: Town, db: Database) -> None:
    other, browser = await town.stranger(), await town.owner()
    await other.post("/p/next-door/channels/new/email", {"name": "Theirs", "value": "b@example.com"})
    async with db.read() as read:
        theirs = (await read.execute(sa.select(channels.c.uuid))).scalar_one()
    check = await town.world.check(START, name="ours")

    told = await browser.post("/p/main/checks", {"do": "tell", "channel": theirs, "check": check.uuid})

    assert (409, True) == (told.status, "there is no such channel" in told.body.decode())
    assert {"ours": set()} == await heard(db)
    assert "Theirs" not in (await browser.get("/p/main/checks")).body.decode()


@pytest.mark.parametrize("do", [{"do": "pause"}, {"do": "tag", "tags": "x"}, {"do": "delete"}])
async def test_all_are_those_that_were_shown_or_nothing_is_done(town: Town, db: Database, do: dict[str, str]) -> None:
    """A check that came to the filter after the list was opened is not touched unseen."""
    browser = await town.owner()
    await town.world.check(START, name="a1")
    chosen = await all_of(browser, "a")
    await town.world.check(START, name="a2")
    told = await browser.post("/p/main/checks", chosen | do)

    text = re.sub(r"<[^>]+>", "", told.body.decode())
    assert (409, True) == (told.status, "2 now, 1 when you opened the list" in text)
    assert {"a1", "a2"} == set(re.findall(r"a[12]", text))
    assert {"a1": "new", "a2": "new"} == await statuses(db)
    assert [] == await rows(db, sa.select(audit).where(audit.c.action.startswith("check")))
    # The page that says so shows them as they are now, and can be answered.
    again = {**chosen, **do, "shown": re.findall(r'name="shown" value="([^"]+)"', told.body.decode())[0]}
    assert (await browser.post("/p/main/checks", again)).status in {200, 303}


@on_sqlite
@pytest.mark.parametrize("shown", ["", "1", "1-", "x-y", "99999999999-0"])
async def test_all_without_what_was_shown_is_refused(town: Town, db: Database, shown: str) -> None:
    await town.world.check(START, name="a1")
    told = await (await town.owner()).post("/p/main/checks", {"do": "pause", "all": "1", "shown": shown})
    assert (409, {"a1": "new"}) == (told.status, await statuses(db))


async def test_deleting_many_asks_how_many_they_are(town: Town, db: Database) -> None:
    made = [await town.world.check(START, name=name) for name in ("a", "b", "c")]
    await town.world.ping(made[0], START)
    browser = await town.owner()
    chosen = {"do": "delete", "check": [made[0].uuid, made[1].uuid]}
    asked = await browser.post("/p/main/checks", chosen)
    assert 200 == asked.status
    assert ["a", "b"] == re.findall(r"<li><bdi>([^<]*)", asked.body.decode())
    assert 422 == (await browser.post("/p/main/checks", chosen | {"sure": "3"})).status
    assert 3 == len(await statuses(db))
    gone = await browser.post("/p/main/checks", chosen | {"sure": "2"})
    assert "/p/main/checks?done=delete-2" == gone.headers["location"]
    assert (["c"], []) == (list(await statuses(db)), await rows(db, sa.select(pings.c.n)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"do": "pause"}, "No check is ticked"),
        ({"do": "dance", "all": "1"}, "What is to be done must be one of"),
        ({"do": "tag", "all": "1"}, "Name a tag first"),
        ({"do": "tag", "all": "1", "tags": "x" * 60}, "tags"),
        ({"do": "tell", "all": "1"}, "Choose a channel first"),
        ({"do": "untell", "all": "1", "channel": ""}, "Choose a channel first"),
        ({"do": "grace", "all": "1", "grace": "soon"}, "Must be a whole number"),
        ({"do": "pause", "all": "1", "q": "is:asleep"}, "is:asleep"),
    ],
)
async def test_what_cannot_be_done_is_said_and_changes_nothing(
    town: Town, db: Database, fields: dict[str, str], said: str
) -> None:
    check = await town.world.check(START, name="one")
    before, browser = await town.world.row(check), await town.owner()
    told = await browser.post("/p/main/checks", await all_of(browser, "") | fields if "all" in fields else fields)
    assert told.status in {409, 422}
    assert said in told.body.decode()
    assert before == await town.world.row(check)
    assert [] == await rows(db, sa.select(audit).where(audit.c.action.startswith("check")))


async def test_what_was_ticked_and_typed_stays_when_it_was_wrong(town: Town) -> None:
    made = [await town.world.check(START, name=name) for name in ("a", "b")]
    fields = {"do": "grace", "check": made[1].uuid, "grace": "soon", "grace_unit": "days"}
    page = (await (await town.owner()).post("/p/main/checks", fields)).body.decode()
    assert [made[1].uuid] == re.findall(r'name="check" value="([^"]+)" checked', page)
    assert 'placeholder="grace" value="soon"' in page
    assert "<option selected>days</option>" in page


async def test_what_one_check_refuses_is_named_and_done_to_the_others(town: Town, db: Database) -> None:
    made = [await town.world.check(START, name=name) for name in ("a", "jobs-own")]
    await db.write(
        lambda tx: tx.conn.execute(sa.update(checks).where(checks.c.id == made[1].id).values(job="retention"))
    )
    fields = {"do": "delete", "check": [one.uuid for one in made], "sure": "2"}
    told = await (await town.owner()).post("/p/main/checks", fields)
    text = re.sub(r"<[^>]+>", "", told.body.decode())
    assert 409 == told.status
    assert "1 check deleted" in text
    assert "jobs-own: It watches Heartfly's own job retention" in text.replace("&#39;", "'")
    assert ["jobs-own"] == list(await statuses(db))


async def test_checks_of_another_project_are_none_however_they_are_named(town: Town, db: Database) -> None:
    check = await town.world.check(START, name="ours")
    other = await town.stranger()
    told = await other.post("/p/next-door/checks", {"do": "pause", "check": check.uuid})
    assert (422, {"ours": "new"}) == (told.status, await statuses(db))


async def test_a_viewer_has_no_boxes_to_tick(town: Town) -> None:
    await town.world.check(START, name="one")
    assert 'type="checkbox"' not in (await (await town.viewer()).get("/p/main/checks")).body.decode()


@on_sqlite
@pytest.mark.parametrize("done", ["pause", "dance-3", "pause-x", "pause-<script>", "pause-99999999"])
async def test_an_address_says_only_what_can_have_been_done(town: Town, done: str) -> None:
    await town.world.check(START, name="one")
    assert "checks paused" not in await text_of(await town.owner(), f"/p/main/checks?done={quote(done)}")
