"""The two parts of the data: checks with all that is told of them, and usage.

Each has tables, migrations and a writer of its own, so that heavy ingest of events delays no ping. On SQLite they are
files side by side, on PostgreSQL schemas of one database. No transaction spans both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`schema`: where its tables are on PostgreSQL. `lanes`: the numbers of its writing connections there.

    `migrations`: their folder in alembic/; `version_table` says how far they have gone. On SQLite
    `cache_kib` is of pages that its writer keeps. It carries its log over after `carried_after` rows, and a commit does
    that by itself at `most_log` pages, while its callers wait. `reads_one_state`: whatever one read asks is of one
    instant there, as it always is on PostgreSQL.
    """

    name: str
    file: str
    schema: str
    migrations: str
    version_table: str
    lanes: tuple[int, ...]
    cache_kib: int
    carried_after: int
    most_log: int
    reads_one_state: bool


MAIN = Part(
    name="main",
    file="heartfly.db",
    schema="public",
    migrations="versions",
    version_table="alembic_version",
    lanes=(0, 1),  # the second one, so that a slow edit never holds up a ping
    cache_kib=8_192,  # a storm fills it for good, and takes no longer than with twice this
    carried_after=4_000,
    most_log=12_000,
    reads_one_state=False,  # what one row says of a check is enough, and a read that lasts holds up the log
)
USAGE = Part(
    name="usage",
    file="usage.db",
    schema="usage",
    migrations="usage",
    version_table="usage_version",
    lanes=(2, 3),  # the first one for checks of limits, whose callers wait with their calls
    cache_kib=32_768,  # each event goes to three places at random
    carried_after=20_000,  # by then it has written a page several times, and each is carried over once
    most_log=48_000,
    reads_one_state=True,  # a figure is put together by many questions, while hours are folded anew
)
PARTS = (MAIN, USAGE)
