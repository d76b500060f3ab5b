"""How many bytes of what its pings said are stored, of each check"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of what is there already nobody has counted it: the job `retention` does, each night.
    op.add_column("checks", sa.Column("body_bytes", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("checks", "body_bytes")
