"""What things cost: a project's prices of other people's APIs, and those of its own meters.

Which of them a call or a figure is charged by is core/prices.py's and core/meter_prices.py's.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text, UniqueConstraint

from heartfly.db.models.base import key, pid, usage_metadata
from heartfly.db.types import RateText, UtcInstant

prices = Table(
    "prices",
    usage_metadata,
    pid(),
    key("id"),
    Column("provider", Text, nullable=False),
    Column("product", Text, nullable=False),  # *: each of the provider
    Column("unit", Text, nullable=False),
    Column("tier", Text, nullable=False),  # empty: the standard one
    Column("condition", Text, nullable=False),  # empty: none
    Column("from_at", UtcInstant, nullable=False),  # core.prices.ALWAYS: since ever
    Column("to_at", UtcInstant),  # null: until further notice
    Column("amount", RateText, nullable=False),
    Column("currency", Text, nullable=False),
    Column("source", Text, nullable=False),  # hand, litellm or csv
    Column("created_at", UtcInstant, nullable=False),
    UniqueConstraint(*("pid", "provider", "product", "unit", "tier", "condition", "from_at"), name="uq_prices_key"),
)
"""Of one key, spans do not overlap: the command that writes sees to it, under the project's lock."""

price_books = Table(
    "price_books",
    usage_metadata,
    pid(),
    Column("seq", BigInteger, nullable=False),  # another one with each change of any price of calls
    Column("changed_at", UtcInstant, nullable=False),
)

meter_prices = Table(
    "meter_prices",
    usage_metadata,
    pid(),
    key("id"),
    Column("meter_id", BigInteger, nullable=False),
    Column("only", Text, nullable=False),  # JSON: values of group keys, by name in order; {}: whatever the group
    Column("only_hash", Text, nullable=False),  # of it, which may be too long for an index
    Column("from_at", UtcInstant, nullable=False),
    Column("to_at", UtcInstant),
    Column("amount", RateText, nullable=False),
    Column("currency", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    UniqueConstraint(*("pid", "meter_id", "only_hash", "from_at"), name="uq_meter_prices_key"),
    Index(None, "pid", "meter_id", "id"),
)
