"""What a project shows to everybody: its status pages, and badges at addresses that they had elsewhere."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, UniqueConstraint

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Bytes, Json, UtcInstant

status_pages = Table(
    "status_pages",
    metadata,
    pid(),
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("slug", Text, nullable=False),  # in its address, so no other project's page may have it
    Column("title", Text, nullable=False),
    Column("groups", Json, nullable=False),
    Column("noindex", Boolean, nullable=False),
    Column("published", Boolean, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("accent", Text, nullable=False, server_default=""),  # of links, in light and in dark: empty is the house's
    Column("accent_dark", Text, nullable=False, server_default=""),
    Column("logo", Bytes),
    Column("logo_name", Text, nullable=False, server_default=""),  # what its address ends in; empty: there is none
    Column("created_at", UtcInstant, nullable=False),
    UniqueConstraint("uuid"),
    UniqueConstraint("slug"),
)

badge_addresses = Table(
    "badge_addresses",
    metadata,
    # What stands in a badge's path, without how many states it knows and its format.
    Column("address", Text, primary_key=True),
    Column("pid", BigInteger, nullable=False),
    Column("of", Text, nullable=False),  # all, tag, check
    Column("tag", Text, nullable=False),
    Column("check_id", BigInteger),
    Index(None, "pid", "check_id"),
)
