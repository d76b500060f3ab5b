"""The dead letter in the browser: what came as an event and is none; looked at, edited, sent once more, or dropped."""

from __future__ import annotations

from urllib.parse import urlencode

from litestar import Response, get, post

from heartfly.api.paging import cursor_of, number
from heartfly.core import text
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage import dead_letters as letters
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.dead_letters import STATES, Wanted
from heartfly.web.request import PageRequest
from heartfly.web.sign_in import to

PAGE = 50
_LIST = "dead-letters"


@get("/p/{project:str}/usage/dead-letters")
async def show_letters(request: PageRequest) -> Response[bytes]:
    """`state` (open if not said, `any` for all) and `q` in the query."""
    return await _list(request)


@post("/p/{project:str}/usage/dead-letters", status_code=200)
async def change_many(request: PageRequest) -> Response[bytes]:
    """`do`: `replay` all that are open and fit `q`, or `drop` those that are ticked."""
    api, pid, at, form = request.api, request.project.pid, request.api.clock.now(), await request.sent()
    actor = request.actor
    if form["do"] == "replay":
        q = text.one_line(form["q"], field="q", most=200)
        counts, last = await letters.replay_all(
            api.usage, api.events, pid, Wanted(q=q), before=None, limit=letters.MOST_AT_ONCE, actor=actor, at=at,
            ids=api.ids,
        )  # fmt: skip
        await carry_or_wait(api.usage, api.database)
        told = ", ".join(f"{n} {word}" for word, n in counts.items() if n) or "nothing was open"
        return await _list(request, done=f"Sent once more: {told}.{' There are more: send again.' if last else ''}")
    if form["do"] != "drop":
        raise InvalidValueError("do", "must be replay or drop")
    ticked = form.many("letter")[:PAGE]
    if not ticked:
        return await _list(request, status=422, wrong="Tick the letters that shall be dropped first.")
    wrong = ""
    for letter_id in ticked:
        try:
            await api.usage.write(
                lambda tx, one=letter_id: letters.drop(tx, pid, one, actor=actor, at=at, ids=api.ids)  # type: ignore[misc]
            )
        except ConflictError as error:
            wrong = f"One was not dropped: {error}."
    await carry_or_wait(api.usage, api.database)
    if wrong:
        return await _list(request, status=409, wrong=wrong)
    return to(request, f"/p/{request.project.slug}/usage/dead-letters")


@get("/p/{project:str}/usage/dead-letters/{letter:str}")
async def show_letter(request: PageRequest) -> Response[bytes]:
    return await _one(request)


@post("/p/{project:str}/usage/dead-letters/{letter:str}", status_code=200)
async def change_letter(request: PageRequest) -> Response[bytes]:
    """`do`: `replay` with `event` as it was edited, or `drop`."""
    api, pid, at, form = request.api, request.project.pid, request.api.clock.now(), await request.sent()
    letter_id, typed, actor = request.path_value("letter"), form["event"], request.actor
    if form["do"] not in {"replay", "drop"}:
        raise InvalidValueError("do", "must be replay or drop")
    try:
        if form["do"] == "drop":
            await api.usage.write(lambda tx: letters.drop(tx, pid, letter_id, actor=actor, at=at, ids=api.ids))
        else:
            async with api.usage.read() as read:
                row = await letters.one_letter(read, pid, letter_id)
            edited = None if _same(typed, row.raw) else letters.event_in(typed)
            await letters.replay(api.usage, api.events, pid, letter_id, edited=edited, actor=actor, at=at, ids=api.ids)
    except InvalidValueError as error:
        return await _one(request, status=422, typed=typed, errors={"event": _told(error)})
    except ConflictError as error:
        return await _one(request, status=409, wrong=f"Nothing was changed: {error}.")
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/dead-letters/{letter_id}")


def _state(asked: str) -> str:
    if asked not in {*STATES, "any"}:
        raise InvalidValueError("state", f"must be one of any, {', '.join(STATES)}")
    return "" if asked == "any" else asked


def _same(typed: str, raw: str) -> bool:
    return typed.replace("\r\n", "\n").strip() == raw.replace("\r\n", "\n").strip()


def _told(error: InvalidValueError) -> str:
    field = error.field.removeprefix("event").removeprefix(".")
    return f"{field} {error.message}" if field else error.message


async def _list(request: PageRequest, *, status: int = 200, wrong: str = "", done: str = "") -> Response[bytes]:
    asked = {name: request.query_params.get(name, "").strip() for name in ("state", "q")}
    state, rows, older = asked["state"] or "open", [], ""
    try:
        wanted = Wanted(state=_state(state), q=text.one_line(asked["q"], field="q", most=200))
        before = number(request.query_params.get("before"), _LIST)
        async with request.api.usage.read() as read:
            looked = await letters.list_letters(read, request.project.pid, wanted, before=before, limit=PAGE)
        rows = list(looked.rows)
        kept = {name: value for name, value in asked.items() if value}
        older = urlencode(kept | {"before": cursor_of(_LIST, looked.last)}) if looked.last else ""
    except InvalidValueError as error:
        status, wrong = 422, f"The filter: {error.field} {error.message}."
    return await request.page(
        "usage_dead.html", status=status, letters=rows, older=older, asked=asked, state=state, states=("any", *STATES),
        wrong=wrong, done=done,
    )  # fmt: skip


async def _one(
    request: PageRequest,
    *,
    status: int = 200,
    typed: str | None = None,
    wrong: str = "",
    errors: dict[str, str] | None = None,
) -> Response[bytes]:
    async with request.api.usage.read() as read:
        row = await letters.one_letter(read, request.project.pid, request.path_value("letter"))
    return await request.page(
        "usage_letter.html", status=status, letter=row, typed=row.raw if typed is None else typed, wrong=wrong,
        errors=errors or {},
    )  # fmt: skip
