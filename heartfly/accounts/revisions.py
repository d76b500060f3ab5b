"""The revision of a thing that counts none of its own: a number that is another one once the thing was edited."""

from __future__ import annotations

import hashlib
from typing import Any

from heartfly.db.types import to_json
from heartfly.errors import ChangedMeanwhileError


def revision(*facts: Any) -> int:
    """Of what people can edit of it. Up to 18 digits, as an `ETag` holds them."""
    return int.from_bytes(hashlib.sha256(to_json(facts).encode()).digest()[:7], "big")


def of_project(row: Any) -> int:
    return revision(row.name, row.zone, row.create_by_ping, row.ping_key_hash, row.old_until)


def of_named(row: Any) -> int:
    """Of what a project is called and may do alone: another ping key is none of their business."""
    return revision(row.name, row.zone, row.create_by_ping)


def of_ping_key(row: Any) -> int:
    return revision(row.ping_key_hash, row.old_until)


def of_key(row: Any) -> int:
    """Not of when it was last used."""
    return revision(row.name, row.prefix, row.expires_at, row.revoked_at, row.old_until)


def of_member(row: Any) -> int:
    return revision(row.user_id, row.role)


def demand(found: int, rev: int | None, what: str) -> None:
    """ChangedMeanwhileError: the caller saw another revision. None: any will do."""
    if rev is not None and found != rev:
        raise ChangedMeanwhileError(f"the {what} has changed since you read it")
