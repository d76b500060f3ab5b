"""What OpenMeter's meters have seen: the subjects that have used something, and the values that a group has had.

Both are read off the figures, so that only what counts is told.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from heartfly.api.foreign_meters import told_in
from heartfly.api.openmeter_meters import NAMES, earlier, instant_in, rows_of
from heartfly.api.request import ApiRequest
from heartfly.core import zones
from heartfly.errors import InvalidValueError
from heartfly.usage.answers import Item
from heartfly.usage.meter_queries import find_meter
from heartfly.usage.question import CUSTOMER, SUBJECT, Question

_DAY = timedelta(days=1)


@get("/api/v1/meters/{meter_id:str}/subjects")
async def list_subjects(
    request: ApiRequest,
    meter_id: FromPath[str],
    from_at: Annotated[str | None, QueryParameter(name="from")] = None,
    to_at: Annotated[str | None, QueryParameter(name="to")] = None,
) -> list[str]:
    """Those that have used something, since ever if `from` is not said."""
    rows = await _by_one(request, meter_id, SUBJECT, instant_in(from_at, "from"), instant_in(to_at, "to"))
    return sorted({one.subject for one in rows if one.subject is not None})


@get("/api/v1/meters/{meter_id:str}/group-by/{key:str}/values")
async def list_values(
    request: ApiRequest,
    meter_id: FromPath[str],
    key: FromPath[str],
    from_at: Annotated[str | None, QueryParameter(name="from")] = None,
    to_at: Annotated[str | None, QueryParameter(name="to")] = None,
) -> list[str]:
    """Those that a group has had, of the last 24 hours if `from` is not said."""
    if key in {CUSTOMER, SUBJECT}:
        raise InvalidValueError("groupBy", f"the meter has no group {key}")
    end = instant_in(to_at, "to") or request.api.clock.now()
    since = instant_in(from_at, "from") or earlier(end, _DAY)
    rows = await _by_one(request, meter_id, key, since, end)
    return sorted({text for one in rows if (text := one.group[key]) is not None})


async def _by_one(
    request: ApiRequest, meter_id: str, group: str, since: datetime | None, end: datetime | None
) -> list[Item]:
    now, pid = request.api.clock.now(), request.caller.pid
    to_at = end or now
    question = Question(from_at=to_at, to_at=to_at, size=None, zone=zones.zone("UTC"), group_by=(group,))
    with told_in(NAMES):
        async with request.api.usage.read() as read:
            stored = await find_meter(read, pid, meter_id)
            return await rows_of(read, pid, stored, question, since=since, now=now)


HANDLERS = (list_subjects, list_values)
