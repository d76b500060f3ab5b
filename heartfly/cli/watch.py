"""`heartfly watch URL`: a second, small process, best on another machine, that watches a Heartfly.

It asks again and again, and tells people when something is wrong, and when it is right again: by mail, to a webhook, by
a command, or by a ping to another Heartfly. What is wrong is decided in core/watching.py.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import smtplib
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import formataddr
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import rich_click as click
from click.exceptions import Exit
from typing_extensions import override

from heartfly import __version__
from heartfly.cli.options import CONFIG, settings_from
from heartfly.cli.output import AS_JSON, DURATION
from heartfly.clock import Clock, SystemClock
from heartfly.config.settings import Mail
from heartfly.core.watching import Bounds, what_is_wrong

_ANSWER_S = 10.0
_TELL_S = 30.0
_MOST_READ = 64 * 1024
_NO_ANSWER = (OSError, ValueError, http.client.HTTPException)
AGAIN_S = 10.0
"""After a look at which something was wrong: one that failed by chance must not wake anybody, a true one not wait."""


@dataclass(frozen=True, slots=True)
class News:
    """What people are told. `reasons` empty: all is well again."""

    url: str
    at: datetime
    reasons: Sequence[str]

    @property
    def state(self) -> str:
        return "down" if self.reasons else "up"

    @property
    def text(self) -> str:
        if not self.reasons:
            return f"Heartfly at {self.url} is well again."
        return f"Heartfly at {self.url} may not raise alarms: " + "; ".join(self.reasons)

    def as_json(self) -> dict[str, Any]:
        return {"type": f"watch.{self.state}", "url": self.url, "at": self.at.isoformat(), "reasons": [*self.reasons]}


T = TypeVar("T")
Way = Callable[[News], None]
"""Tells somebody. OSError, or what it raises of its own: it did not."""


@dataclass(slots=True)
class Watch:
    """One Heartfly, and what was last seen and told of it."""

    url: str
    bounds: Bounds
    tries: int
    clock: Clock
    ways: dict[str, Way] = field(default_factory=dict)
    n_wrong: int = 0
    state: str = "up"
    untold: dict[str, News] = field(default_factory=dict)
    """By way: what it has not taken yet. The newest news replaces an older."""
    canary_seen: float | None = None  # monotonic

    def look(self) -> Sequence[str]:
        """Ask once, and tell what has changed. Returns what is wrong."""
        reasons = self._ask()
        self.n_wrong = self.n_wrong + 1 if reasons else 0
        state = "down" if self.n_wrong >= self.tries else "up" if not reasons else self.state
        if state != self.state:
            self.state = state
            news = News(self.url, self.clock.now(), reasons)
            click.echo(f"{news.at:%Y-%m-%d %H:%M:%SZ} {news.text}")
            self.untold = dict.fromkeys(self.ways, news)
        for name, news in list(self.untold.items()):
            try:
                self.ways[name](news)
            except (*_NO_ANSWER, subprocess.SubprocessError) as error:
                click.echo(f"{name} was not told, and is tried again: {error}", err=True)
            else:
                del self.untold[name]
        return reasons

    def _ask(self) -> Sequence[str]:
        now = self.clock.monotonic()
        if self.canary_seen is None:
            self.canary_seen = now
        try:
            told = ask(f"{self.url}/readyz")
        except _NO_ANSWER as error:
            return [f"no answer: {_words(error)}"]
        if told.get("canary") is not None:
            self.canary_seen = now
        return what_is_wrong(told, self.bounds, without_canary=timedelta(seconds=now - self.canary_seen))


def ask(url: str) -> dict[str, Any]:
    """The JSON that is answered, whatever the status. OSError or ValueError: there is none."""

    def read() -> bytes:
        try:
            with _opened(urllib.request.Request(url), _ANSWER_S) as answer:  # noqa: S310 - the operator's
                return bytes(answer.read(_MOST_READ))
        except urllib.error.HTTPError as error:
            with error:
                return error.read(_MOST_READ)

    told = json.loads(_within(_ANSWER_S, read))
    if not isinstance(told, dict):
        raise ValueError("the answer is not that of a Heartfly")  # noqa: TRY004 - as JSON that is none
    return told


def _within(limit_s: float, work: Callable[[], T]) -> T:
    """What it returns or raises. TimeoutError: it takes longer; the time that a socket may be silent bounds no drip."""
    found: Future[T] = Future()

    def run() -> None:
        try:
            found.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return found.result(limit_s)
    except TimeoutError:
        raise TimeoutError(f"it took longer than {limit_s:.0f} s") from None


class _Staying(urllib.request.HTTPRedirectHandler):
    """Whoever is asked, answers himself."""

    @override
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Staying)


def _opened(request: urllib.request.Request, limit_s: float) -> Any:
    request.add_header("User-Agent", f"heartfly-watch/{__version__}")
    return _OPENER.open(request, timeout=limit_s)


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(reason) or type(error).__name__


# --- who is told -------------------------------------------------------------------------------------


def to_webhook(url: str) -> Way:
    def tell(news: News) -> None:
        body = json.dumps(news.as_json()).encode()
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310 - the operator's
        _opened(request, _TELL_S).close()

    return tell


def by_command(command: str) -> Way:
    def tell(news: News) -> None:
        told = {"HEARTFLY_WATCH_STATE": news.state, "HEARTFLY_WATCH_URL": news.url, "HEARTFLY_WATCH_TEXT": news.text}
        subprocess.run(shlex.split(command), env={**os.environ, **told}, timeout=_TELL_S, check=True)  # noqa: S603 - the operator's

    return tell


def by_mail(to: str, mail: Mail) -> Way:
    def tell(news: News) -> None:
        letter = EmailMessage()
        letter["From"] = formataddr((mail.from_name, mail.from_address))
        letter["To"] = to
        letter["Subject"] = f"Heartfly {'may not raise alarms' if news.reasons else 'is well again'}: {news.url}"
        letter.set_content(f"{news.text}\n\nSeen by `heartfly watch` at {news.at:%Y-%m-%d %H:%M:%S} UTC.\n")
        with _mail_server(mail) as server:
            if mail.username:
                server.login(mail.username, mail.password)
            server.send_message(letter)

    return tell


def _mail_server(mail: Mail) -> smtplib.SMTP:
    trusted = ssl.create_default_context()
    if mail.security == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=_TELL_S, context=trusted)
    server = smtplib.SMTP(mail.host, mail.port, timeout=_TELL_S)
    if mail.security == "starttls":
        server.starttls(context=trusted)
    return server


def pinged(url: str, reasons: Sequence[str]) -> None:
    """Tell another Heartfly's check how this one does. OSError: it did not hear."""
    target, body = (f"{url}/fail", "\n".join(reasons).encode()) if reasons else (url, b"")
    _opened(urllib.request.Request(target, data=body, method="POST"), _ANSWER_S).close()  # noqa: S310 - the operator's


# --- the command -------------------------------------------------------------------------------------


@click.command("watch")
@click.argument("url")
@AS_JSON
@CONFIG
@click.option("--once", is_flag=True, help="Look once and end: 0 if all is well, 1 if not.")
@click.option("--every", type=DURATION, default="60s", show_default=True, help="How often to look.")
@click.option("--tries", type=click.IntRange(1, 100), default=3, show_default=True,
              help="So many looks in a row must find something wrong before anybody is told.")  # fmt: skip
@click.option("--lag", type=DURATION, default="30s", show_default=True, help="How far behind judging may be.")
@click.option("--waiting", type=DURATION, default="60s", show_default=True, help="How long an alert may wait.")
@click.option("--canary", type=DURATION, default="150m", show_default=True,
              help="How long ago its canary may have been told of; 0: do not look at that.")  # fmt: skip
@click.option("--latency", type=DURATION, default="60s", show_default=True, help="How late the canary may be told of.")
@click.option(
    "--ping", help="An address of another Heartfly's check: pinged at each look, with /fail if all is not well."
)
@click.option("--webhook", help="Gets JSON when something is wrong, and when it is right again.")
@click.option("--exec", "command", help="A command that is run then, with HEARTFLY_WATCH_STATE, _URL and _TEXT.")
@click.option("--mail-to", help="Who is mailed then, by the mail server of the configuration.")
def watch(
    *, url: str, as_json: bool, config: Path | None, once: bool, every: int, tries: int, lag: int,
    waiting: int, canary: int, latency: int, ping: str | None, webhook: str | None,
    command: str | None, mail_to: str | None,
) -> None:  # fmt: skip
    """Watch a Heartfly from elsewhere: `heartfly watch https://beat.example.org --mail-to ops@example.org`."""
    for name, given in (("URL", url), ("--ping", ping), ("--webhook", webhook)):
        if given is not None and not given.startswith(("http://", "https://")):
            raise click.BadParameter(f"{name} must begin with http:// or https://")
    bounds = Bounds(
        lag=timedelta(seconds=lag),
        undelivered=timedelta(seconds=waiting),
        canary=timedelta(seconds=canary) if canary else None,
        latency=timedelta(seconds=latency),
    )
    seen = Watch(url.rstrip("/"), bounds, tries, SystemClock())
    if once:
        seen.tries = 1
    if webhook is not None:
        seen.ways["The webhook"] = to_webhook(webhook)
    if command is not None:
        seen.ways["The command"] = by_command(command)
    if mail_to is not None:
        mail = settings_from(config).mail
        if not mail.host:
            raise click.BadParameter("--mail-to needs a mail server in the configuration (mail.host)")
        seen.ways[mail_to] = by_mail(mail_to, mail)
    _go_on(seen, ping, every=every, once=once, as_json=as_json)


def _go_on(seen: Watch, ping: str | None, *, every: int, once: bool, as_json: bool) -> None:
    stop = threading.Event()

    def stopped(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    before = signal.signal(signal.SIGTERM, stopped)
    try:
        _look_on(seen, ping, stop, every=every, once=once, as_json=as_json)
    finally:
        signal.signal(signal.SIGTERM, before)  # in a process that goes on, as of tests, it would end nothing any more


def _look_on(seen: Watch, ping: str | None, stop: threading.Event, *, every: int, once: bool, as_json: bool) -> None:
    while not stop.is_set():
        reasons = seen.look()
        if as_json:
            click.echo(json.dumps({"url": seen.url, "ok": not reasons, "reasons": [*reasons]}))
        elif once:
            click.echo("; ".join(reasons) or "All is well.", err=bool(reasons))
        if ping is not None:
            try:
                pinged(ping, reasons)
            except _NO_ANSWER as error:
                click.echo(f"the ping was not heard: {_words(error)}", err=True)
        if once:
            raise Exit(1 if reasons else 0)
        stop.wait(min(AGAIN_S, every) if reasons and seen.state == "up" else every)
