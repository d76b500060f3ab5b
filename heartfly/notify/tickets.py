"""Under which name a service that keeps one ticket a trouble knows it: what opens it, and what closes it again."""

from __future__ import annotations

from heartfly.core.alerts import Alert
from heartfly.core.words import AlertKind

_OF_THE_CHECK = frozenset({AlertKind.DOWN, AlertKind.UP, AlertKind.DEGRADED})
_OF_ITS_INCIDENT = frozenset(
    {AlertKind.RULE_FIRING, AlertKind.RULE_RESOLVED, AlertKind.BUDGET_REACHED, AlertKind.BUDGET_CLEARED}
)
_ENDS = frozenset({AlertKind.UP, AlertKind.RULE_RESOLVED, AlertKind.BUDGET_CLEARED})


def ends_its_ticket(alert: Alert) -> bool:
    return alert.kind in _ENDS


def ticket_of(alert: Alert) -> str:
    """Of what a check is, one for the check: it is down, degraded, and up again under the same name. Of what a rule or
    a budget tells, one for its incident.

    All else, lateness too, stands for itself: nothing tells that it is over.
    """
    if alert.check is not None and alert.kind in _OF_THE_CHECK:
        return f"heartfly:{alert.check.uuid}"
    if alert.incident is not None and alert.kind in _OF_ITS_INCIDENT:
        return f"heartfly:{alert.incident}"
    return f"heartfly:{alert.project_slug}:{alert.key}"[:255]
