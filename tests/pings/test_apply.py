"""A batch of pings becomes rows, runs, flips and the check's new life, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import addresses, ping_bodies, projects, run_metrics
from heartfly.pings.apply import PingApplier
from heartfly.pings.rate import RateLimiter
from heartfly.pings.request import PingOutcome
from heartfly.sealing import digest
from tests.world import KEEP, World, make_world

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
RID = "0f4e2f3a-7a3c-4a53-9f5c-2f6a3f1f0001"


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


async def test_the_first_success_makes_a_check_up_and_sets_its_deadline(world: World) -> None:
    check = await world.check(T0)

    result = await world.ping(check, T0 + MINUTE)

    row = await world.row(check)
    assert (PingOutcome.OK, "up") == (result.outcome, result.flipped_to)
    assert ("up", T0 + MINUTE + HOUR, T0 + MINUTE + HOUR + 10 * MINUTE) == (
        row.status,
        row.expected_at,
        row.goes_down_at,
    )
    assert [("new", "up", "success")] == [(f.from_status, f.to_status, f.reason) for f in await world.flips(check)]


async def test_several_pings_of_one_check_in_a_batch_are_folded_in_order(world: World) -> None:
    check = await world.check(T0)

    await world.pings(
        [
            world.request(check, T0 + 2 * MINUTE, PingKind.FAIL, seq=2, exit_status=3),
            world.request(check, T0 + MINUTE, PingKind.START, seq=1),
            world.request(check, T0 + 3 * MINUTE, seq=3),
        ]
    )

    assert [(1, "start"), (2, "fail"), (3, "success")] == [(p.n, p.kind) for p in await world.pings_of(check)]
    assert ["down", "up"] == [flip.to_status for flip in await world.flips(check)]
    runs = await world.runs(check)
    assert [("failed", 3, 60_000_000), ("ok", None, None)] == [(r.outcome, r.exit_status, r.duration_us) for r in runs]


async def test_a_run_is_paired_by_its_id_and_its_duration_measured(world: World) -> None:
    check = await world.check(T0)

    await world.ping(check, T0, PingKind.START, rid=RID)
    assert 1 == (await world.row(check)).n_open_runs
    await world.ping(check, T0 + 90 * timedelta(seconds=1), rid=RID)

    row = await world.row(check)
    assert (0, 90_000_000) == (row.n_open_runs, row.last_duration_us)
    assert [(RID, "ok", 90_000_000)] == [(r.rid, r.outcome, r.duration_us) for r in await world.runs(check)]


async def test_a_body_is_kept_as_bytes_and_its_figures_become_metrics(world: World, db: Database) -> None:
    check = await world.check(T0)

    await world.ping(check, T0, body=b"\xff\x00 rows=12 cost: 0.1\nrow", body_size=500, metrics={"extra": Decimal(7)})

    async with db.read() as read:
        assert b"\xff\x00 rows=12 cost: 0.1\nrow" == (await read.execute(sa.select(ping_bodies.c.body))).scalar_one()
        found = await read.execute(sa.select(run_metrics.c.name, run_metrics.c.value))
        assert {("rows", Decimal(12)), ("cost", Decimal("0.1")), ("extra", Decimal(7))} == {tuple(r) for r in found}
    assert [500] == [ping.body_size for ping in await world.pings_of(check)]


async def test_an_unknown_address_is_not_found_and_leaves_nothing(world: World) -> None:
    check = await world.check(T0)

    unknown = world.by_slug("nobody")
    assert PingOutcome.NOT_FOUND == (await world.ping(check, T0, target=unknown)).outcome
    assert [] == await world.pings_of(check)


async def test_a_slug_finds_its_check(world: World) -> None:
    check = await world.check(T0, name="backup")

    assert PingOutcome.OK == (await world.ping(check, T0, target=world.by_slug("backup"))).outcome
    assert 1 == (await world.row(check)).n_pings


async def test_create_makes_one_check_however_often_it_is_asked_for_at_once(world: World) -> None:
    any_check = await world.check(T0)
    create, plain = world.by_slug("fresh", create=True), world.by_slug("fresh")

    results = await world.pings(
        [world.request(any_check, T0, target=create), world.request(any_check, T0, target=create)]
    )
    again = await world.ping(any_check, T0, target=plain)

    assert [PingOutcome.CREATED, PingOutcome.OK] == [result.outcome for result in results]
    assert (PingOutcome.OK, results[0].check_uuid) == (again.outcome, again.check_uuid)


async def test_two_checks_of_one_slug_are_ambiguous(world: World, db: Database) -> None:
    one, two = await world.check(T0, name="one"), await world.check(T0, name="two")
    await db.write(
        lambda tx: tx.conn.exec_driver_sql("UPDATE checks SET slug = 'twin', slug_key = NULL")  # as a foreign API may
    )

    assert PingOutcome.AMBIGUOUS == (await world.ping(one, T0, target=world.by_slug("twin"))).outcome
    assert (0, 0) == ((await world.row(one)).n_pings, (await world.row(two)).n_pings)


async def test_an_old_address_works_until_its_overlap_ends(world: World, db: Database) -> None:
    check = await world.check(T0)
    await db.write(lambda tx: tx.conn.execute(sa.update(addresses).values(until=T0 + HOUR)))

    assert PingOutcome.OK == (await world.ping(check, T0 + HOUR - MINUTE)).outcome
    assert PingOutcome.NOT_FOUND == (await world.ping(check, T0 + HOUR)).outcome


async def test_an_old_ping_key_works_until_its_overlap_ends(world: World, db: Database) -> None:
    check = await world.check(T0, name="backup")
    target = world.by_slug("backup")
    await db.write(
        lambda tx: tx.conn.execute(
            sa.update(projects).values(
                ping_key_hash=digest("new"), old_ping_key_hash=target.ping_key_hash, old_until=T0 + HOUR
            )
        )
    )

    assert PingOutcome.OK == (await world.ping(check, T0 + HOUR - MINUTE, target=target)).outcome
    assert PingOutcome.NOT_FOUND == (await world.ping(check, T0 + HOUR, target=target)).outcome


async def test_of_one_batch_an_old_ping_key_takes_what_came_before_its_overlap_ended_and_no_more(
    world: World, db: Database
) -> None:
    """What lay in a spool is stored together, however far apart it was received."""
    check = await world.check(T0, name="backup")
    target = world.by_slug("backup")
    await db.write(
        lambda tx: tx.conn.execute(
            sa.update(projects).values(
                ping_key_hash=digest("new"), old_ping_key_hash=target.ping_key_hash, old_until=T0 + HOUR
            )
        )
    )
    before, after = (world.request(check, T0 + HOUR + n * MINUTE, target=target, seq=n + 2) for n in (-1, 0))
    made = world.by_slug("made-too-late", create=True)
    too_late = world.request(check, T0 + HOUR, target=made, seq=3)

    for batch in ([before, after, too_late], [after, too_late, before]):
        told = dict(zip([one.received_at for one in batch], await world.pings(batch), strict=True))
        assert PingOutcome.OK is told[before.received_at].outcome
        assert PingOutcome.NOT_FOUND is told[after.received_at].outcome
    assert [T0 + HOUR - MINUTE] * 2 == [ping.received_at for ping in await world.pings_of(check)]


async def test_above_the_rate_a_ping_counts_but_an_unchanged_status_leaves_no_row(db: Database, ids: IdSource) -> None:
    world = await make_world(db, ids, T0, per_minute=2)
    check = await world.check(T0)

    outcomes = [(await world.ping(check, T0 + n * timedelta(milliseconds=1))).outcome for n in range(3)]
    failed = await world.ping(check, T0 + timedelta(milliseconds=5), PingKind.FAIL)

    assert [PingOutcome.OK, PingOutcome.OK, PingOutcome.LIMITED] == outcomes
    assert (PingOutcome.LIMITED, "down") == (failed.outcome, failed.flipped_to)
    assert [1, 2, 4] == [ping.n for ping in await world.pings_of(check)]


async def test_the_newest_pings_are_kept(world: World) -> None:
    check = await world.check(T0)
    for batch in range(4):
        await world.pings(
            [world.request(check, T0 + (batch * 100 + n) * timedelta(seconds=1), body=b"x") for n in range(100)]
        )

    kept = [ping.n for ping in await world.pings_of(check)]
    assert list(range(201, 401)) == kept


async def test_a_sticky_pause_ignores_every_signal(world: World, db: Database) -> None:
    check = await world.check(T0, sticky=True)
    await db.write(lambda tx: tx.conn.exec_driver_sql("UPDATE checks SET status = 'paused'"))

    result = await world.ping(check, T0 + MINUTE)

    assert (PingOutcome.OK, PingKind.IGNORED) == (result.outcome, result.kind)
    assert "paused" == (await world.row(check)).status


async def test_keywords_in_the_body_decide_the_kind(world: World) -> None:
    filters = '{"start":[],"success":["done"],"failure":["ERROR"],"default_fail":false}'
    check = await world.check(T0, filters=filters)

    kinds = [
        (await world.ping(check, T0 + n * MINUTE, body=body)).kind
        for n, body in enumerate([b"all done", b"done with ERROR", b"nothing said"])
    ]

    assert [PingKind.SUCCESS, PingKind.FAIL, PingKind.IGNORED] == kinds


async def test_keywords_count_at_the_end_of_a_long_body_too(world: World) -> None:
    filters = '{"start":[],"success":["done"],"failure":["ERROR"],"default_fail":false}'
    check = await world.check(T0, filters=filters)

    result = await world.ping(check, T0, body=b"done ...", body_end=b"... ERROR", body_size=200_000)

    assert PingKind.FAIL == result.kind


@pytest.mark.parametrize("body", [b"3 tests done, 1 failed", b"nothing said", b""])
async def test_no_keyword_softens_a_failure_that_the_job_reports(world: World, body: bytes) -> None:
    filters = '{"start":["begin"],"success":["done"],"failure":["ERROR"],"default_fail":false}'
    check = await world.check(T0, filters=filters)
    await world.ping(check, T0, body=b"done")

    by_status = await world.ping(check, T0 + MINUTE, exit_status=1, body=body)
    await world.ping(check, T0 + 2 * MINUTE, body=b"done")
    by_address = await world.ping(check, T0 + 3 * MINUTE, PingKind.FAIL, body=body)

    assert [PingKind.FAIL] * 2 == [by_status.kind, by_address.kind]
    assert "down" == (await world.row(check)).status


async def test_a_check_that_wants_post_ignores_other_methods(world: World) -> None:
    check = await world.check(T0, methods="POST")

    assert PingKind.IGNORED == (await world.ping(check, T0, method="GET")).kind
    assert PingKind.SUCCESS == (await world.ping(check, T0 + MINUTE, method="POST")).kind


# --- signals out of order ----------------------------------------------------------------------------


async def test_a_late_failure_between_two_successes_is_two_flips(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0, seq=1)
    await world.ping(check, T0 + 2 * HOUR, seq=3)

    await world.ping(check, T0 + HOUR, PingKind.FAIL, seq=2)

    assert ["up", "down", "up"] == [flip.to_status for flip in await world.flips(check)]
    assert "up" == (await world.row(check)).status


async def test_a_late_failure_in_the_same_batch_knows_the_flips_of_its_batch(world: World) -> None:
    check = await world.check(T0)
    other_node_newer = world.request(check, T0 + HOUR, seq=9)
    await world.pings([world.request(check, T0, seq=1), other_node_newer])

    await world.pings([world.request(check, T0 + HOUR - MINUTE, PingKind.FAIL, seq=2)])

    assert ["up", "down", "up"] == [flip.to_status for flip in await world.flips(check)]


async def test_a_start_that_comes_after_its_end_opens_no_run(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0 + 2 * MINUTE, seq=2, rid=RID)
    await world.ping(check, T0 + MINUTE, PingKind.START, seq=1, rid=RID)
    await world.ping(check, T0 + 4 * MINUTE, seq=4)
    await world.ping(check, T0 + 3 * MINUTE, PingKind.START, seq=3)

    assert 0 == (await world.row(check)).n_open_runs


async def test_a_start_that_is_heard_after_the_end_of_its_run_opens_none(world: World) -> None:
    check = await world.check(T0)
    await world.ping(check, T0 + MINUTE, rid=RID)
    await world.ping(check, T0 + 2 * MINUTE, PingKind.START, rid=RID)
    await world.pings(
        [
            world.request(check, T0 + 3 * MINUTE, rid=RID.replace("0001", "0002")),
            world.request(check, T0 + 3 * MINUTE, PingKind.START, rid=RID.replace("0001", "0002")),
        ]
    )

    assert 0 == (await world.row(check)).n_open_runs
    assert ["ok", "ok"] == [run.outcome for run in await world.runs(check)]


async def test_an_id_that_a_job_uses_each_day_times_each_of_its_runs(world: World) -> None:
    check = await world.check(T0, every=25 * HOUR)
    for day in range(2):
        begun = T0 + day * 25 * HOUR
        await world.ping(check, begun, PingKind.START, rid=RID)
        await world.ping(check, begun + MINUTE, rid=RID)

    assert [60_000_000, 60_000_000] == [run.duration_us for run in await world.runs(check)]


async def test_also_when_many_of_its_runs_come_in_one_batch(world: World) -> None:
    """As out of a spool. A start again within two minutes of an end is a retry, and opens none."""
    check, other = await world.check(T0), await world.check(T0)
    starts = [T0 + 5 * minute * MINUTE for minute in range(3)]
    await world.pings(
        [
            *(world.request(one, at, PingKind.START, rid=RID) for at in starts for one in (check, other)),
            *(world.request(one, at + MINUTE, rid=RID) for at in starts for one in (check, other)),
            world.request(check, starts[-1] + 2 * MINUTE, PingKind.START, rid=RID),
        ]
    )

    for one in (check, other):
        assert [60_000_000] * 3 == [run.duration_us for run in await world.runs(one)]
        assert 0 == (await world.row(one)).n_open_runs


async def test_of_several_starts_in_a_batch_each_asks_for_its_own_run(world: World) -> None:
    check = await world.check(T0)
    rids = [RID.replace("0001", f"000{n}") for n in range(3)]
    await world.pings([world.request(check, T0 + n * MINUTE, rid=rid) for n, rid in enumerate(rids[:2])])

    await world.pings([world.request(check, T0 + 2 * MINUTE + n, PingKind.START, rid=rid)
                       for rid, n in zip(rids, (MINUTE, timedelta(0), timedelta(0)), strict=True)])  # fmt: skip

    # The first ended three minutes ago, so it is another run; the second a minute ago; the third never did.
    assert {rids[0], rids[2]} == {run.rid for run in await world.runs(check) if run.outcome is None}


async def test_pings_make_no_more_checks_than_a_project_may_have(world: World, ids: IdSource) -> None:
    world.applier = PingApplier(ids=ids, node_id=1, rate=RateLimiter(per_minute=60), keep=KEEP, most_checks=2)
    outcomes = [
        (await world.ping(None, T0, target=world.by_slug(slug, create=True))).outcome for slug in ("a", "b", "c", "a")
    ]

    assert [PingOutcome.CREATED, PingOutcome.CREATED, PingOutcome.FULL, PingOutcome.OK] == outcomes


async def test_pings_of_a_project_make_so_many_checks_a_minute_and_no_more(
    world: World, db: Database, ids: IdSource
) -> None:
    creating = RateLimiter(per_minute=2)
    world.applier = PingApplier(ids=ids, node_id=1, rate=RateLimiter(per_minute=60), keep=KEEP, creating=creating)
    other = await make_world(db, ids, T0, slug="other")
    other.applier = world.applier
    new = [world.request(None, T0, target=world.by_slug(slug, create=True)) for slug in ("a", "b", "c")]

    outcomes = [result.outcome for result in await world.pings(new)]

    assert [PingOutcome.CREATED, PingOutcome.CREATED, PingOutcome.TOO_MANY] == outcomes
    # Whose check there is, and who is of another project, is not held up; and a minute later nobody is.
    assert PingOutcome.OK == (await world.ping(None, T0, target=world.by_slug("a", create=True))).outcome
    assert PingOutcome.CREATED == (await other.ping(None, T0, target=other.by_slug("c", create=True))).outcome
    later = await world.ping(None, T0 + MINUTE, target=world.by_slug("c", create=True))
    assert PingOutcome.CREATED == later.outcome
