"""Links to an incident: what whoever has one sees, what he does not, and until when."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from html import unescape

import pytest
import sqlalchemy as sa

from heartfly.backup.marks import mark
from heartfly.core.words import PingKind
from heartfly.db.models import audit, incident_shares
from heartfly.incidents import shares
from heartfly.incidents.shares import MOST_SHARES
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import HOST, Browser
from tests.web.conftest import START, Town

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def failed(town: Town, *, name: str = "Nightly backup") -> str:
    """The path of the incident of a check that failed, of which a channel was told, and of which somebody spoke."""
    owner = await town.owner()
    await owner.post("/p/main/channels/new/email", {"name": "Secret channel", "value": "ops@example.com"})
    check = await town.world.check(START, name=name, slug="secret-slug", tags=("secret-tag",))
    await town.world.ping(check, START, PingKind.FAIL, exit_status=3, body=b"secret output", body_size=13)
    listed = (await owner.get("/p/main/incidents")).body.decode()
    (uuid,) = set(re.findall(r"/p/main/incidents/([0-9a-f-]{36})", listed))
    path = f"/p/main/incidents/{uuid}"
    await owner.post(f"{path}/acknowledge", {"text": "The disk is full."})
    return path


async def shared(browser: Browser, path: str, **sent: str) -> str:
    """The link's path, as the page that answers shows it."""
    reply = await browser.post(f"{path}/shares", {"lasts": "86400", **sent})
    assert 201 == reply.status, reply.body.decode()
    (link,) = re.findall(rf"<code>http://{re.escape(HOST)}(/shared/[\w-]{{43}})</code>", reply.body.decode())
    return str(link)


async def test_whoever_has_the_link_reads_what_happened_and_nothing_else(town: Town) -> None:
    path = await failed(town)
    link = await shared(await town.member(), path)

    seen = await town.nobody.get(link)

    page = unescape(seen.body.decode())
    assert 200 == seen.status
    assert "Nightly backup" in page
    assert "The job ended with exit status 3." in page
    assert "Somebody takes care of it." in page
    for secret in ("secret", "Secret", "example.com", "The disk is full.", "/p/main", "Main", "<script", "<a "):
        assert secret not in page
    assert ("noindex, nofollow", "no-referrer", "no-store") == tuple(
        seen.headers[name] for name in ("x-robots-tag", "referrer-policy", "cache-control")
    )
    packed = await town.nobody.get(link, headers=[("Accept-Encoding", "gzip")])
    assert "Nightly backup" in gzip.decompress(packed.body).decode()


async def test_comments_are_shown_if_so_chosen_without_the_names(town: Town) -> None:
    path = await failed(town)
    link = await shared(await town.owner(), path, with_comments="1")

    page = (await town.nobody.get(link)).body.decode()

    assert "The disk is full." in page
    assert "owner@example.com" not in page


async def test_it_follows_the_incident_to_its_end(town: Town, clock: SimClock) -> None:
    path = await failed(town)
    link = await shared(await town.owner(), path)
    (row,) = await _shares(town)
    assert START + timedelta(days=1) == row.expires_at
    incident_check = re.search(r"/p/main/checks/([0-9a-f-]{36})", (await (await town.owner()).get(path)).body.decode())
    assert incident_check is not None

    owner = await town.owner()
    await owner.post(f"/p/main/checks/{incident_check[1]}/pause")

    page = (await town.nobody.get(link)).body.decode()
    assert "was down" in page
    assert "Somebody paused the check." in page


async def test_it_ends_by_itself_and_is_taken_back(town: Town, clock: SimClock) -> None:
    path, member = await failed(town), await town.member()
    first, second = await shared(member, path, lasts="3600"), await shared(member, path)
    ends, _ = [row.id for row in await _shares(town)]
    clock.move_to(START + 60 * MINUTE)

    assert [404, 200] == [(await town.nobody.get(link)).status for link in (first, second)]
    shown = (await member.get(path)).body.decode()
    (revoke,) = re.findall(rf'action="({path}/shares/\d+/revoke)"', shown)
    assert str(ends) not in revoke
    assert 303 == (await member.post(revoke)).status
    assert 404 == (await member.post(revoke)).status

    unknown = await town.nobody.get(f"/shared/{'x' * 43}")
    gone = await town.nobody.get(second)
    assert 404 == gone.status == unknown.status
    assert re.sub(r"[0-9a-f]{16}", "", unknown.body.decode()) == re.sub(r"[0-9a-f]{16}", "", gone.body.decode())


async def test_the_secret_is_nowhere_but_in_the_answer(town: Town) -> None:
    path, owner = await failed(town), await town.owner()
    link = await shared(owner, path)
    token = link.rpartition("/")[2]

    assert token not in (await owner.get(path)).body.decode()
    (row,) = await _shares(town)
    assert token not in str(tuple(row))
    async with town.world.db.read() as read:
        query = sa.select(audit.c.actor, audit.c.action, audit.c.after).where(audit.c.action.like("incident.%share"))
        ((actor, action, after),) = (await read.execute(query)).all()
    assert ("user:owner@example.com", "incident.share", False) == (actor, action, after["with_comments"])
    assert (str(row.id), False) == (after["share"], token in str(after))
    exported = (await owner.get("/p/main/settings/export")).body.decode()
    assert "incident_shares" in exported
    assert row.token_hash not in exported


async def test_viewers_see_that_it_is_shared_and_change_nothing(town: Town) -> None:
    path = await failed(town)
    await shared(await town.owner(), path)
    viewer = await town.viewer()

    page = (await viewer.get(path)).body.decode()

    assert "Shared by link" in page
    assert "/shares" not in page
    (row,) = await _shares(town)
    refused = [await viewer.post(f"{path}/shares{what}", {"lasts": "3600"}) for what in ("", f"/{row.id}/revoke")]
    assert [403, 403] == [reply.status for reply in refused]
    assert 1 == len(await _shares(town))


async def test_a_link_of_another_incident_or_project_is_not_taken_back(town: Town) -> None:
    path, stranger = await failed(town), await town.stranger()
    await shared(await town.owner(), path)
    (row,) = await _shares(town)

    for where in (path, path.replace("/main/", "/next-door/")):
        assert 404 == (await stranger.post(f"{where}/shares/{row.id}/revoke")).status
        assert 404 == (await stranger.post(f"{where}/shares", {"lasts": "3600"})).status
    assert 404 == (await (await town.owner()).post(f"{path}/shares/none/revoke")).status
    assert 1 == len(await _shares(town))


@on_sqlite
async def test_what_cannot_be_is_told(town: Town) -> None:
    path, owner = await failed(town), await town.owner()

    wrong = await owner.post(f"{path}/shares", {"lasts": "7"})
    for _ in range(MOST_SHARES):
        await shared(owner, path, lasts="3600")
    full = await owner.post(f"{path}/shares", {"lasts": "3600"})

    assert (422, True) == (wrong.status, "must be one of an hour" in wrong.body.decode())
    assert (409, True) == (full.status, f"has {MOST_SHARES} links" in full.body.decode())


@on_sqlite
@pytest.mark.parametrize("token", ["x", "x" * 43, "%00" * 43, "%ED%A0%80" * 20, "é" * 43, "x" * 5000])
async def test_what_is_no_link_reads_as_none(town: Town, token: str) -> None:
    assert 404 == (await town.nobody.get(f"/shared/{token}")).status


async def test_those_that_have_ended_make_room_and_go(town: Town, clock: SimClock) -> None:
    path, owner = await failed(town), await town.owner()
    for _ in range(MOST_SHARES):
        await shared(owner, path, lasts="3600")
    clock.move_to(START + 60 * MINUTE)

    await shared(owner, path)

    assert 1 == len(await _shares(town))
    later = clock.now() + timedelta(days=1)
    assert [0, 1] == [
        await town.world.db.write(lambda tx, at=at: shares.remove_ended(tx, at=at, most=5))  # type: ignore[misc]
        for at in (clock.now(), later)
    ]
    assert [] == await _shares(town)


async def test_after_a_restore_no_link_works(town: Town) -> None:
    """Of those in a backup nobody knows which were taken back since."""
    link = await shared(await town.owner(), await failed(town))

    await town.world.db.write(lambda tx: mark(tx, at=START))

    assert 404 == (await town.nobody.get(link)).status


async def _shares(town: Town) -> list[sa.Row[tuple[object, ...]]]:
    async with town.world.db.read() as read:
        return list((await read.execute(sa.select(incident_shares).order_by(incident_shares.c.id))).all())
