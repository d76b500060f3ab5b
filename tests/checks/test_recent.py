"""What the list tells of a check's newest runs: how they went, how long the last took, and what is usual."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from heartfly.checks.recent import MOST, NONE, Known, Recent, recent_of
from heartfly.core.words import PingKind, RunOutcome
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.world import World, make_world

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def found(world: World, *checks: object) -> dict[int, Recent]:
    async with world.db.read() as read:
        return await recent_of(read, world.project.pid, [check.id for check in checks])  # type: ignore[attr-defined]


async def run(world: World, check: object, at: datetime, took: timedelta, kind: PingKind = PingKind.SUCCESS) -> None:
    await world.ping(check, at, PingKind.START)
    await world.ping(check, at + took, kind)


async def test_runs_come_in_their_order_with_the_last_duration_and_the_usual_one(db: Database, ids: IdSource) -> None:
    world = await make_world(db, ids, START)
    check, other = await world.check(START), await world.check(START)
    for n, seconds in enumerate((10, 12, 11, 13, 12)):
        await run(world, check, START + n * MINUTE, timedelta(seconds=seconds))
    await run(world, check, START + 6 * MINUTE, timedelta(seconds=50), PingKind.FAIL)
    of_it = (await found(world, check, other))[check.id]

    assert (*[RunOutcome.OK] * 5, RunOutcome.FAILED) == of_it.outcomes
    assert (50_000_000, 12_000_000) == (of_it.took_us, of_it.usual_us)
    assert of_it.is_unusual
    assert NONE == (await found(world, check, other))[other.id]


async def test_only_the_newest_are_told_and_one_under_way_is_none(db: Database, ids: IdSource) -> None:
    world = await make_world(db, ids, START)
    check = await world.check(START)
    await world.ping(check, START, PingKind.FAIL)
    for n in range(1, MOST + 1):
        await world.ping(check, START + n * MINUTE)
    await world.ping(check, START + 40 * MINUTE, PingKind.START)
    of_it = (await found(world, check))[check.id]

    assert (RunOutcome.OK,) * MOST == of_it.outcomes
    assert (None, None, False) == (of_it.took_us, of_it.usual_us, of_it.is_unusual)


async def test_of_another_project_nothing_is_told(db: Database, ids: IdSource) -> None:
    world, other = await make_world(db, ids, START), await make_world(db, ids, START, slug="other")
    check = await world.check(START)
    await world.ping(check, START)

    async with db.read() as read:
        assert {check.id: NONE} == await recent_of(read, other.project.pid, [check.id])


async def test_what_is_known_is_read_anew_with_each_revision_and_no_more_is_kept(
    db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.checks.recent.MOST_KEPT", 2)
    world, known = await make_world(db, ids, START), Known()
    made = [await world.check(START) for _ in range(3)]

    async def told(*checks: object) -> list[int]:
        rows = [await world.row(check) for check in checks]
        async with world.db.read() as read:
            found = await known.of(read, world.project.pid, rows)
        return [len(found[row.id].outcomes) for row in rows]

    assert [0, 0, 0] == await told(*made)
    for n in range(1, 3):
        await world.ping(made[0], START + n * MINUTE)
        assert [n, 0] == await told(made[0], made[1])
    await world.ping(made[2], START + MINUTE, PingKind.START)
    await world.ping(made[2], START + 2 * MINUTE, PingKind.FAIL)
    assert [1, 0, 2] == await told(made[2], made[1], made[0])
    assert 2 == len(known._kept)


@pytest.mark.parametrize(
    ("took", "usual", "expected"),
    [
        (10, 10, False), (5, 10, True), (6, 10, False), (19, 10, False), (20, 10, True), (0, 10, True),
        (None, 10, False), (9, None, False), (9, 0, False),
    ],
)  # fmt: skip
def test_twice_as_long_or_half_is_unusual(took: int | None, usual: int | None, expected: bool) -> None:  # noqa: FBT001
    assert expected is Recent((), took, usual).is_unusual
