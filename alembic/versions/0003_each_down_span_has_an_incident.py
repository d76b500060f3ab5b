"""Each down span has an incident"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UUID = {
    "postgresql": "gen_random_uuid()::text",
    "sqlite": (
        "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8'"
        " || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
    ),
}
# Ids are unique across tables, so that of its check is free for the incident of one that is down by now.
_OPEN = (
    "INSERT INTO incidents (pid, id, uuid, source_kind, source_id, source_uuid, source_name, explain, opened_at, cause,"
    " disproved) SELECT pid, id, {uuid}, 'check', id, uuid, name, '', status_since, status_reason, {false}"
    " FROM checks WHERE status = 'down'"
)
_LINK = (
    "UPDATE flips SET incident_id = check_id WHERE EXISTS (SELECT 1 FROM checks WHERE checks.pid = flips.pid"
    " AND checks.id = flips.check_id AND checks.flip_no = flips.flip_no AND checks.status = 'down')"
)


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("source_uuid", sa.Text(), nullable=False),
        sa.Column("source_name", sa.Text(), nullable=False),
        sa.Column("explain", sa.Text(), nullable=False),
        sa.Column("opened_at", types.UtcInstant(), nullable=False),
        sa.Column("closed_at", types.UtcInstant(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("disproved", sa.Boolean(), nullable=False),
        sa.Column("acked_at", types.UtcInstant(), nullable=True),
        sa.Column("acked_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_incidents")),
        sa.UniqueConstraint("uuid", name=op.f("uq_incidents_uuid")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_incidents_pid_opened_at_id"), ["pid", "opened_at", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_incidents_pid_source_kind_source_id_opened_at"),
            ["pid", "source_kind", "source_id", "opened_at"],
            unique=False,
        )
        batch_op.create_index(
            "uq_incidents_open",
            ["pid", "source_kind", "source_id"],
            unique=True,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )
        batch_op.create_index(
            "ix_incidents_open",
            ["pid", "opened_at", "id"],
            unique=False,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )
    op.create_table(
        "incident_notes",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("incident_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "incident_id", "id", name=op.f("pk_incident_notes")),
    )
    with op.batch_alter_table("flips", schema=None) as batch_op:
        batch_op.add_column(sa.Column("incident_id", sa.BigInteger(), nullable=True))
        batch_op.create_index(
            "ix_flips_incident",
            ["pid", "incident_id"],
            unique=False,
            sqlite_where=sa.text("incident_id IS NOT NULL"),
            postgresql_where=sa.text("incident_id IS NOT NULL"),
        )
    dialect = op.get_bind().dialect.name
    op.execute(_OPEN.format(uuid=_UUID[dialect], false="false" if dialect == "postgresql" else "0"))
    op.execute(_LINK)


def downgrade() -> None:
    op.drop_index("ix_flips_incident", table_name="flips")
    op.execute("ALTER TABLE flips DROP COLUMN incident_id")  # by Alembic's batch SQLite's table would get row ids
    op.drop_table("incident_notes")
    op.drop_table("incidents")
