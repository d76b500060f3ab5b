"""A customer's report in the browser: the page, its files, links for others, and to whom it is mailed by itself.

The page that a link shows has no script, no navigation, and nothing of the project but this report. It is never kept
by browsers or proxies, so a link that was taken back shows nothing from then on, and search engines are asked not to
list it. What a report says is decided in traffic/report.py.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from markupsafe import Markup

from heartfly.api.v1.reports import form_of, made
from heartfly.core.days import day_of
from heartfly.core.report_periods import Period, Rhythm, asked
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.traffic import report_mails, report_shares
from heartfly.traffic.report import Report
from heartfly.traffic.report_document import body
from heartfly.traffic.report_read import project_name, report_of
from heartfly.traffic.report_shares import Shared
from heartfly.usage import customer_queries
from heartfly.usage.rerun import zone_of
from heartfly.web.keys import one_of
from heartfly.web.request import FOR_ALL, HTML, PageRequest
from heartfly.web.sign_in import to

LASTS = {"604800": "a week", "2592000": "30 days", "7776000": "90 days", "31622400": "a year"}
RHYTHMS = {Rhythm.MONTH.value: "each month, of the month before", Rhythm.DAYS.value: "every 30 days, from today on"}
FORMS = ("pdf", "csv", "json", "ndjson", "parquet")
_HEADERS = {"X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer", "Vary": "Accept-Encoding"}
_ROOT = "/p/{project:str}/usage/customers/{customer:str}/report"


@get(_ROOT)
async def show(request: PageRequest) -> Response[bytes]:
    return await told(request)


@get([f"{_ROOT}.{form}" for form in FORMS])
async def file(request: PageRequest) -> Response[bytes]:
    api, form = request.api, form_of(request.scope["path"].rpartition(".")[2])
    report = await _report(request, await _period(request), meter_days=not form.for_people)
    content, headers = await made(report, form, api.closer.hands)
    return Response(content, media_type=form.media_type, headers=headers)


@post(f"{_ROOT}/shares", status_code=200)
async def share(request: PageRequest) -> Response[bytes]:
    """The link is on the page that answers, and on no other. `from` and `to`: the days that it shows."""
    api, pid, actor = request.api, request.project.pid, request.actor
    at, form = api.clock.now(), await request.sent()
    customer = await _customer(request)
    try:
        period = asked("", form["from"], form["to"], zone=await _zone(request), now=at)
        lasts_s = int(one_of(form["lasts"], LASTS, "lasts"))
        link = await api.database.write(
            lambda tx: report_shares.share(
                tx, pid, customer.uuid, period, lasts_s=lasts_s, at=at, actor=actor, ids=api.ids
            )
        )
    except InvalidValueError as error:
        return await told(request, status=422, errors={error.field: error.message})
    except ConflictError as error:
        return await told(request, status=409, errors={"lasts": str(error)})
    return await told(request, status=201, period=period, link=link)


@post(f"{_ROOT}/shares/{{share:str}}/revoke", status_code=200)
async def unshare(request: PageRequest) -> Response[bytes]:
    api, pid, actor = request.api, request.project.pid, request.actor
    at, which, customer = api.clock.now(), request.path_value("share"), request.path_value("customer").lower()
    await api.database.write(
        lambda tx: report_shares.unshare(tx, pid, customer, which, at=at, actor=actor, ids=api.ids)
    )
    return to(request, f"{_path(request)}#links")


@post(f"{_ROOT}/mails", status_code=200)
async def mail(request: PageRequest) -> Response[bytes]:
    """`addresses`: one a line."""
    api, pid, actor = request.api, request.project.pid, request.actor
    at, form = api.clock.now(), await request.sent()
    customer, today = await _customer(request), day_of(await _zone(request), api.clock.now())
    addresses = [line.strip() for line in form["addresses"].splitlines() if line.strip()]
    try:
        await api.database.write(
            lambda tx: report_mails.mail_to(
                tx,
                pid,
                customer.uuid,
                rhythm=form["rhythm"],
                addresses=addresses,
                since=today,
                most=api.settings.reports.addresses,
                at=at,
                actor=actor,
                ids=api.ids,
            )
        )
    except (InvalidValueError, ConflictError) as error:
        field = error.field.partition("[")[0] if isinstance(error, InvalidValueError) else "addresses"
        words = error.message if isinstance(error, InvalidValueError) else str(error)
        status = 422 if isinstance(error, InvalidValueError) else 409
        return await told(request, status=status, errors={field: words}, typed=form["addresses"])
    return to(request, f"{_path(request)}#mails")


@post(f"{_ROOT}/mails/{{mail:str}}/end", status_code=200)
async def end_mail(request: PageRequest) -> Response[bytes]:
    api, pid, actor = request.api, request.project.pid, request.actor
    at, which, customer = api.clock.now(), request.path_value("mail"), request.path_value("customer").lower()
    await api.database.write(lambda tx: report_mails.end(tx, pid, customer, which, at=at, actor=actor, ids=api.ids))
    return to(request, f"{_path(request)}#mails")


@get("/shared/report/{link:str}", opt=FOR_ALL)
async def show_shared(request: PageRequest) -> Response[bytes]:
    its, report = await _shared(request, meter_days=False)
    context = {"report": report, "its": its, "body": Markup(await asyncio.to_thread(body, report, is_alone=True))}  # noqa: S704 - a template of ours escaped it
    context |= {"forms": FORMS, "token": request.path_value("link")}
    page = await asyncio.to_thread(request.web.renderer.now, "shared_report.html", context)
    if request.accepts_gzip:
        packed, headers = gzip.compress(page, 6, mtime=0), _HEADERS | {"Content-Encoding": "gzip"}
        return Response(packed, media_type=HTML, headers=headers)
    return Response(page, media_type=HTML, headers=_HEADERS)


@get("/shared/report/{link:str}/{form:str}", opt=FOR_ALL)
async def shared_file(request: PageRequest) -> Response[bytes]:
    form = form_of(request.path_value("form"))
    api = request.api
    async with api.laying_out if form.make is None else nullcontext():
        _, report = await _shared(request, meter_days=not form.for_people)
        content, headers = await made(report, form, api.closer.hands)
    return Response(content, media_type=form.media_type, headers=headers | _HEADERS)


async def _shared(request: PageRequest, *, meter_days: bool) -> tuple[report_shares.Seen, Report]:
    api, now = request.api, request.api.clock.now()
    async with api.database.read() as main:
        its = await report_shares.seen(main, request.path_value("link"), now=now)
    if its is None:
        raise NotFoundError("this link shows nothing: it has ended, was taken back, or never was")
    async with api.usage.read() as read:
        return its, await report_of(
            read, its.pid, its.customer, its.period, project=its.project, now=now, meter_days=meter_days
        )


# --- the page


async def told(
    request: PageRequest,
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    typed: str = "",
    period: Period | None = None,
    link: Shared | None = None,
) -> Response[bytes]:
    """`link`: one that has just been made, whose secret no other page has."""
    api, pid, now = request.api, request.project.pid, request.api.clock.now()
    wrong = dict(errors or {})
    if period is None:
        try:
            period = await _period(request)
        except InvalidValueError as error:
            period, wrong, status = await _usual(request), {error.field: error.message}, 422
    report = await _report(request, period, meter_days=False)
    async with api.database.read() as main:
        links = await report_shares.shares_of(main, pid, report.customer.uuid, now=now)
        mails = await report_mails.mails_of(main, pid, report.customer.uuid)
    return await request.page(
        "usage_report.html",
        status=status,
        report=report,
        body=Markup(await asyncio.to_thread(body, report)),  # noqa: S704 - a template of ours escaped it
        forms=FORMS,
        links=links,
        link=report_shares.address(api.base_url, link.token) if link is not None else "",
        mails=mails,
        can_mail=api.letters.can_send,
        lasts=LASTS,
        usual=str(report_shares.USUAL_S),
        rhythms=RHYTHMS,
        errors=wrong,
        typed=typed,
    )


async def _report(request: PageRequest, period: Period, *, meter_days: bool) -> Report:
    api, pid = request.api, request.project.pid
    async with api.database.read() as main:
        project = await project_name(main, pid)
    async with api.usage.read() as read:
        return await report_of(
            read,
            pid,
            request.path_value("customer"),
            period,
            project=project,
            now=api.clock.now(),
            meter_days=meter_days,
        )


async def _period(request: PageRequest) -> Period:
    given, now = request.query_params, request.api.clock.now()
    zone = await _zone(request)
    return asked(given.get("month", ""), given.get("from", ""), given.get("to", ""), zone=zone, now=now)


async def _usual(request: PageRequest) -> Period:
    return asked("", "", "", zone=await _zone(request), now=request.api.clock.now())


async def _zone(request: PageRequest) -> Any:
    async with request.api.database.read() as main:
        return await zone_of(main, request.project.pid)


async def _customer(request: PageRequest) -> Any:
    async with request.api.usage.read() as read:
        return await customer_queries.one_customer(read, request.project.pid, request.path_value("customer"))


def _path(request: PageRequest) -> str:
    customer = quote(request.path_value("customer").lower(), safe="")
    return f"/p/{request.project.slug}/usage/customers/{customer}/report"
