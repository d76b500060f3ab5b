"""Rules for paths in the browser: what holds, what other lines would change, and the sets that held before.

How a rule is written is core/paths.py's; what others would make of real paths usage/path_preview.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from litestar import Response, get, post

from heartfly.api.paging import cursor_of, cut, number
from heartfly.errors import ChangedMeanwhileError, InvalidValueError
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.path_preview import MOST_EVENTS, PathsForeseen, foresee_paths
from heartfly.usage.path_rules import (
    MOST_CHARACTERS,
    MOST_LINES,
    checked,
    kept_rules,
    list_sets,
    one_set,
    save_rules,
)
from heartfly.web.request import PageRequest, rev_of_form
from heartfly.web.sign_in import to

PAGE = 20
MOST_BYTES = 1024 * 1024
"""Of the form: as many lines as there may be, each as long as it may be, in any script."""
_LIST = "path-rules"


@get("/p/{project:str}/usage/paths")
async def show_rules(request: PageRequest) -> Response[bytes]:
    """`of`: the set whose lines stand in the form. `after`: from which on those that held before are listed."""
    return await _page(request)


@post("/p/{project:str}/usage/paths", status_code=200, request_max_body_size=MOST_BYTES)
async def preview_or_save(request: PageRequest) -> Response[bytes]:
    """`lines` as typed. With `preview` it says what they would change, and saves nothing."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form = await request.sent()
    typed, rev = form["lines"].replace("\r\n", "\n"), rev_of_form(form["rev"])
    lines = typed.rstrip("\n").split("\n") if typed.strip() else []
    try:
        checked(lines)
        if form["preview"]:
            hands = api.closer.hands
            hands.demand_room()
            found = await hands.run(foresee_paths, api.usage.place, pid, lines)
            return await _page(request, typed=typed, rev=rev, found=found)
        n_hours = await api.usage.write(lambda tx: save_rules(tx, pid, lines, rev=rev, actor=actor, at=at, ids=api.ids))
    except InvalidValueError as error:
        return await _page(request, status=422, typed=typed, rev=rev, errors={"lines": _beside(error)})
    except ChangedMeanwhileError:
        said = "somebody changed the rules since you opened the page; look at those that hold now, and save again"
        return await _page(request, status=409, typed=typed, errors={"": said})
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/paths?saved={n_hours}")


def _beside(error: InvalidValueError) -> str:
    """`lines[2]` of the API is the third line of the field."""
    place = error.field.partition("[")[2].removesuffix("]")
    return f"line {int(place) + 1} {error.message}" if place else error.message


async def _page(
    request: PageRequest,
    *,
    status: int = 200,
    typed: str | None = None,
    rev: int | None = None,
    found: PathsForeseen | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """`typed` None: the lines that hold, or of the set that was asked for. `rev` None: that of those that hold."""
    pid, given = request.project.pid, request.query_params
    after, of = number(given.get("after"), _LIST), number(given.get("of"), _LIST)
    async with request.api.usage.read() as read:
        now = await kept_rules(read, pid)
        rows = await list_sets(read, pid, after=after, limit=PAGE + 1)
        again = None if of is None else await one_set(read, pid, of)
    sets, following = cut(rows, PAGE, lambda row: cursor_of(_LIST, row.id))
    if typed is None:
        typed = "\n".join(now.lines if again is None else again.lines)
    return await request.page(
        "usage_paths.html",
        status=status,
        now=now,
        typed=typed,
        again=again,
        rev=now.rev if rev is None else rev,
        found=found,
        errors=errors or {},
        saved=_saved(given.get("saved", "")) if status == 200 and found is None else None,
        sets=[(one, cursor_of(_LIST, one.id)) for one in sets],
        is_first=after is None,
        following=urlencode({"after": following}) if following else "",
        most_lines=MOST_LINES,
        most_characters=MOST_CHARACTERS,
        most_events=MOST_EVENTS,
    )


def _saved(text: str) -> int | None:
    """Hours that are counted anew, as the address says that led here."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
