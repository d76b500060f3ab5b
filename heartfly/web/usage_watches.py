"""Watches of data in the browser: which there are and what their last look found; to make, edit and delete one.

A form shows what is usual now, and who would alarm, before anything is saved. When a watch alarms is decided in
core/data_silence.py and core/degradation.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post

from heartfly.core.baseline import amount
from heartfly.core.data_silence import lasted, short
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.traffic import watchable, watches
from heartfly.traffic.watchable import Preview
from heartfly.traffic.watches import ALL, LIMITS, Kind
from heartfly.usage.rerun import zone_of
from heartfly.web.request import FOR_WRITERS, Form, PageRequest
from heartfly.web.sign_in import to

LABELS = {"what": "What", "gap_s": "No silence shorter than", "factor": "Factor", "least": "Least requests"}
_MOST_TEXT = 1_000


@get("/p/{project:str}/usage/watches")
async def show_watches(request: PageRequest) -> Response[bytes]:
    pid = request.project.pid
    async with request.api.database.read() as main:
        rows = await watches.list_watches(main, pid)
    async with request.api.usage.read() as read:
        known = await watchable.customers_called(read, pid, [row.what for row in rows if row.kind == Kind.CUSTOMER])
    return await request.page("usage_watches.html", watches=rows, known=known, every=ALL, most=watches.MOST)


@get("/p/{project:str}/usage/watches/new", opt=FOR_WRITERS)
async def show_new(request: PageRequest) -> Response[bytes]:
    """`kind` in the query; `what`: to begin with."""
    given = request.query_params
    kind = watches.kind_of(given.get("kind") or Kind.SOURCE)
    typed = _usual(kind) | {"what": given.get("what", ALL)[:_MOST_TEXT]}
    return await _form(request, kind, typed)


@post("/p/{project:str}/usage/watches/new", opt=FOR_WRITERS, status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    """With `preview` it says what is usual now, and saves nothing."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form = await request.sent()
    kind, typed = watches.kind_of(form["kind"]), _typed(form)
    what = typed["what"]
    try:
        limits = _limits(kind, typed)
        async with api.usage.read() as read:
            await watchable.demand_known(read, pid, kind, what)
        if form["preview"]:
            return await _form(request, kind, typed, found=await _previewed(request, kind, what, limits))
        await api.database.write(
            lambda tx: watches.create(tx, pid, kind=kind, what=what, limits=limits, at=at, actor=actor, ids=api.ids)
        )
    except InvalidValueError as error:
        return await _form(request, kind, typed, status=422, errors={error.field: error.message})
    except ConflictError as error:
        return await _form(request, kind, typed, status=409, errors={"what": str(error)})
    return to(request, f"/p/{request.project.slug}/usage/watches")


@get("/p/{project:str}/usage/watches/{watch:str}")
async def show_watch(request: PageRequest) -> Response[bytes]:
    row = await _one(request)
    found = await _previewed(request, Kind(row.kind), row.what, row.limits)
    return await _form(request, Kind(row.kind), _of(row), row=row, found=found)


@post("/p/{project:str}/usage/watches/{watch:str}", opt=FOR_WRITERS, status_code=200)
async def edit(request: PageRequest) -> Response[bytes]:
    """With `preview` it says what is usual now, and saves nothing."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    row, form = await _one(request), await request.sent()
    kind, typed = Kind(row.kind), _typed(form) | {"what": row.what}
    try:
        limits = _limits(kind, typed)
        if form["preview"]:
            found = await _previewed(request, kind, row.what, limits)
            return await _form(request, kind, typed, row=row, found=found, is_typed=True)
        await api.database.write(
            lambda tx: watches.edit(tx, pid, row.uuid, asked=limits, at=at, actor=actor, ids=api.ids)
        )
    except InvalidValueError as error:
        return await _form(request, kind, typed, row=row, status=422, errors={error.field: error.message})
    return to(request, f"/p/{request.project.slug}/usage/watches")


@post("/p/{project:str}/usage/watches/{watch:str}/delete", opt=FOR_WRITERS, status_code=200)
async def delete(request: PageRequest) -> Response[bytes]:
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    name = request.path_value("watch")
    await api.database.write(lambda tx: watches.delete(tx, pid, name, at=at, actor=actor, ids=api.ids))
    return to(request, f"/p/{request.project.slug}/usage/watches")


async def _one(request: PageRequest) -> Any:
    async with request.api.database.read() as main:
        return await watches.one_watch(main, request.project.pid, request.path_value("watch"))


def _usual(kind: Kind) -> dict[str, str]:
    return {name: str(one.usual) for name, one in LIMITS[kind].items()}


def _of(row: Any) -> dict[str, str]:
    return {"what": row.what} | {name: str(value) for name, value in row.limits.items()}


def _typed(form: Form) -> dict[str, str]:
    return {name: form[name].strip()[:_MOST_TEXT] for name in LABELS}


def _limits(kind: Kind, typed: Mapping[str, str]) -> Mapping[str, int]:
    """InvalidValueError."""
    return watches.limits_of(kind, {name: _number(typed[name], name) for name in LIMITS[kind]})


def _number(text: str, name: str) -> int | None:
    """None: nothing was typed, and what is usual holds."""
    if not text:
        return None
    plain = text.replace(",", "").replace(" ", "")
    if not (plain.isascii() and plain.isdigit() and len(plain) < 12):
        raise InvalidValueError(name, "must be a whole number")
    return int(plain)


async def _previewed(request: PageRequest, kind: Kind, what: str, limits: Mapping[str, int]) -> Preview:
    api, pid, now = request.api, request.project.pid, request.api.clock.now()
    async with api.database.read() as main, api.usage.read() as read:
        zone = await zone_of(main, pid)
        return await watchable.preview(main, read, pid, kind=kind, what=what, limits=limits, now=now, zone=zone)


async def _form(
    request: PageRequest,
    kind: Kind,
    typed: Mapping[str, str],
    *,
    row: Any = None,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    found: Preview | None = None,
    is_typed: bool = False,
) -> Response[bytes]:
    """`row`: the watch that is there already. `is_typed`: what was found is for what was typed, and not saved."""
    pid = request.project.pid
    async with request.api.usage.read() as read:
        names = await watchable.names(read, pid, kind) if row is None else ()
        called = await watchable.customers_called(read, pid, [row.what]) if row is not None else {}
    list_of_all = f"{request.web.root}/p/{quote(request.project.slug, safe='')}/usage/watches"
    return await request.page(
        "usage_watch.html",
        status=status,
        kind=kind.value,
        kinds=[one.value for one in Kind],
        typed=typed,
        row=row,
        called=called.get(row.what, row.what) if row is not None else "",
        names=names,
        most_names=watchable.MOST_NAMES,
        ranges=LIMITS[kind],
        labels=LABELS,
        errors=errors or {},
        found=found,
        is_typed=is_typed or row is None,
        every=ALL,
        list_of_all=list_of_all,
        span=lasted,
        short=short,
        ms=lambda value: "–" if value is None else f"{round(value):,}",
        percent=_percent,
        most_rows=watchable.MOST_ROWS,
    )


def _percent(share: Fraction | None) -> str:
    return "–" if share is None else f"{amount(Fraction(round(share * 10_000), 100))} %"
