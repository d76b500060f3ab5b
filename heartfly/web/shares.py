"""Links to an incident for who is not in the project: making one, taking it back, and the page that it shows.

That page has no script, no navigation, and nothing of the project but this incident. It is never kept by browsers or
proxies, so a link that was taken back shows nothing from then on, and search engines are asked not to list it.
"""

from __future__ import annotations

import asyncio
import gzip

from litestar import Response, get, post

from heartfly.checks.rows import run_of
from heartfly.core.incident import facts
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.incidents import shares
from heartfly.web.incidents import LASTS, told
from heartfly.web.keys import one_of
from heartfly.web.request import FOR_ALL, HTML, PageRequest
from heartfly.web.sign_in import to
from heartfly.web.times import Times

_HEADERS = {"X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer", "Vary": "Accept-Encoding"}


@post("/p/{project:str}/incidents/{incident:str}/shares", status_code=200)
async def share(request: PageRequest) -> Response[bytes]:
    """The link is on the page that answers, and on no other."""
    api, pid, uuid, actor = request.api, request.project.pid, request.path_value("incident"), request.actor
    at, form = api.clock.now(), await request.sent()
    try:
        lasts_s = int(one_of(form["lasts"], LASTS, "lasts"))
        made = await api.database.write(
            lambda tx: shares.share(
                tx,
                pid,
                uuid,
                lasts_s=lasts_s,
                with_comments=bool(form["with_comments"]),
                at=at,
                actor=actor,
                ids=api.ids,
            )
        )
    except InvalidValueError as error:
        return await told(request, status=422, wrong=f"How long the link works {error.message}.")
    except ConflictError as error:
        return await told(request, status=409, wrong=f"{error}.")
    return await told(request, status=201, made=made)


@post("/p/{project:str}/incidents/{incident:str}/shares/{share:str}/revoke", status_code=200)
async def unshare(request: PageRequest) -> Response[bytes]:
    api, pid, uuid, actor = request.api, request.project.pid, request.path_value("incident"), request.actor
    at, which = api.clock.now(), request.path_value("share")
    await api.database.write(lambda tx: shares.unshare(tx, pid, uuid, which, at=at, actor=actor, ids=api.ids))
    return to(request, f"/p/{request.project.slug}/incidents/{uuid.lower()}")


@get("/shared/{token:str}", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[bytes]:
    now = request.api.clock.now()
    async with request.api.database.read() as read:
        its = await shares.seen(read, request.path_value("token"), now=now)
    if its is None:
        raise NotFoundError("this link shows nothing: it has ended, was taken back, or never was")
    run = run_of(its.run) if its.run is not None else None
    context = {"its": its, "incident": its.row, "facts": facts(its.incident, run), "t": Times(now, "UTC")}
    made = await asyncio.to_thread(request.web.renderer.now, "shared.html", context)
    if request.accepts_gzip:
        made, headers = gzip.compress(made, 6, mtime=0), _HEADERS | {"Content-Encoding": "gzip"}
        return Response(made, media_type=HTML, headers=headers)
    return Response(made, media_type=HTML, headers=_HEADERS)
