"""A change of a budget as doors ask for it: the change, and a look at what follows from it at once.

An edit that may raise something looks at the spend first, and tries again if another change came between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from heartfly.audit.record import Actor
from heartfly.budgets import commands
from heartfly.budgets.commands import SeenAnotherError, raises
from heartfly.budgets.config import BudgetIn, agreed, edited
from heartfly.budgets.hard_stop import withdraw_for
from heartfly.budgets.look import look
from heartfly.budgets.metering import demand_meters
from heartfly.budgets.rows import one_budget
from heartfly.budgets.spending import see
from heartfly.core.budgets import Turn
from heartfly.core.days import day_of
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import ChangedMeanwhileError, HeartflyError
from heartfly.logs import logger
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.rerun import zone_of

log = logger("heartfly.budgets")

_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Changer:
    """Who changes the budgets of a project, and when."""

    main: Database
    usage: Database
    pid: int
    actor: Actor
    at: datetime
    ids: IdSource

    async def create(self, asked: BudgetIn) -> str:
        """Its public id. As commands.create."""
        async with self.main.read() as read:
            today = day_of(await zone_of(read, self.pid), self.at)
        async with self.usage.read() as read:
            await demand_meters(read, self.pid, agreed(asked, today=today))
        make = partial(commands.create, asked=asked, today=today, actor=self.actor, at=self.at, ids=self.ids)
        public_id = await self.main.write(lambda tx: make(tx, self.pid))
        await self._look(public_id)
        return public_id

    async def edit(self, public_id: str, asked: BudgetIn, *, rev: int | None) -> None:
        """As commands.edit."""
        for _ in range(_TRIES):
            async with self.main.read() as read:
                stored = await one_budget(read, self.pid, public_id)
            async with self.usage.read() as read:
                await demand_meters(read, self.pid, edited(stored.agreed, asked))
            period, seen = stored.period(self.at), None
            if period is not None and raises(asked):
                async with self.usage.read() as read:
                    seen = await see(read, stored, period, stored.agreed.terms, now=self.at)
            edit = partial(
                commands.edit, seen=seen, seen_rev=stored.row.rev, rev=rev, actor=self.actor, at=self.at, ids=self.ids
            )
            try:
                await self.main.write(lambda tx, edit=edit: edit(tx, self.pid, public_id, asked))  # type: ignore[misc]
            except SeenAnotherError:
                continue
            await self._look(public_id)
            return
        raise ChangedMeanwhileError("others change the budget at this moment; try again")

    async def turn(self, public_id: str, what: Turn, *, rev: int | None) -> None:
        """As commands.turn."""
        turn = partial(commands.turn, rev=rev, actor=self.actor, at=self.at, ids=self.ids)
        await self.main.write(lambda tx: turn(tx, self.pid, public_id, what))
        await self._look(public_id)

    async def delete(self, public_id: str, *, rev: int | None) -> None:
        """As commands.delete."""
        delete = partial(commands.delete, rev=rev, actor=self.actor, at=self.at, ids=self.ids)
        await self.main.write(lambda tx: delete(tx, self.pid, public_id))
        await withdraw_for(self.usage, self.pid, public_id.lower(), now=self.at, ids=self.ids)
        await carry_or_wait(self.usage, self.main)

    async def _look(self, public_id: str) -> None:
        """The change is done: what cannot be looked at now the job looks at within a minute."""
        try:
            await look(self.main, self.usage, self.pid, public_id, now=self.at, ids=self.ids)
        except HeartflyError as error:
            log.warning("budget_waits", budget=public_id, error=str(error))
            return
        await carry_or_wait(self.usage, self.main)
