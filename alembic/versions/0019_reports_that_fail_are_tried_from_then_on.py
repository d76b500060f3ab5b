"""A report that an address does not take is given up some days after it first failed"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("report_sendings", sa.Column("trying_since", types.UtcInstant(), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM report_sendings WHERE trying_since IS NOT NULL")
    op.drop_column("report_sendings", "trying_since")
