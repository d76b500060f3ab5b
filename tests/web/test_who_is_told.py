"""Of a check's page: whom its alarms reach. Of a channel's: that it is not in order when what it was sent failed."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import channels, check_channels, notifications
from tests.web.conftest import START, Town
from tests.web.test_pages import text_of

pytestmark = pytest.mark.anyio


async def test_a_channel_whose_test_failed_is_not_said_to_be_in_order(town: Town, db: Database) -> None:
    browser = await town.owner()
    made = await browser.post("/p/main/channels/new/email", {"name": "Ops", "value": "o@example.com", "test": "1"})
    path = made.headers["location"]
    assert "State Reaches nobody" in await text_of(browser, path)  # there is no mail server

    await db.write(lambda tx: tx.conn.execute(sa.update(notifications).values(state="failed", done_at=START)))

    for address in (path, path.partition("?")[0]):
        said = await text_of(browser, address)
        assert "State The last message did not arrive" in said
        assert "State OK" not in said


async def test_a_check_says_which_of_its_channels_are_not_there_for_its_alarms(town: Town, db: Database) -> None:
    browser = await town.owner()
    for name in ("All", "Tagged", "Severe", "Deaf"):
        assert (
            303 == (await browser.post("/p/main/channels/new/email", {"name": name, "value": "o@example.com"})).status
        )

    def edit(tx: Tx) -> None:
        for name, values in (
            ("Tagged", {"policy": {"tags": ["db"]}}),
            ("Severe", {"policy": {"least": "critical"}}),
            ("Deaf", {"events": ["check.up"]}),
        ):
            tx.conn.execute(sa.update(channels).where(channels.c.name == name).values(values))

    await db.write(edit)
    check = await town.world.check(START, name="Backup", tags=("web",))
    said = await text_of(browser, f"/p/main/checks/{check.uuid}")

    assert "Who is told All Tagged not of its alarms: this channel is for checks with a tag of: db" in said
    assert "Severe not of its alarms: this channel hears of severity critical and above; this is high" in said
    assert "Deaf not of its alarms: this channel does not hear that a check is down" in said
    assert "Nobody is told of its alarms" not in said
    await db.write(
        lambda tx: tx.conn.execute(sa.delete(check_channels).where(check_channels.c.channel_id == _of("All")))
    )
    assert "Nobody is told of its alarms" in await text_of(browser, f"/p/main/checks/{check.uuid}")


def _of(name: str) -> Any:
    return sa.select(channels.c.id).where(channels.c.name == name).scalar_subquery()
