"""Alert rules raise alerts, which have incidents as checks have; channels that hear of downs hear of them"""

from __future__ import annotations

import json
from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_ADDED = ["rule.firing", "rule.resolved", "budget.reached", "budget.cleared"]
_WORKS_FOR = "check.down"


def upgrade() -> None:
    op.create_table(
        "alert_rules",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("definition", types.Json(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("channels", types.Json(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("uniqueness_key", sa.Text(), nullable=True),
        sa.Column("foreign_facts", types.Json(), nullable=True),
        sa.Column("archived_at", types.UtcInstant(), nullable=True),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("edited_at", types.UtcInstant(), nullable=False),
        sa.Column("looked_at", types.UtcInstant(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_alert_rules")),
        sa.UniqueConstraint("uuid", name=op.f("uq_alert_rules_uuid")),
    )
    _partly_unique("uq_alert_rules_uniqueness_key", "alert_rules", "uniqueness_key")
    op.create_table(
        "rule_standings",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rule_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", types.UtcInstant(), nullable=False),
        sa.Column("fired_at", types.UtcInstant(), nullable=True),
        sa.Column("resolved_at", types.UtcInstant(), nullable=True),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("figure", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "rule_id", "scope", name=op.f("pk_rule_standings")),
        sa.UniqueConstraint("id", name=op.f("uq_rule_standings_id")),
    )
    op.create_table(
        "rule_alerts",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("incident_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rule_id", sa.BigInteger(), nullable=False),
        sa.Column("rule_uuid", sa.Text(), nullable=False),
        sa.Column("rule_name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scope_words", sa.Text(), nullable=False),
        sa.Column("context", types.Json(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "incident_id", name=op.f("pk_rule_alerts")),
    )
    op.create_index(
        op.f("ix_rule_alerts_pid_rule_id_incident_id"), "rule_alerts", ["pid", "rule_id", "incident_id"], unique=False
    )
    op.create_index(
        op.f("ix_rule_alerts_pid_type_incident_id"), "rule_alerts", ["pid", "type", "incident_id"], unique=False
    )
    op.create_table(
        "rule_defaults",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("made_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", name=op.f("pk_rule_defaults")),
    )
    op.add_column("incidents", sa.Column("alert_key", sa.Text(), nullable=True))
    _partly_unique("uq_incidents_alert_key", "incidents", "alert_key")
    _channels_hear(lambda events: [*events, *(one for one in _ADDED if one not in events)])


def downgrade() -> None:
    _channels_hear(lambda events: [one for one in events if one not in _ADDED])
    op.execute("DELETE FROM incidents WHERE source_kind <> 'check'")
    op.drop_index("uq_incidents_alert_key", table_name="incidents")
    op.execute("ALTER TABLE incidents DROP COLUMN alert_key")  # by Alembic's batch SQLite's table would get row ids
    for table in ("rule_defaults", "rule_alerts", "rule_standings", "alert_rules"):
        op.drop_table(table)


def _partly_unique(name: str, table: str, column: str) -> None:
    where = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, table, ["pid", column], unique=True, sqlite_where=where, postgresql_where=where)


def _channels_hear(heard: Callable[[list[str]], list[str]]) -> None:
    """Change what those channels hear that hear of a check that is down."""
    bind = op.get_bind()
    channels = sa.table("channels", sa.column("id", sa.BigInteger()), sa.column("events", types.Json()))
    for row in bind.execute(sa.select(channels.c.id, channels.c.events)).all():
        events = json.loads(row.events) if isinstance(row.events, str) else row.events  # as it is stored
        if _WORKS_FOR in events and heard(events) != events:
            bind.execute(sa.update(channels).where(channels.c.id == row.id).values(events=heard(events)))
