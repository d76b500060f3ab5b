"""The dead letter in the browser: what came as an event and is none; looked at, edited, sent once more, or dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
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
SET = ("customer_id", "event_type", "timestamp", "transaction_id")
"""Fields of which many letters can be given a value at once."""
_MOST_FIELD = 300
_LIST = "dead-letters"


@get("/p/{project:str}/usage/dead-letters")
async def show_letters(request: PageRequest) -> Response[bytes]:
    """`state` (open if not said, `any` for all) and `q` in the query."""
    return await _list(request)


@post("/p/{project:str}/usage/dead-letters", status_code=200)
async def change_many(request: PageRequest) -> Response[bytes]:
    """`do`: `replay` all that are open and fit `q` and `field`; `send` those that are ticked, with `value` in the place
    of their field `set` if that is said; or `drop` those.
    """
    api, pid, at, form = request.api, request.project.pid, request.api.clock.now(), await request.sent()
    actor, do = request.actor, form["do"]
    if do == "replay":
        wanted = Wanted(q=text.one_line(form["q"], field="q", most=200), field=_field(form["field"]))
        counts, last = await letters.replay_all(
            api.usage, api.events, pid, wanted, before=number(form["before"] or None, _LIST),
            limit=letters.MOST_AT_ONCE, actor=actor, at=at, ids=api.ids,
        )  # fmt: skip
        await carry_or_wait(api.usage, api.database)
        told = _counted(counts) or "nothing was open"
        return await _list(request, done=f"Sent once more: {told}.", going_on=cursor_of(_LIST, last) if last else "")
    if do not in {"send", "drop"}:
        raise InvalidValueError("do", "must be replay, send or drop")
    ticked = form.many("letter")[:PAGE]
    if not ticked:
        what = "dropped" if do == "drop" else "sent"
        return await _list(request, status=422, wrong=f"Tick the letters that shall be {what} first.")
    if do == "send":
        return await _send(request, ticked, form["set"], form["value"])
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


async def _send(request: PageRequest, ticked: Sequence[str], name: str, value: str) -> Response[bytes]:
    """Those that are none this time either stay as they came."""
    api, pid, at = request.api, request.project.pid, request.api.clock.now()
    if name and name not in SET:
        raise InvalidValueError("set", f"must be one of {', '.join(SET)}")
    if name == "transaction_id" and len(ticked) > 1:  # all but the first would be duplicates of it, or contradict it
        return await _list(request, status=422, wrong="Each event has a transaction id of its own: tick one letter.")
    counts, wrong = Counter[str](), list[tuple[str, str]]()
    for letter_id in ticked:
        try:
            edited = await _edited(request, letter_id, name, value) if name else None
            told = await letters.replay(
                api.usage, api.events, pid, letter_id, edited=edited, actor=request.actor, at=at, ids=api.ids
            )
        except InvalidValueError as error:
            wrong.append((letter_id, _told(error)))
        except ConflictError as error:
            wrong.append((letter_id, str(error)))
        else:
            counts[told.outcome.value] += 1
    await carry_or_wait(api.usage, api.database)
    done = f"Sent once more: {_counted(counts)}." if counts else ""
    return await _list(request, status=200 if not wrong else 422, done=done, left=wrong)


async def _edited(request: PageRequest, letter_id: str, name: str, value: str) -> dict[str, Any]:
    async with request.api.usage.read() as read:
        row = await letters.one_letter(read, request.project.pid, letter_id)
    found = letters.event_in(row.raw)
    if not isinstance(found, dict):
        raise InvalidValueError("event", "is no object, so no field of it can be set")
    return {**found, name: value}


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n)


def _field(typed: str) -> str | None:
    return text.one_line(typed, field="field", most=_MOST_FIELD) or None


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


async def _list(
    request: PageRequest,
    *,
    status: int = 200,
    wrong: str = "",
    done: str = "",
    left: Sequence[tuple[str, str]] = (),
    going_on: str = "",
) -> Response[bytes]:
    """`left`: letters that are no events this time either, with why. `going_on`: where further ones are."""
    asked = {name: request.query_params.get(name, "").strip() for name in ("state", "q", "field")}
    state, rows, older = asked["state"] or "open", [], ""
    try:
        q, field = text.one_line(asked["q"], field="q", most=200), _field(asked["field"])
        before = number(request.query_params.get("before"), _LIST)
        async with request.api.usage.read() as read:
            wanted = Wanted(state=_state(state), q=q, field=field)
            looked = await letters.list_letters(read, request.project.pid, wanted, before=before, limit=PAGE)
        rows = list(looked.rows)
        kept = {name: value for name, value in asked.items() if value}
        older = urlencode(kept | {"before": cursor_of(_LIST, looked.last)}) if looked.last else ""
    except InvalidValueError as error:
        status, wrong = 422, f"The filter: {error.field} {error.message}."
    return await request.page(
        "usage_dead.html", status=status, letters=rows, older=older, asked=asked, state=state, states=("any", *STATES),
        wrong=wrong, done=done, left=left, going_on=going_on, fields=SET, most=letters.MOST_AT_ONCE,
        is_filtered=any(asked.values()), here=urlencode({name: value for name, value in asked.items() if value}),
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
