"""A check is snoozed from its page, or from that of its incident, for so long, until its next run, or until a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import Response, post

from heartfly.checks import queries
from heartfly.checks.snooze import snooze
from heartfly.db.changes import Tx
from heartfly.errors import InvalidValueError
from heartfly.usage.rerun import zone_of
from heartfly.web.request import FOR_WRITERS, PageRequest
from heartfly.web.sign_in import to
from heartfly.web.silence_form import instant

CHOICES = {"1800": "30 minutes", "7200": "2 hours", "28800": "8 hours", "86400": "a day", "next": "until its next run"}


@post("/p/{project:str}/checks/{check:str}/snooze", opt=FOR_WRITERS, status_code=200)
async def snooze_check(request: PageRequest) -> Response[bytes]:
    """`lasts`: one of CHOICES, or `until` with a time. With `incident` one comes back to that."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form = await request.sent()
    async with api.database.read() as read:
        uuid: str = (await queries.find_addressed(read, pid, request.path_value("check"))).uuid
        zone = (await zone_of(read, pid)).key
    asked = _asked(form["lasts"], form["until"], zone)

    def work(tx: Tx) -> Any:
        return snooze(tx, pid, uuid, **asked, at=at, actor=actor, ids=api.ids)

    await api.database.write(work)
    back = form["incident"]
    place = f"incidents/{back.lower()}" if back.replace("-", "").isalnum() and back.isascii() else f"checks/{uuid}"
    return to(request, f"/p/{request.project.slug}/{place}")


def _asked(lasts: str, until: str, zone: str) -> dict[str, Any]:
    if lasts == "next":
        return {"next_run": True}
    if lasts in CHOICES:
        return {"lasts": timedelta(seconds=int(lasts))}
    if until:
        return {"until": instant(until, "until", zone)}
    raise InvalidValueError("lasts", f"must be one of {', '.join(CHOICES)}")
