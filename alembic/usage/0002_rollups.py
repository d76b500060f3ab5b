"""Meters, and what events come to for them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "meters",
        _number("pid"),
        _number("id"),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("archived_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_meters")),
        sa.UniqueConstraint("pid", "uuid", name=op.f("uq_meters_pid_uuid")),
        sa.UniqueConstraint("pid", "slug", name=op.f("uq_meters_pid_slug")),
    )
    op.create_table(
        "meter_versions",
        _number("pid"),
        _number("id"),
        sa.Column("meter_id", sa.BigInteger(), nullable=False),
        sa.Column("from_at", types.UtcInstant(), nullable=True),
        sa.Column("to_at", types.UtcInstant(), nullable=True),
        sa.Column("definition", types.Json(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_meter_versions")),
    )
    op.create_index(op.f("ix_meter_versions_pid_meter_id_id"), "meter_versions", ["pid", "meter_id", "id"])
    op.create_table(
        "usage_groups",
        _number("pid"),
        _number("id"),
        sa.Column("digest", types.Bytes(), nullable=False),
        sa.Column("texts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_usage_groups")),
        sa.UniqueConstraint("pid", "digest", name=op.f("uq_usage_groups_pid_digest")),
    )
    op.create_table(
        "windows",
        _number("pid"),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("start_at", types.UtcInstant(), nullable=False),
        sa.Column("end_at", types.UtcInstant(), nullable=False),
        sa.Column("gen", sa.BigInteger(), nullable=True),
        sa.Column("next_gen", sa.BigInteger(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("n_events", sa.BigInteger(), nullable=False),
        sa.Column("ids_sum", types.Bytes(), nullable=False),
        sa.Column("stale", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("sealed_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "tier", "start_at", name=op.f("pk_windows")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollups",
        _number("pid"),
        _number("version_id"),
        sa.Column("cube", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("start_at", types.UtcInstant(), nullable=False),
        _number("gen"),
        _number("subject_id"),
        _number("group_id"),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("sum", types.AmountText(), nullable=False),
        sa.Column("min", types.AmountText(), nullable=True),
        sa.Column("max", types.AmountText(), nullable=True),
        sa.Column("latest", types.AmountText(), nullable=True),
        sa.Column("latest_at", types.UtcInstant(), nullable=True),
        sa.Column("latest_id", sa.BigInteger(), nullable=True),
        sa.Column("histogram", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "pid", "version_id", "cube", "tier", "start_at", "gen", "subject_id", "group_id", name=op.f("pk_rollups")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unique_values",
        _number("pid"),
        _number("version_id"),
        sa.Column("start_at", types.UtcInstant(), nullable=False),
        _number("gen"),
        _number("subject_id"),
        _number("group_id"),
        sa.Column("value", types.Bytes(), nullable=False),
        sa.PrimaryKeyConstraint(
            "pid", "version_id", "start_at", "gen", "subject_id", "group_id", "value", name=op.f("pk_unique_values")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "uncounted",
        _number("pid"),
        _number("version_id"),
        sa.Column("start_at", types.UtcInstant(), nullable=False),
        _number("gen"),
        sa.Column("n_missing", sa.BigInteger(), nullable=False),
        sa.Column("n_no_amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "version_id", "start_at", "gen", name=op.f("pk_uncounted")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_days",
        _number("pid"),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("from_at", types.UtcInstant(), nullable=False),
        sa.Column("to_at", types.UtcInstant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("figures", types.Json(), nullable=False),
        sa.Column("fingerprint", types.Bytes(), nullable=True),
        sa.Column("run", sa.BigInteger(), nullable=True),
        sa.Column("reconciled_at", types.UtcInstant(), nullable=True),
        sa.Column("mismatch", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "day", name=op.f("pk_usage_days")),
    )
    op.create_index(op.f("ix_usage_days_pid_from_at"), "usage_days", ["pid", "from_at"])
    op.create_table(
        "intake",
        _number("pid"),
        sa.Column("hour", types.UtcInstant(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), nullable=False),
        sa.Column("conflicts", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "hour", name=op.f("pk_intake")),
        sqlite_with_rowid=False,
    )
