"""Keys rotate and administer; changes are audited"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEYS = sa.table(
    "api_keys",
    sa.column("pid", sa.BigInteger),
    sa.column("id", sa.BigInteger),
    sa.column("scopes", types.Json),
    sa.column("revoked_at", types.UtcInstant),
)


def upgrade() -> None:
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("old_hash", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("old_prefix", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("old_until", types.UtcInstant(), nullable=True))
        batch_op.create_unique_constraint(batch_op.f("uq_api_keys_old_hash"), ["old_hash"])
    op.create_table(
        "audit",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("before", types.Json(), nullable=True),
        sa.Column("after", types.Json(), nullable=True),
        sa.Column("ip", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_pid_at_id"), ["pid", "at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_pid_object_at"), ["pid", "object", "at"], unique=False)
    _let_the_first_keys_administer()


def _let_the_first_keys_administer() -> None:
    """Of each project the first key that may write, or nobody could manage its keys. Others get no new power."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.select(_KEYS.c.pid, _KEYS.c.id, _KEYS.c.scopes)
        .where(_KEYS.c.revoked_at.is_(None))
        .order_by(_KEYS.c.pid, _KEYS.c.id)
    ).all()
    first: dict[int, sa.Row[tuple[int, int, list[str]]]] = {}
    for row in rows:
        if "write" in row.scopes:
            first.setdefault(row.pid, row)
    for row in first.values():
        connection.execute(
            sa.update(_KEYS)
            .where(_KEYS.c.pid == row.pid, _KEYS.c.id == row.id)
            .values(scopes=sorted({*row.scopes, "admin"}))
        )


def downgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(_KEYS.c.pid, _KEYS.c.id, _KEYS.c.scopes)).all():
        if "admin" in row.scopes:
            connection.execute(
                sa.update(_KEYS)
                .where(_KEYS.c.pid == row.pid, _KEYS.c.id == row.id)
                .values(scopes=[scope for scope in row.scopes if scope != "admin"])
            )
    op.drop_table("audit")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_api_keys_old_hash"), type_="unique")
        batch_op.drop_column("old_until")
        batch_op.drop_column("old_prefix")
        batch_op.drop_column("old_hash")
