"""Runs the migrations on the connection that heartfly/db/migrate.py hands over; never opens one itself."""

from __future__ import annotations

from alembic import context

from heartfly.db.models import metadata, usage_metadata
from heartfly.db.parts import MAIN, Part


def run() -> None:
    connection = context.config.attributes["connection"]
    part: Part = context.config.attributes["part"]
    context.configure(
        connection=connection,
        target_metadata=metadata if part is MAIN else usage_metadata,
        version_table=part.version_table,
        render_as_batch=True,
        transaction_per_migration=True,
        # SQLite can undo DDL as well, now that transactions are begun by us and not by its driver.
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
