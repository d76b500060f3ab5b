"""May this call be made? Checks of limits, and how their reservations end: for keys that send events, too.

`api/limit_door.py` answers these past the framework; what is decided about a body is decided here, for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from litestar import Response, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.accounts.guards import INGESTS
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.state import ApiState
from heartfly.api.v1.wire_limit_checks import (
    EndIn,
    EndOut,
    LimitCheckIn,
    LimitCheckOut,
    call_of,
    checked_out,
    ended_out,
    units_of,
)
from heartfly.errors import InvalidValueError
from heartfly.limits.checker import LONGEST_TTL

_TAGS = ["limits"]
DENIED = "429"
"""As `?status=`: what is denied is answered with that status."""
MAX_KEY = 200


async def check(state: ApiState, pid: int, data: LimitCheckIn) -> LimitCheckOut:
    """InvalidValueError; OverloadedError, StoreError: nothing could be looked up."""
    if not 0 < data.ttl <= LONGEST_TTL.total_seconds():
        raise InvalidValueError("ttl", f"must be more than 0, and at most {LONGEST_TTL.total_seconds():.0f} (seconds)")
    if len(data.idempotency_key) > MAX_KEY:
        raise InvalidValueError("idempotency_key", f"is longer than {MAX_KEY} characters")
    told = await state.checker.check(
        pid,
        call_of(data.scope),
        units_of(data.units, data.cost),
        reserve=data.reserve,
        ttl=timedelta(seconds=data.ttl),
        key=data.idempotency_key,
    )
    return checked_out(told)


async def commit(state: ApiState, pid: int, reservation: str, data: EndIn) -> EndOut:
    return ended_out(await state.checker.end(pid, reservation, units_of(data.units, data.cost)))


async def release(state: ApiState, pid: int, reservation: str) -> EndOut:
    return ended_out(await state.checker.end(pid, reservation, None))


def demand_status(asked: str) -> None:
    """Before anything is reserved. InvalidValueError."""
    if asked not in {"", "200", DENIED}:
        raise InvalidValueError("status", f"must be 200 or {DENIED}")


def status_of(told: LimitCheckOut, asked: str) -> tuple[int, Mapping[str, str]]:
    """And more headers. `asked`: as `demand_status` let pass."""
    if told.allowed or asked != DENIED:
        return 200, {}
    after = {} if told.retry_after is None else {"Retry-After": str(max(1, -int(-told.retry_after // 1)))}
    return int(DENIED), after


@post(
    "/limits/check",
    summary="Ask whether a call may be made",
    responses=told_as(413, 422),
    tags=_TAGS,
    opt=INGESTS,
    status_code=200,
)
async def check_limits(
    request: ApiRequest,
    data: JSONBody[LimitCheckIn],
    status: Annotated[str, QueryParameter(description="429: what is denied is answered so, not with 200.")] = "",
) -> Response[LimitCheckOut]:
    """Before it is made. All limits that hold are looked at, and nothing is reserved unless all have room; answered
    once that is on the disk. A denial is an answer, too: 200 with `allowed` false.
    """
    demand_status(status)
    told = await check(request.api, request.caller.pid, data)
    code, headers = status_of(told, status)
    return Response(told, status_code=code, headers=headers)


@post(
    "/limits/reservations/{reservation:str}/commit",
    summary="Tell what a call has used",
    responses=told_as(404, 409, 413, 422),
    tags=_TAGS,
    opt=INGESTS,
    status_code=200,
)
async def commit_reservation(request: ApiRequest, reservation: FromPath[str], data: JSONBody[EndIn]) -> EndOut:
    """What was not used is given back; what was used beyond is used. Told again, it is answered again."""
    return await commit(request.api, request.caller.pid, reservation, data)


@post(
    "/limits/reservations/{reservation:str}/release",
    summary="Tell that a call was not made",
    responses=told_as(404, 409, 422),
    tags=_TAGS,
    opt=INGESTS,
    status_code=200,
)
async def release_reservation(request: ApiRequest, reservation: FromPath[str]) -> EndOut:
    """All that was reserved for it is given back."""
    return await release(request.api, request.caller.pid, reservation)
