"""People choose how dense pages are; status pages have colours and a logo; views are saved"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("density", sa.Text(), server_default="", nullable=False))
    for name in ("accent", "accent_dark", "logo_name"):
        op.add_column("status_pages", sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column("status_pages", sa.Column("logo", types.Bytes(), nullable=True))
    op.create_table(
        "check_views",
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_check_views")),
        sa.UniqueConstraint("uuid", name=op.f("uq_check_views_uuid")),
        sa.UniqueConstraint("pid", "name", name=op.f("uq_check_views_pid_name")),
    )


def downgrade() -> None:
    op.drop_table("check_views")
    for name in ("logo", "logo_name", "accent_dark", "accent"):
        op.drop_column("status_pages", name)
    op.drop_column("users", "density")
