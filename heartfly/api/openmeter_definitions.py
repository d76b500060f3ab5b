"""OpenMeter's meters, made, edited, deleted: one of ours, of one event type and one property, which is archived.

A group there has a name and a path, here a property only; one that is named otherwise than by its path is refused.
Descriptions and metadata are not kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from litestar import delete, post, put
from litestar.params import FromPath, JSONBody

from heartfly.api.foreign_meters import meter_of_property, told_in
from heartfly.api.openmeter_meters import AGGREGATIONS, instant_in, meter_out
from heartfly.api.request import ApiRequest
from heartfly.core.meters import MAX_GROUP_KEYS, Aggregation, Meter
from heartfly.core.versions import in_force
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage import meters
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.meter_queries import Stored, find_meter

_NAMES = {"event_types": "eventType", "value": "valueProperty", "group_keys": "groupBy", "from_at": "eventFrom"}
_OURS: Mapping[str, Aggregation] = {word: kind for kind, word in AGGREGATIONS.items()}
_STEP = re.compile(r"""\.([A-Za-z_]\w*)|\[("(?:[^"\\]|\\.)*")\]|\['([^'\\]*)'\]""", re.ASCII)
_PATH = re.compile(rf"\$(?:{_STEP.pattern})+", re.ASCII)


class MeterIn(msgspec.Struct, rename="camel"):
    slug: str
    aggregation: str
    event_type: str
    name: str | None = None
    event_from: str | None = None
    value_property: str | None = None
    group_by: dict[str, str] | None = None


class MeterEdit(msgspec.Struct, rename="camel"):
    """What is left out stays. Of those that no meter changes by: what they are, if somebody says so."""

    name: str | None = None
    group_by: dict[str, str] | None = None
    slug: str | None = None
    aggregation: str | None = None
    event_type: str | None = None
    event_from: str | None = None
    value_property: str | None = None


@post("/api/v1/meters", status_code=201)
async def create_one(request: ApiRequest, data: JSONBody[MeterIn]) -> dict[str, Any]:
    """It knows the events that came before."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    since = instant_in(data.event_from, "eventFrom")
    with told_in(_NAMES):
        wanted = meters.Wanted(
            slug=data.slug, name=data.name or data.slug, unit="", meter=_meter_in(data), from_at=since
        )
        await api.usage.write(lambda tx: meters.create_meter(tx, pid, wanted, actor=actor, at=at, ids=api.ids))
    await carry_or_wait(api.usage, api.database)
    return await _told(request, data.slug)


def _meter_in(data: MeterIn) -> Meter:
    aggregation = _OURS.get(data.aggregation.upper())
    if aggregation is None:
        raise InvalidValueError("aggregation", f"must be one of {', '.join(_OURS)}")
    of = None
    if aggregation is not Aggregation.COUNT and data.value_property is not None:
        of = _property(data.value_property, "valueProperty")
    return meter_of_property(
        types=[data.event_type] if data.event_type else [],
        aggregation=aggregation.value,
        of=of,
        group_keys=_groups(data.group_by or {}),
    )


def _groups(given: Mapping[str, str]) -> list[str]:
    found = []
    for name, path in given.items():
        key = _property(path, f"groupBy.{name[:100]}")
        if key != name:
            raise InvalidValueError(
                f"groupBy.{name[:100]}", f"a group has the name of its property here; call it {key[:100]}"
            )
        found.append(key)
    return found


def _property(path: str, field: str) -> str:
    """`$.a.b`, `$["a-b"]` and `$['a-b']` are paths of one property. InvalidValueError."""
    if len(path) > meters.MAX_PATH or not _PATH.fullmatch(path):
        raise InvalidValueError(field, "must be the path of one property, such as $.size or $.request.size")
    steps = []
    for plain, quoted, single in _STEP.findall(path):
        try:
            steps.append(plain or (json.loads(quoted) if quoted else single))
        except ValueError:
            raise InvalidValueError(field, "must be the path of one property, such as $.size") from None
    return ".".join(steps)


@put("/api/v1/meters/{meter_id:str}")
async def edit_one(request: ApiRequest, meter_id: FromPath[str], data: JSONBody[MeterEdit]) -> dict[str, Any]:
    """Its name and its groups, which hold for all that the version that counts now has counted.

    ConflictError: another was made later for a part of that, which one over all of it would take back.
    """
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    async with api.usage.read() as read:
        stored = await find_meter(read, pid, meter_id)
    _demand_the_same(data, meter_out(stored, at))
    version = in_force(stored.versions, at) or stored.newest
    keys = None if data.group_by is None else tuple(_groups(data.group_by))
    regroups = keys is not None and keys != version.meter.group_keys
    if regroups and any(one.id > version.id and one.overlaps(version) for one in stored.versions):
        raise ConflictError(
            "other versions hold for a part of what this one counts; change its groups by a version (docs/meters.md)"
        )

    def command(tx: Tx) -> None:
        rev = stored.row.rev
        if regroups:
            meters.change_meter(
                tx, pid, stored.row.uuid, meter, from_at=version.from_at, to_at=version.to_at,
                rev=rev, actor=actor, at=at, ids=api.ids,
            )  # fmt: skip
        if data.name is not None:
            meters.edit_meter(
                tx, pid, stored.row.uuid, name=data.name, unit=None, rev=None, actor=actor, at=at, ids=api.ids
            )

    with told_in(_NAMES):
        meter = meters.usable(_grouped_by(version.meter, keys or ()))
        await api.usage.write(command)
    await carry_or_wait(api.usage, api.database)
    return await _told(request, stored.row.uuid)


def _grouped_by(meter: Meter, keys: tuple[str, ...]) -> Meter:
    if len(keys) > MAX_GROUP_KEYS or not all(keys):
        raise InvalidValueError("group_keys", f"must be up to {MAX_GROUP_KEYS} names, each once")
    return replace(meter, group_keys=keys)


def _demand_the_same(data: MeterEdit, known: Mapping[str, Any]) -> None:
    for name in ("slug", "aggregation", "eventType", "eventFrom", "valueProperty"):
        given = getattr(data, _ATTRIBUTES.get(name, name))
        if given is not None and given != known.get(name):
            raise InvalidValueError(name, "cannot be changed by this call: a version of the meter can (docs/meters.md)")


_ATTRIBUTES = {"eventType": "event_type", "eventFrom": "event_from", "valueProperty": "value_property"}


@delete("/api/v1/meters/{meter_id:str}", status_code=204)
async def delete_one(request: ApiRequest, meter_id: FromPath[str]) -> None:
    """It is archived: what it has counted stays, and its slug stays taken."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.usage.write(lambda tx: meters.archive_meter(tx, pid, meter_id, rev=None, actor=actor, at=at, ids=api.ids))
    await carry_or_wait(api.usage, api.database)


async def _told(request: ApiRequest, name_or_id: str) -> dict[str, Any]:
    async with request.api.usage.read() as read:
        stored: Stored = await find_meter(read, request.caller.pid, name_or_id)
    return meter_out(stored, request.api.clock.now())


HANDLERS = (create_one, edit_one, delete_one)
