"""People choose how dense pages are"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("density", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("users", "density")
