"""Many checks at once: those that are ticked in the list, or all that its filter shows.

Of the latter the form says which they were. If the filter shows others by now, nothing is done: nobody deletes a check
that he has not seen.

Each check is a command of its own, as if somebody had gone from one to the next: what one of them refuses is done to
the others all the same, and the page says which it was. Only silence is one for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Response, post

from heartfly.checks import commands, history, queries
from heartfly.checks.config import CheckIn
from heartfly.checks.filters import wanted_of
from heartfly.checks.owned import heard_by
from heartfly.checks.turn import in_turn
from heartfly.checks.unjudged import excused
from heartfly.db.changes import Tx
from heartfly.errors import ChangedMeanwhileError, ConflictError, HeartflyError, InvalidValueError
from heartfly.notify import peace_commands
from heartfly.notify.peace_commands import Asked
from heartfly.web.check_form import seconds, tags_of
from heartfly.web.checks import DONE, SILENCED_FOR, WHOLE, listed, mark_of, said_of
from heartfly.web.request import Form, PageRequest
from heartfly.web.sign_in import to

_AT_ONCE = 20
"""Commands under way: they share a commit."""

_Command = Callable[[Tx, datetime, Any], None]


@post("/p/{project:str}/checks", status_code=200)
async def change_many(request: PageRequest) -> Response[bytes]:
    form = await request.sent()
    do = form["do"]
    try:
        rows = await _chosen(request, form)
        if do == "delete" and form["sure"].strip() != str(len(rows)):
            is_wrong = "sure" in form
            return await request.page(
                "delete_checks.html", status=422 if is_wrong else 200, rows=rows, wrong=is_wrong, kept=_kept(form)
            )
        if do == "silence":
            await _silence(request, rows)
        command = _command(request, form)
    except InvalidValueError as error:
        return await listed(request, form, status=422, refused=[("", error.message)])
    except ConflictError as error:
        return await listed(request, form, status=409, refused=[("", str(error))])
    refused = [] if do == "silence" else await _each(request, rows, command, deletes=do == "delete")
    if refused:
        return await listed(request, form, status=409, refused=refused, done=said_of(do, len(rows) - len(refused)))
    query = urlencode(_kept(form) | {"done": f"{do}-{len(rows)}"})
    return to(request, f"/p/{request.project.slug}/checks", query=query)


async def _silence(request: PageRequest, rows: Sequence[Any]) -> None:
    """All of them by one snooze, so that it is one entry, and ended at once."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    asked = Asked(kind="snooze", scope="check", targets=[row.uuid for row in rows], lasts=SILENCED_FOR)
    await api.database.write(lambda tx: peace_commands.make(tx, pid, asked, at=at, actor=actor, ids=api.ids))


async def _chosen(request: PageRequest, form: Form) -> Sequence[Any]:
    """All of the filter, or those that are ticked; of the latter those that are still there."""
    if form["do"] not in DONE:
        raise InvalidValueError("do", f"what is to be done must be one of {', '.join(DONE)}")
    pid, now = request.project.pid, request.api.clock.now()
    wanted = wanted_of(form["q"], form["tag"], form["status"], now) if "all" in form else queries.Wanted()
    ticked = {uuid.lower() for uuid in form.many("check")}
    async with request.api.database.read() as read:
        if "all" in form:
            wanted = replace(wanted, excused=(await excused(read, pid, now=now)).ids)
            rows = await queries.find_many(read, pid, wanted, after=None, limit=WHOLE + 1)
            if len(rows) > WHOLE:
                raise InvalidValueError("all", f"the filter shows more than {WHOLE} checks; make it narrower")
            _demand_shown(rows, form["shown"])
        else:
            rows = await queries.find_these(read, pid, ticked)
    if not rows:
        raise InvalidValueError("check", "no check is ticked")
    return rows


def _demand_shown(rows: Sequence[Any], mark: str) -> None:
    """ChangedMeanwhileError: whoever asks saw other checks than these."""
    if mark == mark_of(row.uuid for row in rows):
        return
    was = mark.partition("-")[0]
    then = f"{was} when you opened the list" if was.isascii() and was.isdigit() and len(was) < 5 else "others before"
    raise ChangedMeanwhileError(
        f"nothing was done: the filter shows other checks than it did ({len(rows)} now, {then}); look at them, and "
        "choose again"
    )


def _command(request: PageRequest, form: Form) -> _Command:
    ids, pid, actor, do = request.api.ids, request.project.pid, request.actor, form["do"]

    def edit(tx: Tx, at: datetime, uuid: str, asked: CheckIn) -> None:
        commands.edit(tx, pid, uuid, asked, at=at, ids=ids, actor=actor)

    match do:
        case "silence":
            return lambda _tx, _at, _row: None  # done already, for all of them
        case "pause":
            return lambda tx, at, row: commands.pause(tx, pid, row.uuid, at=at, ids=ids, actor=actor)
        case "resume":
            # What is not paused goes on as it is: that is what was asked for.
            return lambda tx, at, row: (
                commands.resume(tx, pid, row.uuid, at=at, ids=ids, actor=actor) if row.status == "paused" else None
            )
        case "grace":
            asked = CheckIn(grace=seconds(form, "grace"))
            return lambda tx, at, row: edit(tx, at, row.uuid, asked)
        case "tag" | "untag":
            given = tags_of(form["tags"], apart=",")
            if not given:
                raise InvalidValueError("tags", "name a tag first")

            def tagged(tx: Tx, at: datetime, row: Any) -> None:
                # Read under the lock of the edit, so that a tag which somebody gives meanwhile is not lost.
                tags = commands.locked(tx, pid, row.uuid, None).row.tags
                edit(tx, at, row.uuid, CheckIn(tags=_tagged(tags, given, adds=do == "tag")))

            return tagged
        case "tell" | "untell":
            channel = form["channel"].lower()
            if not channel:
                raise InvalidValueError("channel", "choose a channel first")

            def told(tx: Tx, at: datetime, row: Any) -> None:
                # Read under the lock of the edit, too. A channel that is none of the project's the edit refuses.
                heard = heard_by(tx, pid, commands.locked(tx, pid, row.uuid, None).id)
                if (channel in heard) != (do == "tell"):
                    wanted = [*heard, channel] if do == "tell" else [one for one in heard if one != channel]
                    edit(tx, at, row.uuid, CheckIn(channels=wanted))

            return told
        case _:
            return lambda tx, at, row: _gone(row, commands.delete(tx, pid, row.uuid, at=at, ids=ids, actor=actor))


def _gone(_row: Any, _check_id: int) -> None:
    """Its history is removed once the deletion is committed."""


def _tagged(tags: Sequence[str], given: Sequence[str], *, adds: bool) -> list[str]:
    return list(dict.fromkeys([*tags, *given])) if adds else [tag for tag in tags if tag not in given]


async def _each(
    request: PageRequest, rows: Sequence[Any], command: _Command, *, deletes: bool
) -> list[tuple[str, str]]:
    """The name of each check that refused, and why."""
    api, room = request.api, asyncio.Semaphore(_AT_ONCE)

    async def one(row: Any) -> tuple[str, str] | None:
        async with room:
            try:
                await in_turn(api.database, api.clock, lambda tx, at: command(tx, at, row))
                if deletes:
                    await history.remove(api.database, row.pid, row.id)
            except (InvalidValueError, ConflictError) as error:
                return row.name, str(error)
            except HeartflyError as error:
                return row.name, f"not done: {error}"
        return None

    told = await asyncio.gather(*(one(row) for row in rows))
    return [each for each in told if each is not None]


def _kept(form: Form) -> dict[str, str]:
    return {name: form[name] for name in ("q", "tag", "status", "group") if form[name]}
