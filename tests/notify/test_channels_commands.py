from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from heartfly.audit.record import CLI
from heartfly.checks.config import CheckConfig
from heartfly.checks.create import insert_check
from heartfly.core.words import AlertKind
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, check_channels
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.notify.commands import send_test
from heartfly.notify.outbox import DEFAULT_EVENTS
from tests.notify.examples import at
from tests.notify.post_office import SEALER, PostOffice, ScriptedChannel
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

HOOK = "https://hooks.example.com/a-secret-path"


async def check(post: PostOffice, n: int) -> int:
    config = CheckConfig(name=f"check-{n}", slug=f"check-{n}")
    made = await post.db.write(
        lambda tx: insert_check(tx, post.pid, config, actor="test", at=post.at, ids=post.ids, slug_key=config.slug)
    )
    return made.id


async def assigned(post: PostOffice, channel_id: int) -> list[int]:
    query = sa.select(check_channels.c.check_id).where(check_channels.c.channel_id == channel_id)
    async with post.db.read() as read:
        return sorted((await read.execute(query)).scalars())


async def test_a_new_channel_is_for_all_checks_and_hears_what_is_usual(post: PostOffice) -> None:
    both = [await check(post, 1), await check(post, 2)]

    made = await post.webhook(HOOK, name="#ops")

    row = await post.channel_row(made)
    assert (post.pid, made.uuid, "webhook", "#ops", post.at, 1) == (
        row.pid,
        row.uuid,
        row.kind,
        row.name,
        row.created_at,
        row.rev,
    )
    assert [kind.value for kind in AlertKind if kind in DEFAULT_EVENTS] == sorted(
        row.events, key=[kind.value for kind in AlertKind].index
    )
    assert both == await assigned(post, made.channel_id)
    assert frozenset(both) == made.check_ids


async def test_it_may_be_for_some_checks_or_for_none(post: PostOffice) -> None:
    one, _ = await check(post, 1), await check(post, 2)

    some = await post.webhook(HOOK, assign={one})
    none = await post.webhook(HOOK, assign=())

    assert [one] == await assigned(post, some.channel_id)
    assert [] == await assigned(post, none.channel_id)
    assert frozenset() == none.check_ids


async def test_its_secrets_are_sealed(post: PostOffice) -> None:
    made = await post.webhook(HOOK)

    sealed = (await post.channel_row(made)).config_enc

    assert b"a-secret-path" not in sealed
    assert {"url": HOOK} == msgspec.json.decode(SEALER.open(sealed))


async def test_events_are_kept_once_and_in_one_order(post: PostOffice) -> None:
    made = await post.webhook(HOOK, events=["check.up", "check.late", "check.up"])

    assert ["check.up", "check.late"] == (await post.channel_row(made)).events


async def test_a_channel_may_hear_nothing_but_tests(post: PostOffice) -> None:
    assert [] == (await post.channel_row(await post.webhook(HOOK, events=[]))).events


@on_sqlite
@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("kind", {"kind": "carrier pigeon"}),
        ("name", {"name": " "}),
        ("name", {"name": "\u200d\u3164"}),
        ("name", {"name": "two\nlines"}),
        ("name", {"name": "x" * 101}),
        ("config.url", {"config": {"url": "ftp://example.com"}}),
        ("config.url", {"config": {}}),
        ("config", {"config": ["url"]}),
        ("events[1]", {"events": ["check.down", "check.sideways"]}),
    ],
)
async def test_what_cannot_be_is_refused_with_the_field(post: PostOffice, field: str, changes: dict[str, Any]) -> None:
    asked = {"kind": "webhook", "config": {"url": HOOK}, "name": "x"} | changes

    with pytest.raises(InvalidValueError) as refused:
        await post.channel(asked.pop("kind"), asked.pop("config"), **asked)

    assert field == refused.value.field


async def test_a_name_is_used_once_in_a_project(post: PostOffice) -> None:
    await post.webhook(HOOK, name="#ops")
    with pytest.raises(ConflictError, match="#ops"):
        await post.webhook(HOOK, name="#ops")

    await post.open()
    await post.webhook(HOOK, name="#ops")


async def test_of_two_that_take_a_name_at_the_same_time_one_is_told(post: PostOffice) -> None:
    made = await asyncio.gather(*(post.webhook(HOOK, name="#ops") for _ in range(3)), return_exceptions=True)

    assert 2 == sum(isinstance(one, ConflictError) for one in made)


async def test_another_projects_check_reads_as_one_that_does_not_exist(post: PostOffice) -> None:
    foreign = await check(post, 1)
    await post.open()

    with pytest.raises(NotFoundError):
        await post.webhook(HOOK, assign={foreign})


async def test_an_edit_changes_what_is_given_and_nothing_else(post: PostOffice) -> None:
    made = await post.webhook(HOOK, name="#ops")
    before = await post.channel_row(made)

    await post.edit(made, name="#alerts")

    after = await post.channel_row(made)
    assert ("#alerts", 2) == (after.name, after.rev)
    assert (before.config_enc, before.events) == (after.config_enc, after.events)

    await post.edit(made, name="#alerts", events=["check.late"], config={"url": "https://new.example.com/"})
    after = await post.channel_row(made)
    assert (["check.late"], 3) == (after.events, after.rev)
    assert {"url": "https://new.example.com/"} == msgspec.json.decode(SEALER.open(after.config_enc))


async def test_an_edit_cannot_take_anothers_name(post: PostOffice) -> None:
    await post.webhook(HOOK, name="#ops")
    made = await post.webhook(HOOK, name="#alerts")

    with pytest.raises(ConflictError, match="#ops"):
        await post.edit(made, name="#ops")

    assert "#alerts" == (await post.channel_row(made)).name


async def test_an_edit_tells_which_checks_it_concerns(post: PostOffice) -> None:
    one, two, three = [await check(post, n) for n in (1, 2, 3)]
    made = await post.webhook(HOOK, assign={one, two})

    assert frozenset({one, two}) == (await post.edit(made, events=["check.late"])).check_ids
    assert frozenset({one, two, three}) == (await post.edit(made, assign={two, three})).check_ids
    assert [two, three] == await assigned(post, made.channel_id)
    assert frozenset({one, two, three}) == (await post.edit(made, assign="all")).check_ids
    assert [one, two, three] == await assigned(post, made.channel_id)


async def test_a_thousand_checks_lose_a_channel_at_once(post: PostOffice) -> None:
    made = await post.webhook(HOOK)
    rows = [{"pid": post.pid, "check_id": n, "channel_id": made.channel_id, "events": None} for n in range(2500)]
    await post.db.write(lambda tx: tx.conn.execute(sa.insert(check_channels), rows) and None)

    changed = await post.edit(made, assign=())

    assert 2500 == len(changed.check_ids)
    assert [] == await assigned(post, made.channel_id)


async def test_a_deleted_channel_is_gone_with_its_assignments(post: PostOffice) -> None:
    one = await check(post, 1)
    made, other = await post.webhook(HOOK), await post.webhook(HOOK)

    await post.delete(made)

    assert [] == await assigned(post, made.channel_id)
    assert [one] == await assigned(post, other.channel_id)
    with pytest.raises(NotFoundError):
        await post.edit(made, name="x")


@pytest.mark.parametrize("uuid", ["", "not-a-uuid", "\x00", "00000000-0000-4000-8000-000000000000"])
async def test_an_unknown_channel_is_not_found(post: PostOffice, uuid: str) -> None:
    with pytest.raises(NotFoundError):
        await post.db.write(lambda tx: send_test(tx, post.pid, uuid, actor=CLI, at=post.at, ids=post.ids))


async def test_another_projects_channel_is_not_found(post: PostOffice) -> None:
    foreign = await post.webhook(HOOK)
    await post.open()

    with pytest.raises(NotFoundError):
        await post.edit(foreign, name="x")
    with pytest.raises(NotFoundError):
        await post.delete(foreign)
    with pytest.raises(NotFoundError):
        await post.db.write(lambda tx: send_test(tx, post.pid, foreign.uuid, actor=CLI, at=post.at, ids=post.ids))


async def test_a_test_goes_to_this_channel_alone(post: PostOffice) -> None:
    scripted = ScriptedChannel()
    channel, _ = await post.scripted(events=[]), await post.scripted()

    key = await post.db.write(
        lambda tx: send_test(tx, post.pid, channel.uuid.upper(), actor=CLI, at=post.at, ids=IdSource(1))
    )
    await post.dispatcher(scripted).round(at("03:10"))

    ((alert,),) = [delivery.alerts for delivery in scripted.sent]
    assert (key, AlertKind.TEST, "Acme", post.at) == (alert.key, alert.kind, alert.project_name, alert.at)
    assert [channel.channel_id] == [row.channel_id for row in await post.notifications()]


async def test_tests_do_not_wait_for_one_another(post: PostOffice) -> None:
    channel = await post.scripted()
    for _ in range(2):
        await post.db.write(lambda tx: send_test(tx, post.pid, channel.uuid, actor=CLI, at=post.at, ids=post.ids))

    query = sa.select(sa.func.count(alerts.c.source.distinct()))
    async with post.db.read() as read:
        assert 2 == (await read.execute(query)).scalar()
