"""People's turn comes after the judge's: a check that is due is judged before anybody changes it.

Only the monitor knows up to which instant all was heard, so a command does not judge. It leaves a check
that is due alone, and is asked again a moment later, by the time that it is then. See
docs/decisions/0013-what-is-due-is-judged-before-people-change-it.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from heartfly.clock import Clock
from heartfly.core.values import Check
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.errors import OverloadedError

Result = TypeVar("Result")

AGAIN_S = 0.05
PATIENCE_S = 10.0
"""A request under way holds judging for 2 s; after a leader's death another one judges within 10."""


class NotJudgedYetError(OverloadedError):
    """Something of the check fell due, and the monitor has not judged it yet. Nothing was changed."""

    def __init__(self) -> None:
        super().__init__("the check is being judged at its deadline; try again", retry_after=2)


def refuse_if_due(check: Check, at: datetime) -> None:
    """NotJudgedYetError: at this instant something is due that an edit, pause or resume would undo."""
    if check.wake_at is not None and check.wake_at <= at:
        raise NotJudgedYetError


async def in_turn(database: Database, clock: Clock, command: Callable[[Tx, datetime], Result]) -> Result:
    """Run a person's command, given its time, as soon as nothing of its check is due. After 10 s NotJudgedYetError."""
    until = clock.monotonic() + PATIENCE_S
    while True:
        at = clock.now()
        try:
            return await database.write(lambda tx, at=at: command(tx, at))  # type: ignore[misc]
        except NotJudgedYetError:
            if clock.monotonic() >= until:
                raise
        await clock.sleep(AGAIN_S)
