"""People choose how dense pages are; status pages have colours and a logo"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("density", sa.Text(), server_default="", nullable=False))
    for name in ("accent", "accent_dark", "logo_name"):
        op.add_column("status_pages", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("status_pages", sa.Column("logo", types.Bytes(), nullable=True))


def downgrade() -> None:
    for name in ("logo", "logo_name", "accent_dark", "accent"):
        op.drop_column("status_pages", name)
    op.drop_column("users", "density")
