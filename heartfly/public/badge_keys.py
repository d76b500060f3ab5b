"""The key that a project's badges are addressed by: made, replaced, removed. Without one the project has no badges.

A badge's address holds the key's public half, and a code that only who has the other half can make: who knows the
address of one badge knows that of no other. Each function is one transaction's work.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor, record
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import badge_addresses, projects
from heartfly.errors import ConflictError, StoreError
from heartfly.sealing import Sealer

_HALF = 12
"""Bytes; 16 letters in an address."""


@dataclass(frozen=True, slots=True)
class BadgeKey:
    """`half`: what stands in addresses."""

    half: str
    secret: bytes

    def code(self, kind: str, name: str = "") -> str:
        """What stands for one badge in its address."""
        return _letters(hashlib.blake2b(f"{kind}:{name}".encode(), key=self.secret, digest_size=_HALF).digest())


def key_of(row: Any, sealer: Sealer) -> BadgeKey | None:
    """Of a project's row. None: there is none, or it was sealed with a secret.key that is gone; make a new one."""
    if row.badge_half is None or row.badge_key_enc is None:
        return None
    try:
        return BadgeKey(row.badge_half, sealer.open(row.badge_key_enc))
    except StoreError:
        return None


def make_badge_key(tx: Tx, pid: int, *, actor: Actor, at: datetime, ids: IdSource, sealer: Sealer) -> str:
    """A new key; returns its public half. Badges of the one before, if there was one, are gone at once."""
    row = _held(tx, pid)
    if row.badge_half is not None:
        _forget_addresses(tx, pid)
    half = _letters(secrets.token_bytes(_HALF))
    values = {"badge_half": half, "badge_key_enc": sealer.seal(secrets.token_bytes(32))}
    tx.conn.execute(sa.update(projects).where(projects.c.id == pid).values(values))
    _tell(tx, pid, row, Action.PROJECT_MAKE_BADGE_KEY, has_now=True, actor=actor, at=at, ids=ids)
    return half


def remove_badge_key(tx: Tx, pid: int, *, actor: Actor, at: datetime, ids: IdSource) -> None:
    """The project has no badges any more. ConflictError: it had none."""
    row = _held(tx, pid)
    if not _forget_addresses(tx, pid) and row.badge_half is None:
        raise ConflictError("the project has no badge key")
    tx.conn.execute(sa.update(projects).where(projects.c.id == pid).values(badge_half=None, badge_key_enc=None))
    _tell(tx, pid, row, Action.PROJECT_REMOVE_BADGE_KEY, has_now=False, actor=actor, at=at, ids=ids)


def _forget_addresses(tx: Tx, pid: int) -> int:
    """Those that its badges brought along from elsewhere: who ends badges means all of them. How many there were."""
    return tx.conn.execute(sa.delete(badge_addresses).where(badge_addresses.c.pid == pid)).rowcount


def _held(tx: Tx, pid: int) -> Any:
    query = sa.select(projects.c.uuid, projects.c.badge_half).where(projects.c.id == pid)
    return tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).one()


def _tell(
    tx: Tx, pid: int, row: Any, action: Action, *, has_now: bool, actor: Actor, at: datetime, ids: IdSource
) -> None:
    record(
        tx, pid, actor=actor, action=action, of=f"project:{row.uuid}",
        before={"has_badges": row.badge_half is not None}, after={"has_badges": has_now}, at=at, ids=ids,
    )  # fmt: skip


def _letters(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode()
