"""The calls: monitors put, told, listed, paused and removed. Whose a field is, is checks/owned.py's to say.

Of a configuration with a fault nothing is kept. What is only to be validated is done and rolled back; so is, first,
what is too much for one transaction, for which every ping would wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.accounts.keys import Caller
from heartfly.api.compat.cronitor.documents import Document
from heartfly.api.compat.cronitor.forms import TYPE, monitor_form, page, type_of
from heartfly.api.compat.cronitor.spec import Spec, read_spec, theirs
from heartfly.api.state import ApiState
from heartfly.audit.record import Actor
from heartfly.checks import commands, history, snooze
from heartfly.checks.described import Upserted, upsert
from heartfly.checks.owned import BY
from heartfly.checks.queries import Wanted, find_addressed, find_many, find_these
from heartfly.checks.turn import in_turn
from heartfly.core import text
from heartfly.core.silence import Silence, SilenceKind
from heartfly.core.words import Status
from heartfly.db.changes import Tx
from heartfly.db.models import channels, check_channels, checks
from heartfly.errors import ConflictError, HeartflyError, InvalidValueError, LimitError
from heartfly.notify import peace_commands
from heartfly.notify.silences import in_force, living, running

ALL = "default"
"""Of `notify`: every channel of the project."""
MOST_PAGE = 500
AT_ONCE = 10
"""Monitors in one transaction: a tenth of a second."""
MOST_HOURS = snooze.LONGEST // timedelta(hours=1)


class WrongMonitorsError(HeartflyError):
    """`wrong`: each with its place, field and reason. Nothing of the call is kept."""

    def __init__(self, wrong: Sequence[tuple[str, str, str]]) -> None:
        super().__init__("; ".join(f"{_joined(place, field)}: {why}" for place, field, why in wrong[:5]))
        self.wrong = wrong


class _RolledBackError(HeartflyError):
    """What was to be validated is right; it is not kept."""

    def __init__(self, done: Sequence[tuple[Spec, Upserted]], forms: Sequence[dict[str, Any]]) -> None:
        super().__init__("rolled back")
        self.done = done
        self.forms = forms


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    api: ApiState
    caller: Caller
    actor: Actor

    @property
    def pid(self) -> int:
        return self.caller.pid


async def put(call: Call, document: Document) -> list[dict[str, Any]]:
    """The monitors as they are now, in the order in which they came. WrongMonitorsError."""
    specs = _specs(document)
    some = [specs[start : start + AT_ONCE] for start in range(0, len(specs), AT_ONCE)]
    if document.rollback or len(some) > 1:
        tried = await _tried(call, some)
        if document.rollback:
            return tried
    done: list[tuple[Spec, Upserted]] = []
    for these in some:
        done += await in_turn(call.api.database, call.api.clock, partial(_put_all, call=call, specs=these))
    async with call.api.database.read() as read:
        forms = await _forms_of(read, call, [one.uuid for _, one in done])
    return _with_facts(done, forms)


async def _tried(call: Call, some: Sequence[Sequence[tuple[str, Spec]]]) -> list[dict[str, Any]]:
    """As they would be. WrongMonitorsError, of all that is wrong in any of them."""
    done: list[tuple[Spec, Upserted]] = []
    forms: list[dict[str, Any]] = []
    wrong: list[tuple[str, str, str]] = []

    def command(tx: Tx, at: datetime, *, specs: Sequence[tuple[str, Spec]]) -> None:
        made = _put_all(tx, at, call=call, specs=specs)
        _demand_room(tx, call, specs, made, before=sum(one.is_new for _, one in done))
        raise _RolledBackError(made, _forms_in(tx, call.pid, [one.uuid for _, one in made], at))

    for these in some:
        try:
            await in_turn(call.api.database, call.api.clock, partial(command, specs=these))
        except _RolledBackError as validated:
            done += validated.done
            forms += validated.forms
        except WrongMonitorsError as error:
            wrong += error.wrong
    if wrong:
        raise WrongMonitorsError(wrong)
    return _with_facts(done, forms)


async def show(call: Call, key: str) -> dict[str, Any]:
    """NotFoundError, AmbiguousSlugError."""
    async with call.api.database.read() as read:
        row = await find_addressed(read, call.pid, key)
        return (await _forms(read, call, [row]))[0]


async def list_page(call: Call, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """InvalidValueError: a filter that is not known would find all."""
    known = {"page", "pageSize", "type", "tag", "search"}
    if unknown := sorted(set(query) - known):
        raise InvalidValueError(unknown[0][:100], f"is no filter here; known are {', '.join(sorted(known))}")
    number, size = _number(query, "page", 1, 1_000_000), _number(query, "pageSize", 50, MOST_PAGE)
    wanted = Wanted(tags=query.get("tag", ()), text=text.one_line(_first(query, "search"), field="search", most=100))
    rows = [
        row for row in await _all(call, wanted) if not query.get("type") or type_of(row) in query["type"]
    ]  # fmt: skip
    async with call.api.database.read() as read:
        forms = await _forms(read, call, rows[(number - 1) * size : number * size])
    return page(forms, number=number, size=size, total=len(rows))


async def all_forms(call: Call) -> list[dict[str, Any]]:
    """For a configuration. A pause that ends by itself is no part of it: put again, it would have no end."""
    rows = await _all(call, Wanted())
    found: list[dict[str, Any]] = []
    for start in range(0, len(rows), MOST_PAGE):
        async with call.api.database.read() as read:
            found += await _forms(read, call, rows[start : start + MOST_PAGE], snoozed=False)
    return found


async def remove(call: Call, key: str) -> None:
    """NotFoundError, ConflictError."""
    api, at = call.api, call.api.clock.now()
    uuid = await _uuid(call, key)
    gone = await api.database.write(
        lambda tx: commands.delete(tx, call.pid, uuid, at=at, ids=api.ids, actor=call.actor)
    )  # fmt: skip
    await history.remove(api.database, call.pid, gone)


async def pause(call: Call, key: str, hours: str | None) -> None:
    """`hours` None: until it is resumed, which 0 does. So many: nobody is told for so long, which is a snooze here, as
    what the job says is still taken, there and here. InvalidValueError.
    """
    lasts = None if hours is None else _hours(hours)
    uuid = await _uuid(call, key)

    def command(tx: Tx, at: datetime) -> None:
        if lasts:
            snooze.snooze(tx, call.pid, uuid, lasts=lasts, at=at, actor=call.actor, ids=call.api.ids)
            return
        _pause(tx, call, uuid, at, wanted=hours is None)
        if hours is not None:
            peace_commands.end_snoozes(tx, call.pid, [uuid], at=at, actor=call.actor, ids=call.api.ids)

    await in_turn(call.api.database, call.api.clock, command)


# --- in one transaction ------------------------------------------------------------------------------


def _specs(document: Document) -> list[tuple[str, Spec]]:
    specs: list[tuple[str, Spec]] = []
    wrong: list[tuple[str, str, str]] = []
    for place, found in document.monitors:
        try:
            spec = read_spec(found)
        except InvalidValueError as error:
            wrong += [(place, one.field, one.message) for one in (error, *error.others)]
            continue
        first = next((where for where, one in specs if one.slug == spec.slug), None)
        if first is not None:
            wrong.append((place, "key", f"is that of {first}, too"))
        specs.append((place, spec))
    if wrong:
        raise WrongMonitorsError(wrong)
    return specs


def _demand_room(
    tx: Tx, call: Call, specs: Sequence[tuple[str, Spec]], made: Sequence[tuple[Spec, Upserted]], *, before: int
) -> None:
    """WrongMonitorsError: with the `before` that will have been made by then there are too many."""
    most = call.api.settings.limits.checks
    n: int = tx.conn.execute(sa.select(sa.func.count()).where(checks.c.pid == call.pid)).scalar_one()
    new = [place for (place, _), (_, one) in zip(specs, made, strict=True) if one.is_new]
    if new and n + before > most:
        raise WrongMonitorsError([(new[-1], "", str(LimitError("checks in the project:", most, "limits.checks")))])


def _put_all(tx: Tx, at: datetime, *, call: Call, specs: Sequence[tuple[str, Spec]]) -> list[tuple[Spec, Upserted]]:
    done: list[tuple[Spec, Upserted]] = []
    wrong: list[tuple[str, str, str]] = []
    for place, spec in specs:
        try:
            done.append((spec, _put_one(tx, call, spec, at)))
        except InvalidValueError as error:
            wrong += [(place, theirs(one.field), one.message) for one in (error, *error.others)]
        except ConflictError as error:
            wrong.append((place, theirs(getattr(error, "field", "")), str(error)))
    if wrong:
        raise WrongMonitorsError(wrong)
    return done


def _put_one(tx: Tx, call: Call, spec: Spec, at: datetime) -> Upserted:
    asked = spec.asked
    if spec.notify is not None:
        asked = msgspec.structs.replace(asked, channels=_channels(tx, call.pid, spec.notify))
    api = call.api
    done = upsert(
        tx, call.pid, spec.slug, asked, at=at, ids=api.ids, actor=call.actor, most=api.settings.limits.checks,
        **{TYPE: spec.type, BY: "Cronitor"},
    )  # fmt: skip
    if spec.paused is not None:
        _pause(tx, call, done.uuid, at, wanted=spec.paused)
    return done


def _pause(tx: Tx, call: Call, uuid: str, at: datetime, *, wanted: bool) -> None:
    is_paused = commands.locked(tx, call.pid, uuid, None).row.status == Status.PAUSED.value
    if wanted and not is_paused:
        commands.pause(tx, call.pid, uuid, at=at, ids=call.api.ids, actor=call.actor)
    elif is_paused and not wanted:
        commands.resume(tx, call.pid, uuid, at=at, ids=call.api.ids, actor=call.actor)


def _channels(tx: Tx, pid: int, names: Sequence[str]) -> list[str]:
    """By public id. A channel is called by its name, whatever the case, or by its id."""
    if ALL in names:
        return [commands.ALL_CHANNELS]
    query = sa.select(channels.c.uuid, channels.c.name).where(channels.c.pid == pid).order_by(channels.c.id)
    known = tx.conn.execute(query).all()
    found: list[str] = []
    for place, name in enumerate(names):
        its = [row.uuid for row in known if name.lower() in {row.uuid, row.name.lower()}]
        if len(its) != 1:
            what = "two channels have that name" if its else "there is no channel of that name"
            raise InvalidValueError(f"channels[{place}]", f"{what}: {name[:100]}")
        found += its
    return list(dict.fromkeys(found))


# --- as they are told --------------------------------------------------------------------------------


def _with_facts(done: Sequence[tuple[Spec, Upserted]], forms: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """`forms`: in any order. With what a person's settings have kept, and what is not kept here."""
    by_key = {form["key"]: form for form in forms}
    return [
        by_key[spec.slug] | {"kept": [theirs(name) for name in one.kept], "not_kept": list(spec.not_kept)}
        for spec, one in done
    ]


def _heard(pid: int, ids: Sequence[int]) -> sa.Select[Any]:
    joined = sa.and_(channels.c.pid == check_channels.c.pid, channels.c.id == check_channels.c.channel_id)
    return (
        sa.select(check_channels.c.check_id, channels.c.uuid, channels.c.name)
        .join(channels, joined)
        .where(check_channels.c.pid == pid, check_channels.c.check_id.in_(ids))
        .order_by(channels.c.id)
    )


def _formed(
    rows: Sequence[Any], heard: Sequence[Any], of_project: Sequence[str], silent: Sequence[Silence], now: datetime
) -> list[dict[str, Any]]:
    by_check: dict[int, list[tuple[str, str]]] = {}
    for one in heard:
        by_check.setdefault(one.check_id, []).append((one.uuid, one.name))
    return [
        monitor_form(
            row, by_check.get(row.id, ()), of_project=of_project, snoozed_until=_snoozed_until(silent, row, now)
        )
        for row in rows
    ]  # fmt: skip


def _snoozed_until(silent: Sequence[Silence], row: Any, now: datetime) -> datetime | None:
    found = [one.span.to_at for one in running(silent, row, now=now) if one.silence.kind is SilenceKind.SNOOZE]
    return max(found, default=None)


async def _forms(
    read: AsyncConnection, call: Call, rows: Sequence[Any], *, snoozed: bool = True
) -> list[dict[str, Any]]:  # fmt: skip
    pid, now = call.pid, call.api.clock.now()
    heard = (await read.execute(_heard(pid, [row.id for row in rows]))).all()
    of_project = (await read.execute(sa.select(channels.c.uuid).where(channels.c.pid == pid))).scalars().all()
    silent = await in_force(read, pid, now=now) if snoozed else []
    return _formed(rows, heard, of_project, silent, now)


async def _forms_of(read: AsyncConnection, call: Call, uuids: Sequence[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for start in range(0, len(uuids), MOST_PAGE):
        some = await find_these(read, call.pid, uuids[start : start + MOST_PAGE])
        found += await _forms(read, call, some)
    return found


def _forms_in(tx: Tx, pid: int, uuids: Sequence[str], at: datetime) -> list[dict[str, Any]]:
    """Inside the transaction that is rolled back."""
    rows = [commands.locked(tx, pid, uuid, None).row for uuid in uuids]
    of_project = tx.conn.execute(sa.select(channels.c.uuid).where(channels.c.pid == pid)).scalars().all()
    silent = living(tx, [pid], now=at).get(pid, [])
    found: list[dict[str, Any]] = []
    for start in range(0, len(rows), MOST_PAGE):
        some = rows[start : start + MOST_PAGE]
        heard = tx.conn.execute(_heard(pid, [row.id for row in some])).all()
        found += _formed(some, heard, of_project, silent, at)
    return found


async def _all(call: Call, wanted: Wanted) -> list[Any]:
    """Some at a time: others are served in between."""
    found: list[Any] = []
    while True:
        async with call.api.database.read() as read:
            after = found[-1].id if found else None
            some = await find_many(read, call.pid, wanted, after=after, limit=MOST_PAGE)
        found += some
        if len(some) < MOST_PAGE:
            return found


async def _uuid(call: Call, key: str) -> str:
    async with call.api.database.read() as read:
        uuid: str = (await find_addressed(read, call.pid, key)).uuid
    return uuid


def _hours(told: str) -> timedelta:
    """InvalidValueError."""
    if not (told.isascii() and told.isdigit() and len(told) < 6 and int(told) <= MOST_HOURS):
        raise InvalidValueError("hours", f"must be a whole number, 0 (which resumes) to {MOST_HOURS}")
    return timedelta(hours=int(told))


def _first(query: Mapping[str, Sequence[str]], name: str) -> str:
    return query[name][0] if query.get(name) else ""


def _number(query: Mapping[str, Sequence[str]], name: str, default: int, most: int) -> int:
    told = _first(query, name)
    if not told:
        return default
    if not (told.isascii() and told.isdigit() and len(told) < 8 and 1 <= int(told) <= most):
        raise InvalidValueError(name, f"must be 1 to {most}")
    return int(told)


def _joined(place: str, field: str) -> str:
    return f"{place}.{field}" if field else place
