"""What machines watch: whether the server answers, what it has to do, and a project's checks for Prometheus."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from heartfly.accounts.keys import Caller, Scope
from heartfly.api.compat.healthchecks.asked import Answer, Asked, SaidNoError, no, told
from heartfly.api.compat.healthchecks.forms import status_of, unique_key
from heartfly.api.compat.healthchecks.reading import left_of, pages
from heartfly.core.words import Status
from heartfly.db.models import alerts, checks, deliveries
from heartfly.errors import UnauthenticatedError
from heartfly.instruments import Family, Sample, exposed
from heartfly.notify.outbox import PENDING

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def read_status(asked: Asked) -> Answer:
    async with asked.api.database.read() as read:
        await read.execute(sa.select(1))
    return Answer(body=b"OK")


async def read_metrics(asked: Asked) -> Answer:
    """Who has the token of our own `/metrics`, as `X-Metrics-Key`. Pings are counted by check here, so the largest
    number of one is the sum of all.
    """
    token, given = asked.api.settings.metrics.token, asked.headers.get("x-metrics-key", "")
    if not token or not hmac.compare_digest(token.encode(), given.encode("utf-8", "replace")):
        raise SaidNoError(Answer(status=403))
    waiting = sa.select(sa.func.count()).where(deliveries.c.state == PENDING)
    async with asked.api.database.read() as read:
        n_pings = (await read.execute(sa.select(sa.func.sum(checks.c.n_pings)))).scalar()
        last = (await read.execute(sa.select(sa.func.max(alerts.c.id)))).scalar()
        n_waiting = (await read.execute(waiting)).scalar_one()
    return told(
        {
            "ts": int(asked.api.clock.now().timestamp()),
            "max_ping_id": int(n_pings or 0),
            "max_notification_id": last,
            "num_unprocessed_flips": n_waiting,
        }
    )


async def show_project(asked: Asked) -> Answer:
    """For Prometheus, with a key that may only read, in the path or as a bearer. The id in the path says nothing."""
    caller, now = await _reader(asked), asked.api.clock.now()
    shown: list[tuple[Any, str]] = []
    async with asked.api.database.read() as read:
        async for page in pages(read, caller.pid):
            left = await left_of(read, caller.pid, page, now=now)
            shown += [(row, status_of(row, now, left.get(row.id))) for row in page]
    return Answer(body=exposed(_families(shown)), media_type=_PROMETHEUS)


async def _reader(asked: Asked) -> Caller:
    scheme, _, bearer = asked.headers.get("authorization", "").partition(" ")
    secret = asked.parts.get("key") or (bearer.strip() if scheme.lower() == "bearer" else "")
    if not secret:
        raise no(401, "missing api key")
    try:
        caller = await asked.recognise(secret)
    except UnauthenticatedError as error:
        raise no(403, "wrong api key") from error
    # Its address is written down in the settings of whatever scrapes it.
    if Scope.READ not in caller.scopes or Scope.WRITE in caller.scopes:
        raise no(403, "wrong api key")
    return caller


def _families(shown: Sequence[tuple[Any, str]]) -> list[Family]:
    by_tag: dict[str, bool] = {}
    for row, status in shown:
        for tag in row.tags:
            by_tag[tag] = by_tag.get(tag, True) and status != Status.DOWN
    n_down = sum(status == Status.DOWN for _, status in shown)

    def of_checks(name: str, about: str, values: Sequence[bool]) -> Family:
        samples = [
            Sample(
                float(value),
                (("name", row.name), ("tags", " ".join(row.tags)), ("unique_key", unique_key(row.ping_uuid))),
            )
            for (row, _), value in zip(shown, values, strict=True)
        ]
        return Family(name, "gauge", about, samples)

    tags = [Sample(float(up), (("tag", tag),)) for tag, up in sorted(by_tag.items())]
    return [
        of_checks("hc_check_up", "1: it is not down.", [status != Status.DOWN for _, status in shown]),
        of_checks("hc_check_started", "1: a run is under way.", [row.n_open_runs > 0 for row, _ in shown]),
        of_checks("hc_check_grace", "1: it is late, within its grace.", [status == "grace" for _, status in shown]),
        of_checks("hc_check_paused", "1: it is paused.", [status == Status.PAUSED for _, status in shown]),
        Family("hc_tag_up", "gauge", "1: no check with this tag is down.", tags),
        Family("hc_checks_total", "gauge", "How many checks there are.", [Sample(float(len(shown)))]),
        Family("hc_checks_down_total", "gauge", "How many are down.", [Sample(float(n_down))]),
    ]
