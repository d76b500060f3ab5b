"""Alert rules: what each looks at, how it stands in each scope, and each alert that it raised.

An alert is an incident (models/incidents.py) with more facts: who took care of it, and when it ended, stands there.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, UniqueConstraint, text

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Json, UtcInstant

alert_rules = Table(
    "alert_rules",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Json, nullable=False),  # core/alert_rules.py
    Column("severity", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("channels", Json),  # their ids; null: all of the project
    Column("origin", Text, nullable=False),  # own, a default's name, metronome
    Column("uniqueness_key", Text),
    Column("foreign_facts", Json),  # what another API told of it and wants to read back
    Column("archived_at", UtcInstant),
    Column("created_at", UtcInstant, nullable=False),
    Column("edited_at", UtcInstant, nullable=False),
    Column("looked_at", UtcInstant),
    Column("trouble", Text, nullable=False),  # why it could not be looked at; empty: it was
    Column("rev", BigInteger, nullable=False),
    UniqueConstraint("uuid"),
    Index(
        "uq_alert_rules_uniqueness_key",
        "pid",
        "uniqueness_key",
        unique=True,
        sqlite_where=text("uniqueness_key IS NOT NULL"),
        postgresql_where=text("uniqueness_key IS NOT NULL"),
    ),
)

rule_standings = Table(
    "rule_standings",
    metadata,
    pid(),
    key("rule_id"),
    Column("scope", Text, primary_key=True),  # the values of its groups, as a JSON list
    Column("id", BigInteger, nullable=False),  # the source of its incidents
    Column("state", Text, nullable=False),  # ok, pending, firing, acknowledged
    Column("since", UtcInstant, nullable=False),  # in this state; for pending: since when the condition holds
    Column("fired_at", UtcInstant),  # last: a cooldown counts from here
    Column("resolved_at", UtcInstant),
    Column("by_hand", Boolean, nullable=False),  # a person ended it, and the condition has held ever since
    Column("figure", Text, nullable=False),
    UniqueConstraint("id"),
)

rule_alerts = Table(
    "rule_alerts",
    metadata,
    pid(),
    key("incident_id"),
    Column("rule_id", BigInteger, nullable=False),
    Column("rule_uuid", Text, nullable=False),
    Column("rule_name", Text, nullable=False),
    Column("type", Text, nullable=False),  # the metric of its first condition
    Column("severity", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("scope_words", Text, nullable=False),
    Column("context", Json, nullable=False),  # as it was when it fired; nothing changes it
    Column("note", Text),
    Column("resolved_by", Text),  # who; null: it ended by itself, or has not
    Index(None, "pid", "rule_id", "incident_id"),
    Index(None, "pid", "type", "incident_id"),
)

rule_defaults = Table(
    "rule_defaults",
    metadata,
    pid(),
    Column("made_at", UtcInstant, nullable=False),
)
"""Projects that were given the default rules: who deletes one does not get it again."""
