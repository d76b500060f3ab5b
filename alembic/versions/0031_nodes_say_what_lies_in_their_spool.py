"""Nodes say what lies in their spool, for which deadlines wait"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nodes", sa.Column("spooled", sa.BigInteger(), nullable=True))
    op.add_column("nodes", sa.Column("spooled_from", types.UtcInstant(), nullable=True))


def downgrade() -> None:
    for name in ("spooled_from", "spooled"):
        op.drop_column("nodes", name)
