"""Saving what the list of checks is filtered by under a name, and forgetting it. The list itself shows them."""

from __future__ import annotations

from litestar import Response, post

from heartfly.checks import views
from heartfly.checks.filters import ASKED, kept_of
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.web.checks import listed
from heartfly.web.request import PageRequest
from heartfly.web.sign_in import to


@post("/p/{project:str}/views", status_code=200)
async def save(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    form = await request.sent()
    asked, name = {field: form[field] for field in ASKED}, form["name"]
    try:
        query = kept_of(asked, at)
        if not query:
            raise InvalidValueError("name", "filter first: of all checks there is nothing to keep")  # noqa: TRY301
        await api.database.write(lambda tx: views.save_view(tx, pid, name, query, actor=actor, at=at, ids=api.ids))
    except InvalidValueError as error:
        return await listed(request, asked, status=422, naming=(name, error.message))
    except ConflictError as error:
        return await listed(request, asked, status=409, naming=(name, str(error)))
    return to(request, f"/p/{request.project.slug}/checks", query=query)


@post("/p/{project:str}/views/{view:str}/delete", status_code=200)
async def forget(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    which = request.path_value("view")
    await api.database.write(lambda tx: views.delete_view(tx, pid, which, actor=actor, at=at, ids=api.ids))
    return to(request, f"/p/{request.project.slug}/checks")
