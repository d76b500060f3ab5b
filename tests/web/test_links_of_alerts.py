"""What an alert links to is a page of ours, for whoever may see it and signs in."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.database import Database
from heartfly.db.models import alerts
from heartfly.notify.contents import decoded
from heartfly.notify.event import event
from heartfly.notify.message import Delivery, word
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

BASE_URL = "https://heartfly.example.com"
MINUTE = timedelta(minutes=1)


async def test_every_link_of_an_alert_is_a_page(town: Town, db: Database) -> None:
    browser = await town.owner()
    made = await browser.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    assert 303 == made.status
    check = await town.world.check(START, name="Backup", slug="backup")
    await town.world.ping(check, START + MINUTE, PingKind.FAIL)
    await town.world.ping(check, START + 2 * MINUTE)
    async with db.read() as read:
        texts = (await read.execute(sa.select(sa.cast(alerts.c.payload, sa.Text)).order_by(alerts.c.id))).scalars()
        told = decoded(list(texts))

    links: set[str] = set()
    for alert in told:
        delivery = Delivery(
            id="x", base_url=BASE_URL, alerts=(alert,), attempt=1, possible_duplicate=False, created_at=START
        )
        said = word(delivery)
        assert "/p/main/incidents/" in said.link, "what a mail shows first"
        links |= {said.link, *event(delivery).links.values()}

    assert 2 == len(told)
    assert 3 == len(links), links
    for link in links:
        page = await browser.get(urlsplit(link).path)
        assert 200 == page.status, link
        assert b"Backup" in page.body
