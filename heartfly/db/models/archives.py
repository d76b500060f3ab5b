"""What was archived of usage: a row for each file, with what is in it. The files are on a disk (usage/archive/)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Index, Integer, Table, Text

from heartfly.db.models.base import key, pid, usage_metadata
from heartfly.db.types import Bytes, Json, UtcInstant

archives = Table(
    "archives",
    usage_metadata,
    pid(),
    Column("day", Date, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),  # 0: none, or it is being written
    Column("file", Text, nullable=False),  # its name in the project's directory
    Column("format", Text, nullable=False),  # ndjson or parquet
    Column("from_at", UtcInstant, nullable=False),
    Column("to_at", UtcInstant, nullable=False),
    Column("n_events", BigInteger, nullable=False),
    Column("n_conflicts", BigInteger, nullable=False),
    Column("n_bytes", BigInteger, nullable=False),
    Column("sums", Json, nullable=False),  # by type: how many, and of each property that is an amount the sum
    Column("fingerprint", Bytes, nullable=False),  # of the rows, whatever the format
    Column("checksum", Bytes, nullable=False),  # of the file
    Column("written_at", UtcInstant, nullable=False),
    Column("let_go_at", UtcInstant),  # its events are in the file alone
    Column("restored_until", UtcInstant),  # they are here once more, until then
    Index(None, "pid", "restored_until"),
)

archive_erasures = Table(
    "archive_erasures",
    usage_metadata,
    pid(),
    key("id"),
    Column("subject_hash", Bytes, nullable=False),
    Column("at", UtcInstant, nullable=False),
)
"""Of customers who were erased: their events are not put back, and go from the files that were written before."""
