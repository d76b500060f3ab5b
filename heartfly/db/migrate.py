"""Brings the schema to the newest version, on either database; a run that was killed can be run again.

Each migration is one transaction, version number included: it happened whole or not at all. The
scripts live in alembic/ at the top of the project and inside the wheel.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from heartfly.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0010"
"""The newest version. Known here so that a start with a current schema need not import alembic (1 s)."""

_ADVISORY_LOCK = 4815162342  # two nodes starting together: one migrates, the other waits


def current(connection: Connection) -> str | None:
    """The version of the schema; None for an empty database."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return version


def upgrade(engine: Engine) -> bool:
    """Bring the schema to HEAD; True if anything was done.

    StoreError: the database is newer than this program, which must not touch it.
    """
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})")
            connection.commit()
        try:
            return _upgrade(connection)
        finally:
            if connection.dialect.name == "postgresql":
                connection.rollback()
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_ADVISORY_LOCK})")
                connection.commit()


def _upgrade(connection: Connection) -> bool:
    version = current(connection)
    connection.rollback()
    if version == HEAD:
        return False
    from alembic import command  # noqa: PLC0415 - a second of imports, needed only when there is work

    config = alembic_config(connection)
    if version is not None and not is_known(version):
        raise StoreError(f"the database has schema {version}, newer than this Heartfly ({HEAD}); upgrade Heartfly")
    command.upgrade(config, HEAD)
    connection.rollback()
    return True


def is_known(version: str) -> bool:
    """Whether this program has a migration of that name: what it has not is newer."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see _upgrade

    return version in {script.revision for script in ScriptDirectory(str(scripts())).walk_revisions()}


def alembic_config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - see _upgrade

    config = Config()
    config.set_main_option("script_location", str(scripts()))
    config.attributes["connection"] = connection
    return config


def scripts() -> Path:
    """Inside an installed package `_alembic`; in a checkout `alembic/` at the top."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_alembic"
    return shipped if shipped.is_dir() else package.parent / "alembic"
