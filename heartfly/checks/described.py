"""A check as the client of its job describes it: made if there is none, else set where no person has set it.

A person's settings are never overwritten by a job: whose a field is, says owned.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.checks import commands
from heartfly.checks.config import CheckIn, ScheduleIn, ToleranceIn, merged, of_row
from heartfly.checks.owned import BY, FIELDS, as_it_is, heard_by, own, owned, said_by_clients
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, checks, projects
from heartfly.errors import ConflictError


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
    @property
    def failures(self) -> int | None: ...
    @property
    def recover(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Upserted:
    """`kept`: the fields that were asked for and are a person's, who has set them otherwise."""

    uuid: str
    is_new: bool
    kept: tuple[str, ...] = ()


def upsert(
    tx: Tx, pid: int, slug: str, asked: CheckIn, *, at: datetime, ids: IdSource, actor: Actor, most: int, **more: str
) -> Upserted:
    """`more`: what we only keep of it. InvalidValueError names the field; LimitError; NotJudgedYetError: it is due.

    ConflictError: two checks have that slug, or its schedule is that of a job of ours.
    """
    wanted = [name for name in FIELDS if getattr(asked, name) is not msgspec.UNSET]
    query = sa.select(checks.c.uuid).where(checks.c.pid == pid, checks.c.slug == slug).limit(2)
    found: Sequence[str] = tx.conn.execute(query).scalars().all()
    if len(found) > 1:
        raise ConflictError(f"two checks have the slug {slug}")
    if not found:
        named = asked if asked.name is not msgspec.UNSET else msgspec.structs.replace(asked, name=slug)
        uuid = commands.create(
            tx, pid, msgspec.structs.replace(named, slug=slug), at=at, ids=ids, actor=actor, most=most
        )
        own(tx, commands.locked(tx, pid, uuid, None), FIELDS, **more)
        return Upserted(uuid=uuid, is_new=True)
    stored = commands.locked(tx, pid, found[0], None)
    config = of_row(stored.row._asdict())
    now = as_it_is(config, heard_by(tx, pid, stored.id))
    then = as_it_is(merged(config, asked, at=at), _heard(tx, pid, asked, now))
    its = owned(stored.row, now["channels"])
    kept = tuple(name for name in wanted if name not in its and then[name] != now[name])
    taken = [name for name in wanted if name in its]
    changed = any(then[name] != now[name] for name in taken)
    if changed:
        some = {name: getattr(asked, name) for name in taken}
        commands.edit(tx, pid, found[0], CheckIn(**some), at=at, ids=ids, actor=actor)
    if changed or not more.items() <= said_by_clients(stored.row).items():
        own(tx, stored, taken, **more)
    return Upserted(uuid=found[0], is_new=False, kept=kept)


def _heard(tx: Tx, pid: int, asked: CheckIn, now: dict[str, Any]) -> Sequence[str]:
    if asked.channels is msgspec.UNSET:
        heard: Sequence[str] = now["channels"]
        return heard
    if asked.channels == [commands.ALL_CHANNELS]:
        return list(tx.conn.execute(sa.select(channels.c.uuid).where(channels.c.pid == pid)).scalars())
    return asked.channels


def describe(
    tx: Tx,
    ping_key_hash: str,
    slug: str,
    told: Described,
    *,
    by: str,
    remote: str,
    at: datetime,
    ids: IdSource,
    most: int,
) -> None:
    """By a client that has a ping key. `by`: what it is called. Nobody has that key: nothing. Raises as `upsert`."""
    pid = tx.conn.execute(
        sa.select(projects.c.id).where(projects.c.ping_key_hash == ping_key_hash)
    ).scalar_one_or_none()
    if pid is None:
        return
    schedule = (
        ScheduleIn(kind="cron", expression=told.expression, zone=told.zone)
        if told.period_s is None
        else ScheduleIn(kind="period", period=told.period_s)
    )
    asked = CheckIn(schedule=schedule)
    if told.grace_s is not None:
        asked = msgspec.structs.replace(asked, grace=told.grace_s)
    if told.max_run_s is not None:
        asked = msgspec.structs.replace(asked, max_run=told.max_run_s)
    if told.failures is not None or told.recover is not None:
        tolerance = ToleranceIn(failures=told.failures or 1, recover=told.recover or 1)
        asked = msgspec.structs.replace(asked, tolerance=tolerance)
    upsert(tx, pid, slug, asked, at=at, ids=ids, actor=Actor("ping", remote or None), most=most, **{BY: by})
