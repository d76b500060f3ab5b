"""Runs a job and tells Heartfly how it went. One file, Python 3.8 and its standard library: copy it wherever jobs run.

    heartfly-run --check https://heartfly.example.com/ping/UUID -- /usr/local/bin/backup --all

The job is never kept waiting and never stopped by it: what cannot be sent is kept on disk, and sent with its time by
the next run. The job's exit status is ours, its output is passed on as it comes, and signals reach it.
"""

from __future__ import annotations

import argparse
import base64
import collections
import contextlib
import errno
import fcntl
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

SEND_LIMIT_S = 10.0  # so long at most the end of a job waits for us
TAIL_BYTES, MOST_KEPT = 10_000, 1_000
TIMED_OUT, BUSY, NOT_STARTED, NOT_FOUND = 124, 75, 126, 127  # as timeout(1), sysexits.h and shells have them
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE|CREDENTIAL", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    rb"(?i)((?:bearer|basic)\s+|(?:password|passwd|pwd|secret|token|api[_-]?key)\s*[=:]\s*[\"']?|://[^\s/:@]*:)[^\s\"'@,;&]+"
)
_MASK = b"***"


@dataclass
class Ping:
    """`at`: when it happened, in seconds since 1970. `action`: start, an exit status, log, or nothing."""

    url: str
    action: str
    rid: str
    at: float
    body: bytes = b""
    figures: Mapping[str, str] = field(default_factory=dict)

    def target(self, *, late_by_s: float | None) -> str:
        query = [("rid", self.rid)] + [("metric", f"{name}:{value}") for name, value in self.figures.items()]
        query += [("took", value) for name, value in self.figures.items() if name == "duration_seconds"]
        query += [] if late_by_s is None else [("ago", f"{late_by_s:.3f}")]
        base = urlsplit(self.url)
        path = base.path.rstrip("/") + (f"/{self.action}" if self.action else "")
        return f"{path}?{base.query + '&' if base.query else ''}{urlencode(query)}"


class UndeliveredError(Exception):
    """`for_good`: no later try can help."""

    def __init__(self, why: str, *, for_good: bool) -> None:
        super().__init__(why)
        self.for_good = for_good


def send(ping: Ping, *, limit_s: float, late: bool = False) -> None:
    """UndeliveredError."""
    parts = urlsplit(ping.url)
    late_by_s = max(0.0, time.time() - ping.at) if late else None
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        with contextlib.closing(kind(parts.hostname or "", parts.port, timeout=limit_s)) as connection:
            headers = {"User-Agent": "heartfly-run", "Content-Type": "text/plain"}
            connection.request("POST", ping.target(late_by_s=late_by_s), body=ping.body, headers=headers)
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UndeliveredError(str(error) or type(error).__name__, for_good=False) from error
    if status >= 300:
        raise UndeliveredError(f"it answered {status}", for_good=status not in _AGAIN)


class Spool:
    """What could not be sent, a file each, oldest first. Only its owner may look in: addresses are secrets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, ping: Ping) -> None:
        """OSError: there is no room, or no right."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = {**vars(ping), "body": base64.b64encode(ping.body).decode(), "figures": dict(ping.figures)}
        path = self._folder / f"{int(ping.at * 1_000_000):020d}-{uuid.uuid4().hex[:8]}-{ping.action}.new"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            json.dump(facts, handle)
            handle.flush()
            os.fsync(handle.fileno())
        path.rename(path.with_suffix(".json"))
        for old in self._files()[:-MOST_KEPT]:
            old.unlink()

    def replay(self, server: str, *, until: float) -> str:
        """Send what is kept for that server, up to `until` (monotonic). Why it could not be, if it could not."""
        if not self._files():
            return ""
        try:
            with (self._folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Ends before starts: a run that is over would hang until its end came.
                for path in sorted(self._files(), key=lambda path: path.stem.endswith("-start")):
                    self._send(path, server, until)
        except UndeliveredError as error:
            return str(error)
        except OSError as error:  # another run sends them, or the disk is away: they stay
            return "" if error.errno in {errno.EAGAIN, errno.EACCES} else str(error)
        return ""

    def _send(self, path: Path, server: str, until: float) -> None:
        try:
            facts: dict[str, Any] = json.loads(path.read_text())
            ping = Ping(**{**facts, "body": base64.b64decode(facts["body"])})
        except (ValueError, KeyError, TypeError):
            path.rename(path.with_suffix(".broken"))
            return
        if urlsplit(ping.url).netloc != server:
            return
        try:
            send(ping, limit_s=max(0.1, until - time.monotonic()), late=True)
        except UndeliveredError as error:
            if not error.for_good:
                raise
            say(f"Heartfly did not take what was kept for it: {error}")
        path.unlink()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []


class Teller:
    """Sends beside the job, in order, and keeps what cannot be sent. Nothing here raises."""

    def __init__(self, url: str, spool: Spool) -> None:
        self._url, self._spool, self._rid = url, spool, str(uuid.uuid4())
        self._started: threading.Thread | None = None

    def start(self) -> None:
        ping, until = Ping(self._url, "start", self._rid, time.time()), time.monotonic() + SEND_LIMIT_S
        self._started = threading.Thread(target=self._tell, args=(ping, until), daemon=True)
        with contextlib.suppress(RuntimeError):  # no thread is to be had: the end is told all the same
            self._started.start()

    def end(self, action: str, body: bytes = b"", figures: Mapping[str, str] | None = None) -> None:
        """After the start: it is waited for, but for both together no longer than SEND_LIMIT_S."""
        ping = Ping(self._url, action, self._rid, time.time(), body, figures or {})
        until = time.monotonic() + SEND_LIMIT_S
        if self._started is not None and self._started.ident is not None:
            self._started.join(SEND_LIMIT_S / 2)
        self._tell(ping, until)

    def _tell(self, ping: Ping, until: float) -> None:
        # What is kept is older: it goes first, and while it cannot go, neither can this.
        trouble = self._spool.replay(urlsplit(self._url).netloc, until=until)
        try:
            if not trouble:
                send(ping, limit_s=max(0.1, until - time.monotonic()))
                return
        except UndeliveredError as error:
            if error.for_good:
                say(f"Heartfly did not take it: {error}")
                return
            trouble = str(error)
        try:
            self._spool.keep(ping)
            say(f"Heartfly does not hear ({trouble}); it is told by the next run")
        except OSError as failure:
            say(f"Heartfly does not hear ({trouble}), and nothing can be kept: {failure}")


def say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens: the job's own output may still be read
        sys.stderr.write(f"heartfly-run: {sentence}\n")
        sys.stderr.flush()


class Tail:
    """The last of what the job says, on both of its streams, in the order in which it came."""

    def __init__(self, most: int, beside: int) -> None:
        self._most = most + beside
        self._parts: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._lock = threading.Lock()

    def add(self, part: bytes) -> None:
        with self._lock:
            self._parts.append(part)
            self._size += len(part)
            while self._size - len(self._parts[0]) >= self._most:
                self._size -= len(self._parts.popleft())

    def text(self) -> bytes:
        return b"".join(self._parts)[-self._most :]


def copy(source: BinaryIO, target: int, tail: Tail) -> None:
    """Until its end. Who does not read us any more does not stop the job."""
    deaf = False
    while part := os.read(source.fileno(), 65_536):
        tail.add(part)
        rest = b"" if deaf else part
        while rest:
            try:
                rest = rest[os.write(target, rest) :]
            except OSError:
                deaf, rest = True, b""


def secrets_of(environment: Mapping[str, str], more: Sequence[str]) -> list[bytes]:
    """What must not be sent, the longest first."""
    found = {value for name, value in environment.items() if _SECRET_NAME.search(name) and len(value) >= 6}
    return sorted((os.fsencode(one) for one in {*found, *more} if one), key=len, reverse=True)


def masked(text: bytes, secrets: Sequence[bytes]) -> bytes:
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return _SECRET_TEXT.sub(rb"\1" + _MASK, text)


class Ended(NamedTuple):
    status: int
    words: str = ""


def run_job(command: Sequence[str], *, timeout_s: float | None, kill_after_s: float, tail: Tail) -> Ended:
    # On a terminal it stays in the foreground; elsewhere a time limit ends all that it has begun.
    apart = not os.isatty(0)
    with _signals() as aim:
        try:
            child = subprocess.Popen(  # noqa: S603 - to run what it is told to is what it is for
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=apart, bufsize=0
            )
        except OSError as error:
            say(f"{command[0]}: {error.strerror}")
            missing = isinstance(error, FileNotFoundError)
            return Ended(NOT_FOUND if missing else NOT_STARTED, f"{command[0]}: {error.strerror}")
        aim(child)
        assert child.stdout is not None
        assert child.stderr is not None
        copies = [
            threading.Thread(target=copy, args=(source, target, tail), daemon=True)
            for source, target in ((child.stdout, 1), (child.stderr, 2))
        ]
        for one in copies:
            one.start()
        ended = _wait(child, timeout_s, kill_after_s, apart=apart)
        for one in copies:
            one.join(1.0)  # what it left in the background may hold a pipe open: it is not waited for
        return ended


def _wait(child: subprocess.Popen[bytes], timeout_s: float | None, kill_after_s: float, *, apart: bool) -> Ended:
    try:
        status = child.wait(timeout_s)
        return Ended(status) if status >= 0 else Ended(128 - status, f"it was ended by {signal.Signals(-status).name}")
    except subprocess.TimeoutExpired:
        _kill(child, signal.SIGTERM, apart=apart)
    try:
        child.wait(kill_after_s)
    except subprocess.TimeoutExpired:
        _kill(child, signal.SIGKILL, apart=apart)
        child.wait()
    return Ended(TIMED_OUT, f"it took longer than {timeout_s:g} s and was ended")


def _kill(child: subprocess.Popen[bytes], number: int, *, apart: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number) if apart else child.send_signal(number)


@contextlib.contextmanager
def _signals() -> Iterator[Any]:
    """What is sent to us goes to the job; also what came before it was there."""
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        if number == signal.SIGINT and os.isatty(0):
            return  # the terminal has told the job itself
        early.append(number) if not children else _kill(children[0], number, apart=False)

    def aim(child: subprocess.Popen[bytes]) -> None:
        children.append(child)
        for number in early:
            _kill(child, number, apart=False)

    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        yield aim
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def address_of(check: str, environment: Mapping[str, str]) -> str:
    """The ping address of an address, a UUID, or a slug. Empty: nothing says where it is."""
    check = check or environment.get("HEARTFLY_PING_URL", "")
    if re.fullmatch(r"https?://[^/?#\[\]@\s]+(:\d{1,5})?(/[^\s]*)?", check, re.ASCII):
        return check
    base, key = environment.get("HEARTFLY_URL", "").rstrip("/"), environment.get("HEARTFLY_PING_KEY", "")
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", check):
        return f"{base}/ping/{check}" if base else ""
    return f"{base}/ping/{key}/{quote(check, safe='')}" if base and key else ""


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 15m or 2h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("heartfly-run", description="Run a job and tell Heartfly how it went.")
    made.add_argument("--check", default="", help="its ping address, or a UUID or slug  [HEARTFLY_PING_URL]")
    made.add_argument("--timeout", type=seconds, help="end the job after so long: 90s, 15m, 2h")
    made.add_argument("--kill-after", type=seconds, default=30.0, help="and kill it so much later  [30s]")
    made.add_argument("--lock", type=Path, help="a file that one job at a time may hold; another one does not run")
    made.add_argument("--mask", action="append", default=[], help="a text that is not sent; may be repeated")
    made.add_argument("--host", default=socket.gethostname(), help="its machine; empty: none is told  [its name]")
    made.add_argument("--spool", type=Path, help="where is kept what cannot be sent  [~/.local/state/heartfly-run]")
    made.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the job")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the job's exit status."""
    given = parser().parse_args(arguments)
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        parser().error("there is no command to run")
    url = address_of(given.check, os.environ)
    if url and given.host:  # in the address, so that any version of this reads what is kept for later
        url += f"{'&' if '?' in url else '?'}{urlencode({'host': given.host})}"
    state = Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"))  # noqa: PTH111 - never raises
    teller = Teller(url, Spool(given.spool or state / "heartfly-run")) if url else None
    if teller is None:
        say("no check is named (--check, HEARTFLY_PING_URL, HEARTFLY_URL): the job runs, and nobody is told")
    with contextlib.ExitStack() as held:
        if given.lock is not None and not _hold(given.lock, held):
            say(f"another job holds {given.lock}: this one does not run")
            if teller is not None:
                teller.end("log", f"not run: another job holds {given.lock}".encode())
            return BUSY
        return _run(given, command, teller)


def _run(given: argparse.Namespace, command: Sequence[str], teller: Teller | None) -> int:
    secrets = secrets_of(os.environ, given.mask)
    tail = Tail(TAIL_BYTES, max((len(one) for one in secrets), default=0))
    begun = time.monotonic()
    if teller is not None:
        teller.start()
    ended = run_job(command, timeout_s=given.timeout, kill_after_s=given.kill_after, tail=tail)
    if teller is not None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = {
            "duration_seconds": f"{time.monotonic() - begun:.3f}",
            "cpu_seconds": f"{used.ru_utime + used.ru_stime:.3f}",
            "max_rss_bytes": str(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)),
        }
        said = masked(tail.text(), secrets)[-TAIL_BYTES:]
        words = f"\n{ended.words}".encode() if ended.words else b""
        teller.end(str(min(ended.status, 255)), (said + words).lstrip(b"\n"), figures)
    return ended.status


def _hold(path: Path, held: contextlib.ExitStack) -> bool:
    """Let go of when the process ends, however it does."""
    try:
        handle = held.enter_context(path.open("a"))
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        say(f"{path} cannot be held ({error.strerror}): the job runs without")
    return True


if __name__ == "__main__":
    sys.exit(main())
