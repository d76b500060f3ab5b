"""The status pages of a project: the list for everybody in it, making and changing them for its administrators.

What a page shows is written down a line an item, so that it works without script: `# Group`, `Name = tag:web`,
`Name = check-slug`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from litestar import Response, get, post
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.models import checks
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError
from heartfly.public import status_pages
from heartfly.public.logos import MOST_BYTES, MOST_PIXELS, logo_of
from heartfly.public.status_pages import MOST_PAGES, Group, Item, PageSlugTakenError, Wanted
from heartfly.web.request import FOR_ADMINS, Form, PageRequest
from heartfly.web.sign_in import to

_TAG = "tag:"
_MOST_TEXT = 20_000
MOST_UPLOADED = 1024 * 1024
"""More than a logo may have: a file that is a little too large shall be told so beside its field."""


@get("/p/{project:str}/status-pages")
async def list_pages(request: PageRequest) -> Response[bytes]:
    async with request.api.database.read() as read:
        rows = await status_pages.list_pages(read, request.project.pid, after=None, limit=MOST_PAGES)
    return await request.page("status_pages.html", pages=rows, base_url=request.api.base_url)


@get("/p/{project:str}/status-pages/new", opt=FOR_ADMINS)
async def show_new(request: PageRequest) -> Response[bytes]:
    return await _form(request, _Values(noindex=True))


@post("/p/{project:str}/status-pages/new", opt=FOR_ADMINS, status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    values = _Values.sent(await request.sent())
    try:
        wanted = await _wanted(request, values)
        await request.administer(
            lambda tx, _: status_pages.create_page(tx, pid, wanted, actor=actor, at=at, ids=api.ids)
        )
    except InvalidValueError as error:
        return await _form(request, values, status=422, errors=_beside(error))
    except ConflictError as error:
        field = "slug" if isinstance(error, PageSlugTakenError) else ""
        return await _form(request, values, status=409, errors={field: str(error)})
    return to(request, f"/p/{request.project.slug}/status-pages")


@get("/p/{project:str}/status-pages/{page:str}", opt=FOR_ADMINS)
async def show(request: PageRequest) -> Response[bytes]:
    async with request.api.database.read() as read:
        row = await status_pages.one_page(read, request.project.pid, request.path_value("page"))
    return await _form(request, await _now(request, row), its=row)


@post("/p/{project:str}/status-pages/{page:str}", opt=FOR_ADMINS, status_code=200)
async def save(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    which, values = request.path_value("page"), _Values.sent(await request.sent())
    async with api.database.read() as read:
        row = await status_pages.one_page(read, pid, which)
    try:
        if not values.rev.isascii() or not values.rev.isdigit() or len(values.rev) > 18:
            raise ChangedMeanwhileError("what you saw of it is not known; open it again")
        wanted = await _wanted(request, values)
        await request.administer(
            lambda tx, _: status_pages.edit_page(
                tx, pid, which, wanted, actor=actor, at=at, ids=api.ids, rev=int(values.rev)
            )
        )
    except InvalidValueError as error:
        return await _form(request, values, its=row, status=422, errors=_beside(error))
    except ConflictError as error:
        field = "slug" if isinstance(error, PageSlugTakenError) else ""
        return await _form(request, values, its=row, status=409, errors={field: str(error)})
    return to(request, f"/p/{request.project.slug}/status-pages")


@post("/p/{project:str}/status-pages/{page:str}/delete", opt=FOR_ADMINS, status_code=200)
async def delete(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    which = request.path_value("page")
    await request.administer(lambda tx, _: status_pages.delete_page(tx, pid, which, actor=actor, at=at, ids=api.ids))
    return to(request, f"/p/{request.project.slug}/status-pages")


@post(
    "/p/{project:str}/status-pages/{page:str}/logo",
    opt=FOR_ADMINS,
    status_code=200,
    request_max_body_size=MOST_UPLOADED,
)
async def change_logo(request: PageRequest) -> Response[bytes]:
    """Another one, or by `do=remove` none. What is typed in the page's form is not saved with it."""
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    which, form = request.path_value("page"), await request.sent()
    async with api.database.read() as read:
        row = await status_pages.one_page(read, pid, which)
    try:
        file = b"" if form["do"] == "remove" else await request.sent_file("logo")
        if not file and form["do"] != "remove":
            raise InvalidValueError("logo", "must be chosen")  # noqa: TRY301 - it goes where the file's own faults go
        wanted = Wanted(logo=logo_of(file))
        await request.administer(
            lambda tx, _: status_pages.edit_page(tx, pid, which, wanted, actor=actor, at=at, ids=api.ids, rev=None)
        )
    except InvalidValueError as error:
        return await _form(request, await _now(request, row), its=row, status=422, errors=_beside(error))
    return to(request, f"/p/{request.project.slug}/status-pages/{which}")


class _Values:
    """The fields as they were typed."""

    def __init__(
        self,
        slug: str = "",
        title: str = "",
        noindex: bool = False,  # noqa: FBT001, FBT002 - as the row has it
        published: bool = False,  # noqa: FBT001, FBT002 - the same
        *,
        items: str = "",
        rev: str = "",
        accent: str = "",
        accent_dark: str = "",
    ) -> None:
        self.slug, self.title, self.items, self.rev = slug, title, items, rev
        self.accent, self.accent_dark = accent, accent_dark
        self.noindex, self.published = noindex, published

    @classmethod
    def sent(cls, form: Form) -> _Values:
        return cls(
            form["slug"].strip(), form["title"], "noindex" in form, "published" in form,
            items=form["items"], rev=form["rev"], accent=form["accent"], accent_dark=form["accent_dark"],
        )  # fmt: skip


async def _now(request: PageRequest, row: Any) -> _Values:
    """As the page is."""
    async with request.api.database.read() as read:
        slugs = await _slugs(read, request.project.pid)
    return _Values(
        row.slug, row.title, row.noindex, row.published, rev=str(row.rev), accent=row.accent,
        accent_dark=row.accent_dark, items=_as_text(status_pages.groups_of(row), slugs),
    )  # fmt: skip


async def _form(
    request: PageRequest, values: _Values, *, its: Any = None, status: int = 200, errors: dict[str, str] | None = None
) -> Response[bytes]:
    return await request.page(
        "status_page_form.html",
        status=status,
        values=values,
        its=its,
        errors=errors or {},
        most_kb=MOST_BYTES // 1_000,
        most_pixels=MOST_PIXELS,
        base_url=request.api.base_url,
    )


async def _wanted(request: PageRequest, values: _Values) -> Wanted:
    async with request.api.database.read() as read:
        ids = {slug: uuid for uuid, slug in (await _slugs(read, request.project.pid)).items()}
    groups = _parsed(values.items, ids)
    return Wanted(
        slug=values.slug, title=values.title, groups=groups, noindex=values.noindex, published=values.published,
        accent=values.accent, accent_dark=values.accent_dark,
    )  # fmt: skip


async def _slugs(read: AsyncConnection, pid: int) -> dict[str, str]:
    """Of each check, by its public id."""
    query = sa.select(checks.c.uuid, checks.c.slug).where(checks.c.pid == pid)
    return {row.uuid: row.slug for row in await read.execute(query.order_by(checks.c.id.desc()))}


def _parsed(text: str, ids: dict[str, str]) -> list[Group]:
    if len(text) > _MOST_TEXT:
        raise InvalidValueError("items", f"must have at most {_MOST_TEXT} characters")
    groups: list[Group] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("#"):
            groups.append(Group(line[1:].strip(), []))
            continue
        name, sign, what = (part.strip() for part in line.rpartition("="))
        if not sign or not name or not what:
            raise InvalidValueError("items", f"line {number} must be such as: Web shop = tag:shop")
        if not groups:
            groups.append(Group("", []))
        groups[-1].items.append(_item(name, what, ids, number))
    return groups


def _item(name: str, what: str, ids: dict[str, str], number: int) -> Item:
    if what.startswith(_TAG):
        return Item(name, tag=what.removeprefix(_TAG).strip())
    check = ids.get(what) or (what.lower() if what.lower() in ids.values() else None)
    if check is None:
        raise InvalidValueError("items", f"line {number}: there is no check {what[:100]}")
    return Item(name, check=check)


def _as_text(groups: Sequence[Group], slugs: dict[str, str]) -> str:
    """A check that was deleted since is left out: it shows nothing any more."""
    lines: list[str] = []
    for group in groups:
        if group.name or lines:
            lines.append(f"# {group.name}".rstrip())
        for item in group.items:
            if item.tag is not None:
                lines.append(f"{item.name} = {_TAG}{item.tag}")
            elif item.check in slugs:
                lines.append(f"{item.name} = {slugs[item.check]}")
    return "\n".join(lines)


def _beside(error: InvalidValueError) -> dict[str, str]:
    """What is wrong within the groups stands beside the text that they were written as."""
    return {"items" if error.field.startswith("groups") else error.field: error.message}
