"""A check knows which of its fields the clients of its job have set, and as what"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checks", sa.Column("client_fields", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("checks", "client_fields")
