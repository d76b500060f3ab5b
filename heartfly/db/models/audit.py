"""Who changed what. Rows are added, and lose at most an erased customer's names; heartfly/audit/ alone writes them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Json, UtcInstant

audit = Table(
    "audit",
    metadata,
    pid(),
    key("id"),
    Column("at", UtcInstant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),  # `check:<uuid>`, `key:<id>`, …
    Column("before", Json),
    Column("after", Json),
    Column("ip", Text),
    Index(None, "pid", "at", "id"),
    Index(None, "pid", "object", "at"),
)
