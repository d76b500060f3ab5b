"""A Heartfly in which time stands still: the same data at the same instant, with the same ids, whenever it is started.

For pictures that are compared (pictures.py). A real server with real pages, but nothing goes on beside them: what the
demo's jobs do once it serves is done before, each once. `python -m bench.still demo --data DIR --at INSTANT` serves
until it is stopped; where, and the cookie that is signed in, stands in DIR/still.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import cast
from unittest import mock

import sqlalchemy as sa
from typing_extensions import override
from uvicorn._types import ASGI3Application

from heartfly import config
from heartfly.accounts import sessions
from heartfly.accounts.commands import NewProject, create_user
from heartfly.app import App
from heartfly.audit.record import CLI
from heartfly.checks.config import CheckConfig
from heartfly.checks.create import insert_check
from heartfly.clock import SystemClock
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import users
from heartfly.demo.calls import fill_calls
from heartfly.demo.fill import BIG, DEMO, EMAIL, Filled, Size, fill
from heartfly.demo.lives import NODE
from heartfly.demo.pretend import muted
from heartfly.demo.red_day import RedDay
from heartfly.demo.requests import fill_requests
from heartfly.demo.spending import fill_spending
from heartfly.demo.usage import UsageGoesOn, fill_usage
from heartfly.ground import Ground, greet, open_ground
from heartfly.public.status_pages import Group, Item, Wanted, create_page
from heartfly.server.limits import ServerLimits
from heartfly.server.run import serve
from heartfly.server.sockets import open_sockets
from heartfly.usage.hands import Hands
from heartfly.web.panels import Panels

TOLD = "still.json"
_RESTED = "rested"
"""Is there, with the cookie in it, when nothing is left to do: a second start on that folder serves at once."""
PORT = 8_000
"""In the addresses that pages show. Where it really listens is another: that one may be taken."""
_SEED = 1
_NOBODYS_HASH = "$argon2id$none"
_PATIENCE_S = 1_700.0
GROUPS = (
    Group("For customers", [Item("Web shop", tag="shop"), Item("Reports", tag="etl")]),
    Group("Inside", [Item("Databases", tag="db")]),
)
"""Of the demo's status page; it has none by itself, as people choose what the world may see."""


class StillClock(SystemClock):
    """Time passes for whoever waits, and it is always the same time of the same day."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    @override
    def now(self) -> datetime:
        return self._at


@contextmanager
def foreseeable(seed: int) -> Iterator[None]:
    """What is made by chance is made by this seed's. Ids by a source of their own: how often a page is asked for, and
    so how many form tokens are made, must not change them.
    """
    secret, ids = random.Random(seed), random.Random(seed + 1)

    def one() -> uuid.UUID:
        return uuid.UUID(int=ids.getrandbits(128), version=4)

    with (
        mock.patch.object(os, "urandom", secret.randbytes),
        mock.patch.object(random, "_urandom", secret.randbytes),
        mock.patch.object(uuid, "uuid4", new=one),
    ):
        yield


@dataclass(frozen=True, slots=True)
class House:
    """`user_id`: who is signed in. `has_usage`: there are days to be closed."""

    project: NewProject
    user_id: int
    filled: Filled | None = None
    has_usage: bool = False


def _filled(ground: Ground, size: Size) -> House:
    now = ground.clock.now()
    filled = ground.database.transaction(
        lambda tx: fill(tx, size, seed=_SEED, now=now, sealer=ground.sealer, password_hash=_NOBODYS_HASH)
    )

    def of(tx: Tx) -> int:
        return int(tx.conn.execute(sa.select(users.c.id).where(users.c.email == EMAIL)).scalar_one())

    return House(filled.project, ground.database.transaction(of), filled)


def demo(ground: Ground) -> House:
    made, now, ids = _filled(ground, DEMO), ground.clock.now(), IdSource(NODE)
    for work in (fill_usage, fill_requests, fill_calls):
        ground.usage.transaction(lambda tx, work=work: work(tx, made.project, seed=_SEED, now=now, ids=ids))  # type: ignore[misc]
    filled = made.filled
    if filled is not None:
        ground.database.transaction(lambda tx: fill_spending(tx, filled, seed=_SEED, now=now, ids=ids))
    page = Wanted(slug="acme", title="Acme", groups=GROUPS, published=True)
    ground.database.transaction(lambda tx: create_page(tx, made.project.pid, page, actor=CLI, at=now, ids=ids))
    return House(made.project, made.user_id, has_usage=True)


def many(ground: Ground) -> House:
    """A thousand checks."""
    return _filled(ground, BIG)


def empty(ground: Ground) -> House:
    project, now = greet(ground), ground.clock.now()
    assert project is not None

    def work(tx: Tx) -> int:
        """The first user is made an owner of the first project."""
        return create_user(
            tx, email="ada@example.com", password_hash=_NOBODYS_HASH, is_admin=True, actor=CLI, at=now, ids=ground.ids
        )

    return House(project, ground.database.transaction(work))


def waiting(ground: Ground) -> House:
    """An empty one with a check that waits for its first ping."""
    made, at = empty(ground), ground.clock.now()
    asked = CheckConfig(name="Nightly backup", slug="nightly-backup")

    def work(tx: Tx) -> None:
        insert_check(tx, made.project.pid, asked, actor=CLI.name, at=at, ids=ground.ids, slug_key=asked.slug)

    ground.database.transaction(work)
    return made


HOUSES: Mapping[str, Callable[[Ground], House]] = MappingProxyType(
    {"demo": demo, "many": many, "empty": empty, "waiting": waiting}
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.still", description="Serve pages at an instant that stays.")
    parser.add_argument("house", choices=HOUSES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--at", type=datetime.fromisoformat, required=True, help="such as 2026-11-20T03:11:04+00:00")
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    (given.data / TOLD).unlink(missing_ok=True)
    rested = given.data / _RESTED
    # A second start is another node, and its id must be, too; what it makes is shown nowhere.
    by_seed = nullcontext() if rested.exists() else foreseeable(_SEED)
    with by_seed, mock.patch.dict(Panels.__init__.__kwdefaults__, wait_s=_PATIENCE_S, short_s=_PATIENCE_S):
        # Each page waits for all of its parts: which of them come later would hang on what else the machine does.
        settings = muted(config.load(None, {"HEARTFLY_DATA__DIR": str(given.data), "HEARTFLY_SERVER__PORT": str(PORT)}))
        ground = open_ground(settings, clock=StillClock(given.at))
        if rested.exists():
            asyncio.run(_serve(ground, None, given.data, rested.read_text()))
            return
        house = HOUSES[given.house](ground)
        token = ground.database.transaction(
            lambda tx: sessions.begin(
                tx, house.user_id, password_hash=_NOBODYS_HASH, ip="127.0.0.1", agent="still", replaces="",
                at=given.at, ids=ground.ids,
            )
        )  # fmt: skip
        asyncio.run(_serve(ground, house, given.data, str(token)))


async def _serve(ground: Ground, house: House | None, folder: Path, token: str) -> None:
    """`house` None: what is in the folder has come to rest already."""
    app = App(ground)
    app.folder.hands = Hands(beside=False)  # nobody is held up by it, and it ends with us
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, app.stop.set)
    await app.start()
    try:
        if house is not None:
            async with asyncio.timeout(_PATIENCE_S):
                await _come_to_rest(app, house)
            (folder / _RESTED).write_text(token)
        sockets = open_sockets("127.0.0.1", 0, fd=None)
        port = sockets[0].getsockname()[1]
        live = asyncio.ensure_future(app.feeds.run(app.ended))

        def listening() -> None:
            app.front.load()
            half = (folder / TOLD).with_suffix(".half")
            half.write_text(json.dumps({"port": port, "token": token}))
            half.replace(folder / TOLD)

        limits = ServerLimits(drain_s=0, finish_s=5)
        await serve(
            cast("ASGI3Application", app.front), sockets=sockets, limits=limits, stop=app.stop, on_listening=listening
        )
        app.ended.set()
        await live
    finally:
        await app.finish()


async def _come_to_rest(app: App, house: House) -> None:
    """What would go on beside a server, until nothing is left to do at this instant: what is due is judged, usage is
    counted and its days closed, and one of them found to be wrong.
    """
    await app.watcher.round()
    if not house.has_usage:
        return
    ground = app.ground
    while await app.folder.round():
        pass
    usage = UsageGoesOn(house.project, ground.database, ground.clock, ground.ids)
    wrong = RedDay(house.project, ground.usage, app.closer.hands, ground.clock)
    await _jobs(app)
    while not await usage.asked():
        await _jobs(app)
    await _jobs(app)
    while not await wrong.made():
        await _jobs(app)
    while await app.folder.round():
        pass


async def _jobs(app: App) -> None:
    await app.jobs.look()
    await app.jobs.idle()


if __name__ == "__main__":
    main()
