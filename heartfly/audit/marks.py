"""What Heartfly does to entries that are in the chain, it marks: names that go, and projects that go with theirs.

A mark is made with the chain's key, so who has only the database can make none. Nor does one hide what he did before:
an entry that does not say any more what its clasp holds gets none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from heartfly.audit.chain import ChainKey, Held, unpacked
from heartfly.audit.chain_key import key_in
from heartfly.db.changes import Tx
from heartfly.db.models import audit_clasps, audit_gone
from heartfly.errors import StoreError
from heartfly.logs import logger
from heartfly.sealing import Sealer

log = logger("heartfly.audit")


def mark_gone(tx: Tx, pid: int, sealer: Sealer, *, at: datetime) -> None:
    """Before its first entry goes. A chain whose key cannot be had holds up no erasure: nothing of it can be shown."""
    key = _key(tx, sealer)
    if key is not None:
        values = {"project": pid, "at": at, "mark": key.of_gone(pid)}
        tx.conn.execute(tx.insert(audit_gone).values(values).on_conflict_do_nothing())


class Redactor:
    """Marks entries of which names go, within one transaction."""

    def __init__(self, tx: Tx, sealer: Sealer) -> None:
        self._tx = tx
        self._key = _key(tx, sealer)
        self._held: dict[int, dict[tuple[int, int], Held]] = {}

    def mark(self, row: Row[Any], less: Mapping[str, Any]) -> bytes | None:
        """`row`: of the audit, and held. `less`: what it will say, in some columns.

        None: it is in no clasp yet, and needs no mark.
        """
        if self._key is None or row.clasp is None:
            return None
        held = self._in_clasp(row.clasp).get((row.pid, row.id))
        said = self._key.of_entry(row)
        if held is None or (said != held.said and row.redaction_hash != self._key.of_redaction(held, said)):
            # Somebody else edited it. Names go all the same, and whoever verifies still finds it.
            log.warning("audit_chain", error="an entry is not what its clasp holds", pid=row.pid, entry=row.id)
            marked: bytes | None = row.redaction_hash
            return marked
        return self._key.of_redaction(held, self._key.of_entry(row, **less))

    def _in_clasp(self, number: int) -> dict[tuple[int, int], Held]:
        if number not in self._held:
            query = sa.select(audit_clasps.c.entries).where(audit_clasps.c.number == number)
            entries = unpacked(self._tx.conn.execute(query).scalar() or b"")
            self._held[number] = {(one.pid, one.id): one for one in entries}
        return self._held[number]


def _key(tx: Tx, sealer: Sealer) -> ChainKey | None:
    try:
        return key_in(tx, sealer)
    except StoreError as error:
        log.warning("audit_chain", error=str(error))
        return None
