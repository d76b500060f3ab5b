"""What people do to API keys: create, edit, rotate, revoke. Each function is one transaction's work.

Two rules stand here: nobody hands out a scope that he lacks, and a project keeps a key that may administer it.
A revoked key stays as a row, so that old entries of the audit can still be traced to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from heartfly.accounts import open_invites, revisions
from heartfly.accounts.keys import PREFIX, NewKey, Scope, make_key, overlap
from heartfly.accounts.queries import key_id_of
from heartfly.audit.record import Action, Actor, differing, record
from heartfly.core import text
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import api_keys, projects
from heartfly.errors import ConflictError, ForbiddenError, InvalidValueError, NotFoundError
from heartfly.sealing import digest, new_api_key

MOST_KEYS = 1000
_FURTHEST = timedelta(days=36_500)


class LastAdminKeyError(ConflictError):
    """Without this key nobody could manage the project's keys any more."""


def create_key(
    tx: Tx,
    pid: int,
    *,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    may_grant: frozenset[Scope],
    actor: Actor,
    at: datetime,
    ids: IdSource,
    like: str = "",
    secret: str = "",
) -> NewKey:
    """ForbiddenError: it would have a scope that is not in `may_grant`, the scopes of who asks.

    `secret`: one that programs have already. ConflictError: a key of this Heartfly has it.
    """
    name = _name(name)
    wanted = _scopes(scopes)
    expires_at = _end(expires_at, at)
    _demand_grantable(wanted, may_grant)
    _hold(tx, pid)
    if len(_live(tx, pid)) >= MOST_KEYS:
        raise ConflictError(f"the project has {MOST_KEYS} keys; revoke one that is not needed any more")
    if secret and known(tx, secret) is not None:
        raise ConflictError("there is a key with this secret already")
    made = make_key(tx, pid, name=name, scopes=wanted, expires_at=expires_at, at=at, ids=ids, like=like, secret=secret)
    record(
        tx, pid, actor=actor, action=Action.KEY_CREATE, of=f"key:{made.id}",
        before=None, after=_told(_row(tx, pid, str(made.id))), at=at, ids=ids,
    )  # fmt: skip
    return made


def edit_key(
    tx: Tx,
    pid: int,
    key_id: str,
    *,
    changes: dict[str, Any],
    actor: Actor,
    at: datetime,
    ids: IdSource,
    rev: int | None = None,
) -> None:
    """`changes`: `name`, `expires_at`, or both. LastAdminKeyError: the last key that administers would end sooner."""
    _hold(tx, pid)
    row = _not_revoked(tx, pid, key_id, rev)
    values: dict[str, Any] = {}
    if "name" in changes:
        values["name"] = _name(changes["name"])
    if "expires_at" in changes:
        end = values["expires_at"] = _end(changes["expires_at"], at)
        if end is not None and (row.expires_at is None or end < row.expires_at):
            _demand_another_admin(tx, pid, row, at)
    before, after = differing(row._asdict(), values)
    if not after:
        return
    _update(tx, row, after)
    record(tx, pid, actor=actor, action=Action.KEY_EDIT, of=f"key:{row.id}", before=before, after=after, at=at, ids=ids)


def rotate_key(
    tx: Tx,
    pid: int,
    key_id: str,
    *,
    overlap_s: int,
    may_grant: frozenset[Scope],
    actor: Actor,
    at: datetime,
    ids: IdSource,
    rev: int | None = None,
) -> str:
    """A new secret for the key. The one so far works for `overlap_s` more; one before it ends now.

    ForbiddenError: whoever gets the secret would get a scope that he lacks.
    """
    lasting = overlap(overlap_s)
    _hold(tx, pid)
    row = _not_revoked(tx, pid, key_id, rev)
    if row.expires_at is not None and row.expires_at <= at:
        raise ConflictError("the key has expired; give it a later end first")
    _demand_grantable(frozenset(map(Scope, row.scopes)), may_grant)
    secret = new_api_key(like=row.prefix)
    until = at + lasting if lasting else None
    old = {"old_hash": row.hash, "old_prefix": row.prefix} if lasting else {"old_hash": None, "old_prefix": None}
    _update(tx, row, {"hash": digest(secret), "prefix": secret[:PREFIX], "old_until": until, **old})
    record(
        tx, pid, actor=actor, action=Action.KEY_ROTATE, of=f"key:{row.id}", before={"prefix": row.prefix},
        after={"prefix": secret[:PREFIX], "old_until": until}, at=at, ids=ids,
    )  # fmt: skip
    for prefix in filter(None, (row.prefix, row.old_prefix)):
        open_invites.renamed(tx, pid, f"key:{prefix}", becomes=f"key:{secret[:PREFIX]}")
    return secret


def revoke_key(
    tx: Tx, pid: int, key_id: str, *, actor: Actor, at: datetime, ids: IdSource, rev: int | None = None
) -> None:
    """Neither of its secrets works any more, nor the links of invites made with them. A key that was revoked stays so.

    LastAdminKeyError.
    """
    _hold(tx, pid)
    row = _row(tx, pid, key_id, rev)
    if row.revoked_at is not None:
        return
    _demand_another_admin(tx, pid, row, at)
    _update(tx, row, {"revoked_at": at})
    record(
        tx, pid, actor=actor, action=Action.KEY_REVOKE, of=f"key:{row.id}",
        before=_told(row), after=None, at=at, ids=ids,
    )  # fmt: skip
    for prefix in filter(None, (row.prefix, row.old_prefix)):
        open_invites.end_of(tx, pid, f"key:{prefix}", actor=actor, at=at, ids=ids)


# --- the rules ---------------------------------------------------------------------------------------


def _demand_grantable(wanted: frozenset[Scope], may_grant: frozenset[Scope]) -> None:
    for scope in Scope:
        if scope in wanted and scope not in may_grant:
            raise ForbiddenError(f"this key cannot grant the scope {scope}, which it lacks")


def _demand_another_admin(tx: Tx, pid: int, row: Any, at: datetime) -> None:
    """LastAdminKeyError, unless this key does not administer, or another one that works does."""

    def administers(one: Any) -> bool:
        return Scope.ADMIN in one.scopes and (one.expires_at is None or one.expires_at > at)

    if administers(row) and not any(administers(one) for one in _live(tx, pid) if one.id != row.id):
        raise LastAdminKeyError("it is the project's last key with the scope admin; make another one first")


def _hold(tx: Tx, pid: int) -> None:
    """Two nodes that each revoke one of two keys must not both see the other's: the project is held meanwhile."""
    query = sa.select(projects.c.id).where(projects.c.id == pid)
    tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query)


def known(tx: Tx, secret: str) -> Any:
    """The row, of whatever project, of the key that has this secret, or had it before; None: there is none."""
    hashed = digest(secret)
    query = sa.select(api_keys).where(sa.or_(api_keys.c.hash == hashed, api_keys.c.old_hash == hashed))
    return tx.conn.execute(query).first()


# --- rows --------------------------------------------------------------------------------------------


def _live(tx: Tx, pid: int) -> Sequence[Any]:
    query = sa.select(api_keys.c.id, api_keys.c.scopes, api_keys.c.expires_at).where(
        api_keys.c.pid == pid, api_keys.c.revoked_at.is_(None)
    )
    return tx.conn.execute(query).all()


def _row(tx: Tx, pid: int, key_id: str, rev: int | None = None) -> Any:
    query = sa.select(api_keys).where(api_keys.c.pid == pid, api_keys.c.id == key_id_of(key_id))
    row = tx.conn.execute(query).first()
    if row is None:
        raise NotFoundError("there is no such key")
    revisions.demand(revisions.of_key(row), rev, "key")
    return row


def _not_revoked(tx: Tx, pid: int, key_id: str, rev: int | None) -> Any:
    row = _row(tx, pid, key_id, rev)
    if row.revoked_at is not None:
        raise ConflictError("the key is revoked")
    return row


def _update(tx: Tx, row: Any, values: dict[str, Any]) -> None:
    tx.conn.execute(sa.update(api_keys).where(api_keys.c.pid == row.pid, api_keys.c.id == row.id).values(values))


def _told(row: Any) -> dict[str, Any]:
    return {"name": row.name, "prefix": row.prefix, "scopes": row.scopes, "expires_at": row.expires_at}


# --- what is asked for -------------------------------------------------------------------------------


def _name(name: str) -> str:
    return text.name(name, field="name", most=100)


def _scopes(scopes: Sequence[str]) -> frozenset[Scope]:
    known = [scope.value for scope in Scope]
    for i, scope in enumerate(scopes):
        if scope not in known:
            raise InvalidValueError(f"scopes[{i}]", f"must be one of {', '.join(known)}")
    if not scopes:
        raise InvalidValueError("scopes", f"must name at least one of {', '.join(known)}")
    return frozenset(map(Scope, scopes))


def _end(expires_at: datetime | None, at: datetime) -> datetime | None:
    if expires_at is None:
        return None
    # Bounded before it is converted: the last day of the year 9999 has no UTC in some zones.
    if not at < expires_at <= at + _FURTHEST:
        raise InvalidValueError("expires_at", "must lie in the future, within a hundred years; null: never")
    return expires_at.astimezone(at.tzinfo)
