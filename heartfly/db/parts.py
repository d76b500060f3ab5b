"""The two parts of the data: checks with all that is told of them, and usage.

Each has tables, migrations and a writer of its own, so that heavy ingest of events delays no ping. On SQLite they are
files side by side, on PostgreSQL schemas of one database. No transaction spans both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`schema`: where its tables are on PostgreSQL. `lanes`: the numbers of its writing connections there.

    `migrations`: their folder in alembic/; `version_table` says how far they have gone. `cache_kib`: of pages that its
    writer on SQLite keeps.
    """

    name: str
    file: str
    schema: str
    migrations: str
    version_table: str
    lanes: tuple[int, ...]
    cache_kib: int


MAIN = Part(
    name="main",
    file="heartfly.db",
    schema="public",
    migrations="versions",
    version_table="alembic_version",
    lanes=(0, 1),  # the second one, so that a slow edit never holds up a ping
    cache_kib=8_192,  # a storm fills it for good, and takes no longer than with twice this
)
USAGE = Part(
    name="usage",
    file="usage.db",
    schema="usage",
    migrations="usage",
    version_table="usage_version",
    lanes=(2, 3),  # the first one for checks of limits, whose callers wait with their calls
    cache_kib=32_768,  # each event goes to three places at random
)
PARTS = (MAIN, USAGE)
