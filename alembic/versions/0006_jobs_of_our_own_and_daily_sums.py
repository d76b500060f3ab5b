"""Heartfly's own jobs with their runs, and daily sums of each check"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("next_at", types.UtcInstant(), nullable=True),
        sa.Column("off", sa.Text(), nullable=True),
        sa.Column("check_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("pid", "kind", name=op.f("uq_jobs_pid_kind")),
        sa.UniqueConstraint("uuid", name=op.f("uq_jobs_uuid")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("ix_jobs_next_at", ["next_at"], unique=False)
    op.create_table(
        "job_runs",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot_at", types.UtcInstant(), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", types.UtcInstant(), nullable=True),
        sa.Column("started_at", types.UtcInstant(), nullable=True),
        sa.Column("ended_at", types.UtcInstant(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("figures", types.Json(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("start_pinged_at", types.UtcInstant(), nullable=True),
        sa.Column("end_pinged_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "job_id", "slot_at", name=op.f("pk_job_runs")),
    )
    with op.batch_alter_table("job_runs", schema=None) as batch_op:
        batch_op.create_index(
            "ix_job_runs_to_do",
            ["slot_at"],
            unique=False,
            sqlite_where=sa.text("end_pinged_at IS NULL"),
            postgresql_where=sa.text("end_pinged_at IS NULL"),
        )
    op.create_table(
        "check_days",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("check_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("from_at", types.UtcInstant(), nullable=False),
        sa.Column("to_at", types.UtcInstant(), nullable=False),
        sa.Column("up_s", sa.Integer(), nullable=False),
        sa.Column("down_s", sa.Integer(), nullable=False),
        sa.Column("blind_s", sa.Integer(), nullable=False),
        sa.Column("n_ok", sa.Integer(), nullable=False),
        sa.Column("n_failed", sa.Integer(), nullable=False),
        sa.Column("n_missed", sa.Integer(), nullable=False),
        sa.Column("n_unverified", sa.Integer(), nullable=False),
        sa.Column("flip_no", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "check_id", "day", name=op.f("pk_check_days")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("checks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("job", sa.Text(), nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE checks DROP COLUMN job")  # by Alembic's batch SQLite's table would get row ids
    op.drop_table("check_days")
    op.drop_table("job_runs")
    op.drop_table("jobs")
