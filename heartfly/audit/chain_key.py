"""The chain's key: random, made once, and sealed in the database with what is not in it, secret.key.

So a new secret.key changes nothing about the chain. It is sealed for this alone: whoever writes to the database could
else put something in its place that he had had sealed, and knows.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from sqlalchemy import Connection

from heartfly.audit.chain import ChainKey
from heartfly.db.changes import Tx
from heartfly.db.models import audit, audit_chain, audit_clasps
from heartfly.db.models.base import APART
from heartfly.errors import StoreError
from heartfly.sealing import Sealer

_PURPOSE: str = audit_chain.c.key_enc.info[APART]
_ROW = 1


def key_of(connection: Connection, sealer: Sealer) -> ChainKey | None:
    """None: there is no chain yet. StoreError: there is one and its key is gone, or not of this secret.key."""
    sealed = connection.execute(sa.select(audit_chain.c.key_enc).where(audit_chain.c.id == _ROW)).scalar()
    if sealed is not None:
        return ChainKey(sealer.apart(_PURPOSE).open(sealed))
    for of_chain in (audit_clasps.c.number, audit.c.clasp):
        if connection.execute(sa.select(of_chain).where(of_chain.is_not(None)).limit(1)).first() is not None:
            raise StoreError("the audit has a chain, and its key is gone from the database: nothing of it can be shown")
    return None


def key_in(tx: Tx, sealer: Sealer) -> ChainKey:
    """The same; where there is no chain, one begins."""
    found = key_of(tx.conn, sealer)
    if found is None:
        values = {"id": _ROW, "key_enc": sealer.apart(_PURPOSE).seal(secrets.token_bytes(32)), "looked": 0}
        tx.conn.execute(tx.insert(audit_chain).values(values).on_conflict_do_nothing())
        found = key_of(tx.conn, sealer)
        assert found is not None
    return found
