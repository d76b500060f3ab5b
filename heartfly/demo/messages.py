"""Incidents and alerts of the demo's past, and how each was delivered: by the rules of alerts and of retries.

Two of its three channels answer, of which one has been struggling for a while; the third is gone for days.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Row

from heartfly.checks.digests import digest_of, slot_of
from heartfly.checks.flips import Flipped, Taken, Telling, flip_row
from heartfly.checks.wording import schedule_words
from heartfly.core.alerts import Alert, ChannelFacts, UnverifiedSlot
from heartfly.core.explain import explain
from heartfly.core.retry import outlasts_patience, retry_at
from heartfly.core.values import Blind
from heartfly.core.words import AlertKind
from heartfly.db.ids import IdSource
from heartfly.incidents.spans import FlipKey, Incident, Span, Turn, touches_down
from heartfly.notify.outbox import DEFAULT_EVENTS, Entry, alert_row
from heartfly.notify.pack import delivery_id

_SOON = timedelta(milliseconds=300)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver answers at an instant. `error` empty: it took the message."""

    code: int | None
    reply: str
    error: str = ""
    permanent: bool = False
    took_s: float = 0.4


@dataclass(slots=True, kw_only=True)
class Receiver:
    """A channel of the demo and what is known of its trouble. `check_ids`: whose alerts it hears."""

    id: int
    uuid: str
    kind: str
    name: str
    config: dict[str, Any]
    check_ids: frozenset[int]
    away_since: datetime | None = None
    away: Reply | None = None
    retrying_since: datetime | None = None
    failing_since: datetime | None = None
    told_at: datetime | None = None
    last_error: str | None = None

    def answers(self, at: datetime, chance: Random) -> Reply:
        if self.away is not None and self.away_since is not None and at >= self.away_since:
            return self.away
        if chance.random() < 0.02:
            return Reply(503, "busy", "the receiver answered 503: busy", took_s=1.2)
        took_s = round(chance.uniform(0.12, 0.9), 3)
        return (
            Reply(250, "2.0.0 Ok: queued", took_s=took_s) if self.kind == "email" else Reply(200, "ok", took_s=took_s)
        )


@dataclass(slots=True)
class Told:
    """Rows, by table."""

    flips: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    notifications: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)


class Teller:
    def __init__(
        self,
        *,
        pid: int,
        project: tuple[str, str],
        receivers: Sequence[Receiver],
        now: datetime,
        chance: Random,
    ) -> None:
        """`project`: its slug and its name."""
        self._pid, self._project, self._receivers = pid, project, receivers
        self._now, self._chance = now, chance
        self._alert_ids, self._incident_ids = IdSource(0), IdSource(1)
        self._open: dict[int, Span] = {}
        self._digested: set[int] = set()
        self.told = Told()

    def tell(self, turns: Sequence[tuple[datetime, Taken]]) -> Told:
        turns = sorted(turns, key=lambda turn: (turn[0], turn[1].stored.id))
        excused = _excused(turns)
        for at, taken in turns:
            for entry in self._entries(at, taken, excused):
                self._send(entry, at)
        self.told.incidents += [_row(span) for span in self._open.values()]
        self.told.incidents.sort(key=lambda row: row["id"])
        return self.told

    def _entries(self, at: datetime, taken: Taken, excused: dict[Blind, dict[Any, Any]]) -> Iterator[Entry]:
        flipped, telling = self._flips(at, taken), Telling(taken, *self._project, now=at)
        for flip in taken.step.flips:
            if flip.tell is not None:
                yield telling.flipped(flip, flipped)
        for one in taken.step.unverified:
            if one.blind.id not in self._digested:
                self._digested.add(one.blind.id)
                key = f"unverified:{self._pid}:{one.blind.id}"
                yield digest_of(self._pid, key, one.blind, excused[one.blind], project=self._project, now=at)

    def _flips(self, at: datetime, taken: Taken) -> Flipped:
        stored = taken.stored
        why: dict[FlipKey, str] = {}
        found: dict[FlipKey, Incident] = {}
        for flip in taken.step.flips:
            key = (stored.id, flip.flip_no)
            why[key] = explain(flip, taken.before, schedule=schedule_words(stored.row))
            if touches_down(flip):
                span = self._open.pop(stored.id, None)
                if span is not None:
                    span.end(flip)
                    self.told.incidents.append(_row(span))
                else:
                    turn = Turn(
                        pid=self._pid, check_id=stored.id, check_uuid=stored.row.uuid,
                        check_name=stored.row.name, flip=flip, explain=why[key],
                    )  # fmt: skip
                    span = Span(self._pid, self._incident(at), flip.at, turn)
                    self._open[stored.id] = span
                found[key] = span.incident
            self.told.flips.append(flip_row(stored, flip, found.get(key), at))
        return Flipped(why, found)

    def _incident(self, at: datetime) -> Incident:
        return Incident(self._incident_ids.next(at), str(uuid.UUID(int=self._chance.getrandbits(128), version=4)))

    # --- deliveries

    def _send(self, entry: Entry, at: datetime) -> None:
        hearing = [one for one in self._receivers if one.id in entry.channel_ids]
        if entry.check_ids and entry.alert.kind in DEFAULT_EVENTS:
            hearing += [one for one in self._receivers if one.check_ids.intersection(entry.check_ids)]
        if not hearing:
            return
        alert_id = self._alert_ids.next(at)
        self.told.alerts.append(alert_row(entry, alert_id))
        news = [self._deliver(one, alert_id, entry.source, at) for one in hearing]
        for failing in news:
            if failing is not None:
                self._send(failing, failing.alert.at)

    def deliver(self, waiting: Sequence[Row[Any]]) -> Told:
        """`waiting`: notifications that were written in the past, and are not sent yet."""
        by_id = {one.id: one for one in self._receivers}
        for row in waiting:
            self._deliver(by_id[row.channel_id], row.alert_id, row.source, row.created_at)
        return self.told

    def _deliver(self, to: Receiver, alert_id: int, source: str, at: datetime) -> Entry | None:
        """Try until it arrived, is given up, or the present is reached. Returns the news of a channel that fails."""
        named = delivery_id(to.id, alert_id)
        attempt, begins, state, news = 0, at + _SOON, "pending", None
        ended: datetime | None = None
        while begins <= self._now and state == "pending":
            attempt += 1
            reply = to.answers(begins, self._chance)
            ended = begins + timedelta(seconds=reply.took_s)
            again = None
            if reply.error:
                again = retry_at(attempt, failed_at=ended, permanent=reply.permanent, retry_after_s=None, jitter=0.5)
                news = self._stumbles(to, reply.error, ended, given_up=again is None) or news
            else:
                to.retrying_since = to.failing_since = to.told_at = to.last_error = None
            self.told.attempts.append(
                {
                    "delivery_id": named, "attempt": attempt, "pid": self._pid, "started_at": begins,
                    "ended_at": ended, "code": reply.code, "reply": reply.reply or None,
                    "error": reply.error or None, "retry_at": again,
                }
            )  # fmt: skip
            if again is not None:
                begins = again
            else:
                state = "failed" if reply.error else "sent"
        done_at = ended if state != "pending" else None
        self.told.deliveries.append(
            {
                "id": named, "pid": self._pid, "channel_id": to.id, "state": state,
                "next_at": begins if state == "pending" else None, "attempt": attempt, "attempts_before": None,
                "lease_until": None, "node_id": None, "possible_duplicate": False, "created_at": at + _SOON,
                "done_at": done_at,
            }
        )  # fmt: skip
        self.told.notifications.append(
            {
                "pid": self._pid, "alert_id": alert_id, "channel_id": to.id, "source": source, "state": state,
                "delivery_id": named, "created_at": at, "done_at": done_at, "why": None, "held_by": None,
                "held_until": None,
            }
        )  # fmt: skip
        return news

    def _stumbles(self, to: Receiver, error: str, at: datetime, *, given_up: bool) -> Entry | None:
        to.retrying_since, to.last_error = to.retrying_since or at, error
        if given_up:
            to.failing_since = to.failing_since or at
        lasts = outlasts_patience(since=to.retrying_since, failed_at=at, retry_after_s=None)
        if to.told_at is not None or not (given_up or lasts):
            return None
        able = [one.id for one in self._receivers if one.retrying_since is None]
        if not able:
            return None
        to.told_at = at
        n_failed = int(given_up)
        facts = ChannelFacts(
            uuid=to.uuid, name=to.name, kind=to.kind, error=error, n_failed=n_failed, n_waiting=1 - n_failed
        )
        alert = Alert(
            key=f"channel_failing:{to.id}:{at.isoformat()}",
            kind=AlertKind.CHANNEL_FAILING,
            project_slug=self._project[0],
            project_name=self._project[1],
            at=at,
            decided_at=at,
            channel=facts,
        )
        return Entry(pid=self._pid, source=f"channel:{to.id}", alert=alert, channel_ids=able)


def _row(span: Span) -> dict[str, Any]:
    assert span.turn is not None
    return span.whole_row(span.turn)


def _excused(turns: Sequence[tuple[datetime, Taken]]) -> dict[Blind, dict[Any, tuple[int, UnverifiedSlot]]]:
    found: dict[Blind, dict[Any, tuple[int, UnverifiedSlot]]] = {}
    for _, taken in turns:
        for one in taken.step.unverified:
            row = taken.stored.row
            slots = found.setdefault(one.blind, {})
            slots[row.uuid, one.from_at] = (taken.stored.id, slot_of(row, one.from_at, one.to_at))
    return found
