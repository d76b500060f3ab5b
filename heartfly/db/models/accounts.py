"""People and their sessions, links that were mailed to them, projects and keys."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Table, Text, UniqueConstraint, true

from heartfly.db.models.base import key, metadata, pid
from heartfly.db.types import Bytes, Json, UtcInstant

users = Table(
    "users",
    metadata,
    key("id"),
    Column("email", Text, nullable=False),
    Column("email_norm", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("zone", Text, nullable=False),
    # As he wants to be called, and `light` or `dark`; empty: by his address, and as his browser wants it.
    Column("name", Text, nullable=False, server_default=""),
    Column("theme", Text, nullable=False, server_default=""),
    Column("density", Text, nullable=False, server_default=""),
    Column("created_at", UtcInstant, nullable=False),
    # The second step at sign-in; all null: there is none. `totp_step`: of the last code that was taken.
    Column("totp_enc", Bytes),
    Column("totp_step", BigInteger),
    Column("totp_since", UtcInstant),
    UniqueConstraint("email_norm"),
)

backup_codes = Table(
    "backup_codes",
    metadata,
    key("user_id"),
    Column("hash", Text, primary_key=True),
)

# How many wrong ones in a row; no row: none. Of addresses that nobody has 256 rows are shared, below 0.
wrong_passwords = Table(
    "wrong_passwords",
    metadata,
    key("user_id"),
    Column("n", BigInteger, nullable=False),
)

# By `credential` a browser names one. `n_uses`: its own count, 0 if it keeps none. `asked_at`: of the last challenge
# that it answered, which counts no more.
passkeys = Table(
    "passkeys",
    metadata,
    key("id"),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("credential", Text, nullable=False),
    Column("public_key", Bytes, nullable=False),
    Column("n_uses", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("used_at", UtcInstant),
    Column("asked_at", UtcInstant),
    UniqueConstraint("credential"),
)

# `browser_hash`: of what the browser that asked has in a cookie. Each browser has a link of its own.
resets = Table(
    "resets",
    metadata,
    key("user_id"),
    Column("browser_hash", Text, primary_key=True),
    Column("token_hash", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    UniqueConstraint("token_hash"),
)

email_changes = Table(
    "email_changes",
    metadata,
    key("user_id"),
    Column("email", Text, nullable=False),
    Column("token_hash", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    UniqueConstraint("token_hash"),
)

invites = Table(
    "invites",
    metadata,
    pid(),
    key("id"),
    Column("email", Text, nullable=False),
    Column("email_norm", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("token_hash", Text, nullable=False),
    Column("invited_by", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    UniqueConstraint("pid", "email_norm"),
    UniqueConstraint("token_hash"),
)

sessions = Table(
    "sessions",
    metadata,
    key("id"),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("token_hash", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("seen_at", UtcInstant, nullable=False, index=True),
    Column("ip", Text, nullable=False),
    Column("agent", Text, nullable=False),
    UniqueConstraint("token_hash"),
)

projects = Table(
    "projects",
    metadata,
    key("id"),
    Column("uuid", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("ping_key_hash", Text, nullable=False),
    Column("ping_key_enc", Bytes, nullable=False),
    Column("old_ping_key_hash", Text),
    Column("old_until", UtcInstant),
    Column("created_at", UtcInstant, nullable=False),
    # By which its badges are addressed; both null: it has none.
    Column("badge_half", Text),
    Column("badge_key_enc", Bytes),
    # A ping that asks for it makes its check.
    Column("create_by_ping", Boolean, nullable=False, server_default=true()),
    UniqueConstraint("uuid"),
    UniqueConstraint("slug"),
    UniqueConstraint("badge_half"),
    UniqueConstraint("ping_key_hash"),
    UniqueConstraint("old_ping_key_hash"),
)

members = Table(
    "members",
    metadata,
    pid(),
    key("user_id"),
    Column("role", Text, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    pid(),
    key("id"),
    Column("hash", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant),
    Column("used_at", UtcInstant),
    Column("revoked_at", UtcInstant),
    # The secret before the last rotation, which works until then.
    Column("old_hash", Text),
    Column("old_prefix", Text),
    Column("old_until", UtcInstant),
    UniqueConstraint("hash"),
    UniqueConstraint("old_hash"),
)
