"""Fills a database: a project with a person in it, checks with their history, incidents, alerts and channels.

The same seed and the same `now` make the same data, but for what is secret: passwords, keys and ping addresses are
made anew each time. Nothing leaves the machine: channels lead to the loopback address, which no channel may call.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
import sqlalchemy as sa

from heartfly.accounts.commands import NewProject, create_project, insert_user, is_empty
from heartfly.audit.record import Action, Actor
from heartfly.checks.config import as_asked
from heartfly.core.days import Turn, day_of, last_whole
from heartfly.core.values import Blind
from heartfly.core.words import Status
from heartfly.core.zones import zone as find_zone
from heartfly.db import models as tables
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.prepared import Prepared
from heartfly.demo.cast import DEAF, Deafness, cast
from heartfly.demo.lives import NODE, Life, live
from heartfly.demo.messages import Receiver, Reply, Teller, Told
from heartfly.demo.pretend import GONE
from heartfly.errors import ConflictError
from heartfly.jobs.daily_sums import History, day_rows, days_of
from heartfly.notify.channels import CHANNELS
from heartfly.notify.outbox import DEFAULT_EVENTS
from heartfly.sealing import Sealer

EMAIL = "demo@example.com"
SLUG, NAME, ZONE = "demo", "Production", "Europe/Berlin"
_SLICE = 5_000
_ONE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Size:
    n_checks: int
    n_days: int
    """Of history, at most: what pings often was made later."""


DEMO, BIG, EMPTY = Size(200, 90), Size(1_000, 7), Size(0, 90)


@dataclass(frozen=True, slots=True)
class Filled:
    project: NewProject
    lives: Sequence[Life]
    receivers: Sequence[Receiver] = ()


def fill(
    tx: Tx, size: Size, *, seed: int, now: datetime, sealer: Sealer, password_hash: str, keep_pings: int = 1_000
) -> Filled:
    """ConflictError: the database is in use, and a demo must not stand beside what is true."""
    if not is_empty(tx):
        raise ConflictError("a demo fills an empty database only, and this one is in use")
    n, days = size.n_checks, size.n_days
    chance = Random(seed)  # noqa: S311 - it shall be foreseeable
    since = now - (days + 1) * _ONE
    ids = IdSource(NODE)
    project = create_project(tx, slug=SLUG, name=NAME, zone=ZONE, sealer=sealer, at=since, ids=ids)
    user_id = insert_user(tx, EMAIL, password_hash, at=since, ids=ids)
    tx.conn.execute(sa.insert(tables.members).values(pid=project.pid, user_id=user_id, role="owner"))
    if not n:
        return Filled(project, ())
    blind = _deafness(now, since, ids)
    parts = sorted(cast(n, now=now, days=days, chance=chance), key=lambda part: -part.age)
    lives = [
        live(
            part, pid=project.pid, check_id=ids.next(now - part.age), blind=blind, now=now,
            chance=Random(chance.getrandbits(64)), keep_pings=keep_pings,  # noqa: S311 - the same
        )
        for part in parts
    ]  # fmt: skip
    receivers = _receivers(lives, since=since, now=now, chance=chance)
    teller = Teller(pid=project.pid, project=(SLUG, NAME), receivers=receivers, now=now, chance=chance)
    told = teller.tell([turn for life in lives for turn in life.turns])
    entries = [*_made(lives, receivers, since), *_cared_for(project.pid, told, now, chance)]
    write(tx, _of_checks(lives))
    write(tx, _of_channels(project.pid, receivers, told, sealer=sealer, since=since))
    deaf = [_deaf_row(gap, one) for gap, one in zip(blind, DEAF[-len(blind) :], strict=True)]
    sums, audited = list(_days(project.pid, lives, blind, now)), _audit(project.pid, entries)
    write(tx, iter([(tables.blind_intervals, deaf), (tables.check_days, sums), (tables.audit, audited)]))
    return Filled(project, lives, receivers)


def _deafness(now: datetime, since: datetime, ids: IdSource) -> list[Blind]:
    return [
        Blind(id=ids.next(now - gap.began), from_at=now - gap.began, to_at=now - gap.began + gap.lasted)
        for gap in DEAF
        if now - gap.began > since
    ]


def _receivers(lives: Sequence[Life], *, since: datetime, now: datetime, chance: Random) -> list[Receiver]:
    everybody = frozenset(life.stored.id for life in lives)
    weighty = frozenset(life.stored.id for life in lives if "prod" in life.part.config.tags)
    ids = IdSource(NODE)

    def receiver(
        kind: str, name: str, config: Mapping[str, Any], check_ids: frozenset[int], **trouble: Any
    ) -> Receiver:
        return Receiver(
            id=ids.next(since), uuid=str(uuid.UUID(int=chance.getrandbits(128), version=4)), kind=kind, name=name,
            config=CHANNELS[kind].parse_config(config), check_ids=check_ids, **trouble,
        )  # fmt: skip

    busy = Reply(503, "upstream connect error", "the receiver answered 503: upstream connect error", took_s=1.2)
    gone = Reply(404, "no such hook", "the receiver answered 404: no such hook", permanent=True, took_s=0.2)
    return [
        receiver("email", "On-call mailbox", {"to": "on-call@demo.invalid"}, everybody),
        receiver(
            "slack", "#alerts", {"url": "http://127.0.0.1:9/demo/alerts"}, everybody,
            away_since=now - timedelta(minutes=45), away=busy,
        ),
        receiver(
            "webhook", "Pager hook", {"url": f"http://127.0.0.1:9{GONE}"}, weighty,
            away_since=now - 3 * _ONE, away=gone,
        ),
    ]  # fmt: skip


# --- what people did


@dataclass(frozen=True, slots=True)
class _Entry:
    at: datetime
    action: Action
    of: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


WHO = Actor(f"user:{EMAIL}", "192.0.2.7")


def _made(lives: Sequence[Life], receivers: Sequence[Receiver], since: datetime) -> Iterator[_Entry]:
    for one in receivers:
        after = {"name": one.name, "kind": one.kind, "config": CHANNELS[one.kind].public_config(one.config)}
        yield _Entry(since, Action.CHANNEL_CREATE, f"channel:{one.uuid}", None, after)
    for life in lives:
        of, mine = f"check:{life.stored.row.uuid}", [one.uuid for one in receivers if life.stored.id in one.check_ids]
        yield _Entry(life.born_at, Action.CHECK_CREATE, of, None, as_asked(life.part.config) | {"channels": mine})
        if life.part.paused is not None:
            at, taken = life.turns[-1]
            yield _Entry(at, Action.CHECK_PAUSE, of, {"status": taken.before.status.value}, {"status": "paused"})


_SAID = (
    "On it.",
    "The disk was full. Made room, ran it again by hand.",
    "Upstream had an outage; nothing to do on our side.",
    "Restarted the host.",
    "A deployment went wrong; rolled back.",
)


def _cared_for(pid: int, told: Told, now: datetime, chance: Random) -> list[_Entry]:
    """Some incidents that lasted were acknowledged, and some of these have a note."""
    entries: list[_Entry] = []
    ids = IdSource(NODE)
    for row in told.incidents:
        at = row["opened_at"] + timedelta(seconds=chance.randrange(120, 1_500))
        if row["closed_at"] is None or at >= row["closed_at"] or at >= now or chance.random() < 0.5:
            continue
        row["acked_at"], row["acked_by"] = at, WHO.name
        of = f"incident:{row['uuid']}"
        acked = {"acknowledged_by": WHO.name}
        entries.append(_Entry(at, Action.INCIDENT_ACKNOWLEDGE, of, {"acknowledged_by": None}, acked))
        if chance.random() < 0.6:
            note = {"id": ids.next(at), "at": at, "actor": WHO.name, "text": chance.choice(_SAID)}
            told.notes.append({"pid": pid, "incident_id": row["id"]} | note)
            after = {"comment": str(note["id"]), "text": note["text"]}
            entries.append(_Entry(at, Action.INCIDENT_COMMENT, of, None, after))
    return entries


# --- rows


Rows = Iterator[tuple[sa.Table, list[dict[str, Any]]]]


def _of_checks(lives: Sequence[Life]) -> Rows:
    yield tables.checks, [life.check_row() for life in lives]
    at = [life.key | {"key": life.stored.row.ping_uuid, "kind": "uuid", "until": None} for life in lives]
    yield tables.addresses, at
    yield tables.check_versions, [life.key | _version(life) for life in lives]
    yield tables.runs, [row for life in lives for row in life.run_rows()]
    yield tables.pings, [row for life in lives for row in life.pings]
    yield tables.ping_bodies, [row for life in lives for row in life.bodies]
    yield tables.run_metrics, [row for life in lives for row in life.figures]


def _of_channels(pid: int, receivers: Sequence[Receiver], told: Told, *, sealer: Sealer, since: datetime) -> Rows:
    yield tables.channels, [_channel(pid, one, sealer, since) for one in receivers]
    heard = [(check_id, one.id) for one in receivers for check_id in sorted(one.check_ids)]
    yield (
        tables.check_channels,
        [
            {"pid": pid, "check_id": check_id, "channel_id": channel_id, "events": None}
            for check_id, channel_id in heard
        ],
    )
    yield tables.flips, told.flips
    yield tables.incidents, told.incidents
    yield tables.incident_notes, told.notes
    yield tables.alerts, told.alerts
    yield tables.notifications, told.notifications
    yield tables.deliveries, told.deliveries
    yield tables.attempts, told.attempts


def _deaf_row(gap: Blind, deaf: Deafness) -> dict[str, Any]:
    return {"id": gap.id, "node_id": NODE, "from_at": gap.from_at, "to_at": gap.to_at, "cause": deaf.cause}


def _version(life: Life) -> dict[str, Any]:
    config = life.part.config
    return {
        "from_at": life.born_at,
        "config": asdict(config) | {"tags": list(config.tags)},
        "actor": WHO.name,
    }


def _channel(pid: int, one: Receiver, sealer: Sealer, since: datetime) -> dict[str, Any]:
    return {
        "pid": pid, "id": one.id, "uuid": one.uuid, "kind": one.kind, "name": one.name,
        "config_enc": sealer.seal(msgspec.json.encode(one.config)), "events": [kind.value for kind in DEFAULT_EVENTS],
        "created_at": since, "retrying_since": one.retrying_since, "failing_since": one.failing_since,
        "told_at": one.told_at, "last_error": one.last_error, "policy": None, "rev": 1,
    }  # fmt: skip


def _days(pid: int, lives: Sequence[Life], blind: Sequence[Blind], now: datetime) -> Iterator[dict[str, Any]]:
    """As the job sums them up."""
    zone = find_zone(ZONE, field="zone")
    last = last_whole(zone, now)
    spans = list(days_of(zone, day_of(zone, min(life.born_at for life in lives)), last))
    for life in lives:
        first = day_of(zone, life.born_at)
        history = History([day for day in spans if day.date >= first], 0)
        history.turns = [
            Turn(flip_no=flip.flip_no, at=flip.at, from_status=flip.from_status, to_status=flip.to_status)
            for _, taken in life.turns
            for flip in taken.step.flips
        ]
        history.runs = [
            (row["at"], run.outcome)
            for run, row in zip(life.runs.values(), life.run_rows(), strict=True)
            if run.outcome is not None
        ]
        yield from day_rows(pid, [_Summed(life)], {life.stored.id: history}, blind)


class _Summed:
    """A check as the job reads it."""

    def __init__(self, life: Life) -> None:
        self.id, self.created_at = life.stored.id, life.born_at
        self.status: Status = life.stored.check.status
        self.flip_no = life.stored.check.flip_no


def _audit(pid: int, entries: Sequence[_Entry]) -> list[dict[str, Any]]:
    ids = IdSource(1)
    return [
        {
            "pid": pid, "id": ids.next(one.at), "at": one.at, "actor": WHO.name, "action": one.action.value,
            "object": one.of, "before": one.before, "after": one.after, "ip": WHO.ip,
            "clasp": None, "redaction_hash": None,
        }
        for one in sorted(entries, key=lambda one: one.at)
    ]  # fmt: skip


def write(tx: Tx, all_rows: Rows) -> None:
    for table, rows in all_rows:
        insert = Prepared(lambda _, table=table: sa.insert(table))  # type: ignore[misc]
        for start in range(0, len(rows), _SLICE):
            insert.run(tx, rows[start : start + _SLICE])
