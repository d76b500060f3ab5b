"""The secret address that a check's job pings, and its rotation: a new one, with the old one working on for a while."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa

from heartfly.accounts.keys import overlap
from heartfly.audit.record import Action, Actor
from heartfly.audit.record import record as audit
from heartfly.checks.commands import locked
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import addresses, checks
from heartfly.errors import ChangedMeanwhileError


def rotate(
    tx: Tx,
    pid: int,
    check_uuid: str,
    *,
    overlap_s: int,
    at: datetime,
    ids: IdSource,
    actor: Actor,
    rev: int | None = None,
    seen: str | None = None,
) -> None:
    """A new address. The one so far works for `overlap_s` more, not inclusive; one before it ends now.

    `seen`: the address that whoever asks saw; ChangedMeanwhileError if it is another one by now.

    Nothing of the check's life changes: a ping is a ping, whichever address it came to.
    """
    lasting = overlap(overlap_s)
    found = locked(tx, pid, check_uuid, rev)
    if seen is not None and seen != found.row.ping_uuid:
        raise ChangedMeanwhileError("the ping address has been changed since you opened the page")
    of_check = (addresses.c.pid == pid, addresses.c.check_id == found.id)
    so_far, ping_uuid, until = found.row.ping_uuid, str(uuid.uuid4()), at + lasting if lasting else None
    ending = addresses.c.key != so_far if until is not None else sa.true()
    tx.conn.execute(sa.delete(addresses).where(*of_check, ending))
    tx.conn.execute(sa.update(addresses).where(*of_check).values(until=until))
    tx.conn.execute(sa.insert(addresses).values(key=ping_uuid, kind="uuid", pid=pid, check_id=found.id, until=None))
    tx.conn.execute(
        sa.update(checks)
        .where(checks.c.pid == pid, checks.c.id == found.id)
        .values(ping_uuid=ping_uuid, old_ping_until=until, rev=found.check.rev + 1, updated_at=at)
    )
    audit(
        tx, pid, actor=actor, action=Action.CHECK_ROTATE_PING_URL, of=f"check:{found.row.uuid}",
        before={}, after={"old_ping_url_until": until}, at=at, ids=ids,
    )  # fmt: skip
