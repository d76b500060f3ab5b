"""Who hears of which checks: channels are added, edited and removed here, on behalf of the checks.

What a channel is, and what of its configuration is a secret, is decided in notify/. Here is what
follows for checks: one of which somebody hears that it is late must be looked at earlier.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa

from heartfly.accounts.keys import overlap
from heartfly.audit.record import Action, Actor, differing
from heartfly.audit.record import record as audit
from heartfly.checks.create import refresh_wants_late
from heartfly.checks.flips import Taken, record
from heartfly.checks.queries import uuid_of
from heartfly.checks.rows import load, select_locked
from heartfly.core import check as life
from heartfly.core import text
from heartfly.core.words import AlertKind
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import channels, check_channels, checks
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError, NotFoundError, StoreError
from heartfly.net.rules import Rules
from heartfly.notify import commands
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.base import MASK
from heartfly.notify.channels.told_by_settings import ToldBySettings
from heartfly.notify.channels.webhook import retired, rotated
from heartfly.notify.commands import Assign
from heartfly.notify.policies import AskedPolicy
from heartfly.notify.signature import new_secret
from heartfly.sealing import Sealer

ALL_CHECKS = "*"
_SLICE = 500
_EARLIER = {AlertKind.LATE, AlertKind.SUCCESS}
"""Kinds of alert that a check must know to be heard."""
_MOST_NAMED = 200
"""Checks that an entry of the audit names; of more it says how many they are."""


class NameTakenError(ConflictError):
    """Another channel of the project has the name that was asked for."""

    field = "name"


def add_channel(
    tx: Tx,
    pid: int,
    *,
    kind: str,
    name: str,
    config: Mapping[str, Any],
    events: Sequence[str] | None,
    check_uuids: Sequence[str] | None,
    actor: Actor,
    at: datetime,
    ids: IdSource,
    sealer: Sealer,
    most: int | None = None,
    policy: AskedPolicy | None = None,
    rules: Rules | None = None,
) -> tuple[str, str | None]:
    """A new channel. Returns its public id, and the secret that was made for it: the only time that it is seen.

    `rules`: where it may send to at most, as the operator lists it.
    """
    _demand_free(tx, pid, name)
    assign = _assign(tx, pid, check_uuids)
    secret = new_secret() if kind == "webhook" and "secrets" not in config else None
    made = commands.create_channel(
        tx,
        pid,
        kind=kind,
        name=name,
        config=dict(config) if secret is None else {**config, "secrets": [secret]},
        events=events,
        assign="all" if assign is None else assign,
        at=at,
        ids=ids,
        sealer=sealer,
        most=most,
        policy=policy,
        rules=rules,
    )
    if events is not None and _EARLIER & {*events}:
        _look_earlier(tx, pid, made.check_ids, at=at, ids=ids)
    audit(
        tx, pid, actor=actor, action=Action.CHANNEL_CREATE, of=f"channel:{made.uuid}",
        before=None, after=_told(tx, _row(tx, pid, made.uuid), sealer), at=at, ids=ids,
    )  # fmt: skip
    return made.uuid, secret


def edit_channel(
    tx: Tx,
    pid: int,
    uuid: str,
    *,
    name: str | None,
    config: Mapping[str, Any] | None,
    events: Sequence[str] | None,
    check_uuids: Sequence[str] | None,
    actor: Actor,
    at: datetime,
    ids: IdSource,
    sealer: Sealer,
    rev: int | None = None,
    kept: Collection[str] = (),
    policy: AskedPolicy | None = None,
    rules: Rules | None = None,
) -> None:
    """Change what is given. A configuration is replaced whole, but for the signing secrets of a webhook.

    `kept`: fields of the configuration that stay as they are stored, for who cannot know them.
    ChangedMeanwhileError: it is not of the revision `rev` any more. `rules`: as for a new one, of a configuration that
    is given.
    """
    row = _row(tx, pid, uuid, rev=rev)
    was = _told(tx, row, sealer)
    if name is not None:
        _demand_free(tx, pid, name, but=row.id)
    beside: Mapping[str, Any] = {}
    if config is not None:
        config, beside = _completed(row, config, sealer, at, kept)
    assign = _assign(tx, pid, check_uuids)
    changed = commands.edit_channel(
        tx, pid, uuid, name=name, config=config, events=events, assign=assign, beside=beside, policy=policy, at=at,
        sealer=sealer, rules=rules,
    )  # fmt: skip
    if _EARLIER & {*row.events, *(events or ())}:
        _look_earlier(tx, pid, changed.check_ids, at=at, ids=ids)
    is_now = _told(tx, _row(tx, pid, uuid), sealer)
    before, after = differing(was, is_now)
    if config is not None:
        # Also where it looks the same: what is masked may have changed.
        before["config"], after["config"] = was["config"], is_now["config"]
    if after:
        audit(
            tx, pid, actor=actor, action=Action.CHANNEL_EDIT, of=f"channel:{row.uuid}",
            before=before, after=after, at=at, ids=ids,
        )  # fmt: skip


def remove_channel(
    tx: Tx, pid: int, uuid: str, *, actor: Actor, at: datetime, ids: IdSource, sealer: Sealer, rev: int | None = None
) -> None:
    row = _row(tx, pid, uuid, rev=rev)
    audit(
        tx, pid, actor=actor, action=Action.CHANNEL_DELETE, of=f"channel:{row.uuid}",
        before=_told(tx, row, sealer), after=None, at=at, ids=ids,
    )  # fmt: skip
    changed = commands.delete_channel(tx, pid, uuid, at=at)
    if _EARLIER & {*row.events}:
        _look_earlier(tx, pid, changed.check_ids, at=at, ids=ids)


def rotate_secret(
    tx: Tx,
    pid: int,
    uuid: str,
    *,
    overlap_s: int,
    actor: Actor,
    at: datetime,
    ids: IdSource,
    sealer: Sealer,
    rev: int | None = None,
) -> str:
    """A new signing secret for a webhook, which is returned. Those so far sign beside it for `overlap_s` more.

    ConflictError: it is no webhook, or its configuration cannot be opened.
    """
    lasting = overlap(overlap_s)
    row = _row(tx, pid, uuid, rev=rev)
    if row.kind != "webhook":
        raise ConflictError("only what a webhook sends is signed")
    try:
        config = msgspec.json.decode(sealer.open(row.config_enc))
    except StoreError as error:
        raise ConflictError("its configuration cannot be opened any more; give it a new one") from error
    secret, until = new_secret(), at + lasting if lasting else None
    sealed = sealer.seal(msgspec.json.encode(rotated(config, secret, until=until)))
    of_channel = (channels.c.pid == pid, channels.c.id == row.id)
    tx.conn.execute(sa.update(channels).where(*of_channel).values(config_enc=sealed, rev=row.rev + 1))
    audit(
        tx, pid, actor=actor, action=Action.CHANNEL_ROTATE_SECRET, of=f"channel:{row.uuid}",
        before={}, after={"old_secret_until": until}, at=at, ids=ids,
    )  # fmt: skip
    return secret


def _row(tx: Tx, pid: int, uuid: str, *, rev: int | None = None) -> Any:
    """The channel, which no other node changes until this transaction ends."""
    query = sa.select(channels).where(channels.c.pid == pid, channels.c.uuid == _channel_uuid(uuid))
    row = tx.conn.execute(query.with_for_update(key_share=True) if tx.on_postgres else query).first()
    if row is None:
        raise NotFoundError("there is no such channel")
    if rev is not None and row.rev != rev:
        raise ChangedMeanwhileError("the channel has changed since you read it")
    return row


def _told(tx: Tx, row: Any, sealer: Sealer) -> dict[str, Any]:
    """What the audit says of a channel: of its configuration what may be seen; None: it cannot be opened."""
    channel = CHANNELS.get(row.kind)
    try:
        config = None if channel is None else channel.public_config(msgspec.json.decode(sealer.open(row.config_enc)))
    except StoreError:
        config = None
    query = (
        sa.select(checks.c.uuid)
        .join(check_channels, sa.and_(checks.c.pid == check_channels.c.pid, checks.c.id == check_channels.c.check_id))
        .where(check_channels.c.pid == row.pid, check_channels.c.channel_id == row.id)
    )
    n_checks = tx.conn.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
    named = tx.conn.execute(query.order_by(checks.c.id)).scalars().all() if n_checks <= _MOST_NAMED else None
    return {
        "kind": row.kind,
        "name": row.name,
        "config": config,
        "events": row.events,
        "policy": row.policy,
        "n_checks": n_checks,
        "checks": None if named is None else list(named),
    }


def _demand_free(tx: Tx, pid: int, name: str, *, but: int | None = None) -> None:
    name = text.name(name, field="name", most=100)
    query = sa.select(channels.c.id).where(channels.c.pid == pid, channels.c.name == name)
    taken = tx.conn.execute(query).scalar()
    if taken is not None and taken != but:
        raise NameTakenError(f"there is a channel {name} already")


def _channel_uuid(given: str) -> str:
    try:
        return uuid_of(given)
    except NotFoundError:
        raise NotFoundError("there is no such channel") from None


def _assign(tx: Tx, pid: int, check_uuids: Sequence[str] | None) -> Assign | None:
    if check_uuids is None:
        return None
    if list(check_uuids) == [ALL_CHECKS]:
        return "all"
    wanted = [uuid.lower() for uuid in check_uuids]
    known: dict[str, int] = {}
    for some in _slices(wanted):
        plain = [uuid for uuid in some if "\x00" not in uuid]
        query = sa.select(checks.c.uuid, checks.c.id).where(checks.c.pid == pid, checks.c.uuid.in_(plain))
        known |= {row.uuid: row.id for row in tx.conn.execute(query)}
    for i, uuid in enumerate(wanted):
        if uuid not in known:
            raise InvalidValueError(f"checks[{i}]", 'there is no such check; all of them are ["*"]')
    return frozenset(known.values())


# --- configurations ----------------------------------------------------------------------------------


def _completed(
    row: Any, config: Mapping[str, Any], sealer: Sealer, at: datetime, kept: Collection[str]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """With the secrets that are kept, and beside it those that a rotation is retiring.

    What was masked when it was read must not be stored as it was shown.
    """
    channel = CHANNELS.get(row.kind)
    if channel is None:
        return config, {}
    try:
        stored = msgspec.json.decode(sealer.open(row.config_enc))
    except StoreError:
        # Its key is lost, and with it every secret: a new configuration is the way out.
        return config, {}
    shown = dict(_leaves(channel.public_config(stored)))
    for path, value in _leaves(config):
        was_masked = path in shown and (shown[path] == value or (path.endswith(".body") and value == MASK))
        if isinstance(value, str) and MASK in value and was_masked:
            raise InvalidValueError(path, "is masked: send it whole, or leave the configuration out")
    kept = [name for name in kept if name in stored and name not in config]
    if "url" in config and {"headers", "down", "up"} & {*kept} and not _is_one_place(stored["url"], config["url"]):
        # Whoever may edit could have them sent to himself, and nobody may read them.
        raise InvalidValueError(
            "config.url", "is at another place, which shall not get this webhook's headers: use the API"
        )
    if kept and isinstance(channel, ToldBySettings) and not channel.is_one_server(stored, config):
        field = f"config.{kept[0]}"
        raise InvalidValueError(field, "must be given again: it goes to no other server than it was given for")
    config = {**{name: stored[name] for name in kept}, **config}
    if "secrets" in stored and "secrets" not in config:
        return {**config, "secrets": stored["secrets"]}, retired(stored, at)
    return config, {}


def _is_one_place(old: Any, new: Any) -> bool:
    """Whether two addresses are of one scheme, host and port. What is no address is refused where it is parsed."""
    try:
        places = [(url.scheme, url.hostname, url.port) for url in (urlsplit(str(old)), urlsplit(str(new)))]
    except ValueError:
        return False
    return places[0] == places[1]


def _leaves(value: Any, path: str = "config") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{i}]")
    else:
        yield path, value


# --- lateness ----------------------------------------------------------------------------------------


def _look_earlier(tx: Tx, pid: int, check_ids: Iterable[int], *, at: datetime, ids: IdSource) -> None:
    """Arm anew the checks of which somebody begins, or ceases, to hear that they are late."""
    for some in _slices(sorted(check_ids)):
        query = sa.select(checks.c.id, checks.c.wants_late).where(checks.c.pid == pid, checks.c.id.in_(some))
        before = {row.id: row.wants_late for row in tx.conn.execute(query)}
        refresh_wants_late(tx, pid, set(some))
        taken = []
        for one in load(tx, select_locked().where(checks.c.pid == pid, checks.c.id.in_(some))):
            if one.row.wants_late != before[one.id]:
                step = life.edited(one.check, one.check.rules, at)
                taken.append(Taken(one, one.check, step))
                one.check = step.check
        if taken:
            record(tx, taken, ids=ids, now=at)


def _slices(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """A statement takes only so many values."""
    return (values[start : start + _SLICE] for start in range(0, len(values), _SLICE))
