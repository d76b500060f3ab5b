"""Forms of channels where the operator lists the only hosts: what is not listed is told at its field."""

from __future__ import annotations

import html
from dataclasses import replace

import pytest
import sqlalchemy as sa

from heartfly.accounts.first_owner import SetupToken
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import channels
from heartfly.net.only_to import parse_only_to
from heartfly.net.rules import Rules
from heartfly.notify.channels.base import Reach
from heartfly.web.state import WebState
from tests.api.door import state_of
from tests.notify.vendors import VENDORS
from tests.sim_clock import SimClock
from tests.web.conftest import Town, state_with
from tests.web.test_editing import config_of, fields_of, one

pytestmark = pytest.mark.anyio

SAYS = "leads to elsewhere.example: the setting outgoing.only_to does not list it"


@pytest.fixture
async def web(db: Database, usage_db: Database, ids: IdSource, clock: SimClock) -> WebState:
    listed = Reach(rules=Rules(only_to=parse_only_to(["hooks.example.com"])))
    return state_with(replace(state_of(db, clock, ids, usage=usage_db), reach=listed), SetupToken())


@pytest.mark.parametrize("kind", ["webhook", "slack"])
async def test_an_address_that_is_not_listed_is_told_at_its_field_when_it_is_made_and_edited(
    town: Town, db: Database, kind: str
) -> None:
    owner = await town.owner()
    new = f"/p/main/channels/new/{kind}"

    refused = await owner.post(new, {"name": "Ops", "value": "https://elsewhere.example/canary"})
    made = await owner.post(new, {"name": "Ops", "value": "https://hooks.example.com/x"})
    path = f"/p/main/channels/{(await one(db, sa.select(channels))).uuid}/edit"
    fields = await fields_of(owner, path) | {"value": "https://elsewhere.example/canary"}
    edited = await owner.post(path, fields)

    assert (422, True, 422) == (refused.status, made.status in {201, 303}, edited.status)
    for told in (refused, edited):
        page = html.unescape(told.body.decode())
        assert (True, True) == (SAYS in page, 'id="value-wrong"' in page)
    assert "https://hooks.example.com/x" == (await config_of(db))["url"]


async def test_a_vendor_that_is_not_listed_is_told_at_its_server(town: Town, db: Database) -> None:
    owner = await town.owner()

    told = await owner.post("/p/main/channels/new/telegram", {"name": "Phones", **VENDORS["telegram"].config})

    page = html.unescape(told.body.decode())
    assert (422, True) == (told.status, 'id="server-wrong"' in page)
    assert "leads to api.telegram.org: the setting outgoing.only_to does not list it" in page
    async with db.read() as read:
        assert 0 == (await read.execute(sa.select(sa.func.count()).select_from(channels))).scalar_one()
