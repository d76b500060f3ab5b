"""Projects have badges"""

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


def downgrade() -> None:
    with op.batch_alter_table("projects") as projects:
        projects.drop_constraint(op.f("uq_projects_badge_half"), type_="unique")
        projects.drop_column("badge_key_enc")
        projects.drop_column("badge_half")
