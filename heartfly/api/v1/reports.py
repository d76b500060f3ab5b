"""A customer's report by the API, in each of its forms; links to it, and to whom it is mailed by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.api.v1.wire_reports import (
    MadeReportShareOut,
    ReportMailIn,
    ReportMailOut,
    ReportMailPage,
    ReportOut,
    ReportShareIn,
    ReportSharePage,
    made_share_out,
    mail_out,
    report_out,
    share_out,
)
from heartfly.core.days import day_of
from heartfly.core.report_periods import Period, asked
from heartfly.errors import NotFoundError
from heartfly.traffic import report_files, report_mails, report_shares
from heartfly.traffic.report import Report
from heartfly.traffic.report_pdf import as_html, pdf_of
from heartfly.traffic.report_read import project_name, report_of
from heartfly.usage.customer_queries import one_customer
from heartfly.usage.hands import Hands
from heartfly.usage.rerun import zone_of

_TAGS = ["usage"]
Name = Literal["json", "csv", "ndjson", "parquet", "pdf", "html"]


@dataclass(frozen=True, slots=True)
class Form:
    name: str
    media_type: str
    make: Callable[[Report], bytes] | None
    """None: laid out in a process beside."""

    @property
    def for_people(self) -> bool:
        """It holds what people read, and no more."""
        return self.name in {"pdf", "html"}


def _as_json(report: Report) -> bytes:
    return msgspec.json.encode(report_out(report))


_FORMS: Mapping[str, Form] = {
    one.name: one
    for one in (
        Form("json", "application/json", _as_json),
        Form("csv", "text/csv", report_files.as_csv),
        Form("ndjson", "application/x-ndjson", report_files.as_ndjson),
        Form("parquet", "application/vnd.apache.parquet", report_files.as_parquet),
        Form("pdf", "application/pdf", None),
        Form("html", "text/html", as_html),
    )
}


def form_of(name: str) -> Form:
    """NotFoundError: a report has no such form."""
    if name not in _FORMS:
        raise NotFoundError("a report has no such form")
    return _FORMS[name]


async def made(report: Report, form: Form, hands: Hands) -> tuple[bytes, dict[str, str]]:
    """The file, and the headers that say so. InvalidValueError: what it needs is not installed here."""
    content = await pdf_of(report, hands) if form.make is None else await asyncio.to_thread(form.make, report)
    name = f"usage-{report.customer.uuid}-{report.period.first}-{report.period.last}.{form.name}"
    return content, {"Content-Disposition": f'attachment; filename="{name}"'}


@get(
    "/usage/customers/{customer_id:str}/report", summary="A customer's report", responses=told_as(404, 422), tags=_TAGS
)
async def read_report(  # noqa: PLR0917 - the framework passes by name
    request: ApiRequest,
    customer_id: FromPath[str],
    month: Annotated[str, QueryParameter(description="Such as 2026-11, in place of `from` and `to`.")] = "",
    from_day: Annotated[
        str, QueryParameter(name="from", description="Its first day; 29 days before `to` if not said.")
    ] = "",
    to_day: Annotated[
        str, QueryParameter(name="to", description="Its last day; yesterday, or 29 days after `from`, if not said.")
    ] = "",
    form: Annotated[
        Name, QueryParameter(name="format", description="`pdf` and `parquet` need the extra of that name.")
    ] = "json",
) -> Response[ReportOut]:
    """What he asked for, how it was answered, and what his meters came to, in up to 100 days of the project's zone; and
    how sure that is. CSV, NDJSON and Parquet hold it as rows of one shape.
    """
    wanted, period = form_of(form), await _period(request, month, from_day, to_day)
    report = await _report(request, customer_id, period, meter_days=not wanted.for_people)
    if form == "json":
        return Response(report_out(report))
    content, headers = await made(report, wanted, request.api.closer.hands)
    return Response(content, media_type=wanted.media_type, headers=headers)  # type: ignore[arg-type]


@get(
    "/usage/customers/{customer_id:str}/report/shares", summary="List links to a report", responses=told_as(404),
    tags=_TAGS,
)  # fmt: skip
async def list_report_shares(request: ApiRequest, customer_id: FromPath[str]) -> ReportSharePage:
    """Those by which a report of his can be read now, oldest first. Where they lead is not told again."""
    api, pid = request.api, request.caller.pid
    customer = await _customer(request, customer_id)
    async with api.database.read() as main:
        rows = await report_shares.shares_of(main, pid, customer, now=api.clock.now())
    return ReportSharePage([share_out(row) for row in rows], None)


@post(
    "/usage/customers/{customer_id:str}/report/shares", summary="Share a report", responses=told_as(404, 409, 422),
    tags=_TAGS,
)  # fmt: skip
async def share_report(
    request: ApiRequest, customer_id: FromPath[str], data: JSONBody[ReportShareIn]
) -> MadeReportShareOut:
    """Whoever has the `url` of the answer may read the report of these days, and nothing else. 409 when people
    made 20 of him.
    """
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    period = await _period(request, data.month, data.from_, data.to)
    customer = await _customer(request, customer_id)
    link = await api.database.write(
        lambda tx: report_shares.share(tx, pid, customer, period, lasts_s=data.lasts, at=at, actor=actor, ids=api.ids)
    )
    return made_share_out(link, report_shares.address(api.base_url, link.token))


@delete(
    "/usage/customers/{customer_id:str}/report/shares/{link_id:str}", summary="Take a link to a report back",
    responses=told_as(404), tags=_TAGS, status_code=204,
)  # fmt: skip
async def unshare_report(request: ApiRequest, customer_id: FromPath[str], link_id: FromPath[str]) -> None:
    """From the answer on it shows nothing."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.database.write(
        lambda tx: report_shares.unshare(tx, pid, customer_id.lower(), link_id, at=at, actor=actor, ids=api.ids)
    )


@get(
    "/usage/customers/{customer_id:str}/report/mails", summary="List mailings of a report", responses=told_as(404),
    tags=_TAGS,
)  # fmt: skip
async def list_report_mails(request: ApiRequest, customer_id: FromPath[str]) -> ReportMailPage:
    """Each with what became of the newest that was due."""
    customer = await _customer(request, customer_id)
    async with request.api.database.read() as main:
        found = await report_mails.mails_of(main, request.caller.pid, customer)
    return ReportMailPage([mail_out(row, sent) for row, sent in found], None)


@post(
    "/usage/customers/{customer_id:str}/report/mails", summary="Mail a report by itself",
    responses=told_as(404, 409, 422), tags=_TAGS,
)  # fmt: skip
async def mail_report(request: ApiRequest, customer_id: FromPath[str], data: JSONBody[ReportMailIn]) -> ReportMailOut:
    """Each period once to each address, when all its days are final, or some days later as it is then. 409 when his
    report is mailed in 5 ways, or the project mails to as many addresses as the setting reports.addresses allows.
    """
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    customer, today = await _customer(request, customer_id), day_of(await _zone(request), at)
    number = await api.database.write(
        lambda tx: report_mails.mail_to(
            tx,
            pid,
            customer,
            rhythm=data.rhythm.value,
            addresses=data.addresses,
            since=today,
            most=api.settings.reports.addresses,
            at=at,
            actor=actor,
            ids=api.ids,
        )
    )
    async with api.database.read() as main:
        found = await report_mails.mails_of(main, pid, customer)
    return next(mail_out(row, sent) for row, sent in found if row.id == number)


@delete(
    "/usage/customers/{customer_id:str}/report/mails/{mail_id:str}", summary="End a mailing of a report",
    responses=told_as(404), tags=_TAGS, status_code=204,
)  # fmt: skip
async def end_report_mail(request: ApiRequest, customer_id: FromPath[str], mail_id: FromPath[str]) -> None:
    """Nothing is mailed by it any more."""
    api, pid, at, actor = request.api, request.caller.pid, request.api.clock.now(), request.actor
    await api.database.write(
        lambda tx: report_mails.end(tx, pid, customer_id.lower(), mail_id, at=at, actor=actor, ids=api.ids)
    )


async def _report(request: ApiRequest, customer: str, period: Period, *, meter_days: bool) -> Report:
    api, pid = request.api, request.caller.pid
    async with api.database.read() as main:
        project = await project_name(main, pid)
    async with api.usage.read() as read:
        return await report_of(read, pid, customer, period, project=project, now=api.clock.now(), meter_days=meter_days)


async def _period(request: ApiRequest, month: str, first: str, last: str) -> Period:
    return asked(month, first, last, zone=await _zone(request), now=request.api.clock.now())


async def _zone(request: ApiRequest) -> ZoneInfo:
    async with request.api.database.read() as main:
        return await zone_of(main, request.caller.pid)


async def _customer(request: ApiRequest, customer: str) -> str:
    """His id, as it is stored. NotFoundError."""
    async with request.api.usage.read() as read:
        row: Any = await one_customer(read, request.caller.pid, customer)
    return str(row.uuid)
