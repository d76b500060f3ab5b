"""Rules for paths are kept by version, foreseen on real paths, and hold for history, but not for frameworks' routes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.core.traffic import Cube
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import path_rules, request_rollups, usage_audit, usage_names, windows
from heartfly.errors import ChangedMeanwhileError, InvalidValueError
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from heartfly.usage.path_preview import PathChange, foresee_paths
from heartfly.usage.path_rules import kept_rules, save_rules
from heartfly.usage.requests import Limits
from tests.sim_clock import SimClock
from tests.usage.factory import HOUR, NOW, PID, Plant
from tests.usage.request_oracle import Asked

pytestmark = pytest.mark.anyio

FROM = NOW.replace(minute=0) - 3 * HOUR
MINUTE = timedelta(minutes=1)
LINES = ["# ours", "/users/{name}"]


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOW)


@pytest.fixture
async def plant(usage_db: Database, clock: SimClock, ids: IdSource) -> Plant:
    """Two hours of requests, one of which has a framework's route, and one a path that no rule is about."""
    made = Plant(usage_db, clock, ids)
    told = [
        (("route", "/users/ada"), ("path", "/users/ada")),
        (("route", "/users/{id}"), ("path", "/users/17")),
        (("route", "/users/grace"), ("path", "/users/grace")),
        (("route", "/users/:who"), ("path", "/users/ada")),
        (("route", "/status"), ("path", "/status")),
        (("route", "/users/ada"), ("path", "/users/ada")),
    ]
    found = [
        Asked(n, FROM + n * 20 * MINUTE, "c-1", (("method", "GET"), ("status", "200"), *one))
        for n, one in enumerate(told)
    ]
    await made.ingest.take(PID, [one.wire() for one in found], wire="native")
    await made.fold()
    return made


async def save(plant: Plant, lines: list[str], rev: int | None = None) -> int:
    return await plant.usage.write(
        lambda tx: save_rules(tx, PID, lines, rev=rev, actor=Actor("test"), at=NOW, ids=plant.ids)
    )


async def endpoints(plant: Plant) -> dict[str, int]:
    """Requests of each, as they count."""
    r, w = request_rollups.c, windows.c
    same = sa.and_(w.pid == r.pid, w.tier == r.tier, w.start_at == r.start_at, w.gen == r.gen)
    named = sa.and_(usage_names.c.pid == r.pid, usage_names.c.id == r.key1)
    query = sa.select(usage_names.c.text, sa.func.sum(r.n)).select_from(request_rollups)
    query = query.join(windows, same).join(usage_names, named).where(r.cube == int(Cube.ENDPOINT))
    async with plant.usage.read() as read:
        return {text: int(n) for text, n in await read.execute(query.group_by(usage_names.c.text))}


async def test_they_hold_for_history_and_frameworks_routes_stay(plant: Plant) -> None:
    before = {"GET /users/ada": 2, "GET /users/{id}": 1, "GET /users/grace": 1, "GET /users/:who": 1, "GET /status": 1}
    assert before == await endpoints(plant)

    assert 2 == await save(plant, LINES)
    await plant.fold()
    assert {"GET /users/{name}": 4, "GET /users/:who": 1, "GET /status": 1} == await endpoints(plant)

    assert 2 == await save(plant, [])
    await plant.fold()
    assert before == await endpoints(plant)


async def test_each_set_is_kept_and_changed_only_as_it_was_seen(plant: Plant) -> None:
    async def rev_and_lines() -> tuple[int, list[str]]:
        async with plant.usage.read() as read:
            found = await kept_rules(read, PID)
        return found.rev, list(found.lines)

    assert (0, []) == await rev_and_lines()
    await save(plant, LINES, rev=0)
    assert (1, LINES) == await rev_and_lines()
    assert 0 == await save(plant, LINES)
    assert 0 == await save(plant, ["# the same but for this", *LINES[1:]], rev=1)
    with pytest.raises(ChangedMeanwhileError):
        await save(plant, [], rev=1)
    assert 2 == (await rev_and_lines())[0]

    async with plant.usage.read() as read:
        versions = list((await read.execute(sa.select(path_rules.c.version))).scalars())
        entries: list[Any] = list((await read.execute(sa.select(usage_audit).order_by(usage_audit.c.id))).all())
    assert 1 == len(set(versions))
    assert ["path_rules.edit"] * 2 == [one.action for one in entries]


@pytest.mark.parametrize(
    ("lines", "field", "words"),
    [
        (["/a", "one two three"], "lines", "line 2: "),
        (["/a", "b\x07"], "lines[1]", "control characters"),
        (["x" * 301], "lines[0]", "300 characters"),
        (["/a"] * 501, "lines", "500 lines"),
    ],
)
async def test_what_is_no_rule_is_refused_by_its_line(plant: Plant, lines: list[str], field: str, words: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        await save(plant, lines)

    assert (field, True) == (refused.value.field, words in refused.value.message)


async def test_what_they_would_change_is_told_on_the_paths_that_there_are(plant: Plant) -> None:
    found = foresee_paths(plant.usage.place, PID, LINES)

    assert (6, 5, 4, 5, 3, 0) == (
        *(found.n, found.n_paths, found.n_changed),
        *(found.endpoints_before, found.endpoints_after, found.more),
    )
    assert [
        PathChange("/users/ada", "GET /users/ada", "GET /users/{name}", 2, 1),
        PathChange("/users/grace", "GET /users/grace", "GET /users/{name}", 1, 1),
        PathChange("/users/17", "GET /users/{id}", "GET /users/{name}", 1, 1),
    ] == found.changes
    assert 5 == len(await endpoints(plant))

    await save(plant, LINES)
    assert [] == foresee_paths(plant.usage.place, PID, LINES).changes
    assert 4 == foresee_paths(plant.usage.place, PID, []).n_changed


async def test_of_a_project_without_requests_nothing_is_told(
    usage_db: Database, clock: SimClock, ids: IdSource
) -> None:
    plant = Plant(usage_db, clock, ids)

    assert (0, []) == ((found := foresee_paths(plant.usage.place, PID, LINES)).n, found.changes)
    assert 0 == await save(plant, LINES)


async def test_a_project_full_of_endpoints_gets_out_by_rules(
    usage_db: Database, clock: SimClock, ids: IdSource
) -> None:
    """Names that rules left take up no room any more; the bound holds still."""
    full = Plant(usage_db, clock, ids)
    full.folder = Folder(usage_db, clock, ids, hands=Hands(beside=False), limits=Limits(endpoints=5))
    told = (("method", "GET"), ("status", "200"))
    routes = [f"/users/{name}" for name in ("ada", "bob", "cid", "dan", "eve", "fay", "gus", "hal")]
    found = [
        Asked(n, FROM + (n % 2) * HOUR + n * MINUTE, "c-1", (*told, ("route", route), ("path", route)))
        for n, route in enumerate(routes)
    ]
    await full.ingest.take(PID, [one.wire() for one in found], wire="native")
    await full.fold()
    assert (5, 1) == (len(await endpoints(full)), full.folder.n_over)

    await save(full, ["/users/{name}"])
    await full.fold()
    assert {"GET /users/{name}": 8} == await endpoints(full)
    assert 0 == full.folder.n_over

    more = [Asked(n, FROM + 2 * HOUR, "c-1", (*told, ("route", f"/{n}"))) for n in range(100, 106)]
    await full.ingest.take(PID, [one.wire() for one in more], wire="native")
    await full.fold()
    assert (5, 12) == (len(await endpoints(full)), sum((await endpoints(full)).values()))
    assert 1 == full.folder.n_over


async def test_what_a_closed_day_counts_takes_up_room(usage_db: Database, clock: SimClock, ids: IdSource) -> None:
    full = Plant(usage_db, clock, ids)
    full.folder = Folder(usage_db, clock, ids, hands=Hands(beside=False), limits=Limits(endpoints=2))
    told = (("method", "GET"), ("status", "200"))
    earlier = FROM.replace(hour=0) - 24 * HOUR
    for n, at in enumerate((earlier, earlier + HOUR, FROM)):
        await full.ingest.take(PID, [Asked(n, at, "c-1", (*told, ("route", f"/{n}"))).wire()], wire="native")
        await full.fold()
        if at < FROM:
            await full.folder.fold_day(PID, earlier, earlier + 24 * HOUR)

    assert {"GET /0", "GET /1"} == (await endpoints(full)).keys()
    assert 1 == full.folder.n_over
