"""Checks and badges that come from elsewhere keep their addresses"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checks", sa.Column("filters_as_sent", types.Json(), nullable=True))
    op.create_table(
        "badge_addresses",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("of", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("check_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_badge_addresses")),
    )
    op.create_index(op.f("ix_badge_addresses_pid_check_id"), "badge_addresses", ["pid", "check_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_badge_addresses_pid_check_id"), table_name="badge_addresses")
    op.drop_table("badge_addresses")
    op.drop_column("checks", "filters_as_sent")
