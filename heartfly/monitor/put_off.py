"""A check that cannot be judged, whatever is wrong with it: left as it is, told of, and looked at again in an hour.

Rules that raise are core/check.py's and the judge's to meet. Here something raised beside them: its row cannot be read,
or what came of it cannot be worded or written. It must keep no other check from its turn.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.checks.flips import names_of, source_of
from heartfly.core.alerts import Alert, CheckFacts
from heartfly.core.check import SCHEDULE_RETRY
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import checks
from heartfly.logs import logger
from heartfly.notify.outbox import Entry, enqueue

log = logger("heartfly.monitor")

_NAMED = [checks.c[name] for name in ("uuid", "name", "slug", "grace_s", "schedule_error_at")]


def put_off(tx: Tx, pid: int, check_id: int, *, error: str, ids: IdSource, now: datetime) -> bool:
    """Its owner is told once, until it could be judged again. False: it is gone."""
    this = (checks.c.pid == pid, checks.c.id == check_id)
    row = tx.conn.execute(sa.select(*_NAMED).where(*this)).first()
    if row is None:
        return False
    since = row.schedule_error_at or now
    values = {"schedule_error": error, "schedule_error_at": since, "wake_at": now + SCHEDULE_RETRY}
    tx.conn.execute(sa.update(checks).where(*this).values(values | {"rev": checks.c.rev + 1}))
    tx.changes.wake(now + SCHEDULE_RETRY)
    log.error("check", check=row.uuid, error=error, next="looked at again in an hour")
    if row.schedule_error_at is None:
        _tell(tx, pid, check_id, row, error=error, ids=ids, now=now)
    return True


def _tell(tx: Tx, pid: int, check_id: int, row: Any, *, error: str, ids: IdSource, now: datetime) -> None:
    """In few words: of the rest of its row it is not known what can be read."""
    slug, name = names_of(tx, {pid})[pid]
    facts = CheckFacts(
        uuid=row.uuid, name=row.name, slug=row.slug, schedule="it could not be read", grace_s=float(row.grace_s)
    )
    alert = Alert(
        key=f"schedule_error:{check_id}:{now.isoformat()}",
        kind=AlertKind.SCHEDULE_ERROR,
        project_slug=slug,
        project_name=name,
        at=now,
        decided_at=now,
        check=facts,
        explain=f"It cannot be judged: {error}",
    )
    enqueue(tx, [Entry(pid=pid, source=source_of(check_id), alert=alert, check_ids=(check_id,))], ids=ids, now=now)
