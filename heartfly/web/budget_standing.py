"""How budgets stand, for a page: as calls cost now, or, where that takes long to say, as the last look has kept it.

Prices that change put all hours in doubt, and then a question takes long; a page never waits for that. What stands is
worked out in budgets/spending.py, what is kept in budgets/look.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.budgets.history import Begun, Past, begun, with_costs
from heartfly.budgets.rows import Stored
from heartfly.budgets.spending import Standing, standing
from heartfly.budgets.summary import COUNTED, Sum
from heartfly.calls.known import share
from heartfly.calls.waiting import Waiting
from heartfly.core.money import Money
from heartfly.core.rounded import money_words
from heartfly.web.budget_pictures import Bar, bar_of
from heartfly.web.lanes import Lanes
from heartfly.web.panels import Panel
from heartfly.web.request import PageRequest

AT_ONCE = 3
"""Questions of one page at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A budget with how it stands. `kept` None: it has not begun. `standing` None: it has not, or `counts`, which is
    that it is being worked out; or `wrong` says why it could not be.
    """

    stored: Stored
    kept: Begun | None
    channels: Sequence[Row[Any]]
    standing: Standing | None = None
    counts: bool = False
    wrong: str = ""

    def money(self, amount: Money) -> str:
        return money_words(amount, self.stored.agreed.currency)

    @property
    def spent(self) -> Money | None:
        """None: not known, as nobody has looked yet."""
        if self.standing is not None:
            return self.standing.seen.spent
        return None if self.kept is None else self.kept.spent

    @property
    def left(self) -> Money | None:
        whole = self.stored.agreed.amount
        return None if whole is None or self.spent is None else whole - self.spent

    @property
    def bar(self) -> Bar | None:
        terms = self.stored.agreed.terms if self.standing is None else self.standing.terms
        if self.spent is None or terms.amount is None:
            return None
        return bar_of(self.spent, terms.amount, terms.thresholds)


async def all_shown(
    request: PageRequest, rows: Sequence[Stored], kept: Sequence[Begun | None], channels: Sequence[Row[Any]]
) -> Sequence[Shown]:
    """Of a list, each asked apart; none waits for longer than the page does. What they have in common is read once."""
    turns = asyncio.Semaphore(AT_ONCE)
    now, pid = request.api.clock.now(), request.project.pid

    def key(stored: Stored, its: Begun) -> Hashable:
        return pid, "budget", stored.row.uuid, stored.row.rev, its.period.key

    waiting, panels = Waiting(pid), request.web.panels
    asked = [its for stored, its in zip(rows, kept, strict=True) if its and not panels.goes_on(key(stored, its))]
    lanes = Lanes(request.api.usage, n=len(asked), begun=lambda read: share(read, pid, waiting))

    async def one(stored: Stored, its: Begun | None) -> Shown:
        mine = [channel for channel in channels if channel.budget_id == stored.row.id]
        if its is None:
            return Shown(stored=stored, kept=None, channels=mine)

        async def work(read: AsyncConnection) -> Standing:
            return await standing(read, stored, its.period, now=now, foresee=False)

        panel = await panels.ask(lanes, key(stored, its), work, turns=turns, wait_s=panels.wait_s)
        return _as_told(stored, its, mine, panel, panel.found)

    async with lanes:
        return await asyncio.gather(*(one(stored, its) for stored, its in zip(rows, kept, strict=True)))


def together(sums: Sequence[Sum], shown: Sequence[Shown], *, now: datetime) -> Sequence[Sum]:
    """What was kept of all budgets, and in the place of that what these are shown with: a page is of one mind."""
    found = {one.currency: replace(one) for one in sums}
    for one in shown:
        period = one.stored.period(now)
        if one.standing is None or one.kept is None or one.stored.state not in COUNTED:
            continue
        if period is None or one.kept.period.first != period.first:  # it is the last one that is shown
            continue
        mine, more = found[one.stored.agreed.currency], one.standing.seen.spent - (one.kept.spent or 0)
        mine.spent += more
        mine.left -= 0 if one.stored.agreed.amount is None else more
    return list(found.values())


async def one_shown(
    request: PageRequest,
    stored: Stored,
    kept: Begun | None,
    channels: Sequence[Row[Any]],
    past: Sequence[Begun],
    *,
    before: date | None,
) -> tuple[Shown, Sequence[Past | Begun]]:
    """With what it will come to, and its periods: as they cost now, or else as they are kept."""
    now = request.api.clock.now()
    if kept is None:
        return Shown(stored=stored, kept=None, channels=channels), past

    async def work(read: AsyncConnection) -> tuple[Standing, Sequence[Past]]:
        stands = await standing(read, stored, kept.period, now=now)
        return stands, await with_costs(read, stored, past, now=now)

    panels = request.web.panels
    key = (request.project.pid, "budget", stored.row.uuid, stored.row.rev, kept.period.key, before, "one")
    turns = asyncio.Semaphore(1)
    panel = await panels.ask(request.api.usage, key, work, turns=turns, wait_s=panels.wait_s)
    if panel.found is None:
        return _as_told(stored, kept, channels, panel, None), past
    stands, costs = panel.found
    return _as_told(stored, kept, channels, panel, stands), costs


async def now_kept(main: AsyncConnection, stored: Stored, *, now: datetime) -> Begun | None:
    """Of the period that is now, or was the last one."""
    found = await begun(main, stored, limit=1, now=now)
    return found[0] if found else None


def _as_told(
    stored: Stored, kept: Begun, channels: Sequence[Row[Any]], panel: Panel[Any], stands: Standing | None
) -> Shown:
    return Shown(stored=stored, kept=kept, channels=channels, standing=stands, counts=panel.counts, wrong=panel.wrong)
