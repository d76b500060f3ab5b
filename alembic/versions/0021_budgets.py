"""Budgets, with their parts, and what was told of each period"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("rhythm", sa.Text(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("every_days", sa.Integer(), nullable=True),
        sa.Column("renews", sa.Boolean(), nullable=False),
        sa.Column("scope", types.Json(), nullable=False),
        sa.Column("thresholds", types.Json(), nullable=False),
        sa.Column("spike_percent", sa.Integer(), nullable=True),
        sa.Column("spike_least", sa.BigInteger(), nullable=True),
        sa.Column("low_days", sa.Integer(), nullable=True),
        sa.Column("hard_stop", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_budgets")),
        sa.UniqueConstraint("uuid", name=op.f("uq_budgets_uuid")),
        sa.UniqueConstraint("pid", "name", name=op.f("uq_budgets_pid_name")),
    )
    op.create_table(
        "budget_allocations",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("budget_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "budget_id", "id", name=op.f("pk_budget_allocations")),
        sa.UniqueConstraint("pid", "budget_id", "by", "name", name=op.f("uq_budget_allocations_pid_budget_id_by_name")),
    )
    op.create_table(
        "budget_channels",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("budget_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("pid", "budget_id", "channel_id", name=op.f("pk_budget_channels")),
    )
    op.create_table(
        "budget_periods",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("budget_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("thresholds", types.Json(), nullable=False),
        sa.Column("spent", sa.Text(), nullable=False),
        sa.Column("seen_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "budget_id", "first_day", name=op.f("pk_budget_periods")),
    )
    op.create_table(
        "budget_marks",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("budget_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("nth", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("spent", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("rearmed_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "budget_id", "period", "kind", "what", "nth", name=op.f("pk_budget_marks")),
    )


def downgrade() -> None:
    for table in ("budget_marks", "budget_periods", "budget_channels", "budget_allocations", "budgets"):
        op.drop_table(table)
