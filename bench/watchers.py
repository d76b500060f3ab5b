"""People who look at the pages of a measured server: signed in without a password, each with a session of his own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import sqlalchemy as sa

from bench.load import CLOCK
from bench.seed import Seeded
from bench.served import Store
from heartfly import config
from heartfly.accounts import sessions
from heartfly.accounts.commands import create_user
from heartfly.audit.record import CLI
from heartfly.db.changes import Tx
from heartfly.db.models import members
from heartfly.ground import open_ground
from heartfly.web.cookie import name_of
from heartfly.web.live import PER_USER

COOKIE = name_of(is_https=False)
_AT_ONCE = 10
_LIMIT_S = 60.0
_NOBODYS_HASH = "$argon2id$none"


def signed_in(store: Store, seeded: Seeded, n: int) -> list[str]:
    """Cookies of so many owners of the seeded project. The server must not run."""
    ground = open_ground(config.load(None, store.environment), clock=CLOCK)

    def work(tx: Tx) -> list[str]:
        tokens = []
        for i in range(n):
            now = CLOCK.now()
            user_id = create_user(
                tx, email=f"watcher-{i}@example.com", password_hash=_NOBODYS_HASH, is_admin=False, actor=CLI, at=now,
                ids=ground.ids,
            )  # fmt: skip
            tx.conn.execute(sa.insert(members).values(pid=seeded.pid, user_id=user_id, role="owner"))
            token = sessions.begin(
                tx, user_id, password_hash=_NOBODYS_HASH, ip="127.0.0.1", agent="bench", replaces="", at=now,
                ids=ground.ids,
            )  # fmt: skip
            assert token is not None
            tokens.append(token)
        return tokens

    try:
        return ground.database.transaction(work)
    finally:
        ground.close()


@asynccontextmanager
async def watching(port: int, tokens: Sequence[str], n: int) -> AsyncIterator[None]:
    """So many open tabs, as many a user as he may have; what they are told is read and forgotten."""
    room, begun = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(0)
    readers = [asyncio.create_task(_watch(port, tokens[i // PER_USER], room, begun)) for i in range(n)]
    try:
        async with asyncio.timeout(_LIMIT_S):
            for _ in range(n):
                await begun.acquire()
        yield
        ended = [task for task in readers if task.done()]
        if ended:
            raise RuntimeError(f"{len(ended)} of {n} streams ended: {ended[0].exception()!r}")
    finally:
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _watch(port: int, token: str, room: asyncio.Semaphore, begun: asyncio.Semaphore) -> None:
    """`room`: to begin; people do not open hundreds of tabs in the same moment."""
    asked = f"GET /p/bench/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {COOKIE}={token}\r\n\r\n"
    async with room:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked.encode())
        head = await reader.readuntil(b"\r\n\r\n")
    try:
        begun.release()
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        while await reader.read(65_536):
            pass
    finally:
        writer.close()
