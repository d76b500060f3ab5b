"""Limits of calls, how much of each is used, what is reserved, and who was denied"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

_HELD = sa.text("state = 'held'")
_NAMED = sa.text("key_hash IS NOT NULL")


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "limits",
        _key("pid"),
        _key("id"),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("scope", types.Json(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", types.AmountText(), nullable=False),
        sa.Column("period_us", sa.BigInteger(), nullable=False),
        sa.Column("burst", types.AmountText(), nullable=False),
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("from_at", types.UtcInstant(), nullable=True),
        sa.Column("to_at", types.UtcInstant(), nullable=True),
        sa.Column("always", sa.Boolean(), nullable=False),
        sa.Column("opens", sa.Boolean(), nullable=False),
        sa.Column("approaching", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_limits")),
        sa.UniqueConstraint("pid", "uuid", name=op.f("uq_limits_pid_uuid")),
    )
    op.create_index(op.f("ix_limits_pid_source"), "limits", ["pid", "source"])
    op.create_table(
        "limit_books",
        _key("pid"),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", name=op.f("pk_limit_books")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "limit_counters",
        _key("pid"),
        _key("limit_id"),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "limit_id", "scope", name=op.f("pk_limit_counters")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_limit_counters_pid_limit_id_level"), "limit_counters", ["pid", "limit_id", "level"])
    op.create_index(op.f("ix_limit_counters_ends_at"), "limit_counters", ["ends_at"])
    op.create_table(
        "limit_reservations",
        _key("pid"),
        _key("id"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=True),
        sa.Column("asked", types.Bytes(), nullable=False),
        sa.Column("told", types.Bytes(), nullable=True),
        sa.Column("expires_at", types.UtcInstant(), nullable=False),
        sa.Column("holds", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_limit_reservations")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_limit_reservations_held", "limit_reservations", ["pid", "expires_at"],
        sqlite_where=_HELD, postgresql_where=_HELD,
    )  # fmt: skip
    op.create_index(
        "uq_limit_reservations_key", "limit_reservations", ["pid", "key_hash"], unique=True,
        sqlite_where=_NAMED, postgresql_where=_NAMED,
    )  # fmt: skip
    op.create_table(
        "limit_hours",
        _key("pid"),
        _key("limit_id"),
        sa.Column("hour", types.UtcInstant(), nullable=False),
        sa.Column("checked", sa.BigInteger(), nullable=False),
        sa.Column("denied", sa.BigInteger(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "limit_id", "hour", name=op.f("pk_limit_hours")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_limit_hours_hour"), "limit_hours", ["hour"])
    op.create_table(
        "limit_denials",
        _key("pid"),
        _key("limit_id"),
        sa.Column("minute", types.UtcInstant(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("last_at", types.UtcInstant(), nullable=False),
        sa.Column("call", types.Json(), nullable=False),
        sa.Column("wanted", types.AmountText(), nullable=False),
        sa.Column("used", types.AmountText(), nullable=False),
        sa.Column("wait_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "limit_id", "minute", "scope", name=op.f("pk_limit_denials")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_limit_denials_pid_last_at"), "limit_denials", ["pid", "last_at"])
    op.create_index(op.f("ix_limit_denials_minute"), "limit_denials", ["minute"])
    op.create_table(
        "limit_told",
        _key("pid"),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("told", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "provider", "model", name=op.f("pk_limit_told")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in (
        "limit_told", "limit_denials", "limit_hours", "limit_reservations", "limit_counters", "limit_books", "limits",
    ):  # fmt: skip
        op.drop_table(table)
