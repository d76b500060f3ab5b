"""Alarms of a backtest on pages: why, in a word, and where each leads."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from heartfly.checks.backtest import History
from heartfly.core.replay import Alarm
from heartfly.web.request import PageRequest

REASONS = {
    "missed": "missed", "missed_twice_unverified": "missed twice", "hung": "a run that hung", "fail": "failed",
    "exit_status": "failed", "gate": "a gate was broken", "not_started": "not started in time",
    "too_few": "too few reports", "too_fast": "too fast", "too_soon": "too soon", "too_often": "too often",
}  # fmt: skip


def link_to(request: PageRequest, uuid: str, history: History | None, alarm: Alarm) -> str:
    """To the incident that it really was, else to what came around it. `uuid`: of the check."""
    here = f"{request.web.root}/p/{request.project.slug}"
    incident = history.incidents.get(alarm.at) if history is not None else None
    if incident is not None:
        return f"{here}/incidents/{incident}"
    until = (alarm.ended_at or alarm.at) + timedelta(seconds=1)
    return f"{here}/checks/{uuid}/events?{urlencode({'until': f'{until:%Y-%m-%dT%H:%M:%SZ}'})}"
