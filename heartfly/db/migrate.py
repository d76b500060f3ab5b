"""Brings the schema to the newest version, on either database; a run that was killed can be run again.

Each migration is one transaction, version number included: it happened whole or not at all. The
scripts live in alembic/ at the top of the project and inside the wheel.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from heartfly.db.parts import MAIN, USAGE, Part
from heartfly.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0037"
"""The newest version. Known here so that a start with a current schema need not import alembic (1 s)."""
USAGE_HEAD = "0018"
"""The same of the part that is usage."""
_HEADS = {MAIN.name: HEAD, USAGE.name: USAGE_HEAD}

_ADVISORY_LOCK = 4815162342  # two nodes starting together: one migrates, the other waits


def current(connection: Connection, part: Part = MAIN) -> str | None:
    """The version of the schema; None for an empty database."""
    if not sa.inspect(connection).has_table(part.version_table):
        return None
    version: str | None = connection.exec_driver_sql(f"SELECT version_num FROM {part.version_table}").scalar()  # noqa: S608 - one of two
    return version


def upgrade(engine: Engine, part: Part = MAIN) -> bool:
    """Bring the schema to its head; True if anything was done.

    StoreError: the database is newer than this program, which must not touch it.
    """
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # An index of a large table takes minutes, and so does waiting for the node that makes it.
            for bound in ("statement_timeout", "lock_timeout"):
                connection.exec_driver_sql(f"SET {bound} = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})")
            connection.commit()
        try:
            return _upgrade(connection, part)
        finally:
            if connection.dialect.name == "postgresql":
                connection.rollback()
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_ADVISORY_LOCK})")
                connection.commit()


def _upgrade(connection: Connection, part: Part) -> bool:
    version, head = current(connection, part), _HEADS[part.name]
    connection.rollback()
    if version == head:
        return False
    from alembic import command  # noqa: PLC0415 - a second of imports, needed only when there is work

    if part is not MAIN and connection.dialect.name == "postgresql":
        # Tables without a schema's name are made in the first schema of the search path that is there.
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {part.schema}")
        connection.commit()
    config = alembic_config(connection, part)
    if version is not None and not is_known(version, part):
        raise StoreError(f"the database has schema {version}, newer than this Heartfly ({head}); upgrade Heartfly")
    # What SQLite sorts for an index of a large table does not fit into memory. It takes this in no transaction.
    own = connection.connection.driver_connection if connection.dialect.name == "sqlite" else None
    if own is not None:
        own.execute("PRAGMA temp_store=FILE")
    command.upgrade(config, head)
    connection.rollback()
    if own is not None:  # who could not bring it to its head does not go on with this connection
        own.execute("PRAGMA temp_store=MEMORY")
    return True


def is_known(version: str, part: Part = MAIN) -> bool:
    """Whether this program has a migration of that name: what it has not is newer."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see _upgrade

    return version in {script.revision for script in ScriptDirectory.from_config(_config(part)).walk_revisions()}


def alembic_config(connection: Connection, part: Part = MAIN) -> Config:
    config = _config(part)
    config.attributes["connection"] = connection
    return config


def _config(part: Part) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - see _upgrade

    config = Config()
    config.set_main_option("script_location", str(scripts()))
    config.set_main_option("version_locations", str(scripts() / part.migrations))
    config.set_main_option("path_separator", "newline")  # a directory's name may hold any other
    config.attributes["part"] = part
    return config


def scripts() -> Path:
    """Inside an installed package `_alembic`; in a checkout `alembic/` at the top."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_alembic"
    return shipped if shipped.is_dir() else package.parent / "alembic"
