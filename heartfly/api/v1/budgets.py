"""Budgets: list, make, read, edit, pause, resume, cancel and delete one; what it has come to, and what it came to."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_at, cursor_of, cut, number, text_at
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire_budgets import (
    BudgetOut,
    BudgetPage,
    HistoryPage,
    StatusOut,
    SummaryOut,
    budget_out,
    history_out,
    status_out,
    sum_out,
)
from heartfly.budgets import history as histories
from heartfly.budgets.change import Changer
from heartfly.budgets.config import BudgetIn
from heartfly.budgets.hard_stop import is_stopping
from heartfly.budgets.rows import heard_by, list_budgets, one_budget, told
from heartfly.budgets.spending import standing
from heartfly.budgets.summary import summary
from heartfly.core.budgets import BudgetState, Turn

_LIST, _HISTORY = "budgets", "budget-history"
States = Annotated[list[BudgetState] | None, QueryParameter(description="Of any of these.")]


@get("/budgets", summary="List budgets", responses=told_as(422), tags=["budgets"])
async def list_all_budgets(
    request: ApiRequest, status: States = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> BudgetPage:
    """In the order in which they were made."""
    pid, after = request.caller.pid, number(cursor, _LIST) or 0
    async with request.api.database.read() as main:
        found = await list_budgets(main, pid, after=after, limit=limit + 1, states=status or ())
        page, following = cut(found, limit, lambda one: cursor_of(_LIST, one.row.id))
        channels = await heard_by(main, pid, [one.row.id for one in page])
    return BudgetPage([budget_out(one, channels) for one in page], following)


@post("/budgets", summary="Create a budget", responses=told_as(409, 422), tags=["budgets"])
async def create_budget(request: ApiRequest, data: JSONBody[BudgetIn]) -> Response[BudgetOut]:
    """It is looked at once at once: what is spent by then of its period is told."""
    made = await _changer(request).create(data)
    answer = await _told(request, made, status=201)
    answer.headers["Location"] = f"{request.api.base_url}/v1/budgets/{made}"
    return answer


@get("/budgets/summary", summary="Sum up budgets", responses=told_as(), tags=["budgets"])
async def sum_up_budgets(request: ApiRequest) -> SummaryOut:
    """By currency, of budgets that are active or exceeded."""
    async with request.api.database.read() as main:
        return SummaryOut(
            [sum_out(one) for one in await summary(main, request.caller.pid, now=request.api.clock.now())]
        )


@get("/budgets/{budget_id:str}", summary="Read a budget", responses=told_as(404), tags=["budgets"])
async def read_budget(request: ApiRequest, budget_id: FromPath[str]) -> Response[BudgetOut]:
    return await _told(request, budget_id)


@patch("/budgets/{budget_id:str}", summary="Edit a budget", responses=told_as(404, 409, 412, 422), tags=["budgets"])
async def edit_budget(
    request: ApiRequest, budget_id: FromPath[str], data: JSONBody[BudgetIn], if_match: IfMatch = None
) -> Response[BudgetOut]:
    """What is left out stays. After a raise, what is below again may be told anew in its period."""
    await _changer(request).edit(budget_id, data, rev=rev_of(if_match))
    return await _told(request, budget_id)


@delete(
    "/budgets/{budget_id:str}", summary="Delete a budget", responses=told_as(404, 412, 422), tags=["budgets"],
    status_code=204,
)  # fmt: skip
async def delete_budget(request: ApiRequest, budget_id: FromPath[str], if_match: IfMatch = None) -> None:
    """With its history. Its open incident is closed; nobody is told."""
    await _changer(request).delete(budget_id, rev=rev_of(if_match))


@post(
    "/budgets/{budget_id:str}/pause", summary="Pause a budget", responses=told_as(404, 409, 412, 422),
    tags=["budgets"], status_code=200,
)  # fmt: skip
async def pause_budget(request: ApiRequest, budget_id: FromPath[str], if_match: IfMatch = None) -> Response[BudgetOut]:
    """Nothing is told of it until it is resumed."""
    await _changer(request).turn(budget_id, Turn.PAUSE, rev=rev_of(if_match))
    return await _told(request, budget_id)


@post(
    "/budgets/{budget_id:str}/resume", summary="Resume a budget", responses=told_as(404, 409, 412, 422),
    tags=["budgets"], status_code=200,
)  # fmt: skip
async def resume_budget(request: ApiRequest, budget_id: FromPath[str], if_match: IfMatch = None) -> Response[BudgetOut]:
    """What its period has reached meanwhile is told now."""
    await _changer(request).turn(budget_id, Turn.RESUME, rev=rev_of(if_match))
    return await _told(request, budget_id)


@post(
    "/budgets/{budget_id:str}/cancel", summary="Cancel a budget", responses=told_as(404, 409, 412, 422),
    tags=["budgets"], status_code=200,
)  # fmt: skip
async def cancel_budget(request: ApiRequest, budget_id: FromPath[str], if_match: IfMatch = None) -> Response[BudgetOut]:
    """For good: it keeps its history, and nothing is told of it any more."""
    await _changer(request).turn(budget_id, Turn.CANCEL, rev=rev_of(if_match))
    return await _told(request, budget_id)


@get("/budgets/{budget_id:str}/status", summary="Read what it came to", responses=told_as(404), tags=["budgets"])
async def budget_status(request: ApiRequest, budget_id: FromPath[str]) -> StatusOut:
    """Of the period that is now; of one that is over, of its last."""
    api, pid, now = request.api, request.caller.pid, request.api.clock.now()
    async with api.database.read() as main:
        stored = await one_budget(main, pid, budget_id)
        period = stored.shown_period(now)
        known = [] if period is None else await told(main, pid, stored.row.id, [period.key])
    async with api.usage.read() as read:
        stops = await is_stopping(read, pid, stored.row.uuid)
        stands = None if period is None else await standing(read, stored, period, now=now)
    return status_out(stored, stands, known, stops=stops, now=now)


@get("/budgets/{budget_id:str}/history", summary="List its periods", responses=told_as(404, 422), tags=["budgets"])
async def budget_history(
    request: ApiRequest, budget_id: FromPath[str], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> HistoryPage:
    """The newest first, 36 at most at a time. What was told of a period stays, whatever was corrected since."""
    api, pid, now, limit = request.api, request.caller.pid, request.api.clock.now(), min(limit, histories.MOST)
    before = histories.day_of_cursor(text_at(cursor, _HISTORY))
    async with api.database.read() as main, api.usage.read() as read:
        stored = await one_budget(main, pid, budget_id)
        found = await histories.history(main, read, stored, before=before, limit=limit + 1, now=now)
    page, following = cut(found, limit, lambda one: cursor_at(_HISTORY, one.period.key))
    return HistoryPage([history_out(one) for one in page], following)


def _changer(request: ApiRequest) -> Changer:
    api = request.api
    return Changer(
        main=api.database,
        usage=api.usage,
        pid=request.caller.pid,
        actor=request.actor,
        at=api.clock.now(),
        ids=api.ids,
    )


async def _told(request: ApiRequest, budget_id: str, *, status: int = 200) -> Response[BudgetOut]:
    async with request.api.database.read() as main:
        stored = await one_budget(main, request.caller.pid, budget_id)
        channels = await heard_by(main, request.caller.pid, [stored.row.id])
    return Response(budget_out(stored, channels), status_code=status, headers={"ETag": etag(stored.row.rev)})
