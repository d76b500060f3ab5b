"""Dead letters: list, read, send once more, drop."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, number
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_usage import (
    LetterOut,
    LetterPage,
    ReplayAllIn,
    ReplayAllOut,
    ReplayIn,
    ReplayOut,
    letter_out,
)
from heartfly.core import text
from heartfly.core.events import read as read_json
from heartfly.errors import InvalidValueError
from heartfly.usage import dead_letters as letters
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.dead_letters import Wanted

_AS_IT_CAME = ReplayIn()
_ALL = ReplayAllIn()
_LIST = "dead-letters"


@get("/dead-letters", summary="List dead letters, newest first", responses=told_as(422), tags=["usage"])
async def list_letters(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    in_state: Annotated[
        Literal["open", "replayed", "dropped"] | None, QueryParameter(name="state", description="Left out: any.")
    ] = None,
    field: Annotated[str | None, QueryParameter(description="The field that was wrong, such as `timestamp`.")] = None,
    q: Annotated[str, QueryParameter(description="A text within what came, or within the reason.")] = "",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> LetterPage:
    """A search looks at 2,000 letters for one page: it may be short, or empty, although there is a `next`."""
    wanted = Wanted(state=in_state or "", field=_field(field), q=_text(q))
    before = number(cursor, _LIST)
    async with request.api.usage.read() as read:
        looked = await letters.list_letters(read, request.caller.pid, wanted, before=before, limit=limit)
    return LetterPage([letter_out(row) for row in looked.rows], _next(looked.last))


@get("/dead-letters/{letter_id:str}", summary="Read a dead letter", responses=told_as(404), tags=["usage"])
async def read_letter(request: ApiRequest, letter_id: FromPath[str]) -> LetterOut:
    async with request.api.usage.read() as read:
        return letter_out(await letters.one_letter(read, request.caller.pid, letter_id))


@post(
    "/dead-letters/{letter_id:str}/replay",
    summary="Send a dead letter once more",
    responses=told_as(404, 409, 422),
    tags=["usage"],
    status_code=200,
)
async def replay_letter(
    request: ApiRequest, letter_id: FromPath[str], data: JSONBody[ReplayIn] = _AS_IT_CAME
) -> ReplayOut:
    """As it came, or edited. If it is no event this time either it stays open, and the problem names what is wrong."""
    api, at = request.api, request.api.clock.now()
    edited: Any = None
    if not isinstance(data.event, msgspec.UnsetType):
        # Once more from the body: numbers must not pass through a float.
        edited = read_json(await request.body())["event"]
    told = await letters.replay(
        api.usage, api.events, request.caller.pid, letter_id, edited=edited, actor=request.actor, at=at, ids=api.ids
    )
    await carry_or_wait(api.usage, api.database)
    return ReplayOut(told.outcome)


@post(
    "/dead-letters/{letter_id:str}/drop",
    summary="Drop a dead letter",
    responses=told_as(404, 409),
    tags=["usage"],
    status_code=200,
)
async def drop_letter(request: ApiRequest, letter_id: FromPath[str]) -> LetterOut:
    """Somebody has looked at it, and it shall not be sent."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.usage.write(lambda tx: letters.drop(tx, pid, letter_id, actor=actor, at=at, ids=api.ids))
    await carry_or_wait(api.usage, api.database)
    async with api.usage.read() as read:
        return letter_out(await letters.one_letter(read, pid, letter_id))


@post(
    "/dead-letters/replay",
    summary="Send many dead letters once more",
    responses=told_as(422),
    tags=["usage"],
    status_code=200,
)
async def replay_letters(request: ApiRequest, data: JSONBody[ReplayAllIn] = _ALL) -> ReplayAllOut:
    """Those that are open and fit, newest first, `limit` (500 at most) in one request."""
    api, at = request.api, request.api.clock.now()
    if not 1 <= data.limit <= letters.MOST_AT_ONCE:
        raise InvalidValueError("limit", f"must be 1 to {letters.MOST_AT_ONCE}")
    wanted = Wanted(field=_field(data.field), q=_text(data.q))
    counts, last = await letters.replay_all(
        api.usage,
        api.events,
        request.caller.pid,
        wanted,
        before=number(data.cursor, _LIST),
        limit=data.limit,
        actor=request.actor,
        at=at,
        ids=api.ids,
    )
    await carry_or_wait(api.usage, api.database)
    return ReplayAllOut(next=_next(last), **counts)


def _field(field: str | None) -> str | None:
    return None if field is None else text.one_line(field, field="field", most=300)


def _text(q: str) -> str:
    return text.one_line(q, field="q", most=200)


def _next(last: int | None) -> str | None:
    return None if last is None else cursor_of(_LIST, last)
