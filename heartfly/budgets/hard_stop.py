"""The hard stop of a budget: calls that would cost more than is left are refused by the check before a call.

It is a limit whose source is the budget. Where no limits are kept it is refused, never taken and forgotten.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from heartfly.audit.record import Actor
from heartfly.budgets.config import Agreed
from heartfly.core.budgets import BudgetState
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.errors import InvalidValueError


def follow(tx: Tx, row: Any, wanted: Agreed, *, at: datetime, ids: IdSource, actor: Actor) -> None:  # noqa: ARG001
    """As the budget is to be. InvalidValueError."""
    if wanted.hard_stop:
        raise InvalidValueError("hard_stop", "is not possible yet: no limits are checked before a call")


def turn(tx: Tx, row: Any, state: BudgetState, *, at: datetime) -> None:
    """A budget that is paused or cancelled stops nobody."""


def end(tx: Tx, row: Any, *, at: datetime) -> None:
    """The budget goes."""
