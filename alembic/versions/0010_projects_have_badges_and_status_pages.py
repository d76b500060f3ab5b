"""Projects have badges and status pages"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("projects") as projects:
        projects.add_column(sa.Column("badge_half", sa.Text(), nullable=True))
        projects.add_column(sa.Column("badge_key_enc", types.Bytes(), nullable=True))
        projects.create_unique_constraint(op.f("uq_projects_badge_half"), ["badge_half"])
    op.create_table(
        "status_pages",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("groups", types.Json(), nullable=False),
        sa.Column("noindex", sa.Boolean(), nullable=False),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_status_pages")),
        sa.UniqueConstraint("uuid", name=op.f("uq_status_pages_uuid")),
        sa.UniqueConstraint("slug", name=op.f("uq_status_pages_slug")),
    )


def downgrade() -> None:
    op.drop_table("status_pages")
    with op.batch_alter_table("projects") as projects:
        projects.drop_constraint(op.f("uq_projects_badge_half"), type_="unique")
        projects.drop_column("badge_key_enc")
        projects.drop_column("badge_half")
