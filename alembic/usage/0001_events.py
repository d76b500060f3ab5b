"""Events are kept once, with what came wrong and whose they are"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_names",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_usage_names")),
        sa.UniqueConstraint("pid", "text", "kind", name=op.f("uq_usage_names_pid_text_kind")),
    )
    op.create_table(
        "event_ids",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id_hash", types.Bytes(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", types.Bytes(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id_hash", name=op.f("pk_event_ids")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("received_at", types.UtcInstant(), nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("type_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_events")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_events_pid_at"), "events", ["pid", "at"])
    op.create_table(
        "event_conflicts",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("received_at", types.UtcInstant(), nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_event_conflicts")),
    )
    op.create_table(
        "dead_letters",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("received_at", types.UtcInstant(), nullable=False),
        sa.Column("wire", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_dead_letters")),
    )
    op.create_index(op.f("ix_dead_letters_pid_state_id"), "dead_letters", ["pid", "state", "id"])
    op.create_table(
        "dirty_hours",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", types.UtcInstant(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "hour", name=op.f("pk_dirty_hours")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "customers",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("archived_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_customers")),
        sa.UniqueConstraint("pid", "uuid", name=op.f("uq_customers_pid_uuid")),
    )
    op.create_table(
        "aliases",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "text", name=op.f("pk_aliases")),
    )
    op.create_index(op.f("ix_aliases_pid_customer_id"), "aliases", ["pid", "customer_id"])
