"""To make and edit an alert rule in the browser, and to see its last seven days before it is saved."""

from __future__ import annotations

from datetime import timedelta

from litestar import Response, get, post

from heartfly.core.alert_rules import GROUPS, METRICS, Against, Family, Op
from heartfly.core.windows import Window
from heartfly.core.words import Severity
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, InvalidValueError
from heartfly.notify import queries as notify
from heartfly.rules import commands, queries
from heartfly.rules.commands import Wanted
from heartfly.rules.seeing import reads_of, whole_minute
from heartfly.rules.sources import SOURCES
from heartfly.rules.sources.base import Reads, What
from heartfly.web.request import FOR_WRITERS, PageRequest
from heartfly.web.rule_form import Busy, Values, example, labels
from heartfly.web.rule_past import Shown, past_of
from heartfly.web.sign_in import to

_DAY = timedelta(days=1)
_METRICS = sorted({metric.value for metrics in METRICS.values() for metric in metrics})
_OPS = {Op.ABOVE: "more than", Op.AT_LEAST: "at least", Op.BELOW: "less than", Op.AT_MOST: "at most"}
_AGAINST = {
    Against.NUMBER.value: "the threshold itself",
    Against.BEFORE.value: "the mean of the windows before, times the threshold",
    Against.BURN.value: "the mean day of the last 30, times the threshold",
    Against.ABSENCE.value: "something that came before, and stays away",
}
_BUSY = ((Family.CALLS, "provider"), (Family.REQUESTS, "endpoint"))


@get("/p/{project:str}/usage/alerts/new", opt=FOR_WRITERS)
async def show_new_rule(request: PageRequest) -> Response[bytes]:
    """With one example in it, made of the project's real traffic."""
    return await _form(request, example(await _busiest(request)))


@post("/p/{project:str}/usage/alerts/new", opt=FOR_WRITERS, status_code=200)
async def create_rule(request: PageRequest) -> Response[bytes]:
    """With `preview` it shows the last seven days, and saves nothing."""
    api, pid, at, form = request.api, request.project.pid, request.api.clock.now(), await request.sent()
    values, actor = Values.sent(form), request.actor
    try:
        rule = values.rule()
        if form["preview"]:
            return await _form(request, values, past=await past_of(request, rule))
        wanted = Wanted(
            name=values.name,
            rule=rule,
            severity=_severity(values),
            channel_uuids=values.channels or None,
        )
        row = await api.database.write(lambda tx: commands.create(tx, pid, wanted, at=at, actor=actor, ids=api.ids))
    except InvalidValueError as error:
        return await _form(request, values, status=422, errors={error.field: error.message})
    except ConflictError as error:
        return await _form(request, values, status=409, errors={"": str(error)})
    return to(request, f"/p/{request.project.slug}/usage/alerts/{row.uuid}")


@get("/p/{project:str}/usage/alerts/{rule:str}/edit", opt=FOR_WRITERS)
async def show_edit_rule(request: PageRequest) -> Response[bytes]:
    async with request.api.database.read() as read:
        row = (await queries.one_rule(read, request.project.pid, request.path_value("rule"))).row
        channels = await queries.channel_uuids(read, request.project.pid, row.channels)
    values = Values.of(row.name, row.severity, row.definition, channels)
    return await _form(request, values, rule_name=row.name)


@post("/p/{project:str}/usage/alerts/{rule:str}/edit", opt=FOR_WRITERS, status_code=200)
async def edit_rule(request: PageRequest) -> Response[bytes]:
    api, pid, at, form = request.api, request.project.pid, request.api.clock.now(), await request.sent()
    name, values, actor = request.path_value("rule"), Values.sent(form), request.actor
    async with api.database.read() as read:
        called = (await queries.one_rule(read, pid, name)).row.name
    try:
        rule = values.rule()
        if form["preview"]:
            return await _form(request, values, past=await past_of(request, rule), rule_name=called)
        severity = _severity(values)

        def work(tx: Tx) -> None:
            commands.edit(
                tx, pid, name, name=values.name, rule=rule, severity=severity, channel_uuids=values.channels or None,
                all_channels=not values.channels, at=at, actor=actor, ids=api.ids,
            )  # fmt: skip

        await api.database.write(work)
    except InvalidValueError as error:
        return await _form(request, values, status=422, errors={error.field: error.message}, rule_name=called)
    return to(request, f"/p/{request.project.slug}/usage/alerts/{name}")


def _severity(values: Values) -> Severity:
    if values.severity not in list(Severity):
        raise InvalidValueError("severity", f"must be one of {', '.join(Severity)}")
    return Severity(values.severity)


async def _form(
    request: PageRequest,
    values: Values,
    *,
    status: int = 200,
    errors: dict[str, str] | None = None,
    past: Shown | None = None,
    rule_name: str = "",
) -> Response[bytes]:
    async with request.api.database.read() as read:
        channels = await notify.list_channels(read, request.project.pid, request.api.sealer)
    return await request.page(
        "usage_alert_form.html",
        status=status,
        values=values,
        errors=errors or {},
        labels=labels(),
        past=past,
        rule_name=rule_name,
        here=f"{request.path_value('rule')}/edit" if rule_name else "new",
        channels=channels,
        family_pairs=[(one.value, one.value.replace("_", " ")) for one in Family if one in SOURCES],
        metric_pairs=[(one, one.replace("_", " ")) for one in _METRICS],
        groups=sorted({group for known in GROUPS.values() for group in known or ()}),
        op_pairs=[(one.value, words) for one, words in _OPS.items()],
        against_pairs=list(_AGAINST.items()),
        severity_pairs=[(one.value, one.value) for one in Severity],
    )


async def _busiest(request: PageRequest) -> Busy | None:
    """Whom most calls of the last day went to, or else which endpoint was asked for most."""
    now = whole_minute(request.api.clock.now())
    async with request.api.database.read() as main, request.api.usage.read() as usage:
        reads = await reads_of(main, usage, request.project.pid, now=now)
        for family, group in _BUSY:
            if found := await _most(reads, family, group):
                return found
    return None


async def _most(reads: Reads, family: Family, group: str) -> Busy | None:
    day = Window(reads.now - _DAY, reads.now)
    table = await SOURCES[family].read(reads, What(family, (group,)), day)
    if not table:
        return None
    scope, row = max(table.items(), key=lambda pair: (pair[1].n, pair[0]))
    return Busy(family.value, group, scope[0], row.n)
