"""A check that is failing within what is tolerated: its page and its row in the list say so, and its runs say why."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.core.words import PingKind
from tests.one_database import on_sqlite
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


@on_sqlite
async def test_what_is_tolerated_is_shown_and_is_no_alarm(town: Town) -> None:
    check = await town.world.check(START, name="Backup", tolerance='{"failures":3}', bounds='{"min_run":"PT60S"}')
    await town.world.ping(check, START, PingKind.START)
    await town.world.ping(check, START + MINUTE)
    await town.world.ping(check, START + 2 * MINUTE)  # without a start: too fast
    owner = await town.owner()

    page = (await owner.get(f"/p/main/checks/{check.uuid}")).body.decode()
    listed = (await owner.get("/p/main/checks")).body.decode()

    for shown in (page, listed):
        assert "Failing, 1 of 3 tolerated" in shown
    assert "It is failing since" in page
    assert "after 3 in a row, up after 1" in page
    assert "<code>run &gt;= 1m</code>" in page
    assert '<span class="dim">too fast</span> <span class="dim">1 of 3 tolerated</span>' in page


async def test_checks_that_fail_within_what_is_tolerated_are_found(town: Town) -> None:
    for name, kinds in (("fails", "sf"), ("again", "sfs"), ("down", "sff"), ("fine", "s")):
        check = await town.world.check(START, name=name, tolerance='{"failures":2,"recover":2}')
        for n, kind in enumerate(kinds):
            what = PingKind.FAIL if kind == "f" else PingKind.SUCCESS
            await town.world.ping(check, START + n * MINUTE, what)
    owner = await town.owner()

    listed = (await owner.get("/p/main/checks?q=is:failing")).body.decode()

    assert {"fails"} == {name for name in ("fails", "again", "down", "fine") if f"<bdi>{name}</bdi>" in listed}


async def test_a_new_check_is_made_with_what_it_tolerates_and_its_bounds(town: Town) -> None:
    owner = await town.owner()
    assert "What is tolerated, and how runs are bounded" in (await owner.get("/p/main/checks/new")).body.decode()
    typed = {
        "name": "Backup", "kind": "period", "every": "1", "every_unit": "hours", "grace": "10",
        "grace_unit": "minutes", "failures": "3", "bounds": "run >= 1m\r\n\r\nearly 10%",
    }  # fmt: skip

    wrong = await owner.post("/p/main/checks/new", typed | {"failures": "some", "bounds": "run about 1m"})
    page = wrong.body.decode()
    assert 422 == wrong.status
    assert "must be a whole number" in page
    assert "run about 1m" in page
    wrong = await owner.post("/p/main/checks/new", typed | {"bounds": "run about 1m"})
    assert (422, True) == (wrong.status, 'href="#bounds"' in wrong.body.decode())
    made = await owner.post("/p/main/checks/new", typed)
    assert 303 == made.status
    shown = (await owner.get(dict(made.headers)["location"])).body.decode()
    assert "after 3 in a row" in shown
    assert "<code>run &gt;= 1m</code>" in shown


@on_sqlite
async def test_the_preview_tries_what_would_be_tolerated(town: Town) -> None:
    check = await town.world.check(START - 10 * MINUTE, name="Backup")
    await town.world.ping(check, START - 9 * MINUTE)
    await town.world.ping(check, START - 8 * MINUTE, PingKind.FAIL)
    await town.world.ping(check, START - 7 * MINUTE)
    owner = await town.owner()
    path = f"/p/main/checks/{check.uuid}/schedule"
    shown = (await owner.get(path)).body.decode()
    mark = shown.partition('name="mark" value="')[2].partition('"')[0]

    tried = await owner.post(
        path,
        {
            "mark": mark, "kind": "period", "every": "1", "every_unit": "hours", "grace": "10", "grace_unit": "minutes",
            "max_run": "", "max_run_unit": "minutes", "failures": "2", "preview": "1",
        },
    )  # fmt: skip

    page = tried.body.decode()
    assert 200 == tried.status
    assert "<strong>1</strong> alarm by the rule that is, <strong>0</strong> by yours" in page
    assert "" == (await town.world.row(check)).tolerance
