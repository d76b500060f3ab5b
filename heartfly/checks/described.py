"""A check that the client of its job describes, made when its first signal comes; what is there stays as it is.

A person's settings are never overwritten by a job: a description counts only where there is no check of that slug.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.checks import commands
from heartfly.checks.config import CheckIn, ScheduleIn
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, projects


class Described(Protocol):
    """Seconds; one of `expression` and `period_s`."""

    @property
    def expression(self) -> str: ...
    @property
    def period_s(self) -> int | None: ...
    @property
    def zone(self) -> str: ...
    @property
    def grace_s(self) -> int | None: ...
    @property
    def max_run_s(self) -> int | None: ...


def make_if_missing(
    tx: Tx, ping_key_hash: str, slug: str, told: Described, *, remote: str, at: datetime, ids: IdSource, most: int
) -> None:
    """InvalidValueError: no schedule can be made of it. LimitError; NotFoundError. Nobody has that key: nothing."""
    pid = tx.conn.execute(
        sa.select(projects.c.id).where(projects.c.ping_key_hash == ping_key_hash)
    ).scalar_one_or_none()
    if pid is None:
        return
    if tx.conn.execute(sa.select(checks.c.id).where(checks.c.pid == pid, checks.c.slug == slug)).first() is not None:
        return
    schedule = (
        ScheduleIn(kind="cron", expression=told.expression, zone=told.zone)
        if told.period_s is None
        else ScheduleIn(kind="period", period=told.period_s)
    )
    asked = CheckIn(name=slug, slug=slug, schedule=schedule)
    if told.grace_s is not None:
        asked = msgspec.structs.replace(asked, grace=told.grace_s)
    if told.max_run_s is not None:
        asked = msgspec.structs.replace(asked, max_run=told.max_run_s)
    commands.create(tx, pid, asked, at=at, ids=ids, actor=Actor("ping", remote or None), most=most)
