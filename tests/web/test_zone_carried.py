"""A zone that was chosen for a page's times goes along: with links, forms and what follows a form."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.models import users
from heartfly.web.carried import with_zone
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_link_and_form_within_the_projects_carries_the_zone(town: Town) -> None:
    owner, check = await town.owner(), await town.world.check(START, name="Backup", slug="backup")
    await town.world.ping(check, START, PingKind.FAIL, body=b"said", body_size=4)
    for path in (
        "/p/main/checks", "/p/main/checks?q=Backup&view=timeline", "/p/main/checks/backup",
        "/p/main/checks/backup/events?kind=ping", "/p/main/incidents", "/p/main/channels", "/p/main/audit",
    ):  # fmt: skip
        both = "&" if "?" in path else "?"
        plain, page = [(await owner.get(asked)).body.decode() for asked in (path, f"{path}{both}tz=utc")]
        links = re.findall(r'(?:href|action)="(/p/[^"]*)"', page)
        assert len(links) > 5, path
        assert [] == [link for link in links if not re.search(r"[?&;]tz=\w+", link)], path
        assert page.count('method="get"') == page.count('<input type="hidden" name="tz" value="utc">'), path
        others = re.findall(r'href="(/(?:account|docs|static)[^"]*)"', page)
        assert others, path
        assert not [link for link in others if "tz=" in link], path
        # A reader who asks for nothing has plain addresses, but for the switch itself.
        assert 'name="tz"' not in plain, path


_TIME = re.compile(r'<time [^>]*datetime="([^"]*)"([^>]*)>([^<]*)</time>')


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_another_zone_changes_how_each_instant_is_written_and_never_the_instant(town: Town) -> None:
    def far_away(tx: Tx) -> int:
        mine = users.c.email == "owner@example.com"
        return tx.conn.execute(sa.update(users).where(mine).values(zone="Asia/Kathmandu")).rowcount

    await town.world.db.write(far_away)
    owner = await town.owner()
    await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com", "test": "1"})
    check = await town.world.check(START, name="Backup", slug="backup")
    await town.world.ping(check, START, PingKind.FAIL, body=b"said", body_size=4)
    incident, channel = [
        re.findall(rf"/p/main/{what}/[0-9a-f-]{{36}}", (await owner.get(f"/p/main/{what}")).body.decode())[0]
        for what in ("incidents", "channels")
    ]
    for path in (
        "/p/main/checks", "/p/main/checks/backup", "/p/main/checks/backup/events", "/p/main/checks/backup/events/1",
        "/p/main/checks/backup/runs", "/p/main/incidents", incident, channel, "/p/main/audit",
    ):  # fmt: skip
        mine, utc = [
            [(at, text) for at, more, text in _TIME.findall((await owner.get(f"{path}?tz={zone}")).body.decode())
             if "data-rel" not in more]
            for zone in ("mine", "utc")
        ]  # fmt: skip
        assert mine, path
        assert [at for at, _ in mine] == [at for at, _ in utc], path
        assert [] == [text for (_, text), (_, other) in zip(mine, utc, strict=True) if text == other], path


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_follows_a_form_keeps_the_zone(town: Town) -> None:
    owner, check = await town.owner(), await town.world.check(START, name="Backup", slug="backup")
    there = f"/p/main/checks/{check.uuid}"

    for asked, expected in (("?tz=utc", "?tz=utc"), ("?tz=mine", ""), ("?tz=%22%3E", ""), ("", "")):
        assert f"{there}{expected}" == (await owner.post(f"{there}/pause{asked}")).headers["location"]
    ticked = await owner.post("/p/main/checks?tz=check", {"do": "pause", "check": check.uuid})
    assert re.fullmatch(r"/p/main/checks\?done=\S+&tz=check", ticked.headers["location"])
    assert "/sign-in" == (await owner.post("/sign-out?tz=utc")).headers["location"]


def test_only_attributes_of_ours_are_changed() -> None:
    page = (
        '<a href="/x/p/a/checks#L1">1</a> <a href="/x/p/a/c?q=1&amp;r=2#e">2</a> <a href="/x/p/a?tz=mine">3</a> '
        '<a href="/p/a">4</a> <a href="https://example.com/x/p/a">5</a> <code>href=&#34;/x/p/a&#34;</code> '
        '<form action="/x/p/a" method="get" class="f">'
    )
    made = (
        '<a href="/x/p/a/checks?tz=utc#L1">1</a> <a href="/x/p/a/c?q=1&amp;r=2&amp;tz=utc#e">2</a> '
        '<a href="/x/p/a?tz=mine">3</a> <a href="/p/a">4</a> <a href="https://example.com/x/p/a">5</a> '
        "<code>href=&#34;/x/p/a&#34;</code> "
        '<form action="/x/p/a?tz=utc" method="get" class="f"><input type="hidden" name="tz" value="utc">'
    )

    assert made == with_zone(page.encode(), "/x", "utc").decode()
    for word in ("", "mine", '"><script>', "UTC"):
        assert page == with_zone(page.encode(), "/x", word).decode(), word
