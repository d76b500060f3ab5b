"""Mails that are signals of jobs: an SMTP server that takes them, for addresses that are those of checks.

    <ping uuid>@domain
    <ping key>+<slug>@domain

It relays nothing, answers no mail, and says that it has one only when its signal is committed. What a mail says is
core/mail.py's to read, and what it means pings/by_mail.py's. Off unless a setting says where to listen.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session, TLSSetupException
from typing_extensions import override

from heartfly.config.certificate import Certificate
from heartfly.config.smtp import Smtp
from heartfly.core import mail
from heartfly.core.words import PingKind
from heartfly.errors import OverloadedError, StoreError
from heartfly.logs import line, logger
from heartfly.pings.ingest import Ingest
from heartfly.pings.request import BySlug, ByUuid, FromMail, PingOutcome, PingRequest, Target
from heartfly.sealing import digest

log = logger("heartfly.smtp")

MOST_RECIPIENTS = 20
SILENT_S = 60.0
"""After which a client that says nothing is hung up on."""
LONGEST_S = 600.0
"""After which one that does say something is hung up on, too: a place is for a mail, and not for a day."""
MOST_COMMANDS = 200
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_SLUG = re.compile(r"(?P<key>[A-Za-z0-9_-]{22})\+(?P<slug>[a-z0-9_-]{1,100})", re.ASCII)
_GOOD = {PingOutcome.OK, PingOutcome.CREATED, PingOutcome.LIMITED, PingOutcome.SPOOLED}
_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Signal:
    """Of one recipient of a mail. It was received when the mail was, however long that takes to read."""

    target: Target
    seq: int
    received_at: datetime


def target_of(address: str, domain: str) -> Target | None:
    """None: it is no address of a check, by its shape."""
    name, at, host = address.rpartition("@")
    if not at or host.lower() != domain:
        return None
    if _UUID.fullmatch(name):
        return ByUuid(name.lower())
    if (found := _SLUG.fullmatch(name)) is not None:
        return BySlug(digest(found["key"]), found["slug"])
    return None


class SmtpListener:
    def __init__(
        self,
        settings: Smtp,
        ingest: Ingest,
        *,
        max_body: int,
        count: Callable[[str], None] = lambda _: None,
        longest_s: float = LONGEST_S,
    ) -> None:
        """`max_body`: bytes of what a mail says that are kept. `count` is told what became of each. `longest_s`: so
        long a connection is open at most.
        """
        self._settings = settings
        self._ingest = ingest
        self._max_body = max_body
        self._count = count
        self._open: set[_Connection] = set()
        self._longest_s = longest_s
        self._certificate = (
            Certificate(settings.certificate, settings.key, named="smtp.certificate, smtp.key")
            if settings.certificate
            else None
        )
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. OSError: nobody can listen there. SettingsError: its certificate cannot be read."""
        host, port = self._settings.address
        if self._certificate is not None:
            self._certificate.open()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host, port)
        log.info("smtp", address=f"{host}:{self.port}")

    @property
    def port(self) -> int:
        """Where it listens, also if it was asked for any."""
        assert self._server is not None
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def run(self, stop: asyncio.Event) -> None:
        """Until then; mails under way come again, as their senders were not told that we have them."""
        await stop.wait()
        if self._server is not None:
            self._server.close()
        for one in list(self._open):
            one.hang_up()

    def _connection(self) -> SMTP:
        return _Connection(
            self,
            self._open,
            most=self._settings.connections,
            longest_s=self._longest_s,
            tls_context=None if self._certificate is None else self._certificate.context(),
            data_size_limit=self._settings.max_bytes,
            enable_SMTPUTF8=True,
            hostname=self._settings.domain,
            ident="Heartfly",
            timeout=SILENT_S,
            command_call_limit=MOST_COMMANDS,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            loop=asyncio.get_running_loop(),
        )

    # --- what aiosmtpd asks

    async def handle_RCPT(  # noqa: N802 - as it is called
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if target_of(address, self._settings.domain) is None:
            self._refused(550, "no such address")
            return "550 5.1.1 there is no such address here"
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return f"452 4.5.3 at most {MOST_RECIPIENTS} recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as it is called
        if envelope.mail_from in {None, "", "<>"}:
            self._refused(554, "a bounce")
            return "554 5.7.1 what comes back is no signal"
        named = dict.fromkeys(target_of(one, self._settings.domain) for one in envelope.rcpt_tos)
        signals = [_Signal(one, *self._ingest.arrived(one)) for one in named if one is not None]
        try:
            return await self._taken(signals, session, envelope)
        finally:
            for signal in signals:
                self._ingest.gone(signal.seq)

    async def _taken(self, signals: Sequence[_Signal], session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        found = await asyncio.to_thread(mail.read, content, most=self._max_body)
        if found.why_not:
            self._refused(554, found.why_not)
            return f"554 5.7.1 not taken: {found.why_not}"
        peer, sender = str(session.peer[0]) if session.peer else "", str(envelope.mail_from)
        try:
            async with asyncio.timeout(_LIMIT_S):
                outcomes = [
                    await self._ping(one, found, peer=peer, sender=sender, size=len(content)) for one in signals
                ]
        except (OverloadedError, StoreError, TimeoutError) as error:
            # It is we who could not store it, so its silence since it came is not the job's.
            self._count("refused")
            self._ingest.refused(min(signal.received_at for signal in signals))
            line("ping", outcome="refused", code=451, reason=str(error), method="SMTP")
            return "451 4.3.0 try again later"
        return _said(outcomes)

    async def handle_exception(self, error: Exception) -> str:
        """The log is told; the client hears that nothing was stored, and tries again."""
        if isinstance(error, TLSSetupException):
            log.info("smtp", error=f"no TLS with it: {error.__cause__ or 'it went away'}")
            return ""
        log.error("smtp", error=repr(error), exc_info=error)
        self._count("failed")
        return "451 4.3.0 something went wrong in Heartfly; it is in its log"

    # ---

    async def _ping(self, signal: _Signal, found: mail.Mail, *, peer: str, sender: str, size: int) -> PingOutcome:
        body = found.body.encode("utf-8", "replace")[: self._max_body]
        result = await self._ingest.submit(
            PingRequest(
                target=signal.target,
                kind=PingKind.SUCCESS,
                received_at=signal.received_at,
                seq=signal.seq,
                method="",
                scheme="email",
                remote=peer,
                agent=f"Email from {sender}".replace("\0", "")[:200],
                body=body,
                body_size=size,
                mail=FromMail(found.subject, found.text),
            )
        )
        self._count(result.outcome.value)
        return result.outcome

    def _refused(self, code: int, why: str) -> None:
        self._count("bad_request")
        line("ping", outcome="refused", code=code, reason=why, method="SMTP")


def _said(outcomes: Sequence[PingOutcome]) -> str:
    """Of several recipients it is enough that one is known: SMTP has one answer for all of them."""
    if any(one in _GOOD for one in outcomes):
        return "250 2.0.0 OK"
    if PingOutcome.AMBIGUOUS in outcomes:
        return "550 5.1.4 ambiguous slug"
    return "550 5.1.1 there is no such address here"


class _Connection(SMTP):
    """One client. Above the cap it is told to come again."""

    # The standard's 1,000 is not known to programs that write mails by hand, and no signal is to be lost for it.
    line_length_limit = 65_536

    def __init__(
        self, listener: SmtpListener, opened: set[_Connection], *, most: int, longest_s: float, **more: Any
    ) -> None:
        super().__init__(listener, **more)
        self._opened = opened
        self._most = most
        self._longest_s = longest_s
        self._socket: asyncio.Transport | None = None
        self._end: asyncio.TimerHandle | None = None
        self._left = self._room = 4 * (self.data_size_limit or 0) + self.line_length_limit
        """Bytes that it may send before its next mail. aiosmtpd drops a mail that is too large, but keeps a line that
        has no end until there is one.
        """

    @override
    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.hang_up()
            return
        super().data_received(data)

    @override
    async def smtp_DATA(self, arg: str) -> None:
        self._left = self._room
        await super().smtp_DATA(arg)

    @override
    async def smtp_STARTTLS(self, arg: str) -> None:
        await super().smtp_STARTTLS(arg)
        # Of a handshake that ends with its connection asyncio tells nobody that it is lost, and that as a success.
        if self._tls_protocol is not None and (self.session is None or self.session.ssl is None):
            raise TLSSetupException

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self in self._opened:  # the same one again, within TLS
            super().connection_made(transport)
            return
        # Not asked by its class: that of the loop that serves is none of asyncio's.
        made = cast("asyncio.Transport", transport)
        if len(self._opened) >= self._most:
            log.warning("smtp", error=f"{self._most} connections are open; no more are taken")
            made.write(b"421 4.3.2 too many connections; come again later\r\n")
            made.close()
            return
        self._opened.add(self)
        self._socket = made
        self._end = self.loop.call_later(self._longest_s, made.abort)
        super().connection_made(transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if self in self._opened:
            self._opened.discard(self)
            if self._end is not None:
                self._end.cancel()
            super().connection_lost(error)

    def hang_up(self) -> None:
        """At once: a goodbye would wait for who does not read it."""
        if self._socket is not None:
            self._socket.abort()
