"""A new check: its row, its secret address and its channels."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor, record
from heartfly.checks.config import CheckConfig, as_asked
from heartfly.checks.owned import FIELDS, heard_by, own
from heartfly.checks.rows import Stored, one
from heartfly.core.words import Status
from heartfly.db import tenant
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import addresses, channels, check_channels, check_versions, checks
from heartfly.errors import ConflictError, LimitError

_UNBORN: dict[str, Any] = {
    "status": Status.NEW.value,
    "status_reason": None,
    "rev": 1,
    "flip_no": 0,
    "n_pings": 0,
    "n_open_runs": 0,
    "last_end_node": 0,
    "last_end_seq": 0,
    "unverified_in_row": 0,
    "wants_late": False,
    "memory": "",
    "wants_success": False,
    "heard_host": "",
    "linked": False,
}


class AddressTakenError(ConflictError):
    """A check has that address, in this project or in another."""


def insert_check(
    tx: Tx,
    pid: int,
    config: CheckConfig,
    *,
    actor: str,
    at: datetime,
    ids: IdSource,
    slug_key: str | None,
    ping_uuid: str | None = None,
) -> Stored:
    """`slug_key` None: a duplicate slug is allowed (only a foreign API may ask for one).

    `ping_uuid`: the address that its job pings already; None: a new one. AddressTakenError. NotFoundError: the project
    is being erased.
    """
    tenant.demand_living(tx, pid)
    return place_check(tx, pid, config, actor=actor, at=at, ids=ids, slug_key=slug_key, ping_uuid=ping_uuid)


def place_check(
    tx: Tx,
    pid: int,
    config: CheckConfig,
    *,
    actor: str,
    at: datetime,
    ids: IdSource,
    slug_key: str | None,
    ping_uuid: str | None = None,
) -> Stored:
    """As `insert_check`, whether there is such a project or not: Heartfly's own canary is in none."""
    check_id = ids.next(at)
    ping_uuid = str(uuid.uuid4()) if ping_uuid is None else ping_uuid
    # Not looked up first: on another node somebody may take it at this very moment.
    address = {"key": ping_uuid, "kind": "uuid", "pid": pid, "check_id": check_id, "until": None}
    insert = tx.insert(addresses).values(address).on_conflict_do_nothing(index_elements=["key"])
    if tx.conn.execute(insert.returning(addresses.c.key)).first() is None:
        raise AddressTakenError(f"a check has the address {ping_uuid} already")
    values = asdict(config) | {
        "tags": list(config.tags),
        "pid": pid,
        "id": check_id,
        "uuid": str(uuid.uuid4()),
        "ping_uuid": ping_uuid,
        "slug_key": slug_key,
        "status_since": at,
        "created_at": at,
        "updated_at": at,
    }
    tx.conn.execute(sa.insert(checks).values(_UNBORN | values))
    record_version(tx, pid, check_id, config, actor=actor, at=at)
    made = one(tx, pid, check_id)
    assert made is not None
    return made


def demand_room(tx: Tx, pid: int, most: int) -> None:
    """LimitError: the project has `most` checks already. Two at once may both find the last place: no harm is done."""
    if tx.conn.execute(sa.select(sa.func.count()).where(checks.c.pid == pid)).scalar_one() >= most:
        raise LimitError("checks in the project:", most, "limits.checks")


def record_version(tx: Tx, pid: int, check_id: int, config: CheckConfig, *, actor: str, at: datetime) -> None:
    """History is judged by the rules that were in force: each configuration is kept with its beginning."""
    insert = tx.insert(check_versions).values(
        pid=pid, check_id=check_id, from_at=at, config=asdict(config) | {"tags": list(config.tags)}, actor=actor
    )
    tx.conn.execute(
        insert.on_conflict_do_update(
            index_elements=["pid", "check_id", "from_at"],
            set_={"config": insert.excluded.config, "actor": insert.excluded.actor},
        )
    )


def auto_provision(tx: Tx, pid: int, slug: str, *, remote: str, at: datetime, ids: IdSource) -> Stored:
    """A check made by its first ping (`?create=1`): daily, an hour of grace, every channel of the project.

    `remote`: where the ping came from.
    """
    config = CheckConfig(name=slug, slug=slug)
    made = insert_check(tx, pid, config, actor="ping", at=at, ids=ids, slug_key=slug)
    assign_channels(tx, made.pid, made.id, None)
    own(tx, made, FIELDS)
    record(
        tx, pid, actor=Actor("ping", remote or None), action=Action.CHECK_CREATE, of=f"check:{made.row.uuid}",
        before=None, after=as_asked(config) | {"channels": heard_by(tx, pid, made.id)}, at=at, ids=ids,
    )  # fmt: skip
    fresh = one(tx, pid, made.id)
    assert fresh is not None
    return fresh


def assign_channels(tx: Tx, pid: int, check_id: int, channel_ids: set[int] | None) -> None:
    """Give the check exactly these channels; None: all of the project."""
    if channel_ids is None:
        query = sa.select(channels.c.id).where(channels.c.pid == pid)
        channel_ids = set(tx.conn.execute(query).scalars())
    tx.conn.execute(sa.delete(check_channels).where(check_channels.c.pid == pid, check_channels.c.check_id == check_id))
    if channel_ids:
        tx.conn.execute(
            sa.insert(check_channels),
            [
                {"pid": pid, "check_id": check_id, "channel_id": channel_id, "events": None}
                for channel_id in sorted(channel_ids)
            ],
        )
    refresh_wants_late(tx, pid, {check_id})


def refresh_wants_late(tx: Tx, pid: int, check_ids: set[int]) -> None:
    """Keep `wants_late` true to whether a channel of the check hears `check.late`; it is then looked at earlier.

    And `wants_success` to whether one hears of each run that goes well: of most checks nobody does, and a ping of those
    asks no further.
    """
    if tx.on_postgres:
        # In id order, as every writer does: an update takes its rows as it finds them.
        mine = sa.select(checks.c.id).where(checks.c.pid == pid, checks.c.id.in_(check_ids)).order_by(checks.c.id)
        tx.conn.execute(mine.with_for_update(key_share=True)).all()
    joined = sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id)
    query = (
        sa.select(check_channels.c.check_id, check_channels.c.events, channels.c.events.label("own"))
        .join(channels, joined)
        .where(check_channels.c.pid == pid, check_channels.c.check_id.in_(check_ids))
    )
    heard = [(row.check_id, row.own if row.events is None else row.events) for row in tx.conn.execute(query)]
    for column, kind in ((checks.c.wants_late, "check.late"), (checks.c.wants_success, "check.success")):
        wanting = {check_id for check_id, kinds in heard if kind in kinds}
        for value, ids_of in ((True, wanting), (False, check_ids - wanting)):
            if ids_of:
                tx.conn.execute(
                    sa.update(checks)
                    .where(checks.c.pid == pid, checks.c.id.in_(ids_of), column != value)
                    .values({column: value, checks.c.rev: checks.c.rev + 1})
                )
