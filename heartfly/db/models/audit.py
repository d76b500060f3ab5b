"""Who changed what, and the chain that holds it. heartfly/audit/ alone writes these.

Of an entry what it says is written once, and loses at most an erased customer's names.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from heartfly.db.models.base import APART, key, metadata, pid
from heartfly.db.types import Bytes, Json, UtcInstant

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
    # Null: in none yet.
    Column("clasp", BigInteger),
    # That names went from it, by who has the chain's key; null: none did since it is in its clasp.
    Column("redaction_hash", Bytes),
    Index(None, "pid", "at", "id"),
    Index(None, "pid", "object", "at"),
    Index(None, "clasp", "id"),
)

audit_chain = Table(
    "audit_chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1
    Column("key_enc", Bytes, nullable=False, info={APART: "chain of the audit"}),
    Column("looked", BigInteger, nullable=False),  # up to which clasp the job has looked, in its present round
)

audit_clasps = Table(
    "audit_clasps",
    metadata,
    key("number"),  # 1, 2, 3, …
    Column("at", UtcInstant, nullable=False),
    Column("entries", Bytes, nullable=False),  # whose they are, which, and a hash of what each said: audit/chain.py
    Column("hash", Bytes, nullable=False),
)

audit_gone = Table(
    "audit_gone",
    metadata,
    # No `pid`, by which it would go with the project whose end it tells.
    key("project"),
    Column("at", UtcInstant, nullable=False),
    Column("mark", Bytes, nullable=False),  # that it was deleted by who has the chain's key
)
