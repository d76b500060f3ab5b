"""What people do to meters: make one, name it, let it count differently from an instant on, archive it.

Each command is one transaction's work. A meter that is new or was changed knows history: the hours that it concerns are
marked, and whoever folds marked hours works them out anew. What makes a meter is decided in core/meters.py.
"""

from __future__ import annotations

import uuid as uuids
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor, differing
from heartfly.core import text
from heartfly.core.definitions import definition_of
from heartfly.core.events import MAX_TYPE, wrong_text
from heartfly.core.expressions import MAX_LENGTH
from heartfly.core.meters import Meter
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import dirty_hours, meter_versions, meters
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError
from heartfly.usage.audit import note
from heartfly.usage.dirty import mark_folded
from heartfly.usage.meter_queries import UUID_SHAPE, Found, found_one, one_of
from heartfly.usage.question import EARLIEST, LATEST
from heartfly.usage.seal import newest_sealed

MOST_METERS = 200
"""Of one project; the archived ones do not count."""
MOST_VERSIONS = 200
MOST_SLUG, MOST_NAME, MOST_UNIT = 60, 100, 40
MOST_TYPES, MAX_PATH, MAX_VALUE = 50, 300, 1_000
GROUPED_BY_ALL = frozenset({"customer", "subject"})
"""What figures of every meter can be grouped by: no group key has such a name."""
_RESERVED = frozenset({"preview"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A meter as it shall be. In [from_at, to_at) it counts so; None: since ever, for ever."""

    slug: str
    name: str
    unit: str
    meter: Meter
    from_at: datetime | None = None
    to_at: datetime | None = None


def usable(meter: Meter) -> Meter:
    """The same, if all that is said in it can be in an event and in a database. InvalidValueError names the field."""
    if len(meter.types) > MOST_TYPES:
        raise InvalidValueError("event_types", f"must be at most {MOST_TYPES}")
    for n, type_ in enumerate(sorted(meter.types)):
        _demand_text(f"event_types[{n}]", type_, MAX_TYPE)
    for n, one in enumerate(meter.filters):
        _demand_text(f"filters[{n}].property", one.name, MAX_PATH)
        for name, values in (("any_of", one.any_of), ("none_of", one.none_of)):
            for value in values:
                _demand_text(f"filters[{n}].{name}", value, MAX_VALUE)
    for n, key in enumerate(meter.group_keys):
        _demand_text(f"group_keys[{n}]", key, MAX_PATH)
        if key in GROUPED_BY_ALL:
            raise InvalidValueError(
                f"group_keys[{n}]", f"{key} is what everything can be grouped by; take another name"
            )
    _demand_text("value", meter.of if meter.value is None else meter.value.text, MAX_LENGTH)
    return meter


def _demand_text(field: str, text: str, most: int) -> None:
    if len(text) > most:
        raise InvalidValueError(field, f"is longer than {most} characters")
    if (wrong := wrong_text(text)) is not None:
        raise InvalidValueError(field, wrong)


class SlugTakenError(ConflictError):
    """The project has a meter of that slug."""

    field = "slug"


@dataclass(frozen=True, slots=True)
class Changed:
    """A meter that a command has written."""

    slug: str
    uuid: str


def create_meter(tx: Tx, pid: int, wanted: Wanted, *, actor: Actor, at: datetime, ids: IdSource) -> Changed:
    """InvalidValueError, ConflictError (there are too many), SlugTakenError."""
    slug = slug_of(wanted.slug)
    demand_times(wanted.from_at, wanted.to_at)
    of_project = sa.select(sa.func.count()).where(meters.c.pid == pid, meters.c.archived_at.is_(None))
    if tx.conn.execute(of_project).scalar_one() >= MOST_METERS:
        raise ConflictError(f"the project has {MOST_METERS} meters, which is all that it may have; archive one")
    from_at = _since_kept(tx, pid, wanted.from_at, wanted.to_at)
    named = named_of(wanted.name, wanted.unit)
    meter_id, public_id = ids.next(at), str(uuids.uuid4())
    made = {"pid": pid, "id": meter_id, "uuid": public_id, "slug": slug, "rev": 1, "created_at": at}
    # Not looked up first: on another node somebody may take the slug at this very moment.
    insert = tx.insert(meters).values(made | named).on_conflict_do_nothing(index_elements=["pid", "slug"])
    if tx.conn.execute(insert.returning(meters.c.id)).first() is None:
        raise SlugTakenError(f"there is a meter {slug} already")
    _add_version(tx, pid, meter_id, wanted.meter, from_at=from_at, to_at=wanted.to_at, at=at, ids=ids)
    facts = {"slug": slug} | named | _facts(wanted.meter, from_at, wanted.to_at)
    note(
        tx, pid, actor=actor, action=Action.METER_CREATE, of=f"meter:{public_id}",
        before=None, after=facts, at=at, ids=ids,
    )  # fmt: skip
    return Changed(slug, public_id)


def edit_meter(
    tx: Tx,
    pid: int,
    name_or_id: str,
    *,
    name: str | None,
    unit: str | None,
    rev: int | None,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> None:
    """Its name and unit. ChangedMeanwhileError: it is not of this `rev` (None: any will do)."""
    row = _held(tx, pid, name_or_id, rev)
    wanted = named_of(row.name if name is None else name, row.unit if unit is None else unit)
    before, after = differing({"name": row.name, "unit": row.unit}, wanted)
    if not after:
        return
    _put(tx, pid, row, after)
    note(
        tx, pid, actor=actor, action=Action.METER_EDIT, of=f"meter:{row.uuid}",
        before=before, after=after, at=at, ids=ids,
    )  # fmt: skip


def change_meter(
    tx: Tx,
    pid: int,
    name_or_id: str,
    meter: Meter,
    *,
    from_at: datetime | None,
    to_at: datetime | None,
    rev: int | None,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> None:
    """A version that counts in [from_at, to_at), over whatever counted there before; None: since ever, for ever."""
    row = _held(tx, pid, name_or_id, rev)
    if row.archived_at is not None:
        raise ConflictError("the meter is archived; bring it back first")
    demand_times(from_at, to_at)
    n = sa.select(sa.func.count()).where(meter_versions.c.pid == pid, meter_versions.c.meter_id == row.id)
    if tx.conn.execute(n).scalar_one() >= MOST_VERSIONS:
        raise ConflictError(
            f"the meter has {MOST_VERSIONS} versions, which is all that it may have; make another meter"
        )
    newest = (
        sa.select(meter_versions.c.definition, meter_versions.c.from_at, meter_versions.c.to_at)
        .where(meter_versions.c.pid == pid, meter_versions.c.meter_id == row.id)
        .order_by(meter_versions.c.id.desc())
        .limit(1)
    )
    before = tx.conn.execute(newest).one()
    from_at = _since_kept(tx, pid, from_at, to_at)
    _add_version(tx, pid, row.id, meter, from_at=from_at, to_at=to_at, at=at, ids=ids)
    _put(tx, pid, row, {})
    told = {"definition": before.definition, "from_at": before.from_at, "to_at": before.to_at}
    note(
        tx, pid, actor=actor, action=Action.METER_CHANGE, of=f"meter:{row.uuid}",
        before=told, after=_facts(meter, from_at, to_at), at=at, ids=ids,
    )  # fmt: skip


def archive_meter(
    tx: Tx, pid: int, name_or_id: str, *, rev: int | None, actor: Actor, at: datetime, ids: IdSource
) -> None:
    """From now on it counts nothing; what it has counted stays. Nothing is done if it was archived before."""
    row = _held(tx, pid, name_or_id, rev)
    if row.archived_at is not None:
        return
    _put(tx, pid, row, {"archived_at": at})
    # What is said to happen later has been counted already.
    mark_hours(tx, pid, at, None, seq=ids.next(at))
    note(
        tx, pid, actor=actor, action=Action.METER_ARCHIVE, of=f"meter:{row.uuid}",
        before={"archived_at": None}, after={"archived_at": at}, at=at, ids=ids,
    )  # fmt: skip


def unarchive_meter(
    tx: Tx, pid: int, name_or_id: str, *, rev: int | None, actor: Actor, at: datetime, ids: IdSource
) -> None:
    """It counts again, also what happened meanwhile. Nothing is done if it was not archived."""
    row = _held(tx, pid, name_or_id, rev)
    if row.archived_at is None:
        return
    of_project = sa.select(sa.func.count()).where(meters.c.pid == pid, meters.c.archived_at.is_(None))
    if tx.conn.execute(of_project).scalar_one() >= MOST_METERS:
        raise ConflictError(f"the project has {MOST_METERS} meters, which is all that it may have; archive one")
    _put(tx, pid, row, {"archived_at": None})
    mark_hours(tx, pid, row.archived_at, None, seq=ids.next(at))
    note(
        tx, pid, actor=actor, action=Action.METER_UNARCHIVE, of=f"meter:{row.uuid}",
        before={"archived_at": row.archived_at}, after={"archived_at": None}, at=at, ids=ids,
    )  # fmt: skip


def mark_hours(tx: Tx, pid: int, from_at: datetime | None, to_at: datetime | None, *, seq: int) -> None:
    """All hours with events that have a part in [from_at, to_at) shall be folded anew; None: since ever, for ever.

    `seq`: a new id. Also those that are marked already: who folds one at this moment, by the meters as they were, must
    not take its mark away.
    """
    marks = [dirty_hours.c.pid == pid]
    if from_at is not None:
        marks.append(dirty_hours.c.hour > from_at - HOUR)
    if to_at is not None:
        marks.append(dirty_hours.c.hour < to_at)
    tx.conn.execute(sa.update(dirty_hours).where(*marks).values(seq=seq))
    mark_folded(tx, pid, from_at=from_at, to_at=to_at, seq=seq)


def _add_version(
    tx: Tx,
    pid: int,
    meter_id: int,
    meter: Meter,
    *,
    from_at: datetime | None,
    to_at: datetime | None,
    at: datetime,
    ids: IdSource,
) -> None:
    made = {"pid": pid, "id": ids.next(at), "meter_id": meter_id, "created_at": at}
    tx.conn.execute(sa.insert(meter_versions).values(made | _facts(meter, from_at, to_at)))
    mark_hours(tx, pid, from_at, to_at, seq=ids.next(at))


def _put(tx: Tx, pid: int, row: Found, values: dict[str, Any]) -> None:
    this = sa.and_(meters.c.pid == pid, meters.c.id == row.id)
    tx.conn.execute(sa.update(meters).where(this).values(values | {"rev": row.rev + 1}))


def _held(tx: Tx, pid: int, name_or_id: str, rev: int | None) -> Found:
    query = one_of(pid, name_or_id)
    row = found_one(tx.conn.execute(query.with_for_update() if tx.on_postgres else query).first())
    if rev is not None and row.rev != rev:
        raise ChangedMeanwhileError("the meter has changed since you read it")
    return row


def slug_of(given: str) -> str:
    """InvalidValueError."""
    slug = text.slug(given, field="slug", most=MOST_SLUG)
    if slug in _RESERVED or UUID_SHAPE.fullmatch(slug):
        raise InvalidValueError("slug", "is reserved; take another")
    return slug


def named_of(name: str, unit: str) -> dict[str, str]:
    """InvalidValueError names the field."""
    return {
        "name": text.name(name, field="name", most=MOST_NAME),
        "unit": text.name(unit, field="unit", most=MOST_UNIT) if unit.strip() else "",
    }


def demand_times(from_at: datetime | None, to_at: datetime | None) -> None:
    """InvalidValueError. An instant that a database keeps and cannot tell would stop whoever folds the project."""
    for name, at in (("from_at", from_at), ("to_at", to_at)):
        if at is not None and not EARLIEST <= at <= LATEST:
            raise InvalidValueError(name, "must be within 1970 to 2200")
    if from_at is not None and to_at is not None and to_at <= from_at:
        raise InvalidValueError("to_at", "must be after from_at")


def _since_kept(tx: Tx, pid: int, from_at: datetime | None, to_at: datetime | None) -> datetime | None:
    """From when on a version counts that is wanted from `from_at` on: what is sealed stays what it came to."""
    since: datetime | None = tx.conn.execute(newest_sealed(pid)).scalar()
    if since is None:
        return from_at
    if to_at is not None and to_at <= since:
        raise InvalidValueError(
            "to_at", f"must be after {since:%Y-%m-%dT%H:%MZ}: events from before are not kept any more"
        )
    return since if from_at is None else max(from_at, since)


def _facts(meter: Meter, from_at: datetime | None, to_at: datetime | None) -> dict[str, Any]:
    return {"definition": definition_of(meter), "from_at": from_at, "to_at": to_at}
