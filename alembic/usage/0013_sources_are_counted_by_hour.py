"""How often each source was heard in an hour, and how much it told"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_hours",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hour", types.UtcInstant(), nullable=False),
        sa.Column("turns", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "name", "hour", name=op.f("pk_source_hours")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("source_hours")
