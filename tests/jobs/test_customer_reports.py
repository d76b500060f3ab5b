"""Customers' reports come by mail: each period once to each address, when its days are final or have had their time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from aiosmtpd.smtp import SMTP, Envelope, Session
from typing_extensions import override

from heartfly.audit.record import CLI, HEARTFLY, Actor
from heartfly.core.report_periods import Period
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import projects, report_sendings, report_shares
from heartfly.errors import ConflictError, LimitError, NotFoundError, StoreError, TooManyRequestsError
from heartfly.jobs.catalogue import customer_reports
from heartfly.jobs.customer_reports import NAME, Post, mailing
from heartfly.notify.letters import Letters
from heartfly.traffic import report_mails, report_stops
from heartfly.traffic import report_shares as links
from heartfly.usage.close_day import Closer
from heartfly.usage.customers import archive_customer, create_customer
from heartfly.usage.erasure import erase_customer
from heartfly.usage.hands import Hands
from tests.jobs.workshop import DAY, HOUR, MINUTE, SETTINGS, T0, Workshop, kind_of
from tests.notify.conftest import mail_settings
from tests.notify.test_email_delivery import Mailbox, server
from tests.one_database import on_sqlite, postgres_if_slow
from tests.sim_clock import SimClock
from tests.usage.factory import Plant
from tests.world import SEALER, World

P = ParamSpec("P")
Result = TypeVar("Result")

pytestmark = pytest.mark.anyio

BASE_URL = "https://heartfly.example.com"
MADE = datetime(2026, 2, 20, 9, tzinfo=UTC)
ENDED = datetime(2026, 3, 1, tzinfo=UTC)
"""The month in which it was chosen."""
FIRST = T0 + HOUR + 20 * MINUTE
WAIT = timedelta(days=3)


class Picky(Mailbox):
    """`refused`: what addresses are answered that are not taken."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, str] = {}
        self.no_sender = ""
        """What it answers to whatever comes from us."""
        self.n_asked = 0
        self.when_taken: Callable[[], Awaitable[None]] | None = None

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Sequence[str]
    ) -> str:
        self.n_asked += 1
        if self.no_sender:
            return self.no_sender
        envelope.mail_from = address
        return "250 2.1.0 ok"

    @override
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.when_taken is not None:
            await self.when_taken()
        return await super().handle_DATA(server, session, envelope)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Sequence[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    @property
    def mails(self) -> list[EmailMessage]:
        found = []
        for one in self.envelopes:
            assert isinstance(one.content, bytes)
            mail = message_from_bytes(one.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            found.append(mail)
        return found

    @property
    def to(self) -> list[str]:
        return [address for one in self.envelopes for address in one.rcpt_tos]


class Frail(Hands):
    """`dies`: so many of its next works kill the process."""

    def __init__(self) -> None:
        super().__init__(beside=False)
        self.dies = 0

    @override
    async def run(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        if self.dies:
            self.dies -= 1
            raise StoreError("the process that folds usage died")
        return await super().run(function, *args, **kwargs)


class Office:
    """The job each hour, over a customer whose report is mailed."""

    def __init__(self, world: World, usage: Database, clock: SimClock, port: int) -> None:
        self.world, self.usage = world, usage
        self.closer = Closer(usage, Plant(usage, clock, world.ids).folder, clock, world.ids)
        self.hands = Frail()
        post = Post(
            letters=Letters(mail_settings(port), BASE_URL, clock),
            hands=self.hands,
            sealer=SEALER,
            base_url=BASE_URL,
            wait=WAIT,
            link_lasts=timedelta(days=30),
        )
        self.shop = Workshop(
            world, clock, kind_of(mailing(usage, post, ids=world.ids), name=NAME, expression="20 * * * *")
        )
        self.customer = ""

    async def open(self) -> None:
        pid, ids = self.world.project.pid, self.world.ids
        self.customer, _ = await self.usage.write(
            lambda tx: create_customer(tx, pid, name="Acme", wanted=["acme"], actor=CLI, at=MADE, ids=ids)
        )
        await self.shop.look()  # it is listed

    async def mail_to(self, *addresses: str, rhythm: str = "month", most: int = 100) -> int:
        pid, ids = self.world.project.pid, self.world.ids
        return await self.world.db.write(
            lambda tx: report_mails.mail_to(
                tx,
                pid,
                self.customer,
                rhythm=rhythm,
                addresses=addresses,
                since=MADE.date(),
                most=most,
                at=MADE,
                actor=CLI,
                ids=ids,
            )
        )

    async def at(self, instant: datetime) -> Any:
        """Let it run then; its run."""
        await self.shop.go(instant)
        return (await self.shop.runs())[-1]

    async def close(self, day: date) -> None:
        await self.closer.close(self.world.project.pid, day, ZoneInfo("UTC"))

    async def marks(self) -> list[tuple[str, str, bool]]:
        rows = await self.sendings()
        return [(row.first_day.isoformat(), row.address, bool(row.wrong)) for row in rows if row.trying_since is None]

    async def sendings(self) -> list[Any]:
        return await self.world._all(sa.select(report_sendings).order_by(report_sendings.c.address))

    async def links(self) -> int:
        return len(await self.world._all(sa.select(report_shares.c.id)))


@pytest.fixture
def mailbox() -> Picky:
    return Picky()


@pytest.fixture
async def office(world: World, usage_db: Database, clock: SimClock, mailbox: Picky) -> AsyncIterator[Office]:
    async with server(mailbox) as port:
        made = Office(world, usage_db, clock, port)
        await made.open()
        yield made


async def test_a_report_is_mailed_once_to_each_when_its_days_are_final(office: Office, mailbox: Picky) -> None:
    await office.mail_to("ada@example.com", "grace@example.com")

    waits = await office.at(FIRST)
    await office.close(date(2026, 2, 28))
    goes = await office.at(FIRST + HOUR)
    again = await office.at(FIRST + 2 * HOUR)

    assert ("ok", 0, 1) == (waits.outcome, waits.figures["sent"], waits.figures["waiting"])
    assert ("ok", 2, 0) == (goes.outcome, goes.figures["sent"], goes.figures["waiting"])
    assert ("ok", 0, 0) == (again.outcome, again.figures["sent"], again.figures["waiting"])
    assert ["ada@example.com", "grace@example.com"] == mailbox.to
    assert [
        ("2026-02-01", "ada@example.com", False),
        ("2026-02-01", "grace@example.com", False),
    ] == await office.marks()
    mail = mailbox.mails[0]
    text = mail.get_body(("plain",))
    assert text is not None
    assert "Usage of Acme, February 2026" == mail["Subject"]
    assert "Provisional" not in text.get_content()
    (link,) = re.findall(rf"{BASE_URL}/shared/report/([\w-]{{43}})", text.get_content())
    async with office.world.db.read() as main:
        seen = await links.seen(main, link, now=FIRST)
    assert seen is not None
    assert (office.customer, date(2026, 2, 1), date(2026, 2, 28)) == (
        seen.customer,
        seen.period.first,
        seen.period.last,
    )


async def test_the_pdf_is_attached_if_the_extra_is_there(office: Office, mailbox: Picky) -> None:
    pytest.importorskip("weasyprint")
    await office.mail_to("ada@example.com")
    await office.close(date(2026, 2, 28))

    await office.at(FIRST)

    (attached,) = mailbox.mails[0].iter_attachments()
    assert ("application/pdf", "usage-2026-02-01-2026-02-28.pdf") == (
        attached.get_content_type(),
        attached.get_filename(),
    )
    assert b"%PDF" == attached.get_content()[:4]


async def test_without_the_extra_the_link_says_it(
    office: Office, mailbox: Picky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.traffic.report_pdf.find_spec", lambda _: None)
    await office.mail_to("ada@example.com")
    await office.close(date(2026, 2, 28))

    await office.at(FIRST)

    assert [] == list(mailbox.mails[0].iter_attachments())
    assert "/shared/report/" in mailbox.envelopes[0].content.decode()  # type: ignore[union-attr]


async def test_what_is_not_final_in_time_goes_as_it_is_and_says_so(office: Office, mailbox: Picky) -> None:
    await office.mail_to("ada@example.com")

    await office.at(ENDED + WAIT - 40 * MINUTE)
    before = list(mailbox.to)
    await office.at(ENDED + WAIT + 5 * HOUR + 20 * MINUTE)  # not at night
    at_night = list(mailbox.to)
    await office.at(ENDED + WAIT + 7 * HOUR + 20 * MINUTE)

    assert ([], [], ["ada@example.com"]) == (before, at_night, mailbox.to)
    text = mailbox.mails[0].get_body(("plain",))
    assert text is not None
    assert "Provisional: 28 of its 28 days are not final yet" in " ".join(text.get_content().split())


@on_sqlite
async def test_seven_is_that_of_the_project(office: Office, mailbox: Picky) -> None:
    zone = sa.update(projects).values(zone="America/Los_Angeles")
    await office.world.db.write(lambda tx: tx.conn.execute(zone).rowcount)
    await office.mail_to("ada@example.com")

    await office.at(ENDED + WAIT + DAY + 14 * HOUR + 20 * MINUTE)
    before = list(mailbox.to)
    await office.at(ENDED + WAIT + DAY + 15 * HOUR + 20 * MINUTE)

    assert ([], ["ada@example.com"]) == (before, mailbox.to)


async def test_an_address_that_takes_nothing_holds_up_no_other(office: Office, mailbox: Picky) -> None:
    mailbox.refused = {"none@example.com": "550 5.1.1 no such user", "busy@example.com": "451 4.2.1 later"}
    mail = await office.mail_to("none@example.com", "busy@example.com", "ada@example.com")
    await office.close(date(2026, 2, 28))

    first = await office.at(FIRST)
    tried = {row.address: (row.wrong, row.trying_since) for row in await office.sendings()}
    del mailbox.refused["busy@example.com"]
    second = await office.at(FIRST + HOUR)

    assert ("failed", 1, 2, 1) == (first.outcome, *(first.figures[name] for name in ("sent", "failed", "given_up")))
    assert f"project main, mailing {mail}: an address did not take it (SMTP 550)" in first.words
    assert "@" not in first.words  # who reads it is of one project
    assert ("ok", 1) == (second.outcome, second.figures["sent"])
    assert ["ada@example.com", "busy@example.com"] == mailbox.to
    assert ("", None) == tried["ada@example.com"]
    assert ("answered 451: 4.2.1 later" in tried["busy@example.com"][0], FIRST) == (True, tried["busy@example.com"][1])
    assert [False, False, True] == [wrong for _, _, wrong in await office.marks()]


@postgres_if_slow
async def test_what_cannot_be_sent_for_days_is_given_up_and_leaves_no_link(office: Office, mailbox: Picky) -> None:
    mailbox.refused = {"busy@example.com": "451 4.2.1 later"}
    await office.mail_to("busy@example.com")
    await office.close(date(2026, 2, 28))

    tried = await office.at(FIRST)
    left = await office.links()
    over = await office.at(ENDED + 2 * WAIT + 8 * HOUR + 20 * MINUTE)
    after = await office.at(ENDED + 2 * WAIT + 9 * HOUR + 20 * MINUTE)

    assert ("failed", "failed", "ok") == (tried.outcome, over.outcome, after.outcome)
    assert (0, 0) == (left, await office.links())
    assert [("2026-02-01", "busy@example.com", True)] == await office.marks()


@postgres_if_slow
async def test_it_is_given_up_so_long_after_it_first_failed(office: Office, mailbox: Picky) -> None:
    """And not after it could have gone, which is long ago when Heartfly was down."""
    mailbox.refused = {"busy@example.com": "451 4.2.1 later"}
    await office.mail_to("busy@example.com")
    late = ENDED + 10 * DAY + 8 * HOUR + 20 * MINUTE

    first, second, third = [await office.at(at) for at in (late, late + 3 * DAY - HOUR, late + 3 * DAY)]

    assert [0, 0, 1] == [run.figures["given_up"] for run in (first, second, third)]
    assert [("2026-02-01", "busy@example.com", True)] == await office.marks()


@postgres_if_slow
@pytest.mark.parametrize("answer", ["550 5.7.1 sender refused", "553 5.1.8 no such domain", "530 5.7.0 log in first"])
async def test_when_our_own_server_takes_nothing_nothing_is_given_up_and_the_run_ends(
    office: Office, mailbox: Picky, answer: str
) -> None:
    await office.mail_to("ada@example.com")
    await office.mail_to("grace@example.com")
    await office.close(date(2026, 2, 28))
    mailbox.no_sender = answer

    refused = await office.at(FIRST)
    days_later = await office.at(FIRST + 5 * DAY)
    n_asked, left, mailbox.no_sender = mailbox.n_asked, await office.links(), ""
    goes = await office.at(FIRST + 5 * DAY + HOUR)

    assert ("failed", 0, 0) == (refused.outcome, refused.figures["sent"], refused.figures["given_up"])
    assert f"the mail server takes no mail (SMTP {answer[:3]})" in refused.words
    assert ("failed", 0) == (days_later.outcome, days_later.figures["given_up"])
    assert (2, 0) == (n_asked, left)
    assert ("ok", 2) == (goes.outcome, goes.figures["sent"])
    assert ["ada@example.com", "grace@example.com"] == mailbox.to


async def test_a_mailing_that_fails_holds_up_no_other(office: Office, mailbox: Picky) -> None:
    pytest.importorskip("weasyprint")
    mail = await office.mail_to("ada@example.com")
    await office.mail_to("grace@example.com")
    await office.close(date(2026, 2, 28))
    office.hands.dies = 1

    first = await office.at(FIRST)
    second = await office.at(FIRST + HOUR)

    assert ("failed", 1, 1) == (first.outcome, first.figures["sent"], first.figures["failed"])
    assert f"project main, mailing {mail}: the database, or the process beside, could not be used" in first.words
    assert ("ok", ["grace@example.com", "ada@example.com"]) == (second.outcome, mailbox.to)


async def test_what_ends_while_it_is_mailed_goes_to_nobody_more(office: Office, mailbox: Picky) -> None:
    pid, ids, customer = office.world.project.pid, office.world.ids, office.customer
    first = await office.mail_to("ada@example.com", "grace@example.com")
    second = await office.mail_to("mary@example.com")
    await office.close(date(2026, 2, 28))

    async def end() -> None:
        mailbox.when_taken = None
        for one in (first, second):
            await office.world.db.write(
                lambda tx, one=one: report_mails.end(  # type: ignore[misc]
                    tx, pid, customer, str(one), at=FIRST, actor=CLI, ids=ids
                )
            )

    mailbox.when_taken = end
    run = await office.at(FIRST)

    assert ("ok", ["ada@example.com"], 1) == (run.outcome, mailbox.to, await office.links())


async def test_its_reader_ends_it_for_his_address_alone(office: Office, mailbox: Picky) -> None:
    await office.mail_to("ada@example.com", "grace@example.com")
    await office.close(date(2026, 2, 28))
    await office.at(FIRST)
    first, second = [mail["List-Unsubscribe"].removeprefix("<").removesuffix(">") for mail in mailbox.mails]
    text = mailbox.mails[0].get_body(("plain",))

    async def stop(link: str) -> None:
        meant = report_stops.meant(link.rpartition("/")[2], SEALER)
        await office.world.db.write(lambda tx: report_stops.end(tx, meant, ip="", at=FIRST, ids=office.world.ids))

    await stop(first)
    with pytest.raises(NotFoundError):
        await stop(first)
    await office.at(ENDED + 31 * DAY + WAIT + 8 * HOUR + 20 * MINUTE)

    assert text is not None
    assert f"To get no more of these:\n{first}" in text.get_content().replace("\r\n", "\n")
    assert "List-Unsubscribe=One-Click" == mailbox.mails[0]["List-Unsubscribe-Post"]
    assert ["ada@example.com", "grace@example.com", "grace@example.com"] == mailbox.to
    await stop(second)
    async with office.world.db.read() as main:
        assert [] == list(await report_mails.all_mails(main))
    assert [] == await office.sendings()


async def test_a_project_mails_to_so_many_addresses_and_makes_so_many_mailings_an_hour(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.mail_to("ada@example.com", "grace@example.com", most=3)
    with pytest.raises(LimitError, match=r"reports\.addresses"):
        await office.mail_to("a@example.com", "b@example.com", most=3)
    await office.mail_to("a@example.com", most=3)
    monkeypatch.setattr(report_mails, "PER_HOUR", 2)

    with pytest.raises(TooManyRequestsError, match="2 mailings an hour"):
        await office.mail_to("c@example.com")


@on_sqlite
async def test_the_links_of_mails_are_none_of_those_that_people_may_make(office: Office) -> None:
    pid, ids = office.world.project.pid, office.world.ids
    period = Period(date(2026, 2, 1), date(2026, 2, 28), ZoneInfo("UTC"))

    async def share(actor: Actor) -> None:
        await office.world.db.write(
            lambda tx: links.share(tx, pid, office.customer, period, lasts_s=3600, at=FIRST, actor=actor, ids=ids)
        )

    for _ in range(links.MOST_SHARES):
        await share(HEARTFLY)
    for _ in range(links.MOST_SHARES):
        await share(CLI)
    with pytest.raises(ConflictError, match="20 links"):
        await share(CLI)
    await share(HEARTFLY)


async def test_what_a_crash_left_unmarked_is_known_as_the_same_mail(office: Office, mailbox: Picky) -> None:
    await office.mail_to("ada@example.com")
    await office.close(date(2026, 2, 28))
    await office.at(FIRST)
    await office.world.db.write(lambda tx: tx.conn.execute(sa.delete(report_sendings)).rowcount)

    await office.at(FIRST + HOUR)

    first, second = (mail["Message-ID"] for mail in mailbox.mails)
    assert first == second


async def test_the_newest_periods_are_made_up_for_and_30_days_are_counted(office: Office, mailbox: Picky) -> None:
    await office.mail_to("ada@example.com", rhythm="30-days")

    await office.at(MADE + timedelta(days=200))

    subjects = [mail["Subject"] for mail in mailbox.mails]
    assert [f"Usage of Acme, {words}" for words in ("20 Jun – 19 Jul 2026", "20 Jul – 18 Aug 2026")] == subjects[1:]
    assert 3 == len(subjects)


async def test_of_who_is_archived_or_erased_nothing_is_mailed(office: Office, mailbox: Picky) -> None:
    pid, ids, customer = office.world.project.pid, office.world.ids, office.customer
    mail = await office.mail_to("ada@example.com")
    await office.usage.write(lambda tx: archive_customer(tx, pid, customer, actor=CLI, at=MADE, ids=ids))
    await office.close(date(2026, 2, 28))
    archived = await office.at(FIRST)
    await erase_customer(
        office.usage, office.world.db, pid, customer, rev=None, actor=CLI, at=MADE, ids=ids, sealer=SEALER
    )
    erased = await office.at(FIRST + HOUR)

    assert ([], "ok", "ok") == (mailbox.to, archived.outcome, erased.outcome)
    assert mail
    async with office.world.db.read() as main:
        assert [] == list(await report_mails.all_mails(main))


@on_sqlite
async def test_it_is_off_where_no_mail_leaves(world: World, usage_db: Database, clock: SimClock, ids: IdSource) -> None:
    letters = Letters(None, BASE_URL, clock)

    kind = customer_reports(
        SETTINGS, usage=usage_db, letters=letters, hands=Hands(beside=False), sealer=SEALER, ids=ids
    )

    assert "no mail server is configured (mail.host)" == kind.off
