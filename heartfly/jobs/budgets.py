"""The job that looks at a project's budgets each minute: what they have come to, and what is to be told of that.

What is told, and that it is told once, is decided in budgets/look.py. A budget that cannot be looked at is named, and
holds up no other. A look for which the database had no time is made up for by the next minute's: what is told is told
once and by what is seen then, so it fails the run only when several in a row had none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from heartfly.budgets.commands import MOST
from heartfly.budgets.hard_stop import withdraw_orphans
from heartfly.budgets.look import look
from heartfly.budgets.rows import list_budgets
from heartfly.core.budgets import BudgetState
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import HeartflyError, OverloadedError
from heartfly.jobs.kind import Done, LeaseLostError, Work

NAME = "budgets"
MOST_BEHIND = 3
"""Looks in a row at one budget that may find no time, less one."""
_ORPHANS = ""
_LOOKED_AT = tuple(state for state in BudgetState if state is not BudgetState.CANCELLED)


def looking(usage: Database, *, ids: IdSource) -> Callable[[Work], Awaitable[Done]]:
    behind: Counter[str] = Counter()  # by this process; another node begins at none

    async def look_at_all(work: Work) -> Done:
        async with work.read() as main:
            found = await list_budgets(main, work.pid, limit=MOST, states=_LOOKED_AT)
        n_told, n_exceeded, n_behind, failed = 0, 0, 0, list[str]()
        for one in found:
            try:
                outcome = await look(work, usage, work.pid, one.row.uuid, now=work.now, ids=ids)
            except LeaseLostError:
                raise
            except OverloadedError as error:
                n_behind += 1
                behind[one.row.uuid] += 1
                if behind[one.row.uuid] >= MOST_BEHIND:
                    failed.append(f"{one.agreed.name} could not be looked at {MOST_BEHIND} times: {error}")
                continue
            except HeartflyError as error:  # told by the job's own check
                failed.append(f"{one.agreed.name} could not be looked at: {error}")
                continue
            behind.pop(one.row.uuid, None)
            n_told += len(outcome.told)
            n_exceeded += outcome.state is BudgetState.EXCEEDED
        try:
            await withdraw_orphans(work.read, usage, work.pid, now=work.now, ids=ids)
            behind.pop(_ORPHANS, None)
        except OverloadedError as error:
            n_behind += 1
            behind[_ORPHANS] += 1
            if behind[_ORPHANS] >= MOST_BEHIND:
                failed.append(f"hard stops could not be looked at {MOST_BEHIND} times: {error}")
        figures = {"budgets": len(found), "told": n_told, "exceeded": n_exceeded, "behind": n_behind}
        figures |= {"failed": len(failed)}
        return Done(figures=figures, failure="; ".join(failed))

    return look_at_all
