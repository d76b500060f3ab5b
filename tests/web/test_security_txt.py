"""/.well-known/security.txt says whom to tell of a weakness, where the operator named somebody."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartfly.accounts.first_owner import SetupToken
from heartfly.config import Server, Settings, load
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import SettingsError
from heartfly.web.pages import pages
from tests.api.door import state_of
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import state_with

PATH = "/.well-known/security.txt"


def serving(db: Database, usage_db: Database, clock: SimClock, ids: IdSource, contact: str) -> Browser:
    settings = Settings(server=Server(security_contact=contact))
    return Browser(pages(state_with(state_of(db, clock, ids, usage=usage_db, settings=settings), SetupToken())))


@pytest.mark.anyio
async def test_whoever_finds_a_weakness_reads_whom_to_tell_and_until_when_that_holds(
    db: Database, usage_db: Database, clock: SimClock, ids: IdSource
) -> None:
    reply = await serving(db, usage_db, clock, ids, "mailto:security@example.org").get(PATH)

    assert (200, "text/plain; charset=utf-8") == (reply.status, reply.headers["content-type"])
    told = dict(line.split(": ", 1) for line in reply.body.decode().splitlines())
    assert "mailto:security@example.org" == told["Contact"]
    assert "2026-08-29T10:00:00Z" == told["Expires"]
    assert told["Canonical"].endswith(PATH)


@pytest.mark.anyio
async def test_where_nobody_is_named_there_is_no_such_file(
    db: Database, usage_db: Database, clock: SimClock, ids: IdSource
) -> None:
    assert 404 == (await serving(db, usage_db, clock, ids, "").get(PATH)).status


@pytest.mark.parametrize(
    "contact", ["security@example.org", "http://example.org", "mailto:", "https://a b", "mailto:a@b c"]
)
def test_what_is_no_address_to_tell_is_refused_with_its_name(contact: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[server]\nsecurity_contact = "{contact}"\n')

    with pytest.raises(SettingsError, match=r"^server\.security_contact: Expected mailto"):
        load(file, {})
