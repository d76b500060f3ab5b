"""The figures of a window's requests in one piece, for questions about many windows"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "request_sheets",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("cube", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("start_at", types.UtcInstant(), nullable=False),
        sa.Column("gen", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sums", types.Bytes(), nullable=False),
        sa.Column("statuses", types.Bytes(), nullable=False),
        sa.Column("times", types.Bytes(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "cube", "tier", "start_at", "gen", name=op.f("pk_request_sheets")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("request_sheets")
