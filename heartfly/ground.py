"""What everything stands on: the database in its two parts, open and up to date, and the keys.

Opened by the server and by each command that works without one. What runs on it is listed in app.py.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import DatabaseError

from heartfly.accounts import commands as accounts
from heartfly.accounts.commands import NewProject
from heartfly.clock import Clock, SystemClock
from heartfly.config import Settings
from heartfly.db import damage
from heartfly.db.changes import Tx
from heartfly.db.damage import look_before_start
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.instance import identify
from heartfly.db.migrate import upgrade
from heartfly.db.parts import USAGE
from heartfly.db.reserve import Reserve
from heartfly.db.room import room
from heartfly.errors import StoreError
from heartfly.instruments import Instruments
from heartfly.sealing import Sealer, load_or_create
from heartfly.vitals.damage import DamageWatch


@dataclass(slots=True)
class Ground:
    """What commands that run without a server need: the database in its two parts, open and migrated, and the keys."""

    settings: Settings
    clock: Clock
    database: Database
    usage: Database
    sealer: Sealer
    ids: IdSource
    node_id: int
    instruments: Instruments
    reserve: Reserve
    damage_watch: DamageWatch
    """Looks at what the start had no time for, beside a server."""

    def close(self) -> None:
        self.usage.close()
        self.database.close()


def open_ground(
    settings: Settings, *, clock: Clock | None = None, on_fatal: Callable[[StoreError], None] = lambda _: None
) -> Ground:
    """Open the database and bring its schema up to date. StoreError: in use, damaged, or newer than this program.

    Whether it is damaged is looked at before anything is written, for some tenths of a second.
    """
    clock = clock or SystemClock()
    data_dir = settings.data.dir
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    node_id, instruments = secrets.randbelow(1 << 62), Instruments()
    database = Database(
        url=settings.database_url,
        data_dir=data_dir,
        clock=clock,
        node_id=node_id,
        capacity=settings.pings.queue,
        on_fatal=on_fatal,
        on_batch=instruments.batch,
    )
    usage = None
    try:
        usage = Database(
            url=settings.database_url,
            data_dir=data_dir,
            clock=clock,
            node_id=node_id,
            part=USAGE,
            capacity=settings.pings.queue,
            on_fatal=on_fatal,
        )
        reserve = _reserve(settings, database)
        database.reserve = usage.reserve = reserve
        paths = [part.path for part in (database, usage) if part.path is not None]
        left = look_before_start(paths, clock, limit_s=damage.START_LIMIT_S) if paths else []
        for part in (database, usage):
            _bring_up_to_date(part)
        database.transaction(identify)
        sealer = load_or_create(data_dir / "secret.key")
        database.transaction(lambda tx: accounts.refuse_foreign_key(tx, sealer))
    except BaseException:
        if usage is not None:
            usage.close()
        database.close()
        raise
    watch = DamageWatch(database, paths, clock, left=left)
    return Ground(settings, clock, database, usage, sealer, IdSource(node_id), node_id, instruments, reserve, watch)


def _reserve(settings: Settings, database: Database) -> Reserve:
    """On a disk that is full already it is let go now: to start takes some writes, too."""
    if database.path is None:
        return Reserve(settings.data.dir, 0)
    reserve = Reserve(database.path.parent, settings.disk.reserve_mb * 1_000_000)
    reserve.relieve(room(database.path.parent).free)
    return reserve


def _bring_up_to_date(database: Database) -> None:
    try:
        upgrade(database.engine, database.part)
    except DatabaseError as error:
        raise StoreError(f"the database cannot be opened: {error.orig}") from error


def greet(ground: Ground) -> NewProject | None:
    """On an empty database: make the first project, so that the first ping needs no set-up. None otherwise."""

    def work(tx: Tx) -> NewProject | None:
        if not accounts.is_empty(tx):
            return None
        return accounts.create_project(
            tx, slug="main", name="Main", zone="UTC", sealer=ground.sealer, at=ground.clock.now(), ids=ground.ids
        )

    made = ground.database.transaction(work)
    if made is not None:
        leave_key(ground, made)
    return made


def leave_key(ground: Ground, made: NewProject) -> None:
    """Put the API key where the command line on this machine finds it; only its owner may read it."""
    descriptor = os.open(ground.settings.data.dir / "cli-key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(made.api_key + "\n")
