"""Limits of calls in the browser: how each stands, who was denied, and a form that tries a limit before it is saved.

What a limit is stands in core/limits/, how it is asked for in limits/asked.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get, post

from heartfly.api.paging import cursor_at, cursor_of, cut, number, text_at
from heartfly.core.amounts import text_of
from heartfly.core.limits.rules import Kind, Span
from heartfly.core.limits.scope import DIMENSIONS, scope_of, written
from heartfly.core.limits.words import amount_words, described
from heartfly.core.spans import span
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError
from heartfly.limits import commands, queries
from heartfly.limits.asked import FAILURES, Asked, amount_of, opens_of, period_us_of, wanted_of
from heartfly.limits.book import limit_of
from heartfly.limits.commands import Edit
from heartfly.limits.example import example_of
from heartfly.limits.rows import values_of
from heartfly.limits.simulate import Simulated, simulate
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.rerun import zone_of
from heartfly.web.request import Form, PageRequest, rev_of_form
from heartfly.web.sign_in import to

PAGE, COUNTERS, DENIALS, PROVIDERS = 50, 50, 20, 50
_LIST, _COUNTERS = "limits", "counters"
_PLACE = msgspec.json.Decoder(tuple[int, str])


@get("/p/{project:str}/usage/limits")
async def show_limits(request: PageRequest) -> Response[bytes]:
    """`after` in the query: from where on."""
    return await _list(request)


@post("/p/{project:str}/usage/limits", status_code=200)
async def try_or_save(request: PageRequest) -> Response[bytes]:
    """With `try` it says what the limit would have denied in the last week, and saves nothing."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form = await request.sent()
    typed = _typed(form)
    try:
        async with api.database.read() as main:
            zone = await zone_of(main, pid)
        wanted = wanted_of(_asked(typed), zone=zone.key)
        if form["try"]:
            found = await simulate(api.usage, pid, wanted.limit, now=at)
            return await _list(request, typed=typed, found=found, says=described(wanted.limit))
        made = await api.usage.write(lambda tx: commands.create(tx, pid, wanted, actor=actor, at=at, ids=api.ids))
    except InvalidValueError as error:
        return await _list(request, status=422, typed=typed, errors={_field(error.field): error.message})
    except ConflictError as error:
        return await _list(request, status=409, typed=typed, errors={"": str(error)})
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/limits/{made}")


@get("/p/{project:str}/usage/limits/{limit:str}")
async def show(request: PageRequest) -> Response[bytes]:
    return await _one(request)


@post("/p/{project:str}/usage/limits/{limit:str}", status_code=200)
async def edit(request: PageRequest) -> Response[bytes]:
    """`do` delete: it goes. Else it is edited; what was used stays."""
    api, pid, at, actor = request.api, request.project.pid, request.api.clock.now(), request.actor
    form, limit = await request.sent(), request.path_value("limit")
    root = f"/p/{request.project.slug}/usage/limits"
    typed = {name: form[name] for name in ("name", "amount", "burst", "period_s", "approaching", "on_failure")}
    typed |= {"active": "1" if form["active"] else "", "always": "1" if form["always"] else ""}
    try:
        if form["do"] == "delete":
            await api.usage.write(lambda tx: commands.delete(tx, pid, limit, actor=actor, at=at, ids=api.ids))
        else:
            wanted, rev = _edit(typed), rev_of_form(form["rev"])
            await api.usage.write(
                lambda tx: commands.edit(tx, pid, limit, wanted, rev=rev, actor=actor, at=at, ids=api.ids)
            )
    except InvalidValueError as error:
        return await _one(request, status=422, typed=typed, errors={error.field: error.message})
    except ChangedMeanwhileError:
        said = "somebody changed the limit since you opened the page; look at it as it is now, and save again"
        return await _one(request, status=409, errors={"": said})
    except ConflictError as error:
        return await _one(request, status=409, errors={"": str(error)})
    await carry_or_wait(api.usage, api.database)
    return to(request, root if form["do"] == "delete" else f"{root}/{limit}")


def _edit(typed: Mapping[str, str]) -> Edit:
    """What a limit has not has no field, and stays. InvalidValueError."""
    return Edit(
        name=typed["name"],
        amount=amount_of(typed["amount"], "amount"),
        burst=amount_of(typed["burst"], "burst") if typed["burst"] else None,
        period_us=period_us_of(_whole(typed["period_s"], "period_s")) if typed["period_s"] else None,
        approaching=_whole(typed["approaching"], "approaching"),
        opens=opens_of(typed["on_failure"]),
        always=bool(typed["always"]),
        active=bool(typed["active"]),
    )


def _whole(text: str, field: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise InvalidValueError(field, "must be a whole number")
    return int(text)


_FIELDS = ("name", "policy", "unit", "kind", "amount", "period_s", "burst", "window", "on_failure")


def _typed(form: Form) -> dict[str, str]:
    """The form as it was sent, by the names of its fields."""
    return {name: form[name].strip() for name in (*_FIELDS, "always", *DIMENSIONS)}


def _asked(typed: Mapping[str, str]) -> Asked:
    """What the kind has no use for is left out: its fields stand in the form all the same."""
    kind, policy = typed["kind"], typed["policy"]
    given = {dimension: typed[dimension] for dimension in DIMENSIONS if typed[dimension]}
    if policy:
        return Asked(name=typed["name"], policy=policy, scope=given, on_failure=typed["on_failure"] or "allow")
    paced = kind in {Kind.RATE, Kind.ROLLING}
    return Asked(
        name=typed["name"],
        scope=given,
        unit=typed["unit"] or "requests",
        kind=kind or Kind.ROLLING.value,
        amount=typed["amount"],
        period_s=_whole(typed["period_s"], "period_s") if paced else None,
        burst=typed["burst"] if kind == Kind.RATE else "",
        window=typed["window"] if kind == Kind.CALENDAR else "",
        always=bool(typed["always"]),
        on_failure=typed["on_failure"] or "allow",
    )


def _field(name: str) -> str:
    return name.removeprefix("scope.")


def _prefilled(asked: Asked) -> dict[str, str]:
    found = dict.fromkeys((*_FIELDS, "always", *DIMENSIONS), "")
    found |= {"unit": asked.unit, "kind": asked.kind, "amount": asked.amount, "on_failure": asked.on_failure}
    found |= {"period_s": str(asked.period_s or ""), "window": Span.DAY.value}
    return found | written(scope_of(asked.scope))


async def _list(
    request: PageRequest,
    *,
    status: int = 200,
    typed: Mapping[str, str] | None = None,
    found: Simulated | None = None,
    says: str = "",
    errors: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """`typed` None: the form holds an example. `says`: in words what was tried."""
    pid, now = request.project.pid, request.api.clock.now()
    after = number(request.query_params.get("after"), _LIST) or 0
    async with request.api.usage.read() as read:
        rows = await queries.list_limits(read, pid, now=now, after=after, limit=PAGE + 1)
        denied = await queries.list_denials(read, pid, limit=DENIALS)
        told = await queries.told_by_providers(read, pid, limit=PROVIDERS)
        example = await example_of(read, pid, now=now) if typed is None else None
    page, following = cut(rows, PAGE, lambda one: cursor_of(_LIST, one.row.id))
    return await request.page(
        "usage_limits.html",
        status=status,
        limits=[(one, described(limit_of(one.row)), _values(one)) for one in page],
        denied=[_denial(row) for row in denied],
        told=told,
        example=example,
        typed=_prefilled(example.asked) if example is not None else typed,
        found=found,
        hardest=[] if found is None else _hardest(found),
        says=says,
        errors=errors or {},
        kinds=[(Kind.ROLLING, "in any period (rolling)"), (Kind.CALENDAR, "in each hour, day, week or month"),
               (Kind.RATE, "as a rate, with a burst")],
        spans=list(Span),
        dimensions=DIMENSIONS,
        is_first=not after,
        following=urlencode({"after": following}) if following else "",
        much=amount_words,
    )  # fmt: skip


def _denial(row: Any) -> tuple[Any, tuple[str, ...], str, str, str]:
    """With whom it was, how much was wanted and used, and when there was room again."""
    wanted, used = (amount_words(amount, row.unit) for amount in (row.wanted, row.used))
    room = "never" if row.wait_us is None else span(timedelta(microseconds=row.wait_us))
    return row, values_of(row.scope), wanted, used, room


def _hardest(found: Simulated) -> list[tuple[str, int, str]]:
    """The values that it would have hit most, with what they used at most."""
    order = sorted(found.fullest, key=lambda values: (-found.by_value[values], values))
    return [
        (", ".join(values), found.by_value[values], text_of(found.fullest[values])) for values in order[:10] if values
    ]


def _values(shown: queries.Shown) -> str:
    return "" if shown.fullest is None else ", ".join(shown.fullest.applied.values)


async def _one(
    request: PageRequest,
    *,
    status: int = 200,
    typed: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """`after` in the query: from which counter on."""
    pid, now = request.project.pid, request.api.clock.now()
    text = text_at(request.query_params.get("after"), _COUNTERS)
    after = None if text is None else _place(text)
    async with request.api.usage.read() as read:
        shown = await queries.one_limit(read, pid, request.path_value("limit"), now=now)
        rows = await queries.counters_of(read, pid, shown.row, now=now, after=after, limit=COUNTERS + 1)
        denied = await queries.list_denials(read, pid, public_id=shown.row.uuid, limit=DENIALS)
    page, following = cut(rows, COUNTERS, lambda one: cursor_at(_COUNTERS, json.dumps(one[1:])))
    row = shown.row
    stored = {
        "name": row.name, "amount": text_of(row.amount), "burst": text_of(row.burst),
        "period_s": str(row.period_us // 1_000_000), "approaching": str(row.approaching),
        "on_failure": "allow" if row.opens else "deny", "active": "1" if row.active else "",
        "always": "1" if row.always else "",
    }  # fmt: skip
    return await request.page(
        "usage_limit.html",
        status=status,
        shown=shown,
        limit=row,
        says=described(limit_of(row)),
        counters=[(one, ", ".join(one.applied.values)) for one, _, _ in page],
        denied=[_denial(each) for each in denied],
        typed=typed or stored,
        errors=errors or {},
        failures=list(FAILURES),
        is_first=after is None,
        following=urlencode({"after": following}) if following else "",
        much=amount_words,
    )


def _place(text: str) -> tuple[int, str]:
    """InvalidValueError."""
    try:
        found = _PLACE.decode(text)
    except msgspec.MsgspecError:
        raise InvalidValueError("after", "must be that of a page of this list") from None
    if not 0 <= found[0] < 1 << 63:
        raise InvalidValueError("after", "must be that of a page of this list")
    return found
