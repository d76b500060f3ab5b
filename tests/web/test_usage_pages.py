"""Pages of usage: meters with their figures, made and changed in forms, and the days on which figures were proved."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.core.events import read as parsed
from heartfly.db.database import Database
from heartfly.db.models import audit, usage_days
from heartfly.usage.corrections import Amended, amend, void
from heartfly.web import meter_form
from heartfly.web.state import WebState
from tests.one_database import on_sqlite
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.hostile import HOSTILE

pytestmark = pytest.mark.anyio

ROOT = "/p/main/usage"
TRAFFIC = {
    "slug": "traffic", "name": "Traffic", "unit": "bytes", "event_types": "api.request", "aggregation": "sum",
    "value": "bytes", "filters": "region != test", "group_keys": "region",
}  # fmt: skip
YESTERDAY = START - timedelta(days=1)


@pytest.fixture
async def sent(town: Town, web: WebState) -> Town:
    """Three events of yesterday, one of them of the region `test`."""
    found = [
        {
            "transaction_id": f"t-{n}", "customer_id": f"c-{n % 2}", "event_type": "api.request",
            "timestamp": YESTERDAY.isoformat(), "properties": {"bytes": 10 + n, "region": "test" if n == 2 else "eu"},
        }
        for n in range(3)
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, parsed(json.dumps(found)), wire="native")
    return town


async def text(browser: Browser, path: str, status: int = 200) -> str:
    reply = await browser.get(ROOT + path)
    assert status == reply.status, reply.body.decode()[-800:]
    return said(reply.body)


def said(body: bytes) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body.decode())))


async def test_a_project_without_meters_is_shown_how_to_send_a_first_event(town: Town) -> None:
    owner, viewer = await town.owner(), await town.viewer()

    assert "curl http://beat.example.org/v1/events" in await text(owner, "/meters")
    assert f"{ROOT}/meters/new" in (await owner.get(f"{ROOT}/meters")).body.decode()
    assert f"{ROOT}/meters/new" not in (await viewer.get(f"{ROOT}/meters")).body.decode()
    assert "curl http://beat.example.org/v1/events" in await text(owner, "/events")


async def test_a_meter_is_previewed_before_it_is_made_and_then_tells_its_figures(sent: Town) -> None:
    owner = await sent.owner()
    previewed = await owner.post(f"{ROOT}/meters/new", TRAFFIC | {"preview": "1"})
    none_yet = await owner.get(f"{ROOT}/meters/traffic")
    made = await owner.post(f"{ROOT}/meters/new", TRAFFIC)
    shown = await text(owner, "/meters/traffic")

    assert "2 of 3 events of the last 7 days count" in said(previewed.body)
    assert 404 == none_yet.status
    assert (303, f"{ROOT}/meters/traffic") == (made.status, made.headers["location"])
    assert "region != test" in shown
    assert "api.request" in shown


async def test_a_meter_tells_each_figure_with_how_sure_it_is(sent: Town) -> None:
    owner = await sent.owner()
    await owner.post(f"{ROOT}/meters/new", TRAFFIC)
    day = YESTERDAY.date().isoformat()
    await owner.post(f"{ROOT}/jobs/{day}", {"do": "close"})
    asked = f"/meters/traffic?from={day}&to={day}"

    assert f"{day} 21 2 Final" in await text(owner, asked)
    by_customer = await text(owner, f"{asked}&by=customer")
    assert f"{day} c-0 unknown 10 1 Final" in by_customer
    assert f"{day} c-1 unknown 11 1 Final" in by_customer
    assert f"{day} eu 21 2 Final" in await text(owner, f"{asked}&by=region")
    assert "&group_by=region" in await text(owner, f"{asked}&by=region")
    assert '<rect class="v"' in (await owner.get(ROOT + asked)).body.decode()


@on_sqlite
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("from=soon", "must be a day such as"),
        ("customer=%00", "there is no customer"),
        ("from=2026-03-02&to=2026-03-01", "must not be before"),
        ("window=week", "must be one of hour, day"),
        ("zone=Nowhere/Else", "Zone"),
        ("by=colour", "no group key colour"),
        ("window=hour&from=2020-01-01", "100 days"),
        ("customer=nobody", "no customer nobody"),
        ("after=%25", "no page of these figures"),
    ],
)
async def test_a_question_that_is_none_is_told_beside_what_was_asked(sent: Town, query: str, told: str) -> None:
    owner = await sent.owner()
    await owner.post(f"{ROOT}/meters/new", TRAFFIC)

    assert told in await text(owner, f"/meters/traffic?{query}", 422)


@on_sqlite
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "A B"), ("event_types", ""), ("aggregation", "most"), ("value", "1 +"), ("filters", "region"),
        ("from_at", "yesterday"), ("percentile", "101"), ("group_keys", "customer"),
    ],
)  # fmt: skip
async def test_a_field_that_is_wrong_is_told_beside_it_and_what_was_typed_stays(
    town: Town, field: str, value: str
) -> None:
    owner = await town.owner()
    reply = await owner.post(f"{ROOT}/meters/new", TRAFFIC | {"name": "As typed", field: value})

    assert 422 == reply.status
    assert f'id="{field}-wrong"' in reply.body.decode()
    assert "As typed" in reply.body.decode()


async def test_all_that_is_wrong_is_told_at_once(town: Town) -> None:
    owner = await town.owner()
    wrong = {
        "slug": "A B", "event_types": "", "aggregation": "sum", "value": "1 +", "percentile": "101",
        "filters": "region", "group_keys": "customer",
        "from_at": "2026-03-02T00:00:00Z", "to_at": "2026-03-01T00:00:00Z",
    }  # fmt: skip
    page = (await owner.post(f"{ROOT}/meters/new", wrong)).body.decode()
    tried = (await owner.post(f"{ROOT}/meters/new", {"event_types": "", "value": "", "preview": "1"})).body.decode()

    assert sorted(wrong.keys() - {"aggregation", "from_at"}) == sorted(re.findall(r'id="(\w+)-wrong"', page))
    assert ["event_types", "aggregation"] == re.findall(r'id="(\w+)-wrong"', tried)  # without a slug, which waits


async def test_a_slug_is_taken_once(town: Town) -> None:
    owner = await town.owner()
    await owner.post(f"{ROOT}/meters/new", TRAFFIC)
    reply = await owner.post(f"{ROOT}/meters/new", TRAFFIC)

    assert (409, True) == (reply.status, 'id="slug-wrong"' in reply.body.decode())


async def test_a_meter_counts_differently_after_its_form_was_saved_once(sent: Town) -> None:
    owner = await sent.owner()
    await owner.post(f"{ROOT}/meters/new", TRAFFIC)
    path = f"{ROOT}/meters/traffic/version"
    form, rev = (await owner.get(path)).body.decode(), await owner.hidden(path, "rev")
    fields = {"event_types": "api.request", "aggregation": "max", "value": "bytes", "rev": rev}
    would = await owner.post(path, fields | {"preview": "1"})
    saved, again = await owner.post(path, fields), await owner.post(path, fields)

    assert "region != test" in unescape(form)
    assert "12" in said(would.body)
    assert [303, 409] == [saved.status, again.status]
    assert "Versions Where the times of two overlap" in await text(owner, "/meters/traffic")


async def test_a_meter_is_archived_and_brought_back(town: Town) -> None:
    owner = await town.owner()
    await owner.post(f"{ROOT}/meters/new", TRAFFIC)
    path = f"{ROOT}/meters/traffic"
    for do in ("archive", "unarchive"):
        assert 303 == (await owner.post(f"{path}/archive", {"do": do, "rev": await owner.hidden(path, "rev")})).status
        listed = (await owner.get(f"{ROOT}/meters")).body.decode()
        assert (f'href="{path}"' in listed) is (do == "unarchive")


async def test_meters_come_page_by_page(town: Town) -> None:
    owner = await town.owner()
    for n in range(51):
        await owner.post(f"{ROOT}/meters/new", {"slug": f"m-{n:02}", "event_types": "x", "aggregation": "count"})
    first = (await owner.get(f"{ROOT}/meters")).body.decode()
    (more,) = re.findall(r'href="(/p/main/usage/meters\?after=[^"]+)"', first)
    second = (await owner.get(unescape(more))).body.decode()

    assert ("m-49" in first, "m-50" in first, "m-50" in second) == (True, False, True)


@on_sqlite
async def test_a_preview_tells_all_customers_and_days_part_by_part(sent: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_form, "MOST_TOLD", 1)
    owner = await sent.owner()
    first = await owner.post(f"{ROOT}/meters/new", TRAFFIC | {"filters": "", "preview": "1"})
    second = await owner.post(f"{ROOT}/meters/new", TRAFFIC | {"filters": "", "preview": "2"})
    beyond = await owner.post(f"{ROOT}/meters/new", TRAFFIC | {"filters": "", "preview": "99"})

    assert ("1 to 1 of 2" in said(first.body), "2 to 2 of 2" in said(second.body)) == (True, True)
    assert ("00:00 c-0" in said(first.body), "00:00 c-1" in said(second.body)) == (True, True)
    assert (b'form="meter" name="preview" value="2"' in first.body, b'value="1">Before' in second.body) == (True, True)
    assert 200 == beyond.status


async def test_versions_are_listed_with_since_when_they_count(sent: Town) -> None:
    owner, path = await sent.owner(), f"{ROOT}/meters/traffic"
    await owner.post(f"{ROOT}/meters/new", TRAFFIC)
    one = await text(owner, "/meters/traffic")
    change = {name: TRAFFIC[name] for name in ("event_types", "aggregation", "value")}
    rev = await owner.hidden(f"{path}/version", "rev")
    await owner.post(f"{path}/version", change | {"from_at": "2026-03-02T00:00:00Z", "rev": rev})
    two = await text(owner, "/meters/traffic")
    await owner.post(f"{path}/archive", {"do": "archive", "rev": await owner.hidden(path, "rev")})

    assert "ever now for ever 10:00:00 now event types api.request" in one
    assert "Mon 2026-03-02 00:00 now for ever 10:00:00 now" in two
    assert "ever for ever 10:00:00 now event types api.request , aggregation sum" in two
    assert "ever Mon 2026-03-02 10:00 10:00:00 now" in await text(owner, "/meters/traffic")


async def test_a_day_is_closed_after_what_would_change_was_seen(sent: Town, usage_db: Database) -> None:
    owner = await sent.owner()
    await owner.post(f"{ROOT}/meters/new", TRAFFIC)
    path = f"/jobs/{YESTERDAY.date()}"
    tried = await owner.post(ROOT + path, {"do": "try"})
    before = await text(owner, path)
    closed = await owner.post(ROOT + path, {"do": "close"})
    after = await text(owner, path)

    assert "What would change" in said(tried.body)
    assert "traffic" in said(tried.body)
    assert ("Open" in before, "No figures yet" in before) == (True, True)
    assert 303 == closed.status
    assert "Final" in after
    assert "Events 3" in after
    async with sent.world.db.read() as read:
        actions = (await read.execute(sa.select(audit.c.action, audit.c.object))).all()
    assert ("usage.rerun", f"usage_day:{YESTERDAY.date()}") in [tuple(one) for one in actions]


async def test_a_day_that_did_not_agree_is_called_untrusted(sent: Town, usage_db: Database) -> None:
    owner = await sent.owner()
    await owner.post(f"{ROOT}/jobs/{YESTERDAY.date()}", {"do": "close"})
    values = {"state": "provisional", "mismatch": "traffic at 10:00 holds 7, but its events come to 8"}
    await usage_db.write(lambda tx: tx.conn.execute(sa.update(usage_days).values(values)).rowcount)

    assert "Untrusted" in await text(owner, f"/jobs?month={YESTERDAY:%Y-%m}")
    assert "holds 7, but its events come to 8" in await text(owner, f"/jobs/{YESTERDAY.date()}")


async def test_the_calendar_goes_back_but_not_ahead(town: Town) -> None:
    owner = await town.owner()
    page = (await owner.get(f"{ROOT}/jobs")).body.decode()

    assert "?month=2026-02" in page
    assert "?month=2026-04" not in page
    assert f"{ROOT}/jobs/2026-03-02" in page
    assert f"{ROOT}/jobs/2026-03-03" not in page
    assert "must be a month" in await text(owner, "/jobs?month=spring", 422)
    assert "No day was closed" in await text(owner, "/jobs?month=2026-01")


async def test_days_that_are_none_and_that_are_not_over(town: Town) -> None:
    owner = await town.owner()

    for day in ("soon", "2026-02-30", "0001-01-01"):
        await text(owner, f"/jobs/{day}", 404)
    reply = await owner.post(f"{ROOT}/jobs/{START.date()}", {"do": "close"})
    assert (422, True) == (reply.status, "not over yet in UTC" in said(reply.body))
    assert 422 == (await owner.post(f"{ROOT}/jobs/{YESTERDAY.date()}", {"do": "dance"})).status


async def test_hostile_texts_run_nowhere(town: Town, web: WebState) -> None:
    owner = await town.owner()
    found: list[dict[str, Any]] = [
        {
            "transaction_id": f"t-{n}", "customer_id": text, "event_type": "x", "timestamp": YESTERDAY.isoformat(),
            "properties": {"region": text},
        }
        for n, text in enumerate(HOSTILE)
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, found, wire="native")
    meter = {
        "slug": "x",
        "name": HOSTILE[0],
        "event_types": f"x, {HOSTILE[0]}",
        "aggregation": "count",
        "group_keys": "region",
    }
    previewed = await owner.post(f"{ROOT}/meters/new", meter | {"preview": "1"})
    await owner.post(f"{ROOT}/meters/new", meter)
    bodies = [previewed.body.decode()]
    bodies += [
        (await owner.get(f"{ROOT}/meters{path}")).body.decode()
        for path in ("", "/x", "/x/version", "/x?by=subject", "/x?by=region", f"/x?by={HOSTILE[0]}")
    ]
    bodies.append((await owner.post(f"{ROOT}/jobs/{YESTERDAY.date()}", {"do": "try"})).body.decode())

    for body in bodies:
        assert "alert(1)" in body
        assert not re.search(r"<(script>|img src=x|svg onload|svg/onload|iframe|object|embed|body onload)", body)


async def test_events_are_found_by_what_they_are(sent: Town, web: WebState) -> None:
    owner = await sent.owner()
    at = (YESTERDAY + timedelta(hours=1)).isoformat().replace("+00:00", "Z")

    for query, n in (("", 3), ("?subject=c-0", 2), ("?type=none", 0), ("?id=t-1", 1), (f"?from={at}", 0)):
        assert n == (await owner.get(f"{ROOT}/events{query}")).body.count(b"/usage/event?id="), query
    for query in ("from=soon", "customer=none", "before=x"):
        await text(owner, f"/events?{query}", 422)


async def test_events_come_page_by_page(town: Town, web: WebState) -> None:
    owner = await town.owner()
    found = [
        {"transaction_id": f"t-{n:02}", "customer_id": "c", "event_type": "x", "timestamp": YESTERDAY.isoformat()}
        for n in range(51)
    ]
    await web.api.events.take(town.world.project.pid, found, wire="native")
    first = (await owner.get(f"{ROOT}/events")).body.decode()
    (older,) = re.findall(r'href="(/p/main/usage/events\?before=[^"]+)"', first)

    assert (50, 1) == (first.count("/usage/event?id="), (await owner.get(older)).body.count(b"/usage/event?id="))


async def test_an_event_is_shown_with_what_contradicts_it(sent: Town, web: WebState) -> None:
    owner = await sent.owner()
    other = {
        "transaction_id": "t-0", "customer_id": "c-0", "event_type": "api.request",
        "timestamp": YESTERDAY.isoformat(), "properties": {"bytes": 99},
    }  # fmt: skip
    assert "Nothing: whatever came again" in await text(owner, "/event?id=t-0")
    await web.api.events.take(sent.world.project.pid, parsed(json.dumps([other])), wire="native")

    shown = await text(owner, "/event?id=t-0")
    assert "properties.bytes 10 99" in shown
    assert "properties.region eu not there" in shown
    await text(owner, "/event?id=none", 404)


async def test_an_event_that_was_corrected_says_so_by_whom_and_why(sent: Town, web: WebState) -> None:
    owner, pid, ids = await sent.owner(), sent.world.project.pid, web.api.ids
    ann, at = Actor("user:ann@example.org"), web.api.clock.now()
    change = Amended({"customer_id": "c-99"})
    await web.api.usage.write(
        lambda tx: amend(tx, pid, "t-0", change, reason="wrong account", oldest=at, actor=ann, at=at, ids=ids)
    )
    await web.api.usage.write(lambda tx: void(tx, pid, "t-0", reason="<b>a test</b>", actor=ann, at=at, ids=ids))

    shown = await text(owner, "/event?id=t-0")
    assert "It counts nothing. As it was" in shown
    assert "Voided by user:ann@example.org" in shown
    assert ("customer_id: c-0 → c-99" in shown, "wrong account" in shown) == (True, True)
    page = (await owner.get(f"{ROOT}/event?id=t-0")).body.decode()
    assert ("&lt;b&gt;a test" in page, "<b>a test" in page) == (True, False)


@pytest.fixture
async def dead(town: Town, web: WebState) -> str:
    """The number of a letter: an event without its customer."""
    await web.api.events.take(town.world.project.pid, [{"transaction_id": "d-1", "event_type": "x"}], wire="native")
    listed = (await (await town.owner()).get(f"{ROOT}/dead-letters")).body.decode()
    (letter,) = re.findall(r"/dead-letters/(\d+)", listed)
    return str(letter)


async def test_a_dead_letter_is_edited_until_it_is_an_event(town: Town, dead: str) -> None:
    owner, viewer, path = await town.owner(), await town.viewer(), f"{ROOT}/dead-letters/{dead}"
    good = {"transaction_id": "d-1", "event_type": "x", "customer_id": "c", "timestamp": YESTERDAY.isoformat()}
    as_it_came = await owner.post(path, {"do": "replay", "event": '{"transaction_id": "d-1", "event_type": "x"}'})
    broken = await owner.post(path, {"do": "replay", "event": "{as typed"})
    deep = await owner.post(path, {"do": "replay", "event": "[" * 600 + "]" * 600})
    replayed = await owner.post(path, {"do": "replay", "event": json.dumps(good)})
    again = await owner.post(path, {"do": "replay", "event": json.dumps(good)})

    assert [422, 422, 422, 303, 409] == [one.status for one in (as_it_came, broken, deep, replayed, again)]
    assert "{as typed" in unescape(broken.body.decode())
    assert 'id="event-wrong"' in broken.body.decode()
    assert "Replayed" in await text(viewer, f"/dead-letters/{dead}")
    assert "d-1" in await text(owner, "/events")


async def test_dead_letters_are_dropped_and_sent_again_in_bulk(town: Town, dead: str) -> None:
    owner, path = await town.owner(), f"{ROOT}/dead-letters"
    nothing = await owner.post(path, {"do": "drop"})
    sent_again = await owner.post(path, {"do": "replay"})
    dropped = await owner.post(path, {"do": "drop", "letter": [dead]})

    assert [422, 200, 303] == [one.status for one in (nothing, sent_again, dropped)]
    assert "1 rejected" in said(sent_again.body)
    assert "Nothing is in the dead letter" in await text(owner, "/dead-letters")
    assert f"/dead-letters/{dead}" in (await owner.get(f"{path}?state=dropped")).body.decode()
    assert 422 == (await owner.get(f"{path}?state=lost")).status
    stranger = await town.stranger()
    assert 404 == (await stranger.get(f"/p/next-door/usage/dead-letters/{dead}")).status


async def test_letters_that_lack_the_same_are_given_it_and_sent_at_once(town: Town, web: WebState) -> None:
    owner, path = await town.owner(), f"{ROOT}/dead-letters"
    lacking = {"event_type": "x", "timestamp": YESTERDAY.isoformat()}
    came = [lacking | {"transaction_id": f"d-{n}"} for n in range(3)]
    came += [{"transaction_id": "d-9", "customer_id": "c", "event_type": "x"}, "text"]  # type: ignore[list-item]
    await web.api.events.take(town.world.project.pid, came, wire="native")
    every = re.findall(r"/dead-letters/(\d+)", (await owner.get(f"{path}?state=open")).body.decode())
    without = (await owner.get(f"{path}?field=customer_id")).body.decode()
    ticked = re.findall(r"/dead-letters/(\d+)", without)
    rest = sorted(set(every) - set(ticked))
    give = {"do": "send", "set": "customer_id", "value": "c-1"}
    nobody, field = await owner.post(path, give), await owner.post(path, give | {"set": "x", "letter": every})
    sent = await owner.post(f"{path}?field=customer_id", give | {"letter": ticked})
    left = await owner.post(path, give | {"letter": [*ticked, *rest]})

    assert (5, 3) == (len(every), len(ticked))
    assert [422, 422, 200, 422] == [one.status for one in (nobody, field, sent, left)]
    assert "Sent once more: 3 accepted." in said(sent.body)
    assert "Nothing that fits" in said(sent.body)  # of the same filter
    told = said(left.body)
    assert ("it was replayed already" in told, "is no object" in told, "timestamp is required" in told) == (True,) * 3
    assert 3 == (await owner.get(f"{ROOT}/events?subject=c-1")).body.count(b"/usage/event?id=")
    await text(owner, "/dead-letters?field=%00", 422)


async def test_letters_are_not_given_one_transaction_id_together(town: Town, web: WebState) -> None:
    owner, path = await town.owner(), f"{ROOT}/dead-letters"
    lacking = {"customer_id": "c", "event_type": "x", "timestamp": YESTERDAY.isoformat()}
    await web.api.events.take(town.world.project.pid, [lacking, lacking], wire="native")
    ticked = re.findall(r"/dead-letters/(\d+)", (await owner.get(path)).body.decode())
    give = {"do": "send", "set": "transaction_id", "value": "d-1"}
    refused = await owner.post(path, give | {"letter": ticked})

    assert (422, True) == (refused.status, "tick one letter" in said(refused.body))
    assert "Sent once more: 1 accepted." in said((await owner.post(path, give | {"letter": ticked[:1]})).body)
    assert f"/dead-letters/{ticked[1]}" in (await owner.get(path)).body.decode()


@on_sqlite
async def test_all_that_are_open_are_sent_once_more_in_steps_that_come_to_an_end(
    town: Town, web: WebState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.usage.dead_letters.MOST_AT_ONCE", 2)
    owner, path = await town.owner(), f"{ROOT}/dead-letters"
    await web.api.events.take(town.world.project.pid, [{"transaction_id": f"d-{n}"} for n in range(5)], wire="native")
    fields, steps = {"do": "replay", "field": "customer_id"}, 0
    while "before" in fields or not steps:
        page = (await owner.post(path, fields)).body.decode()
        steps += 1
        assert "rejected." in said(page.encode())
        found = re.findall(r'name="before" value="([^"]+)"', page)
        fields = fields | {"before": found[0]} if found else {"do": "replay"}

    assert 3 == steps


async def customer(browser: Browser, **fields: str) -> str:
    """The path of one who was just made."""
    made = await browser.post(f"{ROOT}/customers", fields)
    assert 303 == made.status
    return made.headers["location"]


async def test_a_name_that_nobody_knows_becomes_a_customer_or_another_name_of_one(sent: Town) -> None:
    owner = await sent.owner()
    before = await text(owner, "/customers")
    path = await customer(owner, alias="c-0")
    added = await owner.post(f"{ROOT}/customers", {"alias": "c-1", "to": path.rpartition("/")[2]})
    after = await text(owner, "/customers")

    assert ("Names that nobody knows" in before, "Names that nobody knows" in after) == (True, False)
    assert (303, path) == (added.status, added.headers["location"])
    assert "c-0, c-1" in after.replace(" ,", ",")
    assert 3 == (await owner.get(f"{ROOT}/events?customer={path.rpartition('/')[2]}")).body.count(b"/usage/event?id=")


async def test_what_senders_call_a_customer_is_edited_and_moves(town: Town) -> None:
    owner = await town.owner()
    acme, other = await customer(owner, name="Acme", alias="a"), await customer(owner, name="Other", alias="o")
    stale = {"name": "Acme Ltd", "aliases": "a\r\no", "rev": await owner.hidden(acme, "rev")}
    saved, again = await owner.post(acme, stale), await owner.post(acme, stale)
    rev = await owner.hidden(acme, "rev")
    wrong = await owner.post(acme, {"name": "", "aliases": "as typed", "rev": rev})

    assert [303, 409, 422] == [saved.status, again.status, wrong.status]
    assert 'id="name-wrong"' in wrong.body.decode()
    assert "as typed" in wrong.body.decode()
    listed = await text(owner, "/customers")
    assert saved.headers["location"] == f"{acme}?moved=1"
    assert "One name was another customer’s" in said((await owner.get(f"{acme}?moved=1")).body)
    assert "another customer’s: the usage" not in said((await owner.get(f"{acme}?moved=x")).body)
    assert "Acme Ltd a , o" in listed
    assert "Other nothing but the id" in listed
    assert 303 == (await owner.post(other, {"archived": "1", "rev": await owner.hidden(other, "rev")})).status
    assert "Other" not in await text(owner, "/customers")


async def test_a_customer_is_exported_and_erased_once_his_name_was_typed(sent: Town) -> None:
    owner, viewer, stranger = await sent.owner(), await sent.viewer(), await sent.stranger()
    path = await customer(owner, name="Acme", alias="c-0")
    lines = (await viewer.get(f"{path}/export")).body.decode().splitlines()
    refused = await owner.post(f"{path}/erase", {"sure": "acme"})
    hidden = await stranger.get(path.replace("/main/", "/next-door/"))
    erased = await owner.post(f"{path}/erase", {"sure": "Acme"})

    assert ["customer", "event", "event"] == [next(iter(json.loads(line))) for line in lines]
    assert [422, 404, 303] == [refused.status, hidden.status, erased.status]
    assert b"live.js" not in refused.body  # nothing can be asked for at its address
    assert 404 == (await owner.get(path)).status
    assert 1 == (await owner.get(f"{ROOT}/events")).body.count(b"/usage/event?id=")
