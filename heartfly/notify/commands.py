"""What people do to channels: add, edit, delete, test. Each function is one transaction's work.

Whether a check is looked at when it is late depends on who hears of it. That flag is not kept here:
`check_ids` of each answer says whose must be refreshed (checks/create.py, `refresh_wants_late`).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from heartfly.audit.queries import nth_newest
from heartfly.audit.record import Action, Actor, record
from heartfly.core import text
from heartfly.core.alerts import Alert
from heartfly.core.words import AlertKind
from heartfly.db import tenant
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import budget_channels, channels, check_channels, checks, deliveries, notifications, projects
from heartfly.db.types import UtcInstant
from heartfly.errors import ConflictError, InvalidValueError, LimitError, NotFoundError, TooManyRequestsError
from heartfly.net.rules import Rules
from heartfly.net.urls import check_listed
from heartfly.notify.channels import CHANNELS
from heartfly.notify.claim import abandon
from heartfly.notify.outbox import DEFAULT_EVENTS, PENDING, Entry, enqueue
from heartfly.notify.peace import HELD
from heartfly.notify.policies import AskedPolicy, to_store
from heartfly.notify.queries import uuid_of
from heartfly.sealing import Sealer

_MOST_NAME = 100
_AN_HOUR = timedelta(hours=1)
TESTS_PER_HOUR = 60
"""Of a project: each is a message from our server to an address that whoever may write has chosen."""

Assign = Literal["all"] | Collection[int]
"""Which checks the channel is for, by id, or all that there are now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """`check_ids`: every check that had the channel, or has it now."""

    channel_id: int
    uuid: str
    check_ids: frozenset[int]


def create_channel(
    tx: Tx,
    pid: int,
    *,
    kind: str,
    name: str,
    config: Mapping[str, Any],
    events: Sequence[str] | None = None,
    assign: Assign = "all",
    at: datetime,
    ids: IdSource,
    sealer: Sealer,
    most: int | None = None,
    policy: AskedPolicy | None = None,
    rules: Rules | None = None,
) -> Changed:
    """A new channel, for all checks of the project unless said otherwise. ConflictError: the name is taken.

    NotFoundError: the project is being erased. LimitError: it has `most` channels. `rules`: an address that their list
    leaves out is refused.
    """
    tenant.demand_living(tx, pid)
    count = sa.select(sa.func.count()).where(channels.c.pid == pid)
    if most is not None and tx.conn.execute(count).scalar_one() >= most:
        raise LimitError("channels in the project:", most, "limits.channels")
    values = {
        "name": _name(name),
        "config_enc": _sealed(kind, config, sealer, rules=rules),
        "events": [kind.value for kind in DEFAULT_EVENTS] if events is None else _events(events),
        "policy": None if policy is None else to_store(policy),
    }
    channel_id, channel_uuid = ids.next(at), str(uuid.uuid4())
    fixed = {"pid": pid, "id": channel_id, "uuid": channel_uuid, "kind": kind, "created_at": at, "rev": 1}
    # Not looked up first: on another node somebody may take the name at this very moment.
    insert = tx.insert(channels).values(values | fixed).on_conflict_do_nothing(index_elements=["pid", "name"])
    if tx.conn.execute(insert.returning(channels.c.id)).first() is None:
        raise _name_is_taken(values["name"])
    return Changed(channel_id=channel_id, uuid=channel_uuid, check_ids=_assign(tx, pid, channel_id, assign))


def edit_channel(
    tx: Tx,
    pid: int,
    channel_uuid: str,
    *,
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    events: Sequence[str] | None = None,
    assign: Assign | None = None,
    beside: Mapping[str, Any] | None = None,
    policy: AskedPolicy | None = None,
    at: datetime,
    sealer: Sealer,
    rules: Rules | None = None,
) -> Changed:
    """Change what is given. With a new configuration, what waits to be tried again is tried at once.

    `beside`: what is stored with the configuration though nobody can ask for it. `rules`: as of a new channel; one
    whose configuration stays keeps it.
    """
    row = _locked(tx, pid, channel_uuid)
    values: dict[str, Any] = {"rev": row.rev + 1}
    if name is not None:
        values["name"] = _name(name)
    if config is not None:
        values["config_enc"] = _sealed(row.kind, config, sealer, beside=beside, rules=rules)
        _try_at_once(tx, pid, row.id, at)
    if events is not None:
        values["events"] = _events(events)
    if policy is not None:
        values["policy"] = to_store(policy)
    update = sa.update(channels).where(channels.c.pid == pid, channels.c.id == row.id).values(values)
    try:
        with tx.conn.begin_nested():
            tx.conn.execute(update)
    except sa.exc.IntegrityError as error:
        raise _name_is_taken(values["name"]) from error
    affected = _assigned(tx, pid, row.id)
    if assign is not None:
        affected |= _assign(tx, pid, row.id, assign)
    if not (events is None and policy is None and assign is None):
        _ask_again(tx, pid, row.id, at)
    return Changed(channel_id=row.id, uuid=row.uuid, check_ids=affected)


def delete_channel(tx: Tx, pid: int, channel_uuid: str, *, at: datetime) -> Changed:
    """The channel is gone, and what it had not delivered yet is given up. What it delivered stays in the history."""
    row = _locked(tx, pid, channel_uuid)
    affected = _assign(tx, pid, row.id, ())
    b = budget_channels.c
    tx.conn.execute(sa.delete(budget_channels).where(b.pid == pid, b.channel_id == row.id))
    abandon(tx, pid, row.id, at=at)
    tx.conn.execute(sa.delete(channels).where(channels.c.pid == pid, channels.c.id == row.id))
    return Changed(channel_id=row.id, uuid=row.uuid, check_ids=affected)


def send_test(tx: Tx, pid: int, channel_uuid: str, *, actor: Actor, at: datetime, ids: IdSource) -> str:
    """Put a test into the outbox, for this channel alone. Returns the key by which queries.py finds what became of it.

    A test is tried once, and waits for no other. TooManyRequestsError: see TESTS_PER_HOUR.
    """
    row = _locked(tx, pid, channel_uuid)
    of_the_last = nth_newest(tx, pid, [Action.CHANNEL_TEST], since=at - _AN_HOUR, n=TESTS_PER_HOUR)
    if of_the_last is not None:
        wait = of_the_last + _AN_HOUR - at
        raise TooManyRequestsError(
            f"a project may send {TESTS_PER_HOUR} tests an hour", retry_after=int(wait.total_seconds()) + 1
        )
    project = tx.conn.execute(sa.select(projects.c.slug, projects.c.name).where(projects.c.id == pid)).one()
    key = f"test:{row.id}:{uuid.uuid4()}"
    alert = Alert(
        key=key,
        kind=AlertKind.TEST,
        project_slug=project.slug,
        project_name=project.name,
        at=at,
        decided_at=at,
    )
    enqueue(tx, [Entry(pid=pid, source=key, alert=alert, channel_ids=(row.id,))], ids=ids, now=at)
    record(
        tx, pid, actor=actor, action=Action.CHANNEL_TEST, of=f"channel:{row.uuid}",
        before=None, after={"notification": key}, at=at, ids=ids,
    )  # fmt: skip
    return key


def _locked(tx: Tx, pid: int, channel_uuid: str) -> Any:
    query = sa.select(channels.c.id, channels.c.uuid, channels.c.kind, channels.c.rev).where(
        channels.c.pid == pid, channels.c.uuid == uuid_of(channel_uuid)
    )
    row = tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).first()
    if row is None:
        raise NotFoundError("there is no such channel")
    return row


# --- what is asked for


def _name(name: str) -> str:
    return text.name(name, field="name", most=_MOST_NAME)


def _name_is_taken(name: object) -> ConflictError:
    return ConflictError(f"there is a channel {name} already")


def _sealed(
    kind: str,
    config: Mapping[str, Any],
    sealer: Sealer,
    *,
    beside: Mapping[str, Any] | None = None,
    rules: Rules | None = None,
) -> bytes:
    channel = CHANNELS.get(kind)
    if channel is None:
        raise InvalidValueError("kind", f"must be one of {', '.join(CHANNELS)}")
    if not isinstance(config, Mapping):
        raise InvalidValueError("config", "must be an object")
    parsed = channel.parse_config(config)
    if rules is not None:
        for field, url in channel.addresses(parsed):
            check_listed(url, field=field, rules=rules)
    return sealer.seal(msgspec.json.encode({**parsed, **(beside or {})}))


def _events(events: Sequence[str]) -> list[str]:
    # Digests and reminders are chosen by the settings of a channel, and no event of a check.
    known = [kind.value for kind in AlertKind if kind not in {AlertKind.DIGEST, AlertKind.REMINDER}]
    for index, event in enumerate(events):
        if event not in known:
            raise InvalidValueError(f"events[{index}]", f"must be one of {', '.join(known)}")
    return [event for event in known if event in events]


# --- what follows


def _assigned(tx: Tx, pid: int, channel_id: int) -> frozenset[int]:
    query = sa.select(check_channels.c.check_id).where(
        check_channels.c.pid == pid, check_channels.c.channel_id == channel_id
    )
    return frozenset(tx.conn.execute(query).scalars())


def _assign(tx: Tx, pid: int, channel_id: int, assign: Assign) -> frozenset[int]:
    """Give the channel to exactly these checks. Returns those that lost or got it."""
    before, wanted = _assigned(tx, pid, channel_id), _checks(tx, pid, assign)
    of_channel = (check_channels.c.pid == pid, check_channels.c.channel_id == channel_id)
    if lost := before - wanted:
        for some in _slices(sorted(lost)):
            tx.conn.execute(sa.delete(check_channels).where(*of_channel, check_channels.c.check_id.in_(some)))
    if got := wanted - before:
        rows = [{"pid": pid, "check_id": id_, "channel_id": channel_id, "events": None} for id_ in sorted(got)]
        tx.conn.execute(tx.insert(check_channels).on_conflict_do_nothing(), rows)
    return lost | got


def _checks(tx: Tx, pid: int, assign: Assign) -> frozenset[int]:
    known = frozenset(tx.conn.execute(sa.select(checks.c.id).where(checks.c.pid == pid)).scalars())
    if assign == "all":
        return known
    wanted = frozenset(assign)
    if not wanted <= known:
        raise NotFoundError("there is no such check")
    return wanted


def _slices(ids: Sequence[int], size: int = 1000) -> list[Sequence[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def _ask_again(tx: Tx, pid: int, channel_id: int, at: datetime) -> None:
    """What is held for it was held by what it was: later.py decides anew."""
    n = notifications.c
    mine = (n.pid == pid, n.channel_id == channel_id, n.state == HELD, n.held_until > sa.literal(at, UtcInstant))
    if tx.conn.execute(sa.update(notifications).where(*mine).values(held_until=at)).rowcount:
        tx.changes.wake(at)


def _try_at_once(tx: Tx, pid: int, channel_id: int, at: datetime) -> None:
    waiting = (deliveries.c.pid == pid, deliveries.c.channel_id == channel_id, deliveries.c.state == PENDING)
    due = sa.update(deliveries).where(*waiting, deliveries.c.lease_until.is_(None)).values(next_at=at)
    if tx.conn.execute(due).rowcount:
        tx.changes.outbox = True
