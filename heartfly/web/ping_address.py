"""The secret address of a check is changed in the browser: a new one at once, with the old one working on for a while.

The form names the address that it was made from, so that the same page sent twice changes it once.
"""

from __future__ import annotations

from litestar import Response, post

from heartfly.checks import address, queries
from heartfly.errors import ChangedMeanwhileError, ConflictError
from heartfly.web.keys import OVERLAPS, one_of
from heartfly.web.request import FOR_WRITERS, PageRequest
from heartfly.web.sign_in import to

CHOSEN = "604800"
"""A week: jobs on machines that are looked at once a week are found by then."""


@post("/p/{project:str}/checks/{check:str}/rotate-address", opt=FOR_WRITERS, status_code=200)
async def rotate(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    async with api.database.read() as read:
        row = await queries.find_addressed(read, pid, request.path_value("check"))
    if row.job is not None:
        raise ConflictError("a job of Heartfly’s own pings from within, and has no address")
    form = await request.sent()
    overlap_s = int(one_of(form["overlap"], OVERLAPS, "overlap"))
    try:
        await api.database.write(
            lambda tx: address.rotate(
                tx, pid, row.uuid, overlap_s=overlap_s, at=at, ids=api.ids, actor=actor, seen=form["seen"]
            )
        )
    except ChangedMeanwhileError as error:
        raise ConflictError(str(error)) from None
    return to(request, f"/p/{request.project.slug}/checks/{row.uuid}")
