"""What was archived of usage, file by file, and who is to go from the files"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archives",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("from_at", types.UtcInstant(), nullable=False),
        sa.Column("to_at", types.UtcInstant(), nullable=False),
        sa.Column("n_events", sa.BigInteger(), nullable=False),
        sa.Column("n_conflicts", sa.BigInteger(), nullable=False),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sums", types.Json(), nullable=False),
        sa.Column("fingerprint", types.Bytes(), nullable=False),
        sa.Column("checksum", types.Bytes(), nullable=False),
        sa.Column("written_at", types.UtcInstant(), nullable=False),
        sa.Column("let_go_at", types.UtcInstant(), nullable=True),
        sa.Column("restored_until", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "day", "part", name=op.f("pk_archives")),
    )
    op.create_index(op.f("ix_archives_pid_restored_until"), "archives", ["pid", "restored_until"])
    op.create_table(
        "archive_erasures",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subject_hash", types.Bytes(), nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_archive_erasures")),
    )


def downgrade() -> None:
    op.drop_table("archive_erasures")
    op.drop_table("archives")
