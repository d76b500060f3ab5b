"""Budgets: which there are and how each stands; and one of them, with its parts, its days and its periods.

Of what nobody has made yet an example stands there, out of what was really spent; it is not saved. The form is in
budget_form.py.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from litestar import Response, get, post

from heartfly.api.paging import cursor_at, cursor_of, cut, number, text_at
from heartfly.budgets import history as histories
from heartfly.budgets import words
from heartfly.budgets.rows import Told, heard_by, list_budgets, one_budget, told
from heartfly.budgets.spending import Standing, example
from heartfly.budgets.summary import summary
from heartfly.core.budget_periods import is_over
from heartfly.core.budgets import WHOLE, Turn, allocation_key, holds
from heartfly.core.money import Money
from heartfly.core.rounded import money_words, share_words
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.usage.rerun import zone_of
from heartfly.web.budget_changes import changer
from heartfly.web.budget_pictures import Bar, bar_of, days_of
from heartfly.web.budget_standing import Shown, all_shown, now_kept, one_shown, together
from heartfly.web.request import FOR_WRITERS, PageRequest, rev_of_form
from heartfly.web.sign_in import to

PAGE = 20
"""Each is a few questions to usage, for which nobody waits longer than for a page."""
PERIODS = 12
_LIST, _HISTORY = "budgets", "budget-history"


@get("/p/{project:str}/usage/budgets")
async def list_page(request: PageRequest) -> Response[bytes]:
    api, pid, now = request.api, request.project.pid, request.api.clock.now()
    after = number(request.query_params.get("after"), _LIST)
    async with api.database.read() as main:
        rows, following = cut(
            await list_budgets(main, pid, after=after or 0, limit=PAGE + 1),
            PAGE,
            lambda one: cursor_of(_LIST, one.row.id),
        )
        channels = await heard_by(main, pid, [one.row.id for one in rows])
        sums = await summary(main, pid, now=now)
        zone = await zone_of(main, pid)
        kept = [await now_kept(main, one, now=now) for one in rows]
    shown = await all_shown(request, rows, kept, channels)
    such_as = None
    if not rows and after is None:
        async with api.usage.read() as read:
            such_as = await example(read, pid, zone, now=now)
    return await request.page(
        "usage_budgets.html",
        budgets=shown,
        sums=together(sums, shown, now=now) if len(rows) > 1 else (),
        money=money_words,
        following=urlencode({"after": following}) if following else "",
        is_first=after is None,
        example=such_as,
        example_query="" if such_as is None else urlencode(such_as.query),
    )


@get("/p/{project:str}/usage/budgets/{budget:str}")
async def show(request: PageRequest) -> Response[bytes]:
    """In the query: `before`, from which on its periods are listed."""
    return await _page(request)


@post("/p/{project:str}/usage/budgets/{budget:str}/turn", opt=FOR_WRITERS, status_code=200)
async def turn(request: PageRequest) -> Response[bytes]:
    """`do`: pause, resume or cancel."""
    form, name = await request.sent(), request.path_value("budget")
    what = {one.value: one for one in (Turn.PAUSE, Turn.RESUME, Turn.CANCEL)}.get(form["do"])
    if what is None:
        raise InvalidValueError("do", "must be pause, resume or cancel")
    try:
        await changer(request).turn(name, what, rev=rev_of_form(form["rev"]))
    except ConflictError as error:
        return await _page(request, status=409, wrong=f"Nothing was changed: {error}.")
    return to(request, f"/p/{request.project.slug}/usage/budgets/{quote(name, safe='')}")


@post("/p/{project:str}/usage/budgets/{budget:str}/delete", opt=FOR_WRITERS, status_code=200)
async def delete(request: PageRequest) -> Response[bytes]:
    await changer(request).delete(request.path_value("budget"), rev=None)
    return to(request, f"/p/{request.project.slug}/usage/budgets")


async def _page(request: PageRequest, *, status: int = 200, wrong: str = "") -> Response[bytes]:
    api, pid, now = request.api, request.project.pid, request.api.clock.now()
    before = histories.day_of_cursor(text_at(request.query_params.get("before"), _HISTORY))
    async with api.database.read() as main:
        stored = await one_budget(main, pid, request.path_value("budget"))
        channels = await heard_by(main, pid, [stored.row.id])
        kept = await now_kept(main, stored, now=now)
        found = await histories.begun(main, stored, before=before, limit=PERIODS + 1, now=now)
        known = [] if kept is None else await told(main, pid, stored.row.id, [kept.period.key])
    begun, following = cut(found, PERIODS, lambda one: cursor_at(_HISTORY, one.period.key))
    shown, past = await one_shown(request, stored, kept, channels, begun, before=before)
    return await request.page(
        "usage_budget.html",
        status=status,
        shown=shown,
        stored=stored,
        standing=shown.standing,
        parts_of=_parts(shown),
        days=None if shown.standing is None else days_of(shown.standing.days),
        known=[(one, _holds(shown.standing, one)) for one in known],
        money_of=money_words,
        title_of=lambda one: words.title(one.mark),
        scope=words.scope_words(stored),
        percent=share_words,
        past=past,
        following=urlencode({"before": following}) if following else "",
        is_first=before is None,
        is_over=is_over(stored.agreed.plan, stored.today(now)),
        wrong=wrong,
    )


def _holds(standing: Standing | None, one: Told) -> bool | None:
    """None: not known now."""
    return None if standing is None else holds(one.mark, standing.terms, standing.seen)


def _parts(shown: Shown) -> list[tuple[str, str, Money, Money, Bar]]:
    """By what, which one, what it may use and has, and that as a bar. Empty, too, while what they have is not known."""
    found = list[tuple[str, str, Money, Money, Bar]]()
    if shown.standing is None and shown.kept is not None:
        return found
    for (by, name), amount in shown.stored.agreed.allocations.items():
        used = 0 if shown.standing is None else shown.standing.by_part.get(allocation_key(by, name), 0)
        found.append((by, name, amount, used, bar_of(used, amount, (WHOLE,))))
    return found
