"""The life of each check of the demo: its signals and its silence, judged by core/check.py as they would have been.

What is told of it, and how that was delivered, is in messages.py.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from random import Random
from types import SimpleNamespace
from typing import Any

from heartfly.checks.facts import Said
from heartfly.checks.flips import Taken
from heartfly.checks.rows import Stored, life_of, rules_of_config, run_values
from heartfly.core.check import after_ping, after_silence, needs_past, pause
from heartfly.core.metrics import of_body
from heartfly.core.values import Blind, Check, Past, Run, Signal, Step
from heartfly.core.words import PingKind, Status
from heartfly.db.ids import IdSource
from heartfly.demo.cast import Part
from heartfly.demo.habits import Beat, beats

NODE = 0
"""Of ids, and of no process that ever runs: what comes later from any other came after."""
HEARD_BY = 1
"""The process that is said to have heard the pings: 0 stands for those that were told of later (core/values.py)."""
JUDGED_AFTER = timedelta(milliseconds=400)
BACK_AGAIN = timedelta(seconds=5)
"""From the end of an outage of our own to when we judge again."""
BODIES_KEPT = timedelta(days=30)


@dataclass(slots=True)
class Life:
    """`later`: what the job sends after now."""

    part: Part
    stored: Stored
    born_at: datetime
    later: Iterator[Beat]
    runs: dict[int, Run] = field(default_factory=dict)
    pings: deque[dict[str, Any]] = field(default_factory=deque)
    bodies: deque[dict[str, Any]] = field(default_factory=deque)
    figures: list[dict[str, Any]] = field(default_factory=list)
    turns: list[tuple[datetime, Taken]] = field(default_factory=list)
    """Steps that flip it, or that are told of, with when each was decided."""

    @property
    def key(self) -> dict[str, int]:
        return {"pid": self.stored.pid, "check_id": self.stored.id}

    def check_row(self) -> dict[str, Any]:
        row: dict[str, Any] = vars(self.stored.row)
        size = {"body_bytes": sum(len(said["body"]) for said in self.bodies)}
        return row | life_of(self.stored.check) | size | {"created_at": self.born_at, "updated_at": self.born_at}

    def run_rows(self) -> list[dict[str, Any]]:
        return [run_values(self.stored, run) for run in self.runs.values()]


def live(
    part: Part, *, pid: int, check_id: int, blind: Sequence[Blind], now: datetime, chance: Random, keep_pings: int
) -> Life:
    """From the birth of the check to now."""
    born_at = now - part.age
    config = part.config
    row = SimpleNamespace(
        **asdict(config) | {"tags": list(config.tags)},
        pid=pid,
        id=check_id,
        uuid=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        ping_uuid=str(uuid.uuid4()),  # a secret: it does not follow from the seed
        slug_key=config.slug,
        wants_late=False,
        wants_success=False,
        heard_host="",
        linked=False,
        job=None,
        old_ping_until=None,
        filters_as_sent=None,
        client_fields=None,
    )
    check = Check(rules=rules_of_config(config), status=Status.NEW, status_since=born_at, rev=1)
    signals = beats(config, part.habit, born_at=born_at, now=now, chance=chance)
    life = Life(part, Stored(row, check, pid, check_id), born_at, signals)
    life.pings, life.bodies = deque(maxlen=keep_pings), deque(maxlen=keep_pings)
    _Fold(life, blind, now).fold()
    return life


class _Fold:
    def __init__(self, life: Life, blind: Sequence[Blind], now: datetime) -> None:
        self._life, self._blind, self._now = life, blind, now
        self._ids = IdSource(NODE)
        self._seq = 0

    def fold(self) -> None:
        life, part = self._life, self._life.part
        until = self._now if part.paused is None else self._now - part.paused
        for beat in life.later:
            if beat.at > until:
                life.later = chain([beat], life.later)
                break
            self._silence(beat.at)
            if not any(gap.from_at <= beat.at <= gap.to_at for gap in self._blind):
                self._hear(beat)
        self._silence(until)
        if part.paused is not None:
            life.later = iter(())
            self._take(pause(life.stored.check, until), until, None)

    def _silence(self, before: datetime) -> None:
        """Judge what fell due before that instant. A ping that comes just then wins."""
        while True:
            check = self._life.stored.check
            if check.wake_at is None or check.wake_at >= before:
                return
            through = check.wake_at
            deaf = next((gap for gap in self._blind if gap.from_at <= through <= gap.to_at), None)
            if deaf is not None:
                through = deaf.to_at + BACK_AGAIN
            if through >= before:
                return
            now = through + JUDGED_AFTER
            step = after_silence(
                check, through=through, blind=self._blind, new_id=partial(self._ids.next, now), now=now
            )
            self._take(step, now, None)

    def _hear(self, beat: Beat) -> None:
        self._seq += 1
        ends = beat.kind is PingKind.SUCCESS or beat.kind is PingKind.FAIL
        figures = of_body(beat.body) if ends and beat.body else {}
        signal = Signal(
            id=self._ids.next(beat.at),
            kind=beat.kind,
            order=(beat.at, HEARD_BY, self._seq),
            exit_status=beat.exit_status,
            metrics=figures,
        )
        before = self._life.stored.check
        step = after_ping(before, signal, past=Past() if needs_past(before, signal) else None)
        self._take(step, beat.at, Said(beat.body, figures))
        self._write(beat, step, figures)

    def _take(self, step: Step, at: datetime, said: Said | None) -> None:
        life = self._life
        before, life.stored.check = life.stored.check, step.check
        for run in step.runs:
            life.runs[run.id] = run
        if step.flips or step.unverified:
            life.turns.append((at, Taken(life.stored, before, step, said)))

    def _write(self, beat: Beat, step: Step, figures: Mapping[str, Any]) -> None:
        life, n = self._life, step.check.n_pings
        run_id = step.run.id if step.run is not None else None
        life.pings.append(
            life.key
            | {
                "n": n,
                "received_at": beat.at,
                "client_at": None,
                "node_id": HEARD_BY,
                "seq": self._seq,
                "kind": (step.kind or beat.kind).value,
                "exit_status": beat.exit_status,
                "rid": None,
                "run_id": run_id,
                "method": "POST" if beat.body else "GET",
                "scheme": "https",
                "remote": "192.0.2.44",
                "agent": "curl/8.11.1",
                "body_size": len(beat.body),
            }
        )
        if beat.body and beat.at > self._now - BODIES_KEPT:
            life.bodies.append(life.key | {"n": n, "body": beat.body})
        if run_id is not None:
            life.figures += [
                life.key | {"name": name, "run_id": run_id, "at": beat.at, "value": value}
                for name, value in figures.items()
            ]
