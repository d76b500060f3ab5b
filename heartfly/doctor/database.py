"""What the database says: whether it can be used, by whom it is, and whether people are told in time.

Read through connections that cannot write, and without the lock, so also while a server runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from heartfly.accounts.factors import count_without
from heartfly.clock import Clock
from heartfly.config import Settings
from heartfly.core.node_roles import missing
from heartfly.core.spans import span
from heartfly.db import postgres, sqlite
from heartfly.db.damage import MARK
from heartfly.db.database import end_reading
from heartfly.db.instance import QUERY, identity
from heartfly.db.migrate import HEAD, current, is_known
from heartfly.db.models import nodes
from heartfly.doctor.finding import Finding, error, ok, warning
from heartfly.errors import StoreError
from heartfly.notify.age import undelivered
from heartfly.pings.bodies import MB, fullest

LATE_AFTER = timedelta(seconds=30)
STUCK_AFTER = timedelta(minutes=10)
_NEARLY = 0.9
_STEP = timedelta(seconds=2)
_ALIVE = timedelta(seconds=10)


async def look(settings: Settings, clock: Clock) -> Sequence[Finding]:
    url = settings.database_url
    on_postgres = url.startswith("postgresql")
    path = Path(url.removeprefix("sqlite:///"))
    if not on_postgres and (finding := _no_file(path)) is not None:
        return [finding]
    engine = postgres.reading_engine(url) if on_postgres else sqlite.reading_engine(path, clock)
    try:
        return await _inside(engine, clock, settings)
    except (SQLAlchemyError, StoreError) as cause:
        told = str(getattr(cause, "orig", None) or cause).strip().splitlines()
        return [error("database", f"it cannot be read: {told[0]}", "See that it runs and that this user may read it.")]
    finally:
        await end_reading(engine)


def _no_file(path: Path) -> Finding | None:
    if (path.parent / sqlite.UNFINISHED).exists():
        return error("database", f"a restore into {path.parent} did not end", "Run `heartfly restore FILE --force`.")
    if (mark := path.with_name(MARK)).exists():
        said = mark.read_text(errors="replace").strip()
        return error("database", f"found damaged: {said}", "Restore a backup: `heartfly restore FILE --force`.")
    return None if path.exists() else ok("database", f"{path} is not there yet; `heartfly serve` makes it")


async def _inside(engine: AsyncEngine, clock: Clock, settings: Settings) -> Sequence[Finding]:
    async with engine.connect() as conn:
        findings = await _settings(conn) if conn.dialect.name == "postgresql" else []
        version = await conn.run_sync(current)
        findings.append(_schema(version))
        if version == HEAD:  # of another one nobody knows what its tables say
            now = clock.now()
            findings += [await _clock(conn, now), await _told_in_time(conn, now)]
            findings += [await _instance(conn), await _served(conn, now), await _sign_in(conn, settings)]
            findings.append(await _bodies(conn, settings.limits.bodies_mb * MB))
        return findings


async def _settings(conn: AsyncConnection) -> list[Finding]:
    try:
        await conn.run_sync(postgres.refuse_forgetful)
    except StoreError as cause:
        return [
            error("durability", str(cause), "Heartfly refuses to serve with it: set it to on, and reload PostgreSQL.")
        ]
    return [ok("durability", "fsync and synchronous_commit are on")]


def _schema(version: str | None) -> Finding:
    if version == HEAD:
        return ok("schema", f"{HEAD}, the newest")
    if version is None:
        return ok("schema", "there are no tables yet; `heartfly serve` makes them")
    if is_known(version):
        return warning(
            "schema", f"version {version}, older than {HEAD}", "Run `heartfly migrate`, or start the server."
        )
    return error("schema", f"version {version}, newer than this Heartfly ({HEAD})", "Upgrade Heartfly.")


async def _clock(conn: AsyncConnection, now: datetime) -> Finding:
    """Against the database's own clock, and against the latest that was written by one."""
    beat_at = (await conn.execute(sa.select(sa.func.max(nodes.c.beat_at)))).scalar()
    there = None
    if conn.dialect.name == "postgresql":
        there = (await conn.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
    if there is not None and abs(there - now) > _STEP:
        return error("clocks", f"the database's clock and ours are {span(abs(there - now))} apart", "Set both by NTP.")
    if beat_at is not None and beat_at - now > _STEP:
        return error(
            "clocks",
            f"the clock stands {span(beat_at - now)} before the last beat: it was set back, or another's is ahead",
            "Set it, and keep it right with NTP: deadlines go by it.",
        )
    return ok("clocks", "the clock goes on from where the database has seen it")


async def _told_in_time(conn: AsyncConnection, now: datetime) -> Finding:
    found = await undelivered(conn)
    if found.in_order is not None and now - found.in_order > LATE_AFTER:
        told = f"an alert has been waiting for {span(now - found.in_order)} on a channel that is in order"
        if now - found.in_order > STUCK_AFTER:
            return error("alerts", told, "See that `heartfly serve` runs, and what its log says of deliveries.")
        return warning("alerts", told, "Look again in a minute; if it grows, see what the log says of deliveries.")
    if found.in_trouble is not None:
        told = f"an alert has been waiting for {span(now - found.in_trouble)} on a channel in trouble"
        return warning(
            "alerts", told, "`heartfly channels list` says which and why; `heartfly channels test` tries it."
        )
    return ok("alerts", "nobody is waiting for one")


async def _instance(conn: AsyncConnection) -> Finding:
    row = (await conn.execute(QUERY)).first()
    if row is None:
        return ok("instance", "it has no name yet; `heartfly serve` gives it one")
    it = identity(row)
    if it.restored_at is None or it.backup_at is None:
        return ok("instance", f"{it.uuid}, epoch {it.epoch}, never restored")
    restored = f"restored {it.restored_at:%Y-%m-%d %H:%M} UTC from a backup of {it.backup_at:%Y-%m-%d %H:%M}"
    return ok("instance", f"{it.uuid}, epoch {it.epoch}, {restored}")


async def _served(conn: AsyncConnection, now: datetime) -> Finding:
    living = sa.and_(nodes.c.left_at.is_(None), nodes.c.fenced_at.is_(None), nodes.c.beat_at > now - _ALIVE)
    roles = [row.roles for row in await conn.execute(sa.select(nodes.c.roles).where(living))]
    n = len(roles)
    if not n:
        return warning("server", "no Heartfly serves this database", "Start it: heartfly serve")
    if lacks := missing({role for some in roles for role in some}):
        told = f"{_counted(n)}, and none of them has the role {' or '.join(lacks)}"
        return error("server", told, "Start a node with it, or give it to one: server.roles.")
    return ok("server", f"a Heartfly serves this database, with {_counted(n)}")


async def _sign_in(conn: AsyncConnection, settings: Settings) -> Finding:
    """What is demanded of people, and how many have it."""
    n_without, n = await count_without(conn)
    told = f"{n - n_without} of {n} have a second step or a passkey"
    if not settings.accounts.demands_more:
        return ok("sign-in", f"a password is enough (accounts.second_step); {told}")
    demanded = f"more than a password is demanded of everybody (accounts.second_step); {told}"
    if n_without:
        return ok("sign-in", f"{demanded}, and {n_without} can do nothing until it is set up")
    return ok("sign-in", demanded)


async def _bodies(conn: AsyncConnection, most: int) -> Finding:
    """What pings said, in the project that has stored the most of it."""
    stored, n = await fullest(conn)
    told = f"{n} project{'' if n == 1 else 's'} with what pings said, at most {stored / MB:.1f} MB in one"
    if not most:
        return ok("bodies", f"{told}; there is no bound (limits.bodies_mb)")
    if stored <= most * _NEARLY:
        return ok("bodies", f"{told}, of {most / MB:.0f} MB (limits.bodies_mb)")
    advice = "Older ones make room. Let jobs say less, check by check, or raise limits.bodies_mb if the disk has room."
    return warning("bodies", f"{told}, of {most / MB:.0f} MB (limits.bodies_mb)", advice)


def _counted(n: int) -> str:
    return f"{n} node{'' if n == 1 else 's'}"
