"""What events come to: meters, and for each window of time their partials, made of the events and never counted up.

Amounts are canonical decimal text on both databases: SQLite has no decimal, a sum outgrows NUMERIC(38, 18), and the
text is the same to the byte wherever it was made. Rows are of the subject as it was sent; whose it is, aliases say.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, Table, Text, UniqueConstraint, false, text

from heartfly.db.models.base import key, pid, usage_metadata
from heartfly.db.types import AmountText, Bytes, Json, UtcInstant

meters = Table(
    "meters",
    usage_metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("archived_at", UtcInstant),  # what happens from then on is not counted; what it counted stays
    UniqueConstraint("pid", "uuid"),
    UniqueConstraint("pid", "slug"),
)

meter_versions = Table(
    "meter_versions",
    usage_metadata,
    pid(),
    key("id"),
    Column("meter_id", BigInteger, nullable=False),
    Column("from_at", UtcInstant),  # null: since ever
    Column("to_at", UtcInstant),  # null: until a version that was made later takes over
    Column("definition", Json, nullable=False),  # core/definitions.py
    Column("created_at", UtcInstant, nullable=False),
    Index(None, "pid", "meter_id", "id"),
)
"""Never changed. At an instant that one counts, of those whose span holds it, which was made last."""

usage_groups = Table(
    "usage_groups",
    usage_metadata,
    pid(),
    key("id"),
    Column("digest", Bytes, nullable=False),  # 16 bytes of the texts, which are too long for an index
    Column("texts", Text, nullable=False),  # JSON: the values of a meter's group keys, null where there is none
    UniqueConstraint("pid", "digest"),
)

windows = Table(
    "windows",
    usage_metadata,
    pid(),
    Column("tier", Text, primary_key=True),  # hour, of UTC; day, of the project's zone
    Column("start_at", UtcInstant, primary_key=True),
    Column("end_at", UtcInstant, nullable=False),
    Column("gen", BigInteger),  # the generation that counts; null: none is whole yet
    Column("next_gen", BigInteger),  # the one that is being written: whoever wrote another is fenced off
    Column("seq", BigInteger),  # the newest event that it knows of, as dirty_hours has it
    Column("n_events", BigInteger, nullable=False),  # raw ones, whether or not a meter counts them
    Column("ids_sum", Bytes, nullable=False),  # 16 bytes: the sum of the hashes of their transaction ids
    Column("stale", Boolean, nullable=False, server_default=false()),  # a day one of whose hours was folded since
    Column("sealed_at", UtcInstant),  # its events are gone: never folded again
    Column("proved_gen", BigInteger),  # of a day: the one that was last proved, kept until another is
    # Rows of former generations may be left, which nobody reads: they were not removed yet.
    Column("unswept", Boolean, nullable=False, server_default=false()),
    # Of an hour: its requests were removed, and are kept by the day only. A fold of it writes them once more.
    Column("thinned", Boolean, nullable=False, server_default=false()),
    Column("prices", Text),  # the version of the prices by which its calls were charged; null: nobody asked
    Index("ix_windows_stale", "pid", "start_at", sqlite_where=text("stale = 1"), postgresql_where=text("stale")),
    Index("ix_windows_unswept", "pid", "start_at", sqlite_where=text("unswept = 1"), postgresql_where=text("unswept")),
    sqlite_with_rowid=False,
)
"""Moving `gen` is what makes a new generation count, whole and at once."""

rollups = Table(
    "rollups",
    usage_metadata,
    pid(),
    Column("version_id", BigInteger, primary_key=True, autoincrement=False),
    Column("cube", Integer, primary_key=True, autoincrement=False),  # 0: by subject; 1: by subject and group
    Column("tier", Text, primary_key=True),
    Column("start_at", UtcInstant, primary_key=True),
    Column("gen", BigInteger, primary_key=True, autoincrement=False),  # counts if windows has the same
    Column("subject_id", BigInteger, primary_key=True, autoincrement=False),
    Column("group_id", BigInteger, primary_key=True, autoincrement=False),  # 0 in cube 0
    Column("n", BigInteger, nullable=False),
    Column("sum", AmountText, nullable=False),
    Column("min", AmountText),
    Column("max", AmountText),
    Column("latest", AmountText),
    Column("latest_at", UtcInstant),
    Column("latest_id", BigInteger),
    Column("histogram", Text),  # core/sketches.py as JSON
    sqlite_with_rowid=False,
)
"""A partial (core/aggregate.py) a row. Cube 1 is there for meters that have group keys, cube 0 for all."""

unique_values = Table(
    "unique_values",
    usage_metadata,
    pid(),
    Column("version_id", BigInteger, primary_key=True, autoincrement=False),
    Column("start_at", UtcInstant, primary_key=True),  # of an hour: a longer window is their union
    Column("gen", BigInteger, primary_key=True, autoincrement=False),
    Column("subject_id", BigInteger, primary_key=True, autoincrement=False),
    Column("group_id", BigInteger, primary_key=True, autoincrement=False),  # 0 for a meter without group keys
    Column("value", Bytes, primary_key=True),  # 16 bytes
    sqlite_with_rowid=False,
)

uncounted = Table(
    "uncounted",
    usage_metadata,
    pid(),
    Column("version_id", BigInteger, primary_key=True, autoincrement=False),
    Column("start_at", UtcInstant, primary_key=True),  # of an hour
    Column("gen", BigInteger, primary_key=True, autoincrement=False),
    Column("n_missing", BigInteger, nullable=False),
    Column("n_no_amount", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Events that a meter looked at and could not count."""

usage_days = Table(
    "usage_days",
    usage_metadata,
    pid(),
    Column("day", Date, primary_key=True),
    Column("zone", Text, nullable=False),
    Column("from_at", UtcInstant, nullable=False),
    Column("to_at", UtcInstant, nullable=False),
    Column("state", Text, nullable=False),  # open, provisional, final, amended
    Column("figures", Json, nullable=False),
    Column("fingerprint", Bytes),  # of the rows that it was last closed with
    Column("events_digest", Bytes),  # of the events that it was last proved with
    Column("run", BigInteger),  # who closes it, or was the last to: whoever held it before is fenced off
    Column("reconciled_at", UtcInstant),
    Column("mismatch", Text, nullable=False),  # what did not agree, in words
    Column("sources", Json),  # whom it waits for, or was closed without, and up to when all have told
    Column("verified_at", UtcInstant),  # when all its rollups were last worked out anew, long after it was closed
    Index(None, "pid", "from_at"),
)

proofs = Table(
    "proofs",
    usage_metadata,
    pid(),
    Column("meter_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),
    Column("fingerprint", Bytes, nullable=False),  # of the meter's rows; empty: proved before there were any
    Column("amended", Boolean, nullable=False),  # it had been proved with other figures before
    Column("moved", Boolean, nullable=False),  # what counts now is not known to be what was proved
    Column("n_missing", BigInteger, nullable=False),  # events of the day that lacked a property
    Column("n_no_amount", BigInteger, nullable=False),  # and those in which it was no amount
    Index(None, "pid", "day"),
)
"""A meter's figures of a day as they were proved. Without a row they never were."""

intake = Table(
    "intake",
    usage_metadata,
    pid(),
    Column("hour", UtcInstant, primary_key=True),  # in which they came
    Column("accepted", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("conflicts", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What became of what came: a duplicate leaves no other trace."""
