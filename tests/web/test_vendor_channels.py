"""Forms of channels that are told by settings: each field by its name, secrets that are neither shown nor lost."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from heartfly.db.database import Database
from heartfly.db.models import channels
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.told_by_settings import ToldBySettings
from tests.notify.vendors import VENDORS
from tests.web.browser import Browser
from tests.web.conftest import Town
from tests.web.test_editing import config_of, fields_of, one

pytestmark = pytest.mark.anyio


def good(kind: str) -> dict[str, str]:
    of = VENDORS[kind]
    return {**of.config, of.at: f"https://vendor.example.com{of.path}"}


async def made(owner: Browser, db: Database, kind: str) -> str:
    told = await owner.post(f"/p/main/channels/new/{kind}", {"name": "Ops", **good(kind)})
    assert 303 == told.status, told.body.decode()
    return f"/p/main/channels/{(await one(db, sa.select(channels))).uuid}"


@pytest.mark.parametrize("kind", VENDORS)
async def test_its_form_asks_for_each_setting_and_makes_it(kind: str, town: Town, db: Database) -> None:
    owner = await town.owner()
    channel = CHANNELS[kind]
    assert isinstance(channel, ToldBySettings)

    form = (await owner.get(f"/p/main/channels/new/{kind}")).body.decode()
    path = await made(owner, db, kind)
    pages = [(await owner.get(at)).body.decode() for at in (path, "/p/main/channels", f"{path}/edit")]

    assert f"/new/{kind}" in pages[1]
    assert all(f'<label for="{one.name}">{one.label}' in form for one in channel.settings)
    assert good(kind) == await config_of(db)
    assert not any("canary" in page for page in pages)
    assert all(channel.title in page for page in pages[:2])


async def test_a_wrong_setting_is_told_at_its_field(town: Town, db: Database) -> None:
    owner = await town.owner()

    told = await owner.post("/p/main/channels/new/telegram", {"name": "Phones", **good("telegram"), "chat": "my chat"})

    page = told.body.decode()
    assert (422, True) == (told.status, 'id="chat-wrong"' in page)
    assert "my chat" in page
    async with db.read() as read:
        assert 0 == (await read.execute(sa.select(sa.func.count()).select_from(channels))).scalar_one()


async def test_what_is_left_empty_stays_when_something_else_is_edited(town: Town, db: Database) -> None:
    owner = await town.owner()
    path = f"{await made(owner, db, 'telegram')}/edit"

    fields = await fields_of(owner, path)
    assert ("", "-1001234567890") == (fields["token"], fields["chat"])
    assert 303 == (await owner.post(path, fields | {"name": "Phones"})).status
    assert good("telegram") == await config_of(db)
    changed = await fields_of(owner, path) | {"chat": "@ops_news", "digest": "daily", "topic": ""}
    assert 303 == (await owner.post(path, changed)).status

    expected = good("telegram") | {"chat": "@ops_news", "digest": "daily"}
    del expected["topic"]
    assert expected == await config_of(db)


async def test_a_secret_goes_to_no_other_server_than_it_was_given_for(town: Town, db: Database) -> None:
    """Nobody may read it, so nobody may have it sent to himself."""
    owner = await town.owner()
    path = f"{await made(owner, db, 'matrix')}/edit"
    fields = await fields_of(owner, path)

    told = await owner.post(path, fields | {"server": "https://evil.example.com"})
    again = await owner.post(path, fields | {"server": "https://new.example.com", "token": "another"})

    assert (422, True) == (told.status, 'id="token-wrong"' in told.body.decode())
    assert 303 == again.status
    assert good("matrix") | {"server": "https://new.example.com", "token": "another"} == await config_of(db)


async def test_who_has_not_seen_an_edit_is_shown_both_without_a_secret(town: Town, db: Database) -> None:
    owner = await town.owner()
    path = f"{await made(owner, db, 'telegram')}/edit"
    late = await fields_of(owner, path)
    assert 303 == (await owner.post(path, late | {"chat": "@first"})).status

    told = await owner.post(path, late | {"chat": "@second", "token": "123456789:canary-another-token-of-it"})

    page = told.body.decode()
    assert (409, True, True) == (told.status, "@first" in page, "@second" in page)
    assert "@first" == (await config_of(db))["chat"]
