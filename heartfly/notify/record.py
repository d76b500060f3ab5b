"""Records how tries ended: the attempt, the delivery and its notifications, in one transaction.

Fenced: whoever's lease was taken over changes nothing, for somebody else sends the delivery now. When to
try again is core/retry.py's, whom to tell of a failure failing.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from heartfly.core.retry import retry_at
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import attempts, channels, deliveries, notifications
from heartfly.db.prepared import Prepared, among
from heartfly.notify.channels.base import PATIENCE
from heartfly.notify.failing import FailedTry, give_up, stumble, works_again
from heartfly.notify.work import Claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """`ambiguous`: it may have arrived all the same. `wish_s`: the receiver's own Retry-After."""

    error: str
    permanent: bool = False
    ambiguous: bool = False
    wish_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one try ended. `is_test`: whoever asked for it waits for the answer, so there is no other try."""

    claimed: Claimed
    started_at: datetime
    ended_at: datetime
    code: int | None = None
    reply: str = ""
    failure: Failure | None = None
    is_test: bool = False
    jitter: float = 0.5

    @property
    def retry_at(self) -> datetime | None:
        if self.failure is None:
            return None
        return retry_at(
            self.claimed.attempt - self.claimed.attempts_before,
            failed_at=self.ended_at,
            permanent=self.failure.permanent or self.is_test,
            retry_after_s=self.failure.wish_s,
            jitter=self.jitter,
        )


class Trouble(StrEnum):
    """Why a try is made again, for who looks after Heartfly: a fault of the receiver, or of the way to it."""

    BUSY = "busy"
    """The receiver asks for patience: 408, 409, 425, 429."""
    REFUSED = "refused"
    """It, or the mail server, has a fault of its own: 5xx, or 4xx of a mail server."""
    UNANSWERED = "unanswered"
    """It may have arrived, and nobody said so."""
    UNREACHABLE = "unreachable"
    """It never left: no address, no connection, no certificate that holds."""


def trouble_of(outcome: Outcome) -> Trouble | None:
    """None: it arrived, or is not tried again."""
    if outcome.failure is None or outcome.retry_at is None:
        return None
    if outcome.code is not None:
        return Trouble.BUSY if outcome.code in PATIENCE else Trouble.REFUSED
    return Trouble.UNANSWERED if outcome.failure.ambiguous else Trouble.UNREACHABLE


def record(tx: Tx, outcomes: Sequence[Outcome], *, node_id: int, ids: IdSource) -> list[bool]:
    """Tell of each outcome whether it counted; False: its lease had been taken over, or the channel is gone."""
    _lock_failing(tx, outcomes)
    held = _held(tx, outcomes, node_id)
    counting = [one for one in outcomes if held.get(one.claimed.id) == one.claimed.attempt]
    if counting:
        _TRIED.follow(tx, [_attempt_row(one) for one in counting])
        _arrived(tx, [one for one in counting if one.failure is None])
        failed = [(one, _failed_try(one, one.failure)) for one in counting if one.failure is not None]
        _try_again(tx, [one for one, _ in failed if one.retry_at is not None])
        give_up(tx, [its for one, its in failed if one.retry_at is None], ids=ids)
        stumble(tx, [its for one, its in failed if one.retry_at is not None], ids=ids)
    return [held.get(one.claimed.id) == one.claimed.attempt for one in outcomes]


def _lock_failing(tx: Tx, outcomes: Sequence[Outcome]) -> None:
    """Channels before their deliveries, in the order of ids: so do all who hold both, and none waits in a circle."""
    failing = {one.claimed.channel.id for one in outcomes if one.failure is not None}
    if tx.on_postgres and failing:
        pids = {one.claimed.pid for one in outcomes}
        query = sa.select(channels.c.id).where(channels.c.pid.in_(pids), channels.c.id.in_(failing))
        tx.conn.execute(query.order_by(channels.c.id).with_for_update(key_share=True))


def _held(tx: Tx, outcomes: Sequence[Outcome], node_id: int) -> dict[str, int]:
    """The deliveries that this node still has a lease on, with the attempt that it is for."""
    rows = _HELD.rows(tx, ids=[one.claimed.id for one in outcomes])
    return {row.id: row.attempt for row in rows if row.state == "pending" and row.node_id == node_id}


def _select_held(tx: Tx) -> sa.Select[Any]:
    """By their ids alone: see PENDING in outbox.py."""
    d = deliveries.c
    query = sa.select(d.id, d.attempt, d.state, d.node_id).where(among(tx, d.id, "ids")).order_by(d.id)
    return query.with_for_update() if tx.on_postgres else query


def _attempt_row(one: Outcome) -> dict[str, Any]:
    return {
        "delivery_id": one.claimed.id,
        "attempt": one.claimed.attempt,
        "pid": one.claimed.pid,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "code": one.code,
        "reply": one.reply or None,
        "error": one.failure.error if one.failure is not None else None,
        "retry_at": one.retry_at,
    }


def _arrived(tx: Tx, arrived: Sequence[Outcome]) -> None:
    if not arrived:
        return
    values = [{"of": one.claimed.id, "at": one.ended_at} for one in arrived]
    _SENT.follow(tx, values)
    _CARRIED.follow(tx, values)
    works_again(tx, {(one.claimed.pid, one.claimed.channel.id) for one in arrived})


_HELD = Prepared(_select_held)
_TRIED = Prepared(lambda _: sa.insert(attempts))
_ENDED = {"state": "sent", "done_at": sa.bindparam("at")}
_SENT = Prepared(
    lambda _: (
        sa.update(deliveries)
        .where(deliveries.c.id == sa.bindparam("of"))
        .values(_ENDED | {"next_at": None, "lease_until": None, "node_id": None})
    ),
    apart=True,
)
_CARRIED = Prepared(
    lambda _: sa.update(notifications).where(notifications.c.delivery_id == sa.bindparam("of")).values(_ENDED),
    apart=True,
)


def _try_again(tx: Tx, failed: Sequence[Outcome]) -> None:
    for one in failed:
        waiting = {"next_at": one.retry_at, "lease_until": None, "node_id": None}
        doubt = {"possible_duplicate": True} if one.failure is not None and one.failure.ambiguous else {}
        tx.conn.execute(sa.update(deliveries).where(deliveries.c.id == one.claimed.id).values(waiting | doubt))


def _failed_try(one: Outcome, failure: Failure) -> FailedTry:
    return FailedTry(
        delivery_id=one.claimed.id,
        pid=one.claimed.pid,
        channel_id=one.claimed.channel.id,
        error=failure.error,
        at=one.ended_at,
        wish_s=failure.wish_s,
        quiet=one.is_test,
    )
