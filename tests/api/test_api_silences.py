"""Silences over the API: made, read, listed page by page, ended and deleted; channels say what they are for."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.models import silences
from heartfly.notify.peace_commands import MOST
from tests.api.conftest import START
from tests.api.door import House
from tests.api.test_api_explain import judged
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio


async def make(house: House, **asked: Any) -> Any:
    return (await house.full("POST", "/v1/silences", asked)).json


async def states(house: House) -> list[str]:
    return [one["state"] for one in (await house.read("GET", "/v1/silences")).json["items"]]


async def test_a_window_is_to_come_in_force_and_ended(house: House, clock: SimClock) -> None:
    hour = timedelta(hours=1)
    begin, end = START + hour, START + 2 * hour
    made = await make(house, kind="maintenance", scope="project", **{"from": begin.isoformat(), "to": end.isoformat()})
    assert ("to_come", None) == (made["state"], made["until"])
    assert made == (await house.read("GET", f"/v1/silences/{made['id']}")).json

    clock.move_to(begin)
    assert ["in_force"] == await states(house)
    clock.move_to(end)
    assert ["ended"] == await states(house)
    assert [] == (await house.read("GET", "/v1/silences?state=living")).json["items"]


async def test_it_tells_what_its_targets_are_called(house: House) -> None:
    check = (await house.full("POST", "/v1/checks", {"name": "Nightly"})).json
    gone = (await house.full("POST", "/v1/checks", {"name": "Old"})).json
    targets = [check["id"], gone["id"]]
    made = await make(house, kind="maintenance", scope="check", targets=targets, lasts=3600)
    await make(house, kind="maintenance", scope="tag", targets=["db"], lasts=3600)
    await make(house, kind="mute", scope="project", lasts=3600)

    await house.full("DELETE", f"/v1/checks/{gone['id']}")
    listed = (await house.read("GET", "/v1/silences")).json["items"]

    assert ["Nightly", "Old"] == made["names"]
    assert [[], ["db"], ["Nightly", ""]] == [one["names"] for one in listed]
    assert ["Nightly", ""] == (await house.read("GET", f"/v1/silences/{made['id']}")).json["names"]


async def test_one_is_changed_from_now_on(house: House, clock: SimClock) -> None:
    made = await make(house, kind="maintenance", scope="project", lasts=3600, note="disk")
    path = f"/v1/silences/{made['id']}"
    clock.move_to(START + timedelta(minutes=10))

    longer = (await house.full("PATCH", path, {"lasts": 7200})).json
    narrow = (await house.full("PATCH", path, {"scope": "tag", "targets": ["db"]})).json
    again = (await house.full("PATCH", path, {"cron": "0 2 * * *", "lasts": 60, "zone": "Europe/Riga"})).json
    same = await house.full("PATCH", path, {"note": "disk"})
    once = (await house.full("PATCH", path, {"cron": None, "lasts": 600})).json

    assert ("2026-03-02T10:10:00Z", "2026-03-02T12:10:00Z") == (longer["from"], longer["to"])
    assert (["db"], "disk", longer["to"]) == (narrow["targets"], narrow["note"], narrow["to"])
    assert ("0 2 * * *", "Europe/Riga", 60, None) == (again["cron"], again["zone"], again["lasts"], again["to"])
    assert (200, again) == (same.status, same.json)
    assert (None, "2026-03-02T10:20:00Z") == (once["cron"], once["to"])
    entries = (await house.full("GET", "/v1/audit?action=silence.edit")).json["items"]
    assert 4 == len(entries)  # where nothing changed there is none
    assert {"targets": [], "scope": "project"} == entries[2]["before"]


async def test_what_has_ended_and_a_snooze_are_not_changed(house: House, clock: SimClock) -> None:
    check = (await house.full("POST", "/v1/checks", {"name": "job"})).json
    snoozed = (await house.full("POST", f"/v1/checks/{check['id']}/snooze", {"lasts": 600})).json
    ended = await make(house, kind="mute", scope="project", lasts=600)
    assert 409 == (await house.full("PATCH", f"/v1/silences/{snoozed['id']}", {"note": "x"})).status
    clock.move_to(START + timedelta(minutes=10))
    assert 409 == (await house.full("PATCH", f"/v1/silences/{ended['id']}", {"note": "x"})).status
    assert 404 == (await house.full("PATCH", f"/v1/silences/{uuid.uuid4()}", {"note": "x"})).status


async def test_they_are_listed_newest_first_page_by_page(house: House) -> None:
    made = [await make(house, kind="mute", scope="project", lasts=3600, note=f"n{n}") for n in range(3)]

    first = (await house.read("GET", "/v1/silences?limit=2")).json
    last = (await house.read("GET", f"/v1/silences?limit=2&cursor={first['next']}")).json
    assert [one["id"] for one in reversed(made)] == [one["id"] for one in [*first["items"], *last["items"]]]
    assert last["next"] is None


async def test_one_that_comes_again_goes_on_with_its_next_time_when_one_is_ended(house: House) -> None:
    made = await make(house, kind="maintenance", scope="project", cron="*/30 * * * *", lasts=60, effect="ignore")
    ended = await make(house, kind="maintenance", scope="project", cron="0 * * * *", lasts=3000)

    path = f"/v1/silences/{ended['id']}"
    assert "in_force" == ended["state"]
    told = (await house.full("POST", f"{path}/end")).json
    assert ("to_come", "2026") == (told["state"], told["next_from"][:4])
    assert 409 == (await house.full("POST", f"{path}/end")).status
    assert 204 == (await house.full("DELETE", path)).status
    assert 409 == (await house.full("DELETE", path)).status
    assert made["id"] in {one["id"] for one in (await house.read("GET", "/v1/silences?state=living")).json["items"]}


async def test_a_second_snooze_takes_the_place_of_the_first(house: House, clock: SimClock) -> None:
    check = (await house.full("POST", "/v1/checks", {"name": "job"})).json
    path = f"/v1/checks/{check['id']}/snooze"

    await house.full("POST", path, {"lasts": 86_400})
    second = (await house.full("POST", path, {"next_run": True, "note": "known"})).json

    assert ("snooze", [check["id"]], "known") == (second["kind"], second["targets"], second["note"])
    living = (await house.read("GET", "/v1/silences?state=living")).json["items"]
    assert [second["id"]] == [one["id"] for one in living]
    assert 422 == (await house.full("POST", path, {"until": START.isoformat()})).status


async def test_a_project_has_so_many_and_no_more(house: House) -> None:
    await make(house, kind="mute", scope="project", lasts=3600)

    def fill(tx: Tx) -> int:
        row = tx.conn.execute(sa.select(silences)).one()._asdict()
        more = [row | {"id": row["id"] + n, "uuid": str(uuid.uuid4())} for n in range(1, MOST)]
        return tx.conn.execute(sa.insert(silences), more).rowcount

    await house.world.db.write(fill)

    assert 409 == (await house.full("POST", "/v1/silences", {"kind": "mute", "scope": "project", "lasts": 3600})).status


async def test_each_change_is_in_the_audit(house: House) -> None:
    made = await make(house, kind="mute", scope="project", lasts=3600)
    await house.full("POST", f"/v1/silences/{made['id']}/end")

    told = (await house.full("GET", "/v1/audit")).json["items"]
    assert ["silence.end", "silence.create"] == [one["action"] for one in told if one["action"].startswith("silence")]


POLICY = {"tags": ["db"], "least": "high", "after": 900, "every": 3600, "title": "$NAME", "text": "", "words": {}}


async def test_a_channel_says_what_it_is_for_and_an_edit_replaces_that_whole(house: House) -> None:
    asked = {"kind": "webhook", "name": "hook", "config": {"url": "https://hooks.example.com/x"}, "policy": POLICY}
    made = (await house.full("POST", "/v1/channels", asked)).json
    assert POLICY == made["policy"]

    path = f"/v1/channels/{made['id']}"
    assert POLICY == (await house.full("PATCH", path, {"name": "other"})).json["policy"]
    edited = (await house.full("PATCH", path, {"policy": {"every": 600}})).json["policy"]
    assert {**dict.fromkeys(POLICY), "tags": [], "every": 600, "title": "", "text": "", "words": {}} == edited


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"after": 59}, "policy.after"),
        ({"every": 299}, "policy.every"),
        ({"every": 604_801}, "policy.every"),
        ({"tags": [""]}, "policy.tags[0]"),
        ({"tags": [f"t{n}" for n in range(21)]}, "policy.tags"),
        ({"title": "x" * 301}, "policy.title"),
        ({"text": "x" * 2_001}, "policy.text"),
    ],
)
@on_sqlite
async def test_what_is_wrong_with_it_is_named(house: House, policy: Any, field: str) -> None:
    asked = {"kind": "webhook", "name": "hook", "config": {"url": "https://hooks.example.com/x"}, "policy": policy}
    reply = await house.full("POST", "/v1/channels", asked)

    assert (422, field) == (reply.status, reply.json["errors"][0]["field"])


async def test_own_words_are_tried_with_an_example_where_nothing_was_carried(house: House) -> None:
    asked = {"kind": "webhook", "name": "hook", "config": {"url": "https://hooks.example.com/x"}}
    made = (await house.full("POST", "/v1/channels", asked)).json
    words = {"title": "$STATUS $NAME $NOTHING", "text": "$PROJECT\n$MISSED"}

    told = (await house.full("POST", f"/v1/channels/{made['id']}/preview", words)).json
    up = (await house.full("POST", f"/v1/channels/{made['id']}/preview", words | {"event": "check.up"})).json

    assert {"title": "down nightly-backup $NOTHING", "text": "main\n0"} == told
    assert "up nightly-backup $NOTHING" == up["title"]


async def test_single_events_have_words_of_their_own_and_what_no_event_is_is_refused(house: House) -> None:
    asked = {"kind": "webhook", "name": "hook", "config": {"url": "https://hooks.example.com/x"}}
    path = f"/v1/channels/{(await house.full('POST', '/v1/channels', asked)).json['id']}"
    words = {"check.up": {"title": "$NAME is back"}, "budget.cleared": {"title": "", "text": ""}}

    made = (await house.full("PATCH", path, {"policy": {"words": words}})).json
    wrong = await house.full("PATCH", path, {"policy": {"words": {"check.gone": {"title": "x"}}}})
    long = await house.full("PATCH", path, {"policy": {"words": {"check.up": {"text": "x" * 2_001}}}})

    assert {"check.up": {"title": "$NAME is back"}} == made["policy"]["words"]
    assert (422, "policy.words.check.gone") == (wrong.status, wrong.json["errors"][0]["field"])
    assert (422, "policy.words.check.up.text") == (long.status, long.json["errors"][0]["field"])


async def test_checks_and_channels_of_another_project_cannot_be_silenced(house: House, neighbour: House) -> None:
    check = (await neighbour.full("POST", "/v1/checks", {"name": "theirs"})).json["id"]
    hook = {"kind": "webhook", "name": "hook", "config": {"url": "https://hooks.example.com/x"}}
    channel = (await neighbour.full("POST", "/v1/channels", hook)).json["id"]

    for kind, scope, target in (("maintenance", "check", check), ("mute", "channel", channel)):
        asked = {"kind": kind, "scope": scope, "targets": [target], "lasts": 3600}
        reply = await house.full("POST", "/v1/silences", asked)
        assert (422, "targets[0]") == (reply.status, reply.json["errors"][0]["field"])


async def test_a_check_says_until_when_it_is_silenced_in_the_list_and_by_itself(
    house: House, clock: SimClock, neighbour: House
) -> None:
    await house.world.check(START, name="one", tags=["db"])
    await house.world.check(START, name="two")
    await neighbour.world.check(START, name="other")

    async def until(whose: House = house) -> list[str | None]:
        listed = (await whose.read("GET", "/v1/checks")).json["items"]
        alone = [(await whose.read("GET", f"/v1/checks/{one['id']}")).json for one in listed]
        assert alone == listed
        return [one["silenced_until"] for one in listed]

    assert [None, None] == await until()
    await make(house, kind="maintenance", scope="tag", targets=["db"], lasts=1800)
    assert ["2026-03-02T10:30:00Z", None] == await until()
    await make(house, kind="mute", scope="project", lasts=3600)
    assert ["2026-03-02T11:00:00Z"] * 2 == await until()
    assert [None] == await until(neighbour)
    clock.move_to(START + timedelta(hours=1))
    assert [None, None] == await until()


async def test_an_explanation_names_what_silences_the_check_and_its_channels(house: House, neighbour: House) -> None:
    hook = {"kind": "webhook", "name": "Ops", "config": {"url": "https://hooks.example.com/x"}}
    channel = (await house.full("POST", "/v1/channels", hook)).json["id"]
    made = (
        await house.full("POST", "/v1/checks", {"name": "one", "schedule": {"kind": "period", "period": 3600}})
    ).json["id"]
    await make(neighbour, kind="mute", scope="project", lasts=3600)
    path = f"/v1/checks/{made}/explain"
    assert [] == (await house.read("GET", path)).json["silenced"]

    muted = await make(house, kind="mute", scope="channel", targets=[channel], lasts=7200)
    snoozed = (await house.full("POST", f"/v1/checks/{made}/snooze", {"lasts": 1800, "note": "new disk"})).json
    told = (await house.read("GET", path)).json

    assert [(snoozed["id"], "snooze", []), (muted["id"], "mute", ["Ops"])] == [
        (one["id"], one["kind"], one["channels"]) for one in told["silenced"]
    ]
    first = told["silenced"][0]
    assert ("2026-03-02T10:30:00Z", snoozed["made_by"], "new disk") == (first["until"], first["by"], first["note"])
    assert "It is silenced until 2026-03-02 10:30:00 UTC, by key:" in told["explain"]
    assert "It is silenced on Ops until 2026-03-02 12:00:00 UTC, by key:" in told["explain"]


async def test_a_new_check_s_first_ping_is_wanted_after_what_is_left_unjudged(house: House, clock: SimClock) -> None:
    by = START + timedelta(hours=1)
    made = (await house.full("POST", "/v1/checks", {"name": "new", "first_ping_by": by.isoformat()})).json
    assert "2026-03-02T11:00:00Z" == made["first_ping_by"]
    await make(house, kind="maintenance", scope="project", effect="ignore", lasts=3 * 3600)
    clock.move_to(START + timedelta(hours=2))
    (listed,) = (await house.read("GET", "/v1/checks")).json["items"]
    assert listed["first_ping_by"] == listed["next_expected_at"] > "2026-03-02T13:00:00Z"


async def test_what_is_left_unjudged_goes_down_after_the_window_and_an_alarm_then_names_it(
    house: House, clock: SimClock
) -> None:
    """Every hour with ten minutes of grace, silent since 10:00; one of the two has a run under way that hangs."""
    hour = timedelta(hours=1)
    idle, at_work = await house.world.check(START), await house.world.check(START, slug="at-work")
    for check in (idle, at_work):
        await house.world.ping(check, START)
    await house.world.ping(at_work, START + hour, PingKind.START)
    await house.read("GET", "/v1/checks")  # kept rendered, as it was before the window
    begin, end = START + hour, START + 3 * hour
    times = {"from": begin.isoformat(), "to": end.isoformat()}
    await make(house, kind="maintenance", scope="project", effect="ignore", **times)

    clock.move_to(START + 2 * hour)
    await judged(house, clock.now())
    listed = (await house.read("GET", "/v1/checks")).json["items"]
    one = (await house.read("GET", f"/v1/checks/{at_work.uuid}")).json
    told = (await house.read("GET", f"/v1/checks/{idle.uuid}/explain")).json

    due = "2026-03-02T14:10:00Z"
    assert [(due, "2026-03-02T13:00:00Z")] * 2 == [(it["goes_down_at"], it["silenced_until"]) for it in listed]
    assert [due] * 3 == [one["goes_down_at"], told["goes_down_at"], told["alarm_at"]]
    expected = "2026-03-02T14:00:00Z"
    assert [(expected, False)] * 2 == [(it["next_expected_at"], it["late"]) for it in listed]
    assert (expected, False) == (one["next_expected_at"], one["late"])

    for now in (end, START + 5 * hour):
        clock.move_to(now)
        await judged(house, now)
    found = (await house.read("GET", "/v1/incidents")).json["items"]
    words = "Maintenance from 2026-03-02 11:00:00 UTC to 2026-03-02 13:00:00 UTC was not judged"
    assert [(due, True)] * 2 == [(it["opened_at"], words in it["explain"]) for it in found]
