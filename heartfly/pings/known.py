"""Which addresses a node knows by heart: of those it can tell without the database that a check is there.

Learned from each ping that was stored, and read from the database at the start and from time to time. Bounded: the
address that was called longest ago is forgotten first. An address that is not known may be anybody's guess, so no ping
to it is kept while the database is away.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import timedelta
from hashlib import blake2b

import sqlalchemy as sa

from heartfly.clock import Clock
from heartfly.db.database import Database
from heartfly.db.models import addresses, checks, projects
from heartfly.errors import HeartflyError
from heartfly.logs import logger
from heartfly.pings.request import BySlug, ByUuid, Target

log = logger("heartfly.spool")

_EVERY = timedelta(minutes=10)
_AGAIN = timedelta(seconds=5)
_PART = 2_000


class KnownAddresses:
    def __init__(self, *, most: int) -> None:
        self._most = most
        self._names: OrderedDict[bytes, None] = OrderedDict()
        """In the order in which they were called last."""

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, target: Target) -> bool:
        return _name(target) in self._names

    def learn(self, target: Target) -> None:
        """A ping to it was stored."""
        name = _name(target)
        self._names[name] = None
        self._names.move_to_end(name)
        if len(self._names) > self._most:
            self._names.popitem(last=False)

    def forget(self, target: Target) -> None:
        """No check is there, or not any more."""
        self._names.pop(_name(target), None)

    def hear_of(self, target: Target) -> None:
        """It is there, but nobody has called it: it takes nobody else's place."""
        if len(self._names) < self._most:
            self._names.setdefault(_name(target))

    async def run(self, stop: asyncio.Event, database: Database, clock: Clock) -> None:
        """Read what there is, now and each ten minutes, until stopped."""
        while not stop.is_set():
            pause = _EVERY if await self.could_read(database) else _AGAIN
            waits = [asyncio.ensure_future(wait) for wait in (stop.wait(), clock.sleep(pause.total_seconds()))]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def could_read(self, database: Database) -> bool:
        """As `read`; False: not now. What was learned stays."""
        try:
            await self.read(database)
        except (HeartflyError, sa.exc.SQLAlchemyError, OSError) as error:
            log.info("addresses", error=type(error).__name__)
            return False
        return True

    async def read(self, database: Database) -> None:
        async with database.read() as read:
            async with read.stream(_UUIDS.limit(self._most)) as rows:
                async for part in rows.partitions(_PART):
                    for (key,) in part:
                        self.hear_of(ByUuid(key))
            async with read.stream(_SLUGS.limit(self._most)) as rows:
                async for part in rows.partitions(_PART):
                    for key, slug in part:
                        self.hear_of(BySlug(key, slug))


_UUIDS = sa.select(addresses.c.key).where(addresses.c.kind == "uuid", addresses.c.until.is_(None))
_SLUGS = (
    # Of two checks with one slug neither can be meant.
    sa.select(projects.c.ping_key_hash, checks.c.slug)
    .join_from(projects, checks, checks.c.pid == projects.c.id)
    .group_by(projects.c.ping_key_hash, checks.c.slug)
    .having(sa.func.count() == 1)
)


def _name(target: Target) -> bytes:
    """In 16 bytes."""
    if isinstance(target, ByUuid):
        return bytes.fromhex(target.ping_uuid.replace("-", ""))
    return blake2b(f"{target.ping_key_hash}/{target.slug}".encode(), digest_size=16).digest()
