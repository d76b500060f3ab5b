"""What people do to checks: create, edit, pause, resume, delete. Each function is one transaction's work.

What a command makes of a check's life is decided in core/check.py, and what follows from it is
written by flips.py. A command finds the check by its public id within the caller's project, so that
another project's check reads exactly as one that does not exist. What moves a deadline is refused while the
check is due (see turn.py), so that nobody excuses by chance what the monitor was about to tell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from itertools import count

import msgspec
import sqlalchemy as sa

from heartfly.audit.record import HEARTFLY, Action, Actor, Facts, differing
from heartfly.audit.record import record as audit
from heartfly.checks import first_ping, needs
from heartfly.checks.config import CheckConfig, CheckIn, SharedSlug, as_asked, mark_of, merged, of_row
from heartfly.checks.create import assign_channels, demand_room, insert_check, record_version
from heartfly.checks.flips import Taken, record
from heartfly.checks.owned import heard_by
from heartfly.checks.queries import UUID, uuid_of
from heartfly.checks.rows import Stored, load, one, select_locked
from heartfly.checks.turn import refuse_if_due
from heartfly.core import check as life
from heartfly.core import text
from heartfly.core.check import waits_for_first_ping
from heartfly.core.values import Step, replace
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import addresses, badge_addresses, channels, check_channels, checks
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError, NotFoundError
from heartfly.incidents.commands import end_with_check

ALL_CHANNELS = "*"
_MOST_CHANNELS = 200
_SLUG_ROOT = 90
"""Of a slug's 100 characters: the rest is for the number that makes it unique."""


class SlugTakenError(ConflictError):
    """Another check of the project has the slug that was asked for."""

    field = "slug"


class JobsCheckError(ConflictError):
    """The check is that of a job of Heartfly's own, which would go unwatched, or be watched wrongly."""


def create(
    tx: Tx,
    pid: int,
    asked: CheckIn,
    *,
    at: datetime,
    ids: IdSource,
    actor: Actor,
    most: int | None = None,
    ping_uuid: str | None = None,
) -> str:
    """A new check; returns its public id. Without a slug one is made of the name, and made unique.

    `most`: how many the project may have; None: any number. LimitError. `ping_uuid`: see `insert_check`.
    """
    if most is not None:
        demand_room(tx, pid, most)
    config, by = _named(merged(CheckConfig(), asked, at=at)), first_ping.asked_for(asked, at=at)
    channel_ids = _channel_ids(tx, pid, asked.channels)
    needed = needs.needed_ids(tx, pid, asked.needs, check_id=None)
    if isinstance(asked.slug, SharedSlug):
        made = _insert_sharing(tx, pid, config, actor=actor.name, at=at, ids=ids, ping_uuid=ping_uuid)
    elif config.slug:
        made = _insert(tx, pid, config, actor=actor.name, at=at, ids=ids, ping_uuid=ping_uuid)
    else:
        made = _insert_with_free_slug(tx, pid, config, actor=actor.name, at=at, ids=ids)
    assign_channels(tx, pid, made.id, channel_ids)
    needs.assign(tx, pid, made.id, needed, at=at)
    first_ping.want(tx, made, by, at=at, ids=ids)
    wanted: Facts = {} if by is None else {first_ping.FIELD: by}
    _audit(tx, made, Action.CHECK_CREATE, None, {**told(tx, made), **wanted}, actor=actor, at=at, ids=ids)
    uuid: str = made.row.uuid
    return uuid


def create_or_edit(
    tx: Tx,
    pid: int,
    asked: CheckIn,
    *,
    at: datetime,
    ids: IdSource,
    actor: Actor,
    only_edit: bool = False,
    rev: int | None = None,
    most: int | None = None,
) -> tuple[str, bool]:
    """The check with the slug asked for, as asked; made if there is none. Returns its id and whether it is new.

    ChangedMeanwhileError: there is none, and the caller would `only_edit`; or it is not of this `rev`.
    """
    if not isinstance(asked.slug, str):
        raise InvalidValueError("slug", "is required with ?upsert=slug")
    slug = text.slug(asked.slug, field="slug")
    uuid = _of_slug(tx, pid, slug)
    if uuid is None:
        if only_edit:
            raise ChangedMeanwhileError(f"there is no check with the slug {slug}")
        try:
            return create(tx, pid, asked, at=at, ids=ids, actor=actor, most=most), True
        except SlugTakenError:
            # By another node, since we looked: whoever asks for a slug gets its check, not an error.
            uuid = _of_slug(tx, pid, slug)
            if uuid is None:
                raise
    if first_ping.is_past(asked, at=at) or not waits_for_first_ping(locked(tx, pid, uuid, rev).check):
        # The same command runs with every deployment, also long after the first ping or the instant itself.
        asked = msgspec.structs.replace(asked, first_ping_by=msgspec.UNSET)
    edit(tx, pid, uuid, asked, at=at, ids=ids, actor=actor, rev=rev)
    return uuid, False


def _of_slug(tx: Tx, pid: int, slug: str) -> str | None:
    """SlugTakenError: two checks have it, which a foreign API allows."""
    query = sa.select(checks.c.uuid).where(checks.c.pid == pid, checks.c.slug == slug).order_by(checks.c.id).limit(2)
    found: Sequence[str] = tx.conn.execute(query).scalars().all()
    if len(found) > 1:
        raise SlugTakenError(f"two checks have the slug {slug}: name the one that you mean by its id")
    return found[0] if found else None


def edit(
    tx: Tx,
    pid: int,
    uuid: str,
    asked: CheckIn,
    *,
    at: datetime,
    ids: IdSource,
    actor: Actor,
    rev: int | None = None,
    mark: str | None = None,
) -> None:
    """Change what was asked for. A new schedule or grace counts from now on; nothing else moves the deadline.

    `mark`: that of the settings that the caller has seen (`mark_of`). Each ping counts a revision, which must not
    refuse what somebody took a minute to type; ChangedMeanwhileError when the settings themselves are others now.
    """
    found = _judged(tx, pid, uuid, rev, at=at)
    if mark is not None and mark != mark_of(told(tx, found)):
        raise ChangedMeanwhileError("the check has been edited since you opened it")
    if found.row.job is not None and asked.schedule is not msgspec.UNSET and actor != HEARTFLY:
        raise JobsCheckError(f"its schedule is that of Heartfly's own job {found.row.job}; the grace may be changed")
    config = merged(_config(found), asked, at=at)
    differs = config != _config(found)
    was, wanted = as_asked(_config(found)), as_asked(config)
    if moves := first_ping.is_changed(found.check, asked):
        was[first_ping.FIELD], wanted[first_ping.FIELD] = found.check.expected_at, first_ping.asked_for(asked, at=at)
    if differs:
        _write_config(tx, found, config, at=at, shares=isinstance(asked.slug, SharedSlug))
        record_version(tx, pid, found.id, config, actor=actor.name, at=at)
    if asked.channels is not msgspec.UNSET:
        was["channels"] = heard_by(tx, pid, found.id)
        assign_channels(tx, pid, found.id, _channel_ids(tx, pid, asked.channels))
        wanted["channels"] = heard_by(tx, pid, found.id)
    if (ties := needs.edit(tx, pid, found.id, asked.needs, at=at)) is not None:
        was[needs.FIELD], wanted[needs.FIELD] = ties
    if not (differs or moves or "channels" in wanted or ties is not None):
        return
    before, after = differing(was, wanted)
    if after:
        _audit(tx, found, Action.CHECK_EDIT, before, after, actor=actor, at=at, ids=ids)
    _live_by(tx, found, ids=ids, at=at)
    if moves:
        first_ping.want(tx, found, wanted[first_ping.FIELD], at=at, ids=ids)


def pause(tx: Tx, pid: int, uuid: str, *, at: datetime, ids: IdSource, actor: Actor, rev: int | None = None) -> None:
    """Nothing is expected any more; runs under way are superseded. Pausing a paused check changes nothing."""
    found = _judged(tx, pid, uuid, rev, at=at)
    step = life.pause(found.check, at)
    if step.flips:
        before = {"status": found.check.status.value}
        _record(tx, found, step, ids=ids, at=at)
        _audit(tx, found, Action.CHECK_PAUSE, before, {"status": "paused"}, actor=actor, at=at, ids=ids)


def resume(tx: Tx, pid: int, uuid: str, *, at: datetime, ids: IdSource, actor: Actor, rev: int | None = None) -> None:
    """New again. ConflictError when the check is not paused."""
    found = _judged(tx, pid, uuid, rev, at=at)
    step = life.resume(found.check, at)
    if step is None:
        raise ConflictError("the check is not paused")
    _record(tx, found, step, ids=ids, at=at)
    _audit(tx, found, Action.CHECK_RESUME, {"status": "paused"}, {"status": "new"}, actor=actor, at=at, ids=ids)


def delete(tx: Tx, pid: int, uuid: str, *, at: datetime, ids: IdSource, actor: Actor, rev: int | None = None) -> int:
    """The check is gone at once, with its address and its channels. Returns the id that its history still bears.

    JobsCheckError: a job of our own pings it.

    An open incident is closed; incidents stay, as what was told of them does.

    The address stays as a mark that history is left to remove (see history.py), also across a crash. A deadline that
    is due is not waited for: nobody is told of a check that is gone.
    """
    found = locked(tx, pid, uuid, rev)
    refuse_jobs_check(found)
    _audit(tx, found, Action.CHECK_DELETE, told(tx, found), None, actor=actor, at=at, ids=ids)
    of_check = (addresses.c.pid == pid, addresses.c.check_id == found.id)
    tx.conn.execute(sa.update(addresses).where(*of_check).values(kind="gone"))
    needs.forget(tx, pid, found.id, at=at)
    for table in (check_channels, badge_addresses, checks):
        column = table.c.id if table is checks else table.c.check_id
        tx.conn.execute(sa.delete(table).where(table.c.pid == pid, column == found.id))
    end_with_check(tx, pid, found.id, at=at, ids=ids)
    return found.id


# --- what they have in common ------------------------------------------------------------------------


def refuse_jobs_check(found: Stored) -> None:
    if found.row.job is not None:
        raise JobsCheckError(f"it watches Heartfly's own job {found.row.job}, which goes on; pause it instead")


def locked(tx: Tx, pid: int, uuid: str, rev: int | None) -> Stored:
    """The check, nobody else's until this transaction ends. NotFoundError, ChangedMeanwhileError: not of this `rev`."""
    found = load(tx, select_locked().where(checks.c.pid == pid, checks.c.uuid == uuid_of(uuid)))
    if not found:
        raise NotFoundError("there is no such check")
    if rev is not None and found[0].check.rev != rev:
        raise ChangedMeanwhileError("the check has changed since you read it")
    return found[0]


def _judged(tx: Tx, pid: int, uuid: str, rev: int | None, *, at: datetime) -> Stored:
    """NotJudgedYetError: something of it is due, and the monitor's turn is first."""
    found = locked(tx, pid, uuid, rev)
    refuse_if_due(found.check, at)
    return found


def _config(stored: Stored) -> CheckConfig:
    return of_row(stored.row._asdict())


def told(tx: Tx, stored: Stored) -> Facts:
    """The check as the audit tells of it: in the words in which it is asked for."""
    channels_of = heard_by(tx, stored.pid, stored.id)
    return as_asked(_config(stored)) | {"channels": channels_of, needs.FIELD: needs.of(tx, stored.pid, stored.id)}


def _audit(
    tx: Tx,
    stored: Stored,
    action: Action,
    before: Facts | None,
    after: Facts | None,
    *,
    actor: Actor,
    at: datetime,
    ids: IdSource,
) -> None:
    of = f"check:{stored.row.uuid}"
    audit(tx, stored.pid, actor=actor, action=action, of=of, before=before, after=after, at=at, ids=ids)


def _record(tx: Tx, stored: Stored, step: Step, *, ids: IdSource, at: datetime) -> None:
    before, stored.check = stored.check, step.check
    record(tx, [Taken(stored, before, step)], ids=ids, now=at)


def _live_by(tx: Tx, old: Stored, *, ids: IdSource, at: datetime) -> None:
    """Let the rules judge the life so far under the row as it is now."""
    new = one(tx, old.pid, old.id)
    assert new is not None
    fresh = new.check.rules
    if _when(_config(old)) == _when(_config(new)):
        # A schedule that stayed is the same value: else an edit of anything would put off the deadline.
        fresh = replace(fresh, next_after=old.check.rules.next_after)
    # Assigning channels may have counted a revision of its own, which is therefore read again.
    new.check = replace(old.check, rev=new.check.rev)
    _record(tx, new, life.edited(new.check, fresh, at), ids=ids, at=at)


def _when(config: CheckConfig) -> tuple[str, int, str, str, str]:
    return (config.kind, config.period_s, config.expression, config.zone, config.dialect)


# --- names -------------------------------------------------------------------------------------------


def _named(config: CheckConfig) -> CheckConfig:
    if not (config.name or config.slug):
        raise InvalidValueError("name", "is required")
    return config if config.name else dataclasses.replace(config, name=config.slug)


def _insert_sharing(
    tx: Tx, pid: int, config: CheckConfig, *, actor: str, at: datetime, ids: IdSource, ping_uuid: str | None
) -> Stored:
    """With its slug, whoever else has it, or without any."""
    try:
        if config.slug:
            return _insert(tx, pid, config, actor=actor, at=at, ids=ids, ping_uuid=ping_uuid)
    except SlugTakenError:
        pass  # then it is the second, and a ping by slug is told that it is ambiguous
    return insert_check(tx, pid, config, actor=actor, at=at, ids=ids, slug_key=None, ping_uuid=ping_uuid)


def _insert(
    tx: Tx, pid: int, config: CheckConfig, *, actor: str, at: datetime, ids: IdSource, ping_uuid: str | None = None
) -> Stored:
    """SlugTakenError, also when another node takes the slug at this very moment."""
    if config.slug in _taken(tx, pid, config.slug):
        raise SlugTakenError(f"there is a check with the slug {config.slug} already")
    try:
        with tx.conn.begin_nested():
            return insert_check(tx, pid, config, actor=actor, at=at, ids=ids, slug_key=config.slug, ping_uuid=ping_uuid)
    except sa.exc.IntegrityError as error:
        raise SlugTakenError(f"there is a check with the slug {config.slug} already") from error


def _insert_with_free_slug(tx: Tx, pid: int, config: CheckConfig, *, actor: str, at: datetime, ids: IdSource) -> Stored:
    base = text.slugify(config.name) or "check"
    for _ in range(3):
        slug = _free(base, _taken(tx, pid, base))
        try:
            return _insert(tx, pid, dataclasses.replace(config, slug=slug), actor=actor, at=at, ids=ids)
        except SlugTakenError:
            continue  # by another node, since we looked
    raise SlugTakenError(f"no slug like {base} is free; ask for one")


def _taken(tx: Tx, pid: int, base: str) -> set[str]:
    """Slugs of the project that begin like this one, cut so that a number has room."""
    query = sa.select(checks.c.slug).where(
        checks.c.pid == pid, checks.c.slug.startswith(base[:_SLUG_ROOT], autoescape=True)
    )
    return set(tx.conn.execute(query).scalars())


def _free(base: str, taken: set[str]) -> str:
    """`backup`, or else `backup-2`, `backup-3` and so on."""
    if base not in taken:
        return base
    return next(slug for n in count(2) if (slug := f"{base[:_SLUG_ROOT]}-{n}") not in taken)


def _set_slug(tx: Tx, stored: Stored, slug: str, *, shares: bool) -> dict[str, str | None]:
    """The columns of a new slug; unchanged, a duplicate that a foreign API made stays one.

    `shares`: others may have it as well.
    """
    if slug == stored.row.slug:
        return {}
    if shares:
        return {"slug": slug, "slug_key": None}
    if slug in _taken(tx, stored.pid, slug):
        raise SlugTakenError(f"there is a check with the slug {slug} already")
    return {"slug": slug, "slug_key": slug}


def _write_config(tx: Tx, stored: Stored, config: CheckConfig, *, at: datetime, shares: bool) -> None:
    columns = dataclasses.asdict(config) | {"tags": list(config.tags), "updated_at": at}
    columns |= _set_slug(tx, stored, columns.pop("slug"), shares=shares)
    update = sa.update(checks).where(checks.c.pid == stored.pid, checks.c.id == stored.id).values(columns)
    try:
        with tx.conn.begin_nested():
            tx.conn.execute(update)
    except sa.exc.IntegrityError as error:
        raise SlugTakenError(f"there is a check with the slug {config.slug} already") from error


# --- channels ----------------------------------------------------------------------------------------


def _channel_ids(tx: Tx, pid: int, asked: list[str] | msgspec.UnsetType) -> set[int] | None:
    """None: all of the project."""
    if isinstance(asked, msgspec.UnsetType) or asked == [ALL_CHANNELS]:
        return None
    if len(asked) > _MOST_CHANNELS:
        raise InvalidValueError("channels", f"must be at most {_MOST_CHANNELS}")
    wanted = [uuid.lower() for uuid in asked]
    for i, uuid in enumerate(wanted):
        if not UUID.fullmatch(uuid):
            raise InvalidValueError(f"channels[{i}]", 'must be the id of a channel; all of them are ["*"]')
    query = sa.select(channels.c.uuid, channels.c.id).where(channels.c.pid == pid, channels.c.uuid.in_(wanted))
    known = {row.uuid: row.id for row in tx.conn.execute(query)}
    for i, uuid in enumerate(wanted):
        if uuid not in known:
            raise InvalidValueError(f"channels[{i}]", "there is no such channel")
    return set(known.values())
