"""What follows from a restore, written into the database in one transaction, before anybody serves it.

Whoever served the copy that the backup was taken of may have gone on: what it heard and told since is unknown here.
So nobody is alarmed for it (the monitor makes a blind interval of all that time when the next process joins), and
what may have been told is told again only as a possible duplicate, under the same id. Why: docs/decisions/0016.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.instance import ALIVE, Identity, begin_epoch
from heartfly.db.models import (
    checks,
    deliveries,
    email_changes,
    incident_shares,
    nodes,
    notifications,
    report_shares,
    resets,
    sessions,
)
from heartfly.notify.outbox import PENDING


def mark(tx: Tx, *, at: datetime, backup_at: datetime | None = None) -> Identity:
    """`backup_at`: up to when the backup knows; None: up to its last beat."""
    heard = _heard_through(tx)
    _excuse_once_more(tx)
    repeats_through = _flag_repeats(tx)
    # Who was signed out since, or has a new password, would be in again; so would whoever has a link that was used;
    # and one to an incident or a report that was taken back would show it again.
    tx.conn.execute(sa.delete(sessions))
    tx.conn.execute(sa.delete(resets))
    tx.conn.execute(sa.delete(email_changes))
    tx.conn.execute(sa.delete(incident_shares))
    tx.conn.execute(sa.delete(report_shares))
    return begin_epoch(tx, at=at, backup_at=backup_at or heard or at, repeats_through=repeats_through)


def _heard_through(tx: Tx) -> datetime | None:
    """Put back up to when all was heard, to where the first deadline was due and not judged yet.

    The copy that went on has judged it, and told of it: judged here, it would be told a second time under another id.
    Of several nodes that were alive the slowest counts.
    """
    last_life = nodes.c.fenced_at.is_(None)
    newest = tx.conn.execute(sa.select(sa.func.max(nodes.c.heard_through)).where(last_life)).scalar()
    if newest is None:
        return None
    alive = sa.and_(last_life, nodes.c.left_at.is_(None), nodes.c.beat_at > newest - ALIVE)
    slowest = tx.conn.execute(sa.select(sa.func.min(nodes.c.heard_through)).where(alive)).scalar()
    due = tx.conn.execute(sa.select(sa.func.min(checks.c.wake_at)).where(checks.c.wake_at.is_not(None))).scalar()
    heard: datetime = min(at for at in (newest, slowest, due) if at is not None)
    tx.conn.execute(sa.update(nodes).where(last_life, nodes.c.heard_through > heard).values(heard_through=heard))
    return heard


def _excuse_once_more(tx: Tx) -> None:
    """A second unverified slot in a row is an alarm, but here nobody knows whether they were in a row."""
    in_row = checks.c.unverified_in_row > 0
    tx.conn.execute(sa.update(checks).where(in_row).values(unverified_in_row=-1, rev=checks.c.rev + 1))


def _flag_repeats(tx: Tx) -> int:
    """What is on its way says that it may be a repeat. Return the newest alert of which somebody has not heard."""
    tx.conn.execute(
        sa.update(deliveries)
        .where(deliveries.c.state == PENDING, deliveries.c.possible_duplicate.is_(False))
        .values(possible_duplicate=True)
    )
    query = sa.select(sa.func.max(notifications.c.alert_id)).where(notifications.c.state == PENDING)
    return tx.conn.execute(query).scalar() or 0
