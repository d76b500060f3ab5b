"""Many checks at once, written past the API: what they are like does not depend on how they came.

Each row is a copy of one that the program itself made, with names and a life of its own: up, last heard an hour ago.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bench.load import CLOCK
from bench.served import Store
from heartfly import config
from heartfly.accounts.commands import create_project
from heartfly.checks.config import CheckConfig
from heartfly.checks.create import insert_check
from heartfly.core.words import PingKind, Status
from heartfly.db.changes import Tx
from heartfly.db.models import addresses, check_channels, checks
from heartfly.ground import Ground, open_ground
from heartfly.notify.commands import create_channel

_SLICE = 5_000
GRACE = timedelta(seconds=5)
"""So long before its deadline the slot of a check opens that was made due."""


@dataclass(frozen=True, slots=True)
class Seeded:
    pid: int
    check_ids: list[int]
    paths: list[str]
    api_key: str


def seed(store: Store, n: int, *, hooks: Sequence[str] = (), n_hosts: int = 0) -> Seeded:
    """`n` checks that were pinged an hour ago, a day before the next ping is due. `hooks`: URLs, shared out evenly, as
    are hosts.
    """
    ground = _open(store)
    try:
        return ground.database.transaction(lambda tx: _seed(tx, ground, n, hooks, n_hosts))
    finally:
        ground.close()


def make_due(store: Store, seeded: Seeded, groups: Sequence[tuple[int, datetime]]) -> None:
    """The next so many of the checks fall due at this instant, group after group. The server must not run.

    Their slots open seconds before: a server started until then has heard all of each.
    """
    ground = _open(store)
    try:
        ground.database.transaction(lambda tx: _make_due(tx, seeded, groups))
    finally:
        ground.close()


def _open(store: Store) -> Ground:
    return open_ground(config.load(None, store.environment), clock=CLOCK)


def _seed(tx: Tx, ground: Ground, n: int, hooks: Sequence[str], n_hosts: int) -> Seeded:
    now, ids = CLOCK.now(), ground.ids
    project = create_project(tx, slug="bench", name="Bench", zone="UTC", sealer=ground.sealer, at=now, ids=ids)
    made = insert_check(tx, project.pid, CheckConfig(name="job"), actor="bench", at=now, ids=ids, slug_key=None)
    query = sa.select(checks).where(checks.c.pid == made.pid, checks.c.id == made.id)
    template = dict(tx.conn.execute(query).mappings().one()) | _heard(now - timedelta(hours=1), ground.node_id)
    rows = [_row(template, ids.next(now), number, n_hosts) for number in range(n)]
    places = [
        {"key": row["ping_uuid"], "kind": "uuid", "pid": project.pid, "check_id": row["id"], "until": None}
        for row in rows
    ]
    channels = [
        create_channel(
            tx, project.pid, kind="webhook", name=f"hook {i}", config={"url": url}, assign=(), at=now, ids=ids,
            sealer=ground.sealer,
        ).channel_id
        for i, url in enumerate(hooks)
    ]  # fmt: skip
    hearing = [
        {"pid": project.pid, "check_id": row["id"], "channel_id": channels[i % len(channels)], "events": None}
        for i, row in enumerate(rows)
        if channels
    ]
    for table, values in ((checks, rows), (addresses, places), (check_channels, hearing)):
        _insert(tx, table, values)
    paths = [f"/ping/{row['ping_uuid']}" for row in rows]
    return Seeded(project.pid, [row["id"] for row in rows], paths, project.api_key)


def _heard(at: datetime, node_id: int) -> dict[str, Any]:
    """The life of a check that got its first success at this instant: a day of period, an hour of grace."""
    expected_at = at + timedelta(days=1)
    deadline = expected_at + timedelta(hours=1)
    return {
        "status": Status.UP.value,
        "status_since": at,
        "n_pings": 1,
        "last_ping_at": at,
        "last_kind": PingKind.SUCCESS.value,
        "last_end_at": at,
        "last_end_node": node_id,
        "last_end_seq": 1,
        "last_end_kind": PingKind.SUCCESS.value,
        "anchor_at": at,
        "expected_at": expected_at,
        "goes_down_at": deadline,
        "wake_at": deadline,
        "created_at": at,
    }


def _row(template: dict[str, Any], check_id: int, number: int, n_hosts: int) -> dict[str, Any]:
    slug = f"job-{number}"
    own = {"id": check_id, "uuid": str(uuid.uuid4()), "ping_uuid": str(uuid.uuid4()), "slug": slug, "slug_key": slug}
    return template | own | {"name": f"Job {number}", "host": f"host-{number % n_hosts}" if n_hosts else ""}


def _insert(tx: Tx, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _SLICE):
        tx.conn.execute(sa.insert(table), list(rows[start : start + _SLICE]))


def _make_due(tx: Tx, seeded: Seeded, groups: Sequence[tuple[int, datetime]]) -> None:
    start = 0
    for n, at in groups:
        some = seeded.check_ids[start : start + n]
        # Ids grow, so a group is a range of them.
        mine = sa.and_(checks.c.pid == seeded.pid, checks.c.id.between(some[0], some[-1]))
        values = {"grace_s": 5, "expected_at": at - GRACE, "goes_down_at": at, "wake_at": at}
        tx.conn.execute(sa.update(checks).where(mine).values(values))
        start += n
