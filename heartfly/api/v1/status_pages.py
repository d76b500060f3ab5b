"""Status pages: list, create, read, edit, delete, with the scope `admin`. What one shows is for all, at its address."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from heartfly.accounts.guards import ADMINISTERS
from heartfly.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, cut, place
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire import Instant
from heartfly.public import status_pages
from heartfly.public.logos import logo_of_base64
from heartfly.public.status_pages import Group, Wanted, groups_of


class StatusPageIn(msgspec.Struct, forbid_unknown_fields=True):
    """`slug`: what its address ends in, 1 to 60 of `a-z 0-9 - _`, which no other page of this server has."""

    slug: str
    title: str
    groups: list[Group] = []
    noindex: bool = True
    """Search engines are asked not to list it."""
    published: bool = False
    """Everybody who has the address sees it."""
    accent: str = ""
    """Of links in light, such as `#4a48d4`, legible by WCAG AA; empty: Heartfly's own."""
    accent_dark: str = ""
    """The same in dark."""
    logo: str | None = None
    """A PNG or JPEG file in base64, at most 32 kB and 1,024 pixels each way."""


class StatusPageEdit(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays."""

    slug: str | msgspec.UnsetType = msgspec.UNSET
    title: str | msgspec.UnsetType = msgspec.UNSET
    groups: list[Group] | msgspec.UnsetType = msgspec.UNSET
    noindex: bool | msgspec.UnsetType = msgspec.UNSET
    published: bool | msgspec.UnsetType = msgspec.UNSET
    accent: str | msgspec.UnsetType = msgspec.UNSET
    accent_dark: str | msgspec.UnsetType = msgspec.UNSET
    logo: str | msgspec.UnsetType | None = msgspec.UNSET
    """null: it goes."""


class StatusPageOut(msgspec.Struct, kw_only=True):
    id: str
    slug: str
    title: str
    groups: list[Group]
    noindex: bool
    published: bool
    url: str
    """Where it is shown, once it is published."""
    accent: str
    accent_dark: str
    logo_url: str | None
    created_at: Instant


class StatusPagePage(msgspec.Struct):
    items: list[StatusPageOut]
    next: str | None


SHAPES = (StatusPageIn, StatusPageEdit, StatusPagePage)


@get("/status-pages", summary="List status pages", responses=told_as(422), tags=["status pages"], opt=ADMINISTERS)
async def list_status_pages(request: ApiRequest, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> StatusPagePage:
    """In the order in which they were made."""
    after = place(cursor, "status_pages", 1)
    async with request.api.database.read() as read:
        rows = await status_pages.list_pages(
            read, request.caller.pid, after=after[0] if after else None, limit=limit + 1
        )
    page, following = cut(rows, limit, lambda row: cursor_of("status_pages", row.id))
    return StatusPagePage([_out(row, request.api.base_url) for row in page], following)


@post(
    "/status-pages", summary="Create a status page", responses=told_as(409, 422), tags=["status pages"], opt=ADMINISTERS
)
async def create_status_page(request: ApiRequest, data: JSONBody[StatusPageIn]) -> Response[StatusPageOut]:
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    wanted = Wanted(
        slug=data.slug,
        title=data.title,
        groups=data.groups,
        noindex=data.noindex,
        published=data.published,
        accent=data.accent,
        accent_dark=data.accent_dark,
        logo=logo_of_base64(data.logo or ""),
    )
    made = await request.administer(
        lambda tx: status_pages.create_page(tx, pid, wanted, actor=request.actor, at=at, ids=api.ids)
    )
    answer = await _told(request, made, status=201)
    answer.headers["Location"] = f"{api.base_url}/v1/status-pages/{made}"
    return answer


@get(
    "/status-pages/{page_id:str}",
    summary="Read a status page",
    responses=told_as(404),
    tags=["status pages"],
    opt=ADMINISTERS,
)
async def read_status_page(request: ApiRequest, page_id: FromPath[str]) -> Response[StatusPageOut]:
    return await _told(request, page_id)


@patch(
    "/status-pages/{page_id:str}",
    summary="Edit a status page",
    responses=told_as(404, 409, 412, 422),
    tags=["status pages"],
    opt=ADMINISTERS,
)
async def edit_status_page(
    request: ApiRequest, page_id: FromPath[str], data: JSONBody[StatusPageEdit], if_match: IfMatch = None
) -> Response[StatusPageOut]:
    api, pid, at, rev = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match)
    wanted = Wanted(
        slug=_given(data.slug),
        title=_given(data.title),
        groups=_given(data.groups),
        noindex=_given(data.noindex),
        published=_given(data.published),
        accent=_given(data.accent),
        accent_dark=_given(data.accent_dark),
        logo=None if data.logo is msgspec.UNSET else logo_of_base64(data.logo or ""),
    )
    await request.administer(
        lambda tx: status_pages.edit_page(tx, pid, page_id, wanted, actor=request.actor, at=at, ids=api.ids, rev=rev)
    )
    return await _told(request, page_id)


@delete(
    "/status-pages/{page_id:str}",
    summary="Delete a status page",
    responses=told_as(404),
    tags=["status pages"],
    opt=ADMINISTERS,
    status_code=204,
)
async def delete_status_page(request: ApiRequest, page_id: FromPath[str]) -> None:
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await request.administer(
        lambda tx: status_pages.delete_page(tx, pid, page_id, actor=request.actor, at=at, ids=api.ids)
    )


async def _told(request: ApiRequest, page_id: str, *, status: int = 200) -> Response[StatusPageOut]:
    async with request.api.database.read() as read:
        row = await status_pages.one_page(read, request.caller.pid, page_id)
    return Response(_out(row, request.api.base_url), status_code=status, headers={"ETag": etag(row.rev)})


def _out(row: Any, base_url: str) -> StatusPageOut:
    return StatusPageOut(
        id=row.uuid,
        slug=row.slug,
        title=row.title,
        groups=groups_of(row),
        noindex=row.noindex,
        published=row.published,
        url=f"{base_url}/status/{row.slug}",
        accent=row.accent,
        accent_dark=row.accent_dark,
        logo_url=f"{base_url}/status/{row.slug}/look/{row.logo_name}" if row.logo_name else None,
        created_at=row.created_at,
    )


def _given(value: Any) -> Any:
    return None if value is msgspec.UNSET else value
