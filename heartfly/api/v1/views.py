"""Saved views of the list of checks: list, save, forget. What one may say is what the list itself can be asked."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody

from heartfly.accounts.queries import project_of
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire import Instant
from heartfly.checks import views
from heartfly.checks.filters import kept_of
from heartfly.errors import InvalidValueError


class SavedViewIn(msgspec.Struct, forbid_unknown_fields=True):
    """`name`: 1 to 60 characters, which no other view of the project has. At least one of the rest says something."""

    name: str
    q: str = ""
    """As it is typed into the list's filter: `tag:etl is:down`."""
    tag: str = ""
    status: str = ""
    """down, late, degraded, new, up or paused."""
    view: Literal["list", "timeline", "next"] = "list"
    range: str = ""
    """Of a timeline: 24h or 7d."""
    group: Literal["", "tag"] = ""
    """Of a list: tag."""


class SavedViewOut(msgspec.Struct, kw_only=True):
    id: str
    name: str
    q: str
    tag: str
    status: str
    view: str
    range: str
    group: str
    url: str
    """The list's page that shows it."""
    created_at: Instant


class SavedViewPage(msgspec.Struct):
    items: list[SavedViewOut]
    next: str | None


SHAPES = (SavedViewIn, SavedViewPage)


@get("/views", summary="List saved views", responses=told_as(), tags=["checks"])
async def list_saved_views(request: ApiRequest) -> SavedViewPage:
    """All of the project, by name."""
    pid = request.caller.pid
    async with request.api.database.read() as read:
        slug = (await project_of(read, pid)).slug
        rows = await views.list_views(read, pid)
    return SavedViewPage([_out(row, request.api.base_url, slug) for row in rows], None)


@post("/views", summary="Save a view", responses=told_as(409, 422), tags=["checks"])
async def save_view(request: ApiRequest, data: JSONBody[SavedViewIn]) -> Response[SavedViewOut]:
    """409 for a name that is taken, or when the project has 50."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    if data.range and data.view != "timeline":
        raise InvalidValueError("range", "must be empty but for a timeline")
    if data.group and data.view != "list":
        raise InvalidValueError("group", "must be empty but for a list")
    query = kept_of(msgspec.structs.asdict(data), at)
    if not query:
        raise InvalidValueError("q", "must filter something: of all checks there is nothing to keep")
    made = await api.database.write(
        lambda tx: views.save_view(tx, pid, data.name, query, actor=actor, at=at, ids=api.ids)
    )
    async with api.database.read() as read:
        slug = (await project_of(read, pid)).slug
        return Response(_out(await views.one_view(read, pid, made), api.base_url, slug), status_code=201)


@delete("/views/{view_id:str}", summary="Forget a view", responses=told_as(404), tags=["checks"], status_code=204)
async def forget_view(request: ApiRequest, view_id: FromPath[str]) -> None:
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.database.write(lambda tx: views.delete_view(tx, pid, view_id, actor=actor, at=at, ids=api.ids))


def _out(row: Any, base_url: str, slug: str) -> SavedViewOut:
    says = dict(parse_qsl(row.query))
    return SavedViewOut(
        id=row.uuid,
        name=row.name,
        q=says.get("q", ""),
        tag=says.get("tag", ""),
        status=says.get("status", ""),
        view=says.get("view", "list"),
        range=says.get("range", ""),
        group=says.get("group", ""),
        url=f"{base_url}/p/{slug}/checks?{row.query}",
        created_at=row.created_at,
    )
