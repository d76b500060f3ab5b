"""The audit is chained: what entries said is held in clasps, each over the one before"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key_enc", types.Bytes(), nullable=False),
        sa.Column("looked", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_chain")),
    )
    op.create_table(
        "audit_clasps",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("entries", types.Bytes(), nullable=False),
        sa.Column("hash", types.Bytes(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_clasps")),
    )
    op.create_table(
        "audit_gone",
        sa.Column("project", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("mark", types.Bytes(), nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_audit_gone")),
    )
    op.add_column("audit", sa.Column("clasp", sa.BigInteger(), nullable=True))
    op.add_column("audit", sa.Column("redaction_hash", types.Bytes(), nullable=True))
    op.create_index("ix_audit_clasp_id", "audit", ["clasp", "id"])


def downgrade() -> None:
    op.drop_index("ix_audit_clasp_id", "audit")
    for column in ("redaction_hash", "clasp"):
        op.drop_column("audit", column)
    for table in ("audit_gone", "audit_clasps", "audit_chain"):
        op.drop_table(table)
