from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa

from heartfly.core.words import AlertKind
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, check_channels, incidents, reminders
from heartfly.notify.commands import Changed
from heartfly.notify.outbox import DEFAULT_EVENTS, Entry, enqueue, who_listens
from heartfly.notify.policies import AskedPolicy
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, an_alert

pytestmark = pytest.mark.anyio

HOOK = "https://hooks.example.com/x"


async def assign(post: PostOffice, check_id: int, channel: Changed, events: Sequence[str] | None = None) -> None:
    row = {"pid": post.pid, "check_id": check_id, "channel_id": channel.channel_id, "events": events}
    await post.db.write(lambda tx: tx.conn.execute(sa.insert(check_channels).values(row)) and None)


def about(post: PostOffice, check_id: int, kind: AlertKind, key: str) -> Entry:
    source = f"check:{check_id}"
    return Entry(pid=post.pid, source=source, alert=an_alert(source, kind, key, post.at), check_ids=(check_id,))


async def put(post: PostOffice, *entries: Entry, ids: IdSource | None = None) -> None:
    await post.db.write(lambda tx: enqueue(tx, entries, ids=ids or post.ids, now=post.at))


async def test_each_channel_of_the_check_hears_of_it(post: PostOffice) -> None:
    one, other, unrelated = [await post.webhook(HOOK) for _ in range(3)]
    await assign(post, 7, one)
    await assign(post, 7, other)
    await assign(post, 8, unrelated)

    await put(post, about(post, 7, AlertKind.DOWN, "flip:7:1"))

    rows = await post.notifications()
    assert [one.channel_id, other.channel_id] == [row.channel_id for row in rows]
    assert {("check:7", "pending", None, post.at)} == {
        (row.source, row.state, row.delivery_id, row.created_at) for row in rows
    }


async def test_lateness_is_heard_only_where_it_was_asked_for(post: PostOffice) -> None:
    quiet, late, by_check = [await post.webhook(HOOK, events=events) for events in (None, ["check.late"], [])]
    await assign(post, 7, quiet)
    await assign(post, 7, late)
    await assign(post, 7, by_check, events=["check.late"])

    await put(post, about(post, 7, AlertKind.LATE, "late:7:1"))

    assert AlertKind.LATE not in DEFAULT_EVENTS
    assert [late.channel_id, by_check.channel_id] == [row.channel_id for row in await post.notifications()]


async def test_an_alert_that_nobody_hears_leaves_no_row(post: PostOffice) -> None:
    await assign(post, 7, await post.webhook(HOOK, events=["check.up"]))

    await put(post, about(post, 7, AlertKind.LATE, "late:7:1"), about(post, 9, AlertKind.DOWN, "flip:9:1"))

    assert [] == await post.alert_rows(AlertKind.LATE)
    assert [] == await post.alert_rows(AlertKind.DOWN)


async def test_whoever_sends_is_woken_when_there_is_something_to_send_and_else_is_left_alone(post: PostOffice) -> None:
    await assign(post, 7, await post.webhook(HOOK))

    async def wakes(entry: Entry) -> bool:
        return await post.db.write(
            lambda tx: (enqueue(tx, [entry], ids=post.ids, now=post.at), tx.changes.outbox)[1]  # as it is left
        )

    assert await wakes(about(post, 7, AlertKind.DOWN, "flip:7:1")) is True
    assert await wakes(about(post, 8, AlertKind.DOWN, "flip:8:1")) is False


async def test_who_was_told_that_it_began_is_told_of_its_end_though_he_does_not_listen_any_more(
    post: PostOffice,
) -> None:
    before, since = await post.webhook(HOOK), await post.webhook(HOOK)
    await assign(post, 7, before)
    await put(post, about(post, 7, AlertKind.DOWN, "flip:7:1"))
    mine = check_channels.c.channel_id == before.channel_id
    await post.db.write(lambda tx: tx.conn.execute(sa.delete(check_channels).where(mine)) and None)
    await assign(post, 7, since)

    await put(post, about(post, 7, AlertKind.UP, "flip:7:2"))

    ended = [(row.channel_id, row.state) for row in (await post.notifications())[1:]]
    assert [(before.channel_id, "pending"), (since.channel_id, "pending")] == ended


async def test_what_begins_and_none_of_its_channels_hears_keeps_why(post: PostOffice) -> None:
    await assign(post, 7, await post.webhook(HOOK, events=["check.up"]))

    await put(post, about(post, 7, AlertKind.DOWN, "flip:7:1"))

    (row,) = await post.notifications()
    assert ("untold", "this channel does not hear of check.down") == (row.state, row.why)


async def test_who_asks_for_it_is_reminded_from_the_alert_on_that_told_of_the_incident(post: PostOffice) -> None:
    reminded = await post.webhook(HOOK, policy=AskedPolicy(every_s=3600))
    once = await post.webhook(HOOK)
    await post.db.write(lambda tx: tx.conn.execute(sa.insert(incidents).values(_incident(post))) and None)

    await post.alert([reminded.channel_id, once.channel_id], incident="i-1")
    await post.alert([reminded.channel_id], source="check:2")

    async with post.db.read() as read:
        rows = (await read.execute(sa.select(reminders))).all()
    assert [(post.pid, 1, reminded.channel_id, 0, post.at + timedelta(hours=1))] == [
        (row.pid, row.incident_id, row.channel_id, row.n, row.next_at) for row in rows
    ]


def _incident(post: PostOffice) -> dict[str, object]:
    return {
        "pid": post.pid, "id": 1, "uuid": "i-1", "source_kind": "check", "source_uuid": "x", "source_name": "x",
        "source_id": 1, "explain": "", "opened_at": post.at, "cause": "fail", "disproved": False,
    }  # fmt: skip


async def test_no_entries_are_nothing_to_do(post: PostOffice) -> None:
    await put(post)

    assert [] == await post.notifications()


async def test_a_key_is_told_once_however_often_it_is_decided(post: PostOffice) -> None:
    await assign(post, 7, await post.webhook(HOOK))
    entry = about(post, 7, AlertKind.DOWN, "flip:7:1")

    await put(post, entry, entry)
    await put(post, entry)

    assert 1 == len(await post.notifications())


async def test_the_same_key_in_two_projects_is_two_alerts(post: PostOffice) -> None:
    first = await post.webhook(HOOK)
    await post.alert([first.channel_id])
    first_project = post.pid
    await post.open()
    second = await post.webhook(HOOK)
    key = (await post.alert_rows(AlertKind.DOWN))[0].key

    entry = Entry(
        pid=post.pid,
        source="check:1",
        alert=an_alert("check:1", AlertKind.DOWN, key, post.at),
        channel_ids=(second.channel_id,),
    )
    await put(post, entry)

    assert {first_project, post.pid} == {row.pid for row in await post.alert_rows(AlertKind.DOWN)}


async def test_facts_are_stored_whole(post: PostOffice) -> None:
    channel = await post.webhook(HOOK)
    key = await post.alert([channel.channel_id], at=at("02:00"))

    (row,) = await post.alert_rows(AlertKind.DOWN)

    assert (key, "check:1", at("02:00"), at("02:00")) == (row.key, row.source, row.at, row.decided_at)
    assert "nightly" in row.payload["check"]["description"] or row.payload["check"]["name"] == "check:1"
    assert 2400 == row.payload["check"]["grace_s"]


async def test_whether_anybody_hears_of_a_check_is_known_beforehand(post: PostOffice) -> None:
    await assign(post, 7, await post.webhook(HOOK))

    assert {7} == (await post.db.write(lambda tx: who_listens(tx, {post.pid}, {7, 8}))).keys()
    assert {} == await post.db.write(lambda tx: who_listens(tx, {post.pid}, {8}))
    assert {} == await post.db.write(lambda tx: who_listens(tx, (), ()))


async def test_a_slower_clock_does_not_put_the_end_before_the_beginning(post: PostOffice) -> None:
    """The down was decided by a node whose clock is ahead, the up by one whose clock is right."""
    channel = await post.webhook(HOOK)
    await assign(post, 7, channel)
    ahead, right = IdSource(2), IdSource(3)
    down, up = about(post, 7, AlertKind.DOWN, "flip:7:1"), about(post, 7, AlertKind.UP, "flip:7:2")

    await post.db.write(lambda tx: enqueue(tx, [down], ids=ahead, now=post.at + timedelta(minutes=3)))
    await put(post, up, ids=right)

    order = sa.select(alerts.c.key).order_by(alerts.c.id)
    async with post.db.read() as read:
        assert ["flip:7:1", "flip:7:2"] == list((await read.execute(order)).scalars())


async def test_other_sources_are_not_moved_by_a_clock_that_is_ahead(post: PostOffice) -> None:
    channel = await post.webhook(HOOK)
    await post.alert([channel.channel_id], "check:1", at=post.at + timedelta(minutes=3))
    slow = IdSource(3)
    key_source = about(post, 7, AlertKind.DOWN, "flip:7:1")
    await assign(post, 7, channel)

    await put(post, key_source, ids=slow)

    assert ["check:7", "check:1"] == [row.source for row in await post.notifications()]
