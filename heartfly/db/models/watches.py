"""What of a project's data is watched: which sources, customers or endpoints, each with a check of its own."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text, UniqueConstraint

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Json, UtcInstant

watches = Table(
    "watches",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("kind", Text, nullable=False),  # source, customer, endpoint
    Column("what", Text, nullable=False),  # a name, the public id of a customer, or * for all
    Column("limits", Json, nullable=False),
    Column("standing", Json, nullable=False),  # what the next look must know of the looks before
    Column("looked_at", UtcInstant),
    Column("words", Text, nullable=False),  # what the last look found; empty: nothing
    Column("check_id", BigInteger),  # null before the first look
    Column("created_at", UtcInstant, nullable=False),
    UniqueConstraint("uuid"),
    UniqueConstraint("pid", "kind", "what"),
)
