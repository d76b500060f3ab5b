"""The job that mails customers' reports to whom somebody chose: each period once to each address.

It looks each hour, from 7:00 on where the project is. A period is mailed when all its days are final, or some days
after it has ended as it is then. What was sent is marked after it was; what a crash leaves unmarked is sent again
under the same message id. An address that takes nothing is given up some days after it first did, and holds up no
other; a mail server that takes nothing ends the run, and nothing is given up for it. What a run tells of what failed
names no address: it is read by who is of another project.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from heartfly.audit.record import HEARTFLY
from heartfly.core.report_periods import Period, ended
from heartfly.core.zones import is_zone
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import (
    DeliveryError,
    HeartflyError,
    InvalidValueError,
    NotFoundError,
    OverloadedError,
    StoreError,
)
from heartfly.jobs.kind import Done, LeaseLostError, Work
from heartfly.logs import logger
from heartfly.notify.letters import Attachment, Letter, Letters
from heartfly.sealing import Sealer
from heartfly.traffic import report_mails, report_shares, report_stops
from heartfly.traffic.report import Report
from heartfly.traffic.report_document import summary
from heartfly.traffic.report_files import ExtraMissingError
from heartfly.traffic.report_mails import Mailing
from heartfly.traffic.report_pdf import pdf_of
from heartfly.traffic.report_read import report_of
from heartfly.traffic.report_shares import Shared
from heartfly.traffic.report_stops import Stop
from heartfly.usage.customer_queries import one_customer
from heartfly.usage.hands import Hands

NAME = "customer-reports"
_FROM = time(7)
_MOST_PERIODS = 3
"""Of one mailing that are made up for, if nothing ran for long."""
_GIVE_UP = timedelta(days=3)
"""How long an address that takes nothing is tried, from when it first took nothing."""
_MOST_TOLD = 3
_KINDS: Mapping[type[HeartflyError], str] = {
    OverloadedError: "there was too much to do",
    StoreError: "the database, or the process beside, could not be used",
    NotFoundError: "its project is gone",
}

log = logger("heartfly.reports")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """How mail leaves, and what it says. `wait`: how long after a period has ended it may wait for its days to be
    final; `link_lasts`: how long the link in it works.
    """

    letters: Letters
    hands: Hands
    sealer: Sealer
    base_url: str
    wait: timedelta
    link_lasts: timedelta


@dataclass(slots=True)
class _Count:
    sent: int = 0
    waiting: int = 0
    wrong: list[str] = field(default_factory=list)
    given_up: int = 0


def mailing(usage: Database, post: Post, *, ids: IdSource) -> Callable[[Work], Awaitable[Done]]:
    async def mail(work: Work) -> Done:
        count = _Count()
        try:
            async for one in _all(work):
                await _with_care(work, usage, post, one, count, ids)
        except DeliveryError as error:  # of the server, which takes no other mail either
            count.wrong.append(f"the mail server takes no mail ({_code(error)}); the rest waits")
            log.warning("reports wait for the mail server", error=str(error))
        told = "; ".join(count.wrong[:_MOST_TOLD])
        more = len(count.wrong) - _MOST_TOLD
        failure = f"{told}{f'; and {more} more' if more > 0 else ''}"
        figures = {"sent": count.sent, "waiting": count.waiting, "failed": len(count.wrong)}
        return Done(figures=figures | {"given_up": count.given_up}, failure=failure)

    return mail


async def _all(work: Work) -> AsyncIterator[Mailing]:
    after = None
    while True:
        async with work.read() as main:
            found = await report_mails.all_mails(main, after=after)
        if not found:
            return
        after = (found[-1].pid, found[-1].id)
        for one in found:
            yield one


async def _with_care(  # noqa: PLR0917 - what all of a run has in common
    work: Work, usage: Database, post: Post, one: Mailing, count: _Count, ids: IdSource
) -> None:
    """What goes wrong with one mailing holds up no other. DeliveryError: no other would go either."""
    try:
        await _one(work, usage, post, one, count, ids)
    except (LeaseLostError, DeliveryError):
        raise
    except HeartflyError as error:
        count.wrong.append(f"{_named(one)}: {_KINDS.get(type(error), 'it could not be made')}")
        log.warning("report", mailing=str(one.id), error=str(error))


def _named(one: Mailing) -> str:
    """As all may read it that see how the job went, who are of one project only."""
    return f"project {one.slug}, mailing {one.id}"


def _code(error: DeliveryError | InvalidValueError) -> str:
    if isinstance(error, InvalidValueError):
        return "it is no address"
    return "no answer" if error.code is None else f"SMTP {error.code}"


async def _one(  # noqa: PLR0917 - what all of a run has in common
    work: Work, usage: Database, post: Post, one: Mailing, count: _Count, ids: IdSource
) -> None:
    zone, now = ZoneInfo(one.zone if is_zone(one.zone) else "UTC"), work.now
    if now.astimezone(zone).time() < _FROM:
        return
    for period in ended(one.rhythm, one.since, zone=zone, now=now, most=_MOST_PERIODS):
        async with work.read() as main:
            done = await report_mails.dealt_with(main, one, period.first)
        left = [address for address in one.addresses if address not in done]
        if not left:
            continue
        report = await _report(usage, one, period, now)
        if report is None:
            return
        if not report.is_final and now < period.to_at + post.wait:
            count.waiting += 1
            continue
        await _send(work, post, one, report, left, count, ids)


async def _report(usage: Database, one: Mailing, period: Period, now: datetime) -> Report | None:
    """None: he is erased, or archived: nobody hears of him any more."""
    async with usage.read() as read:
        try:
            row = await one_customer(read, one.pid, one.customer)
            if row.archived_at is not None:
                return None
            return await report_of(read, one.pid, one.customer, period, project=one.project, now=now)
        except NotFoundError:
            return None


async def _send(  # noqa: PLR0917 - what all of a run has in common
    work: Work, post: Post, one: Mailing, report: Report, left: Sequence[str], count: _Count, ids: IdSource
) -> None:
    """DeliveryError: the server takes no mail."""
    try:
        pdf = await pdf_of(report, post.hands, is_patient=True)
    except ExtraMissingError:
        pdf = None  # the link says the same
    link = await work.write(lambda tx: _link(tx, work, post, one, report, ids))
    if link is None:
        return
    url, n_sent = report_shares.address(post.base_url, link.token), 0
    try:
        for address in left:
            async with work.read() as main:
                if address not in await report_mails.addresses_now(main, one):
                    continue
            stop = report_stops.address(post.base_url, Stop(one.pid, one.id, address), post.sealer)
            letter = _letter(one, report, address, url, stop, until=link.expires_at, pdf=pdf)
            n_sent += await _went(work, post, one, letter, report.period, count)
    finally:
        if not n_sent:  # nobody has it
            await work.write(lambda tx: _unlink(tx, work, one, str(link.id), ids))


def _link(  # noqa: PLR0917 - what all of a run has in common
    tx: Tx, work: Work, post: Post, one: Mailing, report: Report, ids: IdSource
) -> Shared | None:
    """None: the mailing has ended since it was read."""
    if not report_mails.is_there(tx, one):
        return None
    return report_shares.share(
        tx,
        one.pid,
        one.customer,
        report.period,
        lasts_s=int(post.link_lasts.total_seconds()),
        at=work.now,
        actor=HEARTFLY,
        ids=ids,
    )


def _unlink(tx: Tx, work: Work, one: Mailing, link: str, ids: IdSource) -> None:
    with suppress(NotFoundError):  # somebody took it back, or erased the customer
        report_shares.unshare(tx, one.pid, one.customer, link, at=work.now, actor=HEARTFLY, ids=ids)


async def _went(  # noqa: PLR0917 - what all of a run has in common
    work: Work, post: Post, one: Mailing, letter: Letter, period: Period, count: _Count
) -> bool:
    """Whether the address took it. DeliveryError: the server takes no mail."""
    address = letter.to
    try:
        await post.letters.send(letter)
    except (DeliveryError, InvalidValueError) as error:
        if isinstance(error, DeliveryError) and not error.of_recipient:
            raise
        why = str(error)
        since = await work.write(lambda tx: report_mails.failed(tx, one, period.first, address, at=work.now, wrong=why))
        if work.now >= since + _GIVE_UP or (isinstance(error, DeliveryError) and error.permanent):
            await work.write(lambda tx: report_mails.mark(tx, one, period.first, address, at=work.now, wrong=why))
            count.given_up += 1
        count.wrong.append(f"{_named(one)}: an address did not take it ({_code(error)})")
        return False
    count.sent += 1
    await work.write(lambda tx: report_mails.mark(tx, one, period.first, address, at=work.now))
    return True


def _letter(  # noqa: PLR0917 - what it is made of
    one: Mailing, report: Report, address: str, url: str, stop: str, until: datetime, pdf: bytes | None
) -> Letter:
    period, name = report.period, report.customer.name
    doubt = f"{len(report.doubtful)} of its {len(report.days)} days are not final yet: its figures may still change."
    shows = "The link shows it as it is when you look"
    what = f"The report is attached. {shows}" if pdf is not None else shows
    attached = Attachment(f"usage-{period.first}-{period.last}.pdf", "application", "pdf", pdf) if pdf else None
    named = hashlib.sha256(f"{one.pid}:{one.id}:{period.first}:{address}".encode()).hexdigest()[:32]
    return Letter(
        kind="report",
        to=address,
        subject=f"Usage of {name}, {period.words}",
        before=(
            f"{report.project} sends you the usage report of {name} for {period.words}.",
            summary(report),
            *((f"Provisional: {doubt}",) if report.doubtful else ()),
        ),
        link=url,
        link_text="Read the report",
        after=(f"{what}, until {until:%Y-%m-%d %H:%M} UTC.",),
        attachments=() if attached is None else (attached,),
        named=named,
        stop=stop,
    )
