"""The hard stop of a budget: calls that would cost more than is left are refused by the check before a call.

It is a limit whose source is the budget. Where no limits are kept it is refused, never taken and forgotten.
"""

from __future__ import annotations

from heartfly.budgets.config import Agreed
from heartfly.errors import InvalidValueError


def demand_possible(wanted: Agreed) -> None:
    """InvalidValueError."""
    if wanted.hard_stop:
        raise InvalidValueError("hard_stop", "is not possible here: no limits are checked before a call")
