"""Metronome's alerts on usage, which are alert rules of ours over a meter, looked at for each customer.

There a threshold counts within the billing period; here within the last 30 days, as nobody is billed. Alerts on
spending, credits and plans are refused: there are none of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, post
from litestar.params import JSONBody, QueryParameter

from heartfly.api.paging import cursor_of, cut, number
from heartfly.api.parameters import UnknownParameterError
from heartfly.api.request import ApiRequest
from heartfly.core.alert_rules import Condition, Family, Metric, Op, Rule
from heartfly.core.amounts import amount
from heartfly.core.rule_definitions import rule_from
from heartfly.db.changes import Tx
from heartfly.errors import InvalidValueError
from heartfly.rules import commands, queries
from heartfly.rules.commands import METRONOME, Wanted
from heartfly.rules.rows import scope_text
from heartfly.usage.customer_queries import one_customer
from heartfly.usage.meter_queries import find_meter

USAGE = "usage_threshold_reached"
WINDOW = timedelta(days=30)
PER_PAGE = 100
_CUSTOMER = "customer"
_STATUSES = ("ENABLED", "DISABLED", "ARCHIVED")
_MOST_KEY = 128


class AlertIn(msgspec.Struct):
    """What only other kinds of alert have is not read."""

    alert_type: str
    name: str
    threshold: msgspec.Raw
    billable_metric_id: str | None = None
    customer_id: str | None = None
    uniqueness_key: str | None = None
    evaluate_on_create: bool | None = None


class ArchiveIn(msgspec.Struct):
    id: str
    release_uniqueness_key: bool = False


class OfCustomer(msgspec.Struct):
    alert_id: str
    customer_id: str


class ListIn(msgspec.Struct):
    customer_id: str
    alert_statuses: list[str] | None = None


@post("/v1/alerts/create", status_code=200)
async def create_alert(request: ApiRequest, data: JSONBody[AlertIn]) -> dict[str, Any]:
    """409 when the uniqueness key was used before."""
    if data.alert_type != USAGE:
        raise UnknownParameterError(
            "alert_type", f"{data.alert_type[:100]} is not answered here: Heartfly bills nobody. Known: {USAGE}"
        )
    if data.evaluate_on_create is False:
        raise UnknownParameterError("evaluate_on_create", "false is not read: an alert looks at what is there")
    threshold = amount(bytes(data.threshold).decode().strip('"'))
    if threshold is None:
        raise InvalidValueError("threshold", "must be a number")
    if not data.billable_metric_id:
        raise InvalidValueError("billable_metric_id", "is required")
    if data.uniqueness_key is not None and not 1 <= len(data.uniqueness_key) <= _MOST_KEY:
        raise InvalidValueError("uniqueness_key", f"must have 1 to {_MOST_KEY} characters")
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    async with api.usage.read() as read:
        meter = await find_meter(read, pid, data.billable_metric_id)
        if data.customer_id is not None:
            await one_customer(read, pid, data.customer_id)
    condition = Condition(
        of=Family.METER,
        metric=Metric.VALUE,
        name=meter.row.uuid,
        window=WINDOW,
        op=Op.AT_LEAST,
        threshold=threshold,
        where=((_CUSTOMER, (data.customer_id.lower(),)),) if data.customer_id is not None else (),
    )
    wanted = Wanted(
        name=data.name,
        rule=Rule(conditions=(condition,), by=(_CUSTOMER,)),
        origin=METRONOME,
        uniqueness_key=data.uniqueness_key,
        foreign={"type": USAGE, "metric": meter.row.uuid, "customer": data.customer_id},
    )
    row = await api.database.write(lambda tx: commands.create(tx, pid, wanted, at=at, actor=request.actor, ids=api.ids))
    return {"data": {"id": row.uuid}}


@post("/v1/alerts/archive", status_code=200)
async def archive_alert(request: ApiRequest, data: JSONBody[ArchiveIn]) -> dict[str, Any]:
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    row = await api.database.write(
        lambda tx: commands.archive(
            tx, pid, data.id, frees_key=data.release_uniqueness_key, at=at, actor=request.actor, ids=api.ids
        )
    )
    return {"data": {"id": row.uuid}}


@post("/v1/customer-alerts/get", status_code=200)
async def read_customer_alert(request: ApiRequest, data: JSONBody[OfCustomer]) -> dict[str, Any]:
    pid = request.caller.pid
    await _demand_customer(request, data.customer_id)
    async with request.api.database.read() as read:
        row = (await queries.one_rule(read, pid, data.alert_id)).row
        firing = await _firing(read, pid, [row], data.customer_id)
    return {"data": _told(row, firing)}


@post("/v1/customer-alerts/list", status_code=200)
async def list_customer_alerts(
    request: ApiRequest,
    data: JSONBody[ListIn],
    next_page: Annotated[str | None, QueryParameter()] = None,
) -> dict[str, Any]:
    """Those that look at this customer, in the order in which they were made; enabled ones if nothing is said."""
    pid, after = request.caller.pid, number(next_page, "alerts")
    wanted = data.alert_statuses or ["ENABLED"]
    if any(one not in _STATUSES for one in wanted):
        raise InvalidValueError("alert_statuses", f"must be of {', '.join(_STATUSES)}")
    await _demand_customer(request, data.customer_id)
    async with request.api.database.read() as read:
        rows = await queries.foreign_rules(read, pid, METRONOME, after=after or 0, limit=PER_PAGE + 1)
        page, following = cut(rows, PER_PAGE, lambda row: cursor_of("alerts", row.id))
        mine = [row for row in page if _is_of(row, data.customer_id) and _status(row).upper() in wanted]
        firing = await _firing(read, pid, mine, data.customer_id)
    return {"data": [_told(row, firing) for row in mine], "next_page": following}


@post("/v1/customer-alerts/reset", status_code=200)
async def reset_customer_alert(request: ApiRequest, data: JSONBody[OfCustomer]) -> Response[bytes]:
    """It is looked at anew, as if nothing had been seen of this customer."""
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    await _demand_customer(request, data.customer_id)
    scope = scope_text((data.customer_id.lower(),))

    def work(tx: Tx) -> None:
        commands.reset(tx, pid, data.alert_id, [scope], at=at, actor=request.actor, ids=api.ids)

    await api.database.write(work)
    return Response(b"", media_type="application/json")


async def _demand_customer(request: ApiRequest, customer: str) -> None:
    """NotFoundError."""
    async with request.api.usage.read() as usage:
        await one_customer(usage, request.caller.pid, customer)


async def _firing(read: Any, pid: int, rows: Sequence[Any], customer: str) -> set[int]:
    """Of these rules those that fire for this customer."""
    return await queries.firing_in(read, pid, [row.id for row in rows], scope_text((customer.lower(),)))


def _is_of(row: Any, customer: str) -> bool:
    mine = (row.foreign_facts or {}).get("customer")
    return mine is None or mine.lower() == customer.lower()


def _status(row: Any) -> str:
    if row.archived_at is not None:
        return "archived"
    return "enabled" if row.enabled else "disabled"


def _told(row: Any, firing: set[int]) -> dict[str, Any]:
    """`customer_status` null: it is not looked at any more."""
    status, condition = _status(row), rule_from(row.definition).conditions[0]
    now_is: str | None = None
    if status == "enabled":
        now_is = "evaluating" if row.looked_at is None else "in_alarm" if row.id in firing else "ok"
    written = row.definition["conditions"][0]["threshold"]
    return {
        "customer_status": now_is,
        "triggered_by": None,
        "alert": {
            "id": row.uuid,
            "name": row.name,
            "type": (row.foreign_facts or {}).get("type", USAGE),
            "status": status,
            "threshold": msgspec.Raw(written.encode()),
            "threshold_exact": written,
            "uniqueness_key": row.uniqueness_key,
            "updated_at": row.looked_at or row.edited_at,
            "billable_metric_id": condition.name,
        },
    }


HANDLERS = (create_alert, archive_alert, read_customer_alert, list_customer_alerts, reset_customer_alert)
