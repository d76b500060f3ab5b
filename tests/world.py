"""Builders for what most tests need: a project, checks in it, and pings as the door would hand them in."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet

from heartfly.accounts.commands import NewProject, create_project
from heartfly.audit.record import Actor
from heartfly.checks.config import CheckConfig
from heartfly.checks.create import assign_channels, insert_check
from heartfly.core.words import PingKind
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, flips, pings, runs
from heartfly.pings.apply import PingApplier
from heartfly.pings.prune import Keep
from heartfly.pings.rate import RateLimiter
from heartfly.pings.request import BySlug, ByUuid, PingRequest, PingResult
from heartfly.sealing import Sealer, digest

SEALER = Sealer([Fernet.generate_key()])
TEST = Actor("test")
KEEP = Keep(pings=200, runs=1000, run_age=timedelta(days=90))


@dataclass
class World:
    """One project in a database, written to without doors. Time is handed in with each call."""

    db: Database
    project: NewProject
    ids: IdSource
    applier: PingApplier
    node_id: int = 1
    seqs: Any = field(default_factory=lambda: itertools.count(1))

    async def check(self, at: datetime, **config: Any) -> Any:
        """A new check; `every` and `grace` are durations. Returns its row."""
        every, grace = config.pop("every", timedelta(hours=1)), config.pop("grace", timedelta(minutes=10))
        max_run = config.pop("max_run", None)
        name = config.pop("name", f"check-{secrets.token_hex(4)}")
        values = {"name": name, "slug": name, "period_s": int(every.total_seconds())} | config
        full = CheckConfig(
            grace_s=int(grace.total_seconds()),
            max_run_s=None if max_run is None else int(max_run.total_seconds()),
            **values,
        )

        def command(tx: Tx) -> Any:
            made = insert_check(tx, self.project.pid, full, actor="test", at=at, ids=self.ids, slug_key=full.slug)
            assign_channels(tx, made.pid, made.id, None)
            return made.row

        return await self.db.write(command)

    def request(self, check: Any, at: datetime, kind: PingKind = PingKind.SUCCESS, **rest: Any) -> PingRequest:
        target = rest.pop("target", None) or ByUuid(check.ping_uuid)
        seq = rest.pop("seq", None) or next(self.seqs)
        return PingRequest(target=target, kind=kind, received_at=at, seq=seq, **rest)

    async def ping(self, check: Any, at: datetime, kind: PingKind = PingKind.SUCCESS, **rest: Any) -> PingResult:
        return (await self.pings([self.request(check, at, kind, **rest)]))[0]

    async def pings(self, requests: Sequence[PingRequest]) -> list[PingResult]:
        """All in one batch."""
        return await self.db.write(lambda tx: self.applier.apply(tx, requests))

    def by_slug(self, slug: str, *, create: bool = False) -> BySlug:
        return BySlug(digest(self.project.ping_key), slug, create)

    async def row(self, check: Any) -> Any:
        return await self._one(sa.select(checks).where(checks.c.pid == check.pid, checks.c.id == check.id))

    async def flips(self, check: Any) -> list[Any]:
        return await self._all(
            sa.select(flips).where(flips.c.pid == check.pid, flips.c.check_id == check.id).order_by(flips.c.flip_no)
        )

    async def runs(self, check: Any) -> list[Any]:
        return await self._all(
            sa.select(runs).where(runs.c.pid == check.pid, runs.c.check_id == check.id).order_by(runs.c.at)
        )

    async def pings_of(self, check: Any) -> list[Any]:
        return await self._all(
            sa.select(pings).where(pings.c.pid == check.pid, pings.c.check_id == check.id).order_by(pings.c.n)
        )

    async def _all(self, query: sa.Select[Any]) -> list[Any]:
        async with self.db.read() as read:
            return list((await read.execute(query)).all())

    async def _one(self, query: sa.Select[Any]) -> Any:
        (row,) = await self._all(query)
        return row


async def make_world(db: Database, ids: IdSource, at: datetime, *, slug: str = "main", per_minute: int = 1200) -> World:
    project = await db.write(
        lambda tx: create_project(tx, slug=slug, name=slug.title(), zone="UTC", sealer=SEALER, at=at, ids=ids)
    )
    applier = PingApplier(ids=ids, node_id=1, rate=RateLimiter(per_minute=per_minute), keep=KEEP)
    return World(db, project, ids, applier)
