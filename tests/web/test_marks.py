"""The navigation tells on each page of a project how many incidents are open in it and how many channels fail."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.models import channels
from heartfly.web.state import WebState
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.listener import Listener
from tests.web.test_live import by_kind, mark_in, page_of

pytestmark = pytest.mark.anyio


async def told(browser: Browser, path: str) -> dict[str, str]:
    """What stands beside each word that has something beside it."""
    found = re.findall(
        r'id="n-(\w+)" data-part(| hidden)>(\d+)<span class="hide"> (\w+)<', await page_of(browser, path)
    )
    return {name: f"{n} {word}" for name, hidden, n, word in found if not hidden}


async def failing(town: Town, *, n: int) -> None:
    work = sa.update(channels).where(channels.c.pid == town.world.project.pid)
    await town.world.db.write(
        lambda tx: tx.conn.execute(work.values(failing_since=START if n else None, rev=channels.c.rev + 1)).rowcount
    )


async def test_every_page_of_a_project_tells_its_own_open_incidents_and_failing_channels(town: Town) -> None:
    owner, stranger = await town.owner(), await town.stranger()
    for page in ("checks", "channels", "settings/team", "usage/meters"):
        assert {} == await told(owner, f"/p/main/{page}")
    check = await town.world.check(START, name="Backup")
    await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    await town.world.ping(check, START, PingKind.FAIL)
    await failing(town, n=1)

    for page in ("checks", "channels", "settings/team", "usage/meters"):
        assert {"incidents": "1 open", "channels": "1 failing"} == await told(owner, f"/p/main/{page}")
        assert {} == await told(stranger, f"/p/next-door/{page}")
    await failing(town, n=0)
    await town.world.ping(check, START)
    assert {} == await told(owner, "/p/main/checks")


async def test_an_open_page_hears_of_another_number(town: Town, web: WebState) -> None:
    owner = await town.owner()
    await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    mark = mark_in(await page_of(owner))
    async with Listener(owner, f"/p/main/live?after={mark}") as tab:
        await tab.until("tick")
        await failing(town, n=1)
        await web.feeds.beat()
        heard = by_kind(await tab.until("tick"))
        assert "incidents=0 channels=1" == heard["marks"]
        check = await town.world.check(START, name="Backup")
        await web.feeds.beat()
        assert "marks" not in by_kind(await tab.until("tick"))
        await town.world.ping(check, START, PingKind.FAIL)
        await web.feeds.beat()
        assert "incidents=1 channels=1" == by_kind(await tab.until("tick"))["marks"]
