"""The pages over a real database of each kind, with two projects and people in them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from heartfly.accounts.commands import create_user
from heartfly.accounts.first_owner import SetupToken
from heartfly.api.state import ApiState
from heartfly.audit.record import CLI
from heartfly.clock import Clock
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import api_keys, members, users
from heartfly.db.room import Room
from heartfly.doctor.examine import examine
from heartfly.vitals.readiness import Facts
from heartfly.web.feed import Feeds
from heartfly.web.pages import Pages, pages
from heartfly.web.state import WebState, web_state
from tests.api.door import state_of
from tests.demo_data import big, demo, demo_file, empty
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.world import World, make_world

__all__ = ["big", "demo", "demo_file", "empty"]

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
PASSWORD = "correct horse battery"


# As those of people, but quick to compare: what a hash costs stands in it. That theirs are slow, test_users.py holds.
_QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@cache
def hash_of(password: str) -> str:
    return _QUICK.hash(password)


def chromium_of(*programs: str) -> str:
    """The path of the first of these that is here; where there is none, a test is skipped."""
    path = next(filter(None, map(shutil.which, programs)), None)
    if path is None:
        pytest.skip("no chromium here")
    return path


NO_WINDOW = ("chromium-headless-shell", "chromium")
"""The same engine without what a window needs takes a sixth less of computing, and starts in half."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, started once for all tests of a file: to start it takes as long as most of them."""
    yield from _started("chromium")


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """As `browser`, for who looks at what a page is, and does nothing that needs more than a page."""
    yield from _started(*NO_WINDOW)


def _started(*programs: str) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = chromium_of(*programs)
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
async def clock() -> SimClock:
    return SimClock(START)


@pytest.fixture
async def web(db: Database, usage_db: Database, ids: IdSource, clock: SimClock) -> WebState:
    return state_with(state_of(db, clock, ids, usage=usage_db), SetupToken())


def state_with(api: ApiState, setup: SetupToken) -> WebState:
    """The pages' state for an API of a test's own, such as one with a mail server."""
    feeds = Feeds(api.database, api.clock, stop=asyncio.Event())
    doctor = partial(examine, api.settings, mail_settings=None, clock=api.clock)
    state = web_state(api, setup, feeds, facts=lambda: healthy(api.clock), doctor=doctor)
    # A busy machine takes longer than people are kept waiting; and no question outlives its test.
    state.reruns.wait_s = state.previews.wait_s = state.panels.wait_s = state.panels.short_s = 120.0
    return state


def healthy(clock: Clock) -> Facts:
    """Of a server that runs as it should."""
    now = clock.now()
    return Facts(now=now, last_beat_at=now, watermark=now, broken=None, room=Room(free=4 * 10**10, total=10**11))


@pytest.fixture
async def served(web: WebState) -> Pages:
    return pages(web)


@dataclass(frozen=True)
class Town:
    """Two projects, `main` and `next-door`, and people: of the first one of each role (and one more member, `temp`), of
    the second an owner.
    """

    world: World
    next_door: World
    served: Pages
    setup: SetupToken

    async def browser(self, email: str, place: str = "192.0.2.7") -> Browser:
        made = Browser(self.served, place=place)
        assert 303 == (await made.sign_in(email, PASSWORD)).status
        return made

    async def owner(self) -> Browser:
        return await self.browser("owner@example.com")

    async def viewer(self) -> Browser:
        return await self.browser("viewer@example.com")

    async def admin(self) -> Browser:
        return await self.browser("admin@example.com")

    async def member(self) -> Browser:
        return await self.browser("member@example.com")

    async def user_id(self, email: str) -> str:
        async with self.world.db.read() as read:
            return str((await read.execute(sa.select(users.c.id).where(users.c.email == email))).scalar_one())

    async def key_id(self) -> str:
        """Of the first project's read-only key."""
        async with self.world.db.read() as read:
            query = sa.select(api_keys.c.id).where(api_keys.c.pid == self.world.project.pid)
            return str((await read.execute(query.order_by(api_keys.c.id.desc()))).scalars().first())

    async def stranger(self) -> Browser:
        return await self.browser("stranger@example.com")

    @property
    def nobody(self) -> Browser:
        return Browser(self.served)


async def people(db: Database, ids: IdSource, world: World, roles: dict[str, str]) -> None:
    def work(tx: Tx) -> None:
        for email, role in roles.items():
            user_id = create_user(
                tx, email=email, password_hash=hash_of(PASSWORD), is_admin=False, actor=CLI, at=START, ids=ids
            )
            tx.conn.execute(sa.insert(members).values(pid=world.project.pid, user_id=user_id, role=role))

    await db.write(work)


@pytest.fixture
async def town(db: Database, ids: IdSource, served: Pages, web: WebState) -> Town:
    world, other = await make_world(db, ids, START), await make_world(db, ids, START, slug="next-door")
    roles = {"owner": "owner", "admin": "admin", "member": "member", "temp": "member", "viewer": "viewer"}
    await people(db, ids, world, {f"{name}@example.com": role for name, role in roles.items()})
    await people(db, ids, other, {"stranger@example.com": "owner"})
    return Town(world, other, served, web.setup)
