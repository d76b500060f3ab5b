"""A check moves to another project: with its address, its rules and its life, without its history.

What a job said to one project is not shown to another, so pings, runs and flips do not go along; incidents and
notifications stay where they were told. A check that is down or has a run under way is not moved: its incident and
its run belong to the project that it is in.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor, record
from heartfly.checks import flips
from heartfly.checks.commands import SlugTakenError, locked, refuse_jobs_check, told
from heartfly.checks.config import of_row
from heartfly.checks.create import assign_channels, demand_room, record_version
from heartfly.checks.needs import forget
from heartfly.checks.rows import Stored, one
from heartfly.checks.turn import refuse_if_due
from heartfly.core import check as life
from heartfly.core import text
from heartfly.core.words import Status
from heartfly.db import tenant
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import addresses, badge_addresses, check_channels, checks
from heartfly.errors import ConflictError


def transfer(
    tx: Tx,
    pid: int,
    uuid: str,
    *,
    to_pid: int,
    slug: str | None,
    at: datetime,
    ids: IdSource,
    actor: Actor,
    to_actor: Actor,
    most: int,
    rev: int | None = None,
) -> int:
    """Returns the id that its history still bears in the old project, to be removed (see history.py).

    `to_actor`: who does it, as the other project knows him. In it every channel hears of the check. ConflictError: it
    is there already, it is down, a run is under way, or it is that of a job of Heartfly's own; SlugTakenError: the
    other project has that slug; LimitError: it has `most` checks.
    """
    found = locked(tx, pid, uuid, rev)
    refuse_jobs_check(found)
    refuse_if_due(found.check, at)
    if to_pid == pid:
        raise ConflictError("the check is in that project already")
    if found.check.status is Status.DOWN or found.check.open_runs:
        what = "the check is down" if found.check.status is Status.DOWN else "a run of the check is under way"
        raise ConflictError(f"{what}: wait for its end, or pause it first")
    tenant.demand_living(tx, to_pid)
    demand_room(tx, to_pid, most)
    before = told(tx, found)
    forget(tx, pid, found.id, at=at)
    _leave(tx, found)
    moved = _arrive(tx, found, to_pid, slug=slug, at=at, ids=ids, actor=to_actor)
    for where, who, was, is_now in ((pid, actor, before, None), (to_pid, to_actor, None, told(tx, moved))):
        record(
            tx, where, actor=who, action=Action.CHECK_TRANSFER, of=f"check:{found.row.uuid}",
            before=was, after=is_now, at=at, ids=ids,
        )  # fmt: skip
    return found.id


def _leave(tx: Tx, found: Stored) -> None:
    """The row goes, its addresses stay for the moment. A mark tells that history is left, also after a crash."""
    of_check = (check_channels.c.pid == found.pid, check_channels.c.check_id == found.id)
    tx.conn.execute(sa.delete(check_channels).where(*of_check))
    tx.conn.execute(sa.delete(checks).where(checks.c.pid == found.pid, checks.c.id == found.id))


def _arrive(
    tx: Tx, found: Stored, to_pid: int, *, slug: str | None, at: datetime, ids: IdSource, actor: Actor
) -> Stored:
    check_id = ids.next(at)
    slug = found.row.slug if slug is None else text.slug(slug, field="slug")
    changed: dict[str, Any] = {"pid": to_pid, "id": check_id, "slug": slug, "slug_key": slug or None, "updated_at": at}
    values = found.row._asdict() | changed | {"rev": found.check.rev + 1, "wants_late": False, "wants_success": False}
    values |= {"linked": False, "body_bytes": 0}  # what it needs, and what its pings said, stays behind
    # Not looked up first: on another node somebody may take the slug at this very moment.
    insert = tx.insert(checks).values(values).on_conflict_do_nothing(index_elements=["pid", "slug_key"])
    if tx.conn.execute(insert.returning(checks.c.id)).first() is None:
        raise SlugTakenError(f"that project has a check with the slug {slug}")
    of_old = (addresses.c.pid == found.pid, addresses.c.check_id == found.id)
    tx.conn.execute(sa.update(addresses).where(*of_old).values(pid=to_pid, check_id=check_id))
    badges_of_old = (badge_addresses.c.pid == found.pid, badge_addresses.c.check_id == found.id)
    tx.conn.execute(sa.update(badge_addresses).where(*badges_of_old).values(pid=to_pid, check_id=check_id))
    mark = {"key": f"gone:{found.pid}:{found.id}", "kind": "gone", "until": None}
    tx.conn.execute(sa.insert(addresses).values(pid=found.pid, check_id=found.id, **mark))
    record_version(tx, to_pid, check_id, of_row(values), actor=actor.name, at=at)
    assign_channels(tx, to_pid, check_id, None)
    moved = one(tx, to_pid, check_id)
    assert moved is not None
    # Whether somebody hears that it is late is another question in another project.
    step = life.edited(moved.check, moved.check.rules, at)
    was, moved.check = moved.check, step.check
    flips.record(tx, [flips.Taken(moved, was, step)], ids=ids, now=at)
    return moved
