"""Two switches: of a project, that no ping makes a check; of a check, that no silence of it is excused"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # As it was for all: a ping that says so makes its check.
    op.add_column("projects", sa.Column("create_by_ping", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("checks", sa.Column("unverified_is_down", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("checks", "unverified_is_down")
    op.drop_column("projects", "create_by_ping")
