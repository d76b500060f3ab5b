"""Mails that are pings, sent by the standard library's own client to the real listener, over each database."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.config.smtp import Smtp
from heartfly.db.models import checks, ping_bodies, pings
from heartfly.doctor import smtp as doctor
from heartfly.doctor.finding import Level
from heartfly.errors import StoreError
from heartfly.pings.ingest import Ingest
from heartfly.pings.refusals import Refusals
from heartfly.server.smtp import LONGEST_S, SmtpListener
from tests.server.identity import Identity
from tests.server_process import Server, free_port
from tests.world import World, make_world

pytestmark = pytest.mark.anyio

DOMAIN = "ping.example.org"
SENDER = "root@db1.example.org"
Result = TypeVar("Result")


@pytest.fixture
def anyio_backend() -> str:
    """One loop: the listener is aiosmtpd's, and what it does on others is not ours."""
    return "asyncio"


@pytest.fixture
async def world(db: Any, ids: Any) -> World:
    return await make_world(db, ids, SystemClock().now())


class Post:
    """A listener, and who sends to it."""

    tls: ssl.SSLContext | None = None

    def __init__(self, world: World, listener: SmtpListener) -> None:
        self.world = world
        self.listener = listener
        self.outcomes: list[str] = []
        self.refusals = Refusals()

    async def client(self, work: Callable[[smtplib.SMTP], Result]) -> Result:
        def talk() -> Result:
            with smtplib.SMTP("localhost", self.listener.port, "db1.example.org", timeout=30) as client:
                if self.tls is not None:
                    client.starttls(context=self.tls)
                return work(client)

        return await anyio.to_thread.run_sync(talk)

    async def send(self, to: str | list[str], text: str = "done", *, sender: str = SENDER, **headers: str) -> str:
        """`250`, or what it was told."""
        code: int
        reply: bytes | str
        made = EmailMessage()
        for name, value in ({"Subject": "Backup"} | headers).items():
            made[name.replace("_", "-")] = value
        made.set_content(text)
        try:
            await self.client(lambda client: client.sendmail(sender, to, made.as_bytes(policy=SMTP)))
        except smtplib.SMTPRecipientsRefused as refused:
            code, reply = next(iter(refused.recipients.values()))
        except smtplib.SMTPResponseException as refused:
            code, reply = refused.smtp_code, refused.smtp_error
        else:
            return "250"
        return f"{code} {reply.decode() if isinstance(reply, bytes) else reply}"

    async def signals(self, check: str) -> list[tuple[str, str, str]]:
        query = sa.select(pings).where(pings.c.check_id == await self._id(check)).order_by(pings.c.n)
        async with self.world.db.read() as read:
            return [(row.kind, row.scheme, row.agent) for row in await read.execute(query)]

    async def kinds(self, check: str) -> list[str]:
        return [kind for kind, _, _ in await self.signals(check)]

    async def body(self, check: str) -> str:
        query = sa.select(ping_bodies.c.body).where(ping_bodies.c.check_id == await self._id(check))
        async with self.world.db.read() as read:
            newest: Any = (await read.execute(query.order_by(ping_bodies.c.n.desc()))).scalars().first()
            return bytes(newest).decode()

    async def set(self, check: str, **values: Any) -> None:
        await self.world.db.write(
            lambda tx: tx.conn.execute(sa.update(checks).where(checks.c.ping_uuid == check).values(values))
        )

    async def _id(self, check: str) -> int:
        async with self.world.db.read() as read:
            query = sa.select(checks.c.id).where(checks.c.ping_uuid == check)
            return int((await read.execute(query)).scalar_one())


@asynccontextmanager
async def listening(world: World, *, longest_s: float = LONGEST_S, **settings: Any) -> AsyncIterator[Post]:
    told = Smtp(**({"listen": "127.0.0.1:0", "domain": DOMAIN} | settings))
    outcomes: list[str] = []
    ingest = Ingest(world.db, world.applier, SystemClock())
    listener = SmtpListener(told, ingest, max_body=10_000, count=outcomes.append, longest_s=longest_s)
    post = Post(world, listener)
    post.outcomes, post.refusals = outcomes, ingest.refusals
    await listener.open()
    stop = asyncio.Event()
    running = asyncio.ensure_future(listener.run(stop))
    try:
        yield post
    finally:
        stop.set()
        await running


@pytest.fixture
async def post(world: World) -> AsyncIterator[Post]:
    async with listening(world) as made:
        yield made


@pytest.fixture
async def check(world: World) -> str:
    """Its ping UUID."""
    return str((await world.check(SystemClock().now())).ping_uuid)


async def test_a_mail_to_a_check_is_a_success_with_its_text(post: Post, check: str) -> None:
    assert "250" == await post.send(f"{check}@{DOMAIN}", "rows=3\n", Subject="Größe")
    assert "250" == await post.send(f"{check.upper()}@PING.example.ORG")

    assert [("success", "email", f"Email from {SENDER}")] * 2 == await post.signals(check)
    assert ["ok", "ok"] == post.outcomes


async def test_what_a_mail_says_is_kept_decoded_and_up_to_its_bound(post: Post, check: str) -> None:
    await post.send(f"{check}@{DOMAIN}", "Zeile ä", Subject="Größe")
    assert "Subject: Größe\nFrom: \n\nZeile ä" == (await post.body(check)).rstrip()

    assert "250" == await post.send(f"{check}@{DOMAIN}", ("x" * 900 + "\n") * 200)
    assert 10_000 == len(await post.body(check))


async def test_a_line_longer_than_the_standard_lets_it_be_loses_no_signal(post: Post, check: str) -> None:
    raw = b"Subject: done\r\n\r\n" + b"x" * 50_000 + b"\r\n"

    await post.client(lambda client: client.sendmail(SENDER, f"{check}@{DOMAIN}", raw))

    assert ["success"] == await post.kinds(check)


async def test_a_mail_to_a_slug_needs_the_ping_key(post: Post, check: str, world: World) -> None:
    async with world.db.read() as read:
        slug = (await read.execute(sa.select(checks.c.slug).where(checks.c.ping_uuid == check))).scalar_one()
    key = world.project.ping_key

    told = [
        await post.send(f"{name}@{DOMAIN}")
        for name in (f"{key}+{slug}", f"{key}+no-such", f"{'A' * 22}+{slug}", f"{key}+UPPER", key)
    ]

    assert ["250", "550", "550", "550", "550"] == [one[:3] for one in told]
    assert ["success"] == await post.kinds(check)


@pytest.mark.parametrize(
    "address",
    [
        "postmaster@ping.example.org", "3f0f8f9e-6a1c-4a55-8d4c-111111111111@ping.example.org",
        "3f0f8f9e-6a1c-4a55-8d4c-111111111111@elsewhere.example.org", "somebody@example.com",
    ],
)  # fmt: skip
async def test_nothing_is_relayed_and_nobody_else_has_mail_here(post: Post, address: str) -> None:
    assert (await post.send(address)).startswith("550 5.1.1 there is no such address here")


@pytest.mark.parametrize(
    ("subject", "text", "expected"),
    [
        ("Backup failed", "done", "fail"), ("Backup", "it failed", "fail"), ("Backup done", "", "success"),
        ("begins", "", "start"), ("done", "failed", "fail"), ("nothing", "of it", "ignored"),
    ],
)  # fmt: skip
async def test_keywords_are_looked_for_in_subject_and_text(
    post: Post, check: str, subject: str, text: str, expected: str
) -> None:
    await post.set(check, filters='{"start":["begins"],"success":["done"],"failure":["failed"],"default_fail":false}')

    assert "250" == await post.send(f"{check}@{DOMAIN}", text, Subject=subject)

    assert [expected] == await post.kinds(check)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"filter_subject": True}, ["fail", "ignored"]),
        ({"filter_body": True}, ["ignored", "fail"]),
        ({"filter_subject": True, "filter_body": True}, ["fail", "fail"]),
        ({"filter_subject": True, "filter_default_fail": True}, ["fail", "fail"]),
        ({"filter_http_body": True}, ["success", "success"]),
        ({}, ["success", "success"]),
    ],
)
async def test_a_client_of_healthchecks_says_where_its_keywords_are_looked_for(
    post: Post, check: str, flags: dict[str, bool], expected: list[str]
) -> None:
    sent = {"start_kw": "", "success_kw": "", "failure_kw": "failed, broken"} | dict.fromkeys(
        ("filter_subject", "filter_body", "filter_http_body", "filter_default_fail"), False
    )
    native = '{"start":[],"success":[],"failure":["failed"],"default_fail":false}'
    await post.set(check, filters_as_sent=sent | flags, filters=native if "filter_http_body" in flags else "")

    await post.send(f"{check}@{DOMAIN}", "done", Subject="failed")
    await post.send(f"{check}@{DOMAIN}", "failed", Subject="done")

    assert expected == await post.kinds(check)


async def test_a_check_that_takes_only_posts_takes_mails(post: Post, check: str) -> None:
    await post.set(check, methods="POST")

    await post.send(f"{check}@{DOMAIN}")

    assert ["success"] == await post.kinds(check)


async def test_bounces_answers_and_alerts_of_our_own_are_no_signals(post: Post, check: str) -> None:
    to = f"{check}@{DOMAIN}"

    told = [
        await post.send(to, sender=""),
        await post.send(to, Auto_Submitted="auto-replied"),
        await post.send(to, X_Heartfly_Kind="check.down"),
    ]

    assert ["554 5.7.1"] * 3 == [one[:9] for one in told]
    assert [] == await post.kinds(check)
    assert "250" == await post.send(to, Auto_Submitted="auto-generated")


async def test_of_several_recipients_one_that_is_known_is_enough(post: Post, check: str, world: World) -> None:
    other = str((await world.check(SystemClock().now(), name="other")).ping_uuid)
    nobody = "3f0f8f9e-6a1c-4a55-8d4c-111111111111"

    assert "250" == await post.send([f"{one}@{DOMAIN}" for one in (check, nobody, other, check)])

    assert (["success"], ["success"]) == (await post.kinds(check), await post.kinds(other))


async def test_a_mail_has_as_many_recipients_as_it_may(post: Post, check: str) -> None:
    def ask(client: smtplib.SMTP) -> list[int]:
        client.ehlo()
        client.mail(SENDER)
        return [client.rcpt(f"{check}@{DOMAIN}")[0] for _ in range(21)]

    assert [250] * 20 + [452] == await post.client(ask)


async def test_a_mail_that_is_too_large_is_refused_whether_it_says_so_or_not(world: World, check: str) -> None:
    async with listening(world, max_bytes=20_000) as post:

        def ask(client: smtplib.SMTP) -> tuple[int, int]:
            client.ehlo()
            said = client.mail(SENDER, ["SIZE=30000"])[0]
            client.rset()
            client.mail(SENDER)
            client.rcpt(f"{check}@{DOMAIN}")
            return said, client.data("x\r\n" * 20_000)[0]

        assert (552, 552) == await post.client(ask)
        assert [] == await post.kinds(check)


async def test_above_the_cap_of_connections_senders_are_told_to_come_again(world: World, check: str) -> None:
    async with listening(world, connections=1) as post:

        def two(_: smtplib.SMTP) -> bytes:
            with socket.create_connection(("127.0.0.1", post.listener.port), timeout=30) as second:
                return second.recv(100)

        assert (await post.client(two)).startswith(b"421 4.3.2")
        assert "250" == await post.send(f"{check}@{DOMAIN}")


async def test_no_250_before_the_commit(post: Post, check: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tried_at = []

    async def away(*_: Any, **__: Any) -> Any:
        tried_at.append(SystemClock().now())
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(world.db, "submit", away)
        assert (await post.send(f"{check}@{DOMAIN}")).startswith("451 4.3.0")

    span = post.refusals.span()
    assert span is not None
    # Nobody could hear it since it came, so a deadline that passed while it was tried is no alarm.
    assert span.from_at < tried_at[0] < span.to_at

    assert [] == await post.kinds(check)
    assert ["refused"] == post.outcomes


async def test_hostile_clients_are_told_and_others_go_on(post: Post, check: str) -> None:
    def ask(_: smtplib.SMTP) -> list[bytes]:
        answers = []
        for line in (
            b"\0" * 100 + b"\r\n",
            b"EHLO " + b"x" * 5_000 + b"\r\n",
            b"AUTH PLAIN AAAA\r\n",
            b"VRFY root\r\n",
        ):
            with socket.create_connection(("127.0.0.1", post.listener.port), timeout=30) as one:
                one.recv(1_000)
                one.sendall(line + b"\r\n")
                answers.append(one.recv(1_000)[:1])
        return answers

    answers = await post.client(ask)

    assert {b"5", b"2"} >= set(answers)
    assert "250" == await post.send(f"{check}@{DOMAIN}")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"listen": "25"}, "listen: Expected HOST:PORT"), ({"listen": "h:99999"}, "listen: Expected HOST:PORT"),
        ({"domain": ""}, "domain: Expected"), ({"domain": "a b"}, "domain: Expected"),
        ({"domain": "x@y"}, "domain: Expected"), ({"key": "key.pem"}, "certificate: Expected"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_told_by_their_name(settings: dict[str, str], words: str) -> None:
    told: dict[str, Any] = {"listen": "127.0.0.1:25", "domain": DOMAIN} | settings
    with pytest.raises(ValueError, match=words):
        Smtp(**told)


async def test_the_doctor_looks_whether_somebody_takes_mails(world: World, tmp_path: Path) -> None:
    now, its = SystemClock().now(), Identity(tmp_path)
    off = await doctor.look(Smtp(), now)
    nobody = await doctor.look(Smtp(listen=f"127.0.0.1:{free_port()}", domain=DOMAIN), now)
    async with listening(world) as post:
        told: dict[str, Any] = {"listen": f"127.0.0.1:{post.listener.port}", "domain": DOMAIN}
        heard = await doctor.look(Smtp(**told), now)
        with_tls = await doctor.look(Smtp(**told, **its.settings), now)
        much_later = await doctor.look(Smtp(**told, **its.settings), now + timedelta(days=370_000))
        its.key.unlink()
        without_key = await doctor.look(Smtp(**told, **its.settings), now)

    assert [Level.OK, Level.WARNING, Level.OK, Level.OK, Level.WARNING, Level.ERROR] == [
        one.level for one in (off, nobody, heard, with_tls, much_later, without_key)
    ]
    assert f"mails to @{DOMAIN} are taken" in heard.found
    assert with_tls.found.endswith(", with TLS")
    assert "its certificate ended on" in much_later.found


@pytest.mark.e2e
def test_a_server_takes_mails_where_its_settings_say(tmp_path: Path) -> None:
    its = Identity(tmp_path)
    server = Server(tmp_path)
    port = free_port()
    server.settings |= {
        "SMTP__LISTEN": f"127.0.0.1:{port}", "SMTP__DOMAIN": DOMAIN, "SMTP__CONNECTIONS": "1",
        "SMTP__CERTIFICATE": str(its.certificate), "SMTP__KEY": str(its.key),
    }  # fmt: skip
    key = str(server.init()["api_key"])
    server.start()
    try:
        made = server.api("POST", "/v1/checks", key, {"name": "by mail"})
        uuid = made["ping_url"].rpartition("/")[2]
        with smtplib.SMTP("localhost", port, timeout=30) as client:
            client.starttls(context=its.trust)
            with socket.create_connection(("127.0.0.1", port), timeout=30) as second:
                above = second.recv(100)
            client.sendmail(SENDER, f"{uuid}@{DOMAIN}", "Subject: done\r\n\r\nrows=3\r\n")
        told = server.api("GET", f"/v1/checks/{made['id']}/runs", key)["items"]
    finally:
        server.kill()

    assert above.startswith(b"421 4.3.2")
    assert [("ok", {"rows": "3"})] == [(one["outcome"], one["metrics"]) for one in told]


async def test_a_line_without_an_end_is_cut_off_long_before_it_fills_the_memory(world: World) -> None:
    check = await world.check(SystemClock().now())
    async with listening(world, max_bytes=10_000) as post:

        def talk() -> int:
            """How many bytes were taken."""
            with socket.create_connection(("127.0.0.1", post.listener.port), timeout=30) as client:
                answers = client.makefile("rb")
                answers.readline()
                for line in ("HELO x", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{check.ping_uuid}@{DOMAIN}>", "DATA"):
                    client.sendall(line.encode() + b"\r\n")
                    answers.readline()
                for n in range(300):
                    try:
                        client.sendall(b"x" * 100_000)
                    except OSError:
                        return n * 100_000
                return 30_000_000

        assert await anyio.to_thread.run_sync(talk) < 20_000_000
        assert "250" == await post.send(f"{check.ping_uuid}@{DOMAIN}")
