"""What stands in the place of a page that cannot be had: what to do, and the id under which the log knows more."""

from __future__ import annotations

import json
import re

import pytest
import sqlalchemy as sa

from heartfly.db.models import members
from tests.web.browser import Browser
from tests.web.conftest import Town

pytestmark = pytest.mark.anyio


async def shown(browser: Browser, path: str, status: int) -> str:
    reply = await browser.get(path)
    page = reply.body.decode()
    assert status == reply.status, page
    (shown_id,) = re.findall(r'aria-label="Request id"><code>([0-9a-f]{16})</code>', page)
    assert shown_id == reply.headers["x-request-id"]
    return page


async def test_it_says_what_to_do_and_the_id_of_the_request(town: Town) -> None:
    owner, viewer = await town.owner(), await town.viewer()

    missing = await shown(owner, "/p/main/checks/none", 404)
    refused = await shown(viewer, "/p/main/checks/new", 403)
    nowhere = await shown(town.nobody, "/no/such/page", 404)

    assert "Look for a slip in the address" in missing
    assert 'href="/p/main/go"' in missing
    assert "ask one of the project’s owners" in refused
    assert 'href="/p/main/settings/team"' in refused
    assert 'href="/">Go to the start' in nowhere
    assert "Nothing was changed" not in missing + refused + nowhere
    assert '<button type="button" class="copy">' in missing  # beside the id
    assert "/static/keys." in nowhere  # what the button does, also for who is not signed in


async def test_who_sent_a_form_hears_that_nothing_was_changed(town: Town) -> None:
    viewer = await town.viewer()

    refused = await viewer.post("/p/main/checks/new", {"name": "x"})

    assert 403 == refused.status
    assert "Nothing was changed." in refused.body.decode()


async def test_no_two_requests_have_one_id_and_pages_that_are_had_have_one(town: Town) -> None:
    owner = await town.owner()
    ids = {(await owner.get("/p/main/checks")).headers["x-request-id"] for _ in range(3)}

    assert 3 == len(ids)


async def test_a_fault_of_ours_shows_nothing_of_itself_and_its_lines_in_the_log_have_the_id(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = await town.owner()
    # A role that no code knows: as if somebody had written into the database by hand.
    await town.world.db.write(
        lambda tx: (
            tx.conn.execute(
                sa.update(members).where(members.c.pid == town.world.project.pid).values(role="kraken")
            ).rowcount
        )
    )
    capsys.readouterr()

    page = await shown(owner, "/p/main/checks", 500)

    request_id = re.findall(r"<code>([0-9a-f]{16})</code>", page)[0]
    lines = [json.loads(one) for one in capsys.readouterr().err.splitlines() if request_id in one]
    assert {"request", "page"} == {one["event"] for one in lines}
    assert {request_id} == {one["request_id"] for one in lines}
    assert "kraken" not in page
    assert "the log says more under it" in page


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_while_the_database_is_away_it_says_for_how_long_to_wait(town: Town) -> None:
    owner = await town.owner()
    async with town.world.db.read() as read:
        await read.execute(sa.text("select 1"))
    await town.world.db.write(lambda tx: tx.conn.execute(sa.text("alter table sessions rename to gone")).rowcount)
    try:
        page = await shown(owner, "/p/main/checks", 503)
    finally:
        await town.world.db.write(lambda tx: tx.conn.execute(sa.text("alter table gone rename to sessions")).rowcount)

    assert "Wait 5 seconds." in page
    assert "Try again in a little while" in page
