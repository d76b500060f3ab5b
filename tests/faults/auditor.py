"""What the clients were answered, what the receiver got and what the database holds, compared: six promises.

    A1  every acknowledged ping is there, once, as it was said
    A2  every flip that was due is there, once
    A3  each flip that people hear of came to each channel that hears of it
    A4  what came more than once came under one id, and said that it might have
    A5  no flip contradicts a ping that was acknowledged
    A6  what is counted is what there is to count

The three know nothing of one another. Which flips are due is told anew in lives.py, of one server; where several nodes
hear at once, a signal may overtake another: there flips are held against the signals of their own instants.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import flip_key
from heartfly.db.models import (
    alerts,
    attempts,
    blind_intervals,
    channels,
    check_channels,
    check_days,
    checks,
    deliveries,
    flips,
    incidents,
    notifications,
    pings,
    runs,
)
from heartfly.db.types import micros
from tests.faults.clients import SECOND, Load, at
from tests.faults.lives import SILENCE, Heard, Replay, SeenFlip, Span, Times
from tests.notify.receivers import HttpReceiver, Request
from tests.server_process import Server

CLOCKS = 50_000
"""Microseconds by which the client's word on when a ping was under way and the server's on when it came may differ."""
HELD = 2 * SECOND
"""A ping that is under way for longer holds nobody's alarm back, and takes it back when it has arrived."""


def audit(server: Server, load: Load, receiver: HttpReceiver, seed: int, *, alive: Alive | None = None) -> Counter[str]:
    """Hold all six, or as much of them as several nodes leave. `alive`: of the one server that there was.

    Returns what was looked at, by its name.
    """
    auditor = Auditor(Database.of(server), load, receiver.requests, alive)
    found = list(auditor.faults())
    assert not found, "\n".join([f"seed={seed}: {len(found)} promises are broken", *found[:20]])
    return auditor.figures


@dataclass(frozen=True, slots=True)
class Alive:
    """When the only server was: from its first answer to the kill. `patience`: see lives.Times; `end`: of the last."""

    lives: Sequence[Span]
    patience: int
    end: int


@dataclass(frozen=True)
class Database:
    """All rows that the promises speak of."""

    rows: dict[str, list[Any]]

    @classmethod
    def of(cls, server: Server) -> Database:
        url = server.settings.get("DATABASE__URL") or f"sqlite:///{server.folder}/heartfly-data/heartfly.db"
        engine = sa.create_engine(url)
        try:
            with engine.connect() as connection:
                return cls({table.name: list(connection.execute(sa.select(table))) for table in _TABLES})
        finally:
            engine.dispose()

    def of_checks(self, table: str, order: str) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {row.id: [] for row in self.rows["checks"]}
        for row in sorted(self.rows[table], key=lambda row: getattr(row, order)):
            found[row.check_id].append(row)
        return found


_TABLES = (
    *(alerts, attempts, blind_intervals, channels, check_channels, check_days, checks),
    *(deliveries, flips, incidents, notifications, pings, runs),
)


@dataclass
class Auditor:
    database: Database
    load: Load
    requests: Sequence[Request]
    alive: Alive | None
    figures: Counter[str] = field(default_factory=Counter)

    def faults(self) -> Iterator[str]:
        """Each in a sentence that begins with the promise."""
        rows = self.database.rows
        self.heard = self.database.of_checks("pings", "n")
        self.flips = self.database.of_checks("flips", "flip_no")
        self.checks = [row for row in rows["checks"] if row.job is None]
        yield from self._acknowledged()
        for check in self.checks:
            yield from self._chain(check)
            yield from self._explained(check)
            yield from self._counted(check)
            if self.alive is not None and (job := self.load.jobs.get(_path(check))) is not None:
                yield from self._lived(check, job, self.alive)
        yield from self._told()
        yield from self._arrived()
        yield from self._outbox()

    # --- A1

    def _acknowledged(self) -> Iterator[str]:
        stored: dict[tuple[str, str], list[Any]] = defaultdict(list)
        paths = {row.id: _path(row) for row in self.checks}
        for row in self.database.rows["pings"]:
            stored[row.rid, row.kind].append(row)
        for (rid, kind), said in self.load.said.items():
            there = stored.pop((rid, kind), [])
            if said.answered_at is None and not there:
                continue
            self.figures["acknowledged"] += said.answered_at is not None
            self.figures["stored, but not acknowledged"] += said.answered_at is None
            if len(there) != 1:
                yield f"A1: an acknowledged ping is there {len(there)} times: {rid} {said}"
                continue
            (row,) = there
            if (paths.get(row.check_id), row.exit_status or None) != (said.path, said.exit_status):
                yield f"A1: a ping is not there as it was said: {row} {said}"
            received, latest = micros(row.received_at), said.answered_at
            if received < said.sent_at - CLOCKS or (latest is not None and received > latest + CLOCKS):
                yield f"A1: a ping came before it was sent, or after it was answered: {row} {said}"
        for (rid, kind), there in stored.items():
            if paths.get(there[0].check_id) in self.load.jobs:
                yield f"A1: a ping is there that nobody sent: {kind} {rid}"

    # --- A2 and A5

    def _chain(self, check: Any) -> Iterator[str]:
        status = "new"
        for number, row in enumerate(self.flips[check.id], 1):
            if (row.flip_no, row.from_status) != (number, status) or row.to_status == status:
                yield f"A2: {check.name}: a flip is missing before {row}"
            status = row.to_status
        self.figures["flips"] += len(self.flips[check.id])

    def _explained(self, check: Any) -> Iterator[str]:
        """Each flip by a signal of its own instant, and no silence that an acknowledged ping broke."""
        at_of: dict[int, set[str]] = defaultdict(set)
        for row in self.heard[check.id]:
            at_of[micros(row.received_at)].add("exit_status" if row.exit_status else row.kind)
        ends = sorted(
            (said.sent_at, said.answered_at)
            for said in self.load.said.values()
            if said.path == _path(check) and said.kind in {"success", "fail"} and said.answered_at is not None
        )
        taken_back = {row.retracts_flip_no for row in self.flips[check.id]}
        for row in self.flips[check.id]:
            when = micros(row.at)
            if row.reason in {"success", "fail", "exit_status"} and row.reason not in at_of[when]:
                yield f"A5: {check.name}: nobody said {row.reason} at {row.at}"
            if row.reason not in {"missed", "missed_twice_unverified"} or row.flip_no in taken_back:
                continue
            opens = when - SECOND * (check.period_s + check.grace_s)
            broken = [sent for sent, answered in ends if sent > opens and answered < when]
            self.figures["silences told"] += 1
            if broken and check.max_run_s is None:
                yield f"A5: {check.name} was silent at {row.at}, but a ping of {broken[-1]} was acknowledged"

    def _lived(self, check: Any, job: Any, alive: Alive) -> Iterator[str]:
        rows = self.heard[check.id]
        if [(row.received_at, row.seq) for row in rows] != sorted((row.received_at, row.seq) for row in rows):
            yield f"A5: {check.name}: pings were not taken in the order in which they came"
            return
        heard = [Heard(micros(row.received_at), *self._said(row)) for row in rows]
        seen, taken_back = _without_those_taken_back([_seen(row) for row in self.flips[check.id]])
        self.figures["alarms taken back"] += len(taken_back)
        for flip in taken_back:
            if not any(one.received < flip.at < one.arrived for one in self._slow(check)):
                yield f"A5: {check.name}: an alarm was taken back without a slow ping: {flip}"
        blind = sorted(
            ((micros(row.from_at), micros(row.to_at)) for row in self.database.rows["blind_intervals"]),
            key=lambda span: span[1],
        )
        times = Times(alive.lives, blind, alive.patience, alive.end)
        mine = [row for row in self.database.rows["runs"] if row.check_id == check.id]
        ended: dict[str, set[str]] = defaultdict(set)
        for row in mine:
            if row.rid is not None and row.outcome is not None:
                ended[row.rid].add(row.outcome)
        told = Replay(job, seen, times, created=micros(check.created_at), outcomes=ended).told(heard)
        self.figures["deadlines judged"] += told.n_due
        self.figures[f"alarms of what was {job.way}"] += sum(flip.to_status == "down" for flip in seen)
        if told.wrong:
            yield f"{told.wrong} ({check.name})"
            return
        outcomes: Counter[str] = Counter(row.outcome for row in mine)
        n_open = outcomes.pop(None, 0)  # type: ignore[call-overload]
        self.figures["runs unverified"] += outcomes["unverified"]
        if outcomes not in told.tallies:
            wanted = [dict(one) for one in told.tallies]
            yield f"A6: {check.name}: its runs ended {dict(outcomes)}, but should have {wanted}"
        if n_open != check.n_open_runs:
            yield f"A6: {check.name}: {check.n_open_runs} open runs were counted, there are {n_open}"

    def _said(self, row: Any) -> tuple[str, str, int | None]:
        """By its client; of what nobody acknowledged or sent, by the row."""
        said = self.load.said.get((row.rid, row.kind))
        return (row.kind, row.rid, row.exit_status) if said is None else (said.kind, row.rid, said.exit_status)

    def _slow(self, check: Any) -> Iterator[_Slow]:
        for row in self.heard[check.id]:
            said = self.load.said.get((row.rid, row.kind))
            if said is not None and (said.answered_at is None or said.answered_at - said.sent_at > HELD - CLOCKS):
                yield _Slow(micros(row.received_at), said.answered_at or self._end)

    @property
    def _end(self) -> int:
        return 0 if self.alive is None else self.alive.end

    # --- A3 and A4

    def _told(self) -> Iterator[str]:
        """By what arrived alone: each flip that people hear of, at each channel that hears of its check."""
        hears: dict[int, set[str]] = defaultdict(set)
        names = {row.id: row.name for row in self.database.rows["channels"]}
        for row in self.database.rows["check_channels"]:
            hears[row.check_id].add(names[row.channel_id])
        came: dict[tuple[str, str, int, str], set[str]] = defaultdict(set)
        for request in self.requests:
            event = json.loads(request.body)
            if event["check"] is not None:
                for change in (event, *event["earlier"]):
                    where = (request.target[1:], event["check"]["id"], at(change["at"]), change["type"])
                    came[where].add(request.headers["webhook-id"])
        for check in self.checks:
            found = self.flips[check.id]
            # Nodes' clocks differ: a check may go up twice at what is one instant in the end.
            alike = Counter((row.at, row.to_status) for row in found)
            for row, after in zip_longest(found, found[1:]):
                if not _is_told(row) or (after is not None and _came_late(row, after)):
                    continue
                for channel in hears[check.id]:
                    ids = came[channel, check.uuid, micros(row.at), f"check.{row.to_status}"]
                    self.figures["flips told to a channel"] += 1
                    if not ids:
                        yield f"A3: {channel} never heard of {check.name}: {row}"
                    if len(ids) > alike[row.at, row.to_status]:
                        yield f"A4: {channel} heard of one flip of {check.name} under {len(ids)} ids: {row}"

    def _arrived(self) -> Iterator[str]:
        arrived: dict[str, list[bool]] = defaultdict(list)
        for request in self.requests:
            flagged = bool(json.loads(request.body)["possible_duplicate"])
            arrived[request.headers["webhook-id"]].append(flagged)
        sent = {row.id for row in self.database.rows["deliveries"] if row.state == "sent"}
        if sent != arrived.keys():
            never, unknown = len(sent - arrived.keys()), len(arrived.keys() - sent)
            yield f"A3: {never} were recorded as sent but never came, {unknown} came but were not"
        for delivery, flags in arrived.items():
            self.figures["told again, and said so"] += len(flags) - 1
            if not all(flags[1:]):
                yield f"A4: the same alert came {len(flags)} times without a word: {delivery}"
        tries = Counter(row.delivery_id for row in self.database.rows["attempts"])
        for row in self.database.rows["deliveries"]:
            if not len(arrived[row.id]) <= row.attempt:
                yield f"A6: {row.id} came {len(arrived[row.id])} times in {row.attempt} tries"
            if tries[row.id] != row.attempt:
                yield f"A6: {row.id} was tried {row.attempt} times, of which {tries[row.id]} are told"

    def _outbox(self) -> Iterator[str]:
        told = Counter(row.key for row in self.database.rows["alerts"])
        key_of = {row.id: row.key for row in self.database.rows["alerts"]}
        copies = Counter(key_of[row.alert_id] for row in self.database.rows["notifications"])
        states = Counter(row.state for row in self.database.rows["notifications"])
        if states.keys() - {"sent"}:
            yield f"A3: not all was sent: {states}"
        n_hear = Counter(row.check_id for row in self.database.rows["check_channels"])
        wanted = set()
        for check in self.checks:
            found = self.flips[check.id]
            for row, after in zip_longest(found, found[1:]):
                if not _is_told(row):
                    continue
                key = flip_key(check.id, row.flip_no)
                wanted.add(key)
                # A failure that arrived after a newer success is told with it, as one message.
                if not told[key] and (after is None or not _came_late(row, after)):
                    yield f"A3: nobody is told of {check.name}: {row}"
                if told[key] and copies[key] != n_hear[check.id]:
                    yield f"A6: {copies[key]} notifications of one alert for {n_hear[check.id]} channels: {row}"
        if extra := {key for key in told if key.startswith("flip:")} - wanted:
            yield f"A5: what was told is no flip: {sorted(extra)}"

    # --- A6

    def _counted(self, check: Any) -> Iterator[str]:
        found, heard = self.flips[check.id], self.heard[check.id]
        if (check.n_pings, [row.n for row in heard]) != (len(heard), list(range(1, len(heard) + 1))):
            yield f"A6: {check.name}: {check.n_pings} pings were counted, there are {len(heard)}"
        last = found[-1] if found else None
        if last is not None and (check.flip_no, check.status) != (len(found), last.to_status):
            yield f"A6: {check.name}: flip {check.flip_no} made it {check.status}, but the last is {last}"
        n_down = sum(row.to_status == "down" for row in found)
        n_incidents = sum(row.source_id == check.id for row in self.database.rows["incidents"])
        if n_down != n_incidents:
            yield f"A6: {check.name}: it went down {n_down} times, in {n_incidents} incidents"
        yield from self._days(check)

    def _days(self, check: Any) -> Iterator[str]:
        """If they were summed up: all that ended, in one of them; and the times of all statuses are all the time."""
        days = [row for row in self.database.rows["check_days"] if row.check_id == check.id]
        if not days:
            return
        outcomes = Counter(row.outcome for row in self.database.rows["runs"] if row.check_id == check.id)
        ended = (
            outcomes["ok"] + outcomes["degraded"], outcomes["failed"] + outcomes["hung"],
            outcomes["missed"], outcomes["unverified"],
        )  # fmt: skip
        counted = tuple(sum(getattr(day, name) for day in days) for name in _COUNTS)
        if ended != counted:
            yield f"A6: {check.name}: its days count {counted} runs, but they ended {ended}"
        down = sum(
            (min(micros(after.at), self._last(days)) if after is not None else self._last(days)) - micros(row.at)
            for row, after in zip_longest(self.flips[check.id], self.flips[check.id][1:])
            if row.to_status == "down" and row.flip_no not in {one.retracts_flip_no for one in self.flips[check.id]}
        )
        if abs(sum(day.down_s for day in days) - down / SECOND) > len(days):
            yield f"A6: {check.name}: its days were down for {[day.down_s for day in days]} s, not {down / SECOND:.1f}"
        began = self.flips[check.id][0].at if self.flips[check.id] else days[-1].to_at
        all_s, whole = sum(day.up_s + day.down_s + day.blind_s for day in days), self._last(days) - micros(began)
        if abs(all_s - whole / SECOND) > 3 * len(days):
            yield f"A6: {check.name}: its days tell of {all_s} s, of {whole / SECOND:.1f}"
        self.figures["days summed up"] += len(days)

    @staticmethod
    def _last(days: Sequence[Any]) -> int:
        return micros(max(day.to_at for day in days))


_COUNTS = ("n_ok", "n_failed", "n_missed", "n_unverified")


@dataclass(frozen=True, slots=True)
class _Slow:
    received: int
    arrived: int


def _path(check: Any) -> str:
    return f"/ping/{check.ping_uuid}"


def _seen(row: Any) -> SeenFlip:
    return SeenFlip(row.flip_no, row.from_status, row.to_status, micros(row.at), row.reason, row.retracts_flip_no)


def _without_those_taken_back(found: Sequence[SeenFlip]) -> tuple[list[SeenFlip], list[SeenFlip]]:
    gone = {flip.retracts for flip in found if flip.retracts is not None}
    kept = [flip for flip in found if flip.flip_no not in gone and flip.retracts is None]
    return kept, [flip for flip in found if flip.flip_no in gone and flip.reason in SILENCE]


def _is_told(flip: Any) -> bool:
    if flip.from_status == "new":
        return flip.to_status in {"down", "degraded"}
    return bool(flip.to_status != "new")


def _came_late(down: Any, up: Any) -> bool:
    return bool(down.to_status == up.from_status == "down" and down.run_id is not None and down.run_id == up.run_id)
