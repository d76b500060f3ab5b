"""What calls come to, their names, and by which prices a window's calls were charged"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "call_names",
        _key("pid"),
        _key("id"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_call_names")),
        sa.UniqueConstraint("pid", "kind", "text", name=op.f("uq_call_names_pid_kind_text")),
    )
    op.create_table(
        "call_rollups",
        _key("pid"),
        sa.Column("cube", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("start_at", types.UtcInstant(), nullable=False),
        _key("gen"),
        _key("key1"),
        _key("key2"),
        sa.Column("status", sa.Integer(), autoincrement=False, nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("n", "n_errors", "n_timed", "n_unpriced", "n_odd", "latency_us", "latency_max_us")
        ),
        sa.Column("latencies", types.Bytes(), nullable=True),
        sa.Column("measures", sa.BigInteger(), nullable=False),
        sa.Column("amounts", sa.Text(), nullable=False),
        sa.Column("first_at", types.UtcInstant(), nullable=True),
        sa.Column("last_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint(
            *("pid", "cube", "tier", "start_at", "gen", "key1", "key2", "status"), name=op.f("pk_call_rollups")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_call_rollups_paired", "call_rollups", ["pid", "cube", "tier", "start_at", "gen", "key2"])
    op.add_column("windows", sa.Column("prices", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("windows", "prices")
    op.drop_table("call_rollups")
    op.drop_table("call_names")
