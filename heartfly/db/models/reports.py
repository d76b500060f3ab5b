"""Customers' reports: links by which others read one, and to whom one is mailed by itself.

The customer is named by his public id: he himself is in the part that is usage (db/parts.py).
"""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, Table, Text, UniqueConstraint

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Json, UtcInstant

report_shares = Table(
    "report_shares",
    metadata,
    pid(),
    key("id"),
    Column("customer", Text, nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("token_hash", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    UniqueConstraint("token_hash"),
    Index(None, "pid", "customer"),
)

report_mails = Table(
    "report_mails",
    metadata,
    pid(),
    key("id"),
    Column("customer", Text, nullable=False),
    Column("rhythm", Text, nullable=False),  # month, 30-days
    Column("since", Date, nullable=False),  # of 30 days: when the first ones begin
    Column("addresses", Json, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Index(None, "pid", "customer"),
)

report_sendings = Table(
    "report_sendings",
    metadata,
    pid(),
    key("mail_id"),
    Column("first_day", Date, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("at", UtcInstant, nullable=False),
    Column("wrong", Text, nullable=False),  # why it did not go; empty: it was sent
    Column("trying_since", UtcInstant),  # when it first failed, while it is tried again; else sent, or given up
)
"""What was mailed, of which period and to whom: once, as this row says."""
