"""Who changes a budget in the browser, and when: what form and buttons have in common."""

from __future__ import annotations

from heartfly.budgets.change import Changer
from heartfly.web.request import PageRequest


def changer(request: PageRequest) -> Changer:
    api = request.api
    return Changer(
        main=api.database,
        usage=api.usage,
        pid=request.project.pid,
        actor=request.actor,
        at=api.clock.now(),
        ids=api.ids,
    )
