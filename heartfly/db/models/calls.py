"""What calls to other people's APIs come to (core/calls.py), and the names by which they are told apart.

Rows of a window count if `windows` has their generation, as those of meters do (rollups.py); a minute's generation is
its hour's. Customers are numbers of `usage_names`, all others those of `call_names`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, UniqueConstraint

from heartfly.db.models.base import key, pid, usage_metadata
from heartfly.db.types import Bytes, UtcInstant

call_names = Table(
    "call_names",
    usage_metadata,
    pid(),
    key("id"),
    Column("kind", Text, nullable=False),  # core.calls.Named, or measures
    Column("text", Text, nullable=False),  # of a product: provider and model as JSON; of measures: theirs, with spaces
    UniqueConstraint("pid", "kind", "text"),
)

call_rollups = Table(
    "call_rollups",
    usage_metadata,
    pid(),
    Column("cube", Integer, primary_key=True, autoincrement=False),  # core.calls.Cube
    Column("tier", Text, primary_key=True),  # minute (of all together only), hour, day
    Column("start_at", UtcInstant, primary_key=True),
    Column("gen", BigInteger, primary_key=True, autoincrement=False),
    Column("key1", BigInteger, primary_key=True, autoincrement=False),  # core.calls.KEYS; 0: none, or of all others
    Column("key2", BigInteger, primary_key=True, autoincrement=False),
    Column("status", Integer, primary_key=True, autoincrement=False),  # exact; 0: unknown, or not told apart
    Column("n", BigInteger, nullable=False),
    Column("n_errors", BigInteger, nullable=False),
    Column("n_timed", BigInteger, nullable=False),  # those that told how long they took
    Column("n_unpriced", BigInteger, nullable=False),  # whose cost is not known
    Column("n_odd", BigInteger, nullable=False),  # values in them that could be read as nothing
    Column("latency_us", BigInteger, nullable=False),
    Column("latency_max_us", BigInteger, nullable=False),
    Column("latencies", Bytes),  # core/packed.py; null: none told its time
    Column("measures", BigInteger, nullable=False),  # the number of what `amounts` are of
    Column("amounts", Text, nullable=False),  # exact decimals, with spaces between
    Column("first_at", UtcInstant),  # of those whose cost is not known; in cubes that have a status
    Column("last_at", UtcInstant),
    Index("ix_call_rollups_paired", "pid", "cube", "tier", "start_at", "gen", "key2"),  # nearly all rows are of pairs
    sqlite_with_rowid=False,
)
