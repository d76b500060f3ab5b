"""Budgets: what they may come to, in which parts, whom they tell, and what was told of which period.

What is spent stands in no row but as it was last seen: it is worked out of usage. Amounts of budgets are whole numbers
of millionths of their currency, so that both databases add them up exactly.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, Table, Text, UniqueConstraint

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Json, UtcInstant

budgets = Table(
    "budgets",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),  # active, paused, exceeded, expired, cancelled
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger),  # in millionths; null: unlimited
    Column("rhythm", Text, nullable=False),  # monthly, quarterly, yearly, project, custom, unlimited
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("every_days", Integer),
    Column("renews", Boolean, nullable=False),
    Column("scope", Json, nullable=False),  # by what is told apart: its values, any of which counts
    Column("thresholds", Json, nullable=False),  # percents
    Column("spike_percent", Integer),
    Column("spike_least", BigInteger),  # in millionths
    Column("low_days", Integer),
    Column("hard_stop", Boolean, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("rev", BigInteger, nullable=False),
    UniqueConstraint("uuid"),
    UniqueConstraint("pid", "name"),
)

budget_allocations = Table(
    "budget_allocations",
    metadata,
    pid(),
    key("budget_id"),
    key("id"),
    Column("by", Text, nullable=False),  # provider, model, customer
    Column("name", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),  # in millionths
    UniqueConstraint("pid", "budget_id", "by", "name"),
)

budget_channels = Table("budget_channels", metadata, pid(), key("budget_id"), key("channel_id"))

budget_periods = Table(
    "budget_periods",
    metadata,
    pid(),
    key("budget_id"),
    Column("first_day", Date, primary_key=True),
    Column("last_day", Date),  # null: it has no end
    # As it was last agreed while it was this period.
    Column("amount", BigInteger),
    Column("thresholds", Json, nullable=False),
    Column("spent", Text, nullable=False),  # as it was last seen, exact
    Column("seen_at", UtcInstant, nullable=False),
)

budget_marks = Table(
    "budget_marks",
    metadata,
    pid(),
    key("budget_id"),
    Column("period", Text, primary_key=True),  # its first day, as text
    Column("kind", Text, primary_key=True),  # threshold, spike, low, allocation
    Column("what", Text, primary_key=True),  # a percent, a day, an allocation, or nothing
    key("nth"),  # the first, the second after it was re-armed, and so on
    Column("at", UtcInstant, nullable=False),
    Column("spent", Text, nullable=False),  # as it was when it was told, exact
    Column("amount", BigInteger),
    Column("rearmed_at", UtcInstant),  # since when it may be told anew; null: it may not
)
