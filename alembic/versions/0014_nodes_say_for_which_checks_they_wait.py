"""Nodes say for which checks they wait, so that nobody else is held up"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nodes", sa.Column("heard_apart", types.UtcInstant(), nullable=True))
    op.add_column("nodes", sa.Column("held", types.Json(), nullable=True))


def downgrade() -> None:
    for name in ("held", "heard_apart"):
        op.drop_column("nodes", name)
