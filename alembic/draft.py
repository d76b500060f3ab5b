"""Drafts a migration: what the models have and the newest schema has not. Run by `make migration m="what changes"`.

To be read before it is kept: a column that was renamed looks to it like one gone and another come.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command

from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.migrate import HEAD, alembic_config, upgrade
from heartfly.db.parts import MAIN


def draft(what_changes: str, *, folder: Path = Path(__file__).parent) -> str:
    """Write it to `folder`/versions; return its number, which `HEAD` in heartfly/db/migrate.py must become."""
    number = f"{int(HEAD) + 1:04}"
    with tempfile.TemporaryDirectory() as data_dir:
        database = Database(url="", data_dir=Path(data_dir), clock=SystemClock())
        try:
            upgrade(database.engine)
            with database.engine.connect() as connection:
                config = alembic_config(connection)
                config.set_main_option("script_location", str(folder))
                config.set_main_option("version_locations", str(folder / MAIN.migrations))
                command.revision(config, message=what_changes, autogenerate=True, rev_id=number)
        finally:
            database.close()
    return number


if __name__ == "__main__":
    print(f'Read it, then say HEAD = "{draft(sys.argv[1])}" in heartfly/db/migrate.py.')  # noqa: T201 - a tool prints
