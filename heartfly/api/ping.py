"""The ping door: a small raw ASGI handler, before the framework's routing.

Forms (each also at the root, where the first segment is a UUID or a ping key):

    /ping/<uuid>[/start|fail|log|<exit status>]
    /ping/<ping key>/<slug>[/start|fail|log|<exit status>]     ?create=1

`?rid=` names the run, `?ago=` says how many seconds ago it was when it could not be sent, `?took=` how long it ran,
`?host=` on which machine.

Answers are those of Healthchecks, whose clients rely on them; a body is never refused, it is cut.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from heartfly.core import coverage
from heartfly.core import metrics as figures
from heartfly.core.causes import LONGEST_HOST
from heartfly.core.words import PingKind
from heartfly.errors import HeartflyError, InvalidValueError, OverloadedError, StoreError, run_out
from heartfly.logs import line, logger
from heartfly.pings.ingest import Ingest
from heartfly.pings.request import END_BYTES, OLDEST, BySlug, ByUuid, PingOutcome, PingRequest, Target
from heartfly.sealing import digest

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
ClientAddress = Callable[[Scope], tuple[str, str]]

log = logger("heartfly.ping")

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_PING_KEY = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
_SLUG = re.compile(r"[a-z0-9_-]{1,100}", re.ASCII)
_ACTIONS = {
    "": PingKind.SUCCESS,
    "start": PingKind.START,
    "progress": PingKind.PROGRESS,
    "fail": PingKind.FAIL,
    "log": PingKind.LOG,
}
_SECONDS = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)
_METHODS = {"GET", "HEAD", "POST"}
WHOLE = "heartfly.response.whole"
"""An answer in one message, where the server offers it (server/exchange.py)."""
CLIENT_AT = "heartfly.client_at"
"""In the scope: when a client's own clock said that it was. It is kept, and counts nothing."""
_NO_BODY = (b"", b"", 0)


class _RefusedError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Address:
    """What a path asks for."""

    target: Target
    kind: PingKind
    exit_status: int | None


class _Answer:
    """What is said so often that it is worded once: as parts, and whole for our own server."""

    def __init__(self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        fields = written(_fields(status, body, headers))
        self.whole = {"type": WHOLE, "status": status, "fields": fields, "body": body}


def written(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """As they stand in an answer. Nobody looks at them again: no value may be anybody's word."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def is_ping(path: str) -> bool:
    """Whether a path belongs to this door: under /ping/, or at the root with a UUID or a ping key first."""
    if path.startswith("/ping/"):
        return True
    first = path[1:].partition("/")[0]
    return len(first) in {22, 36} and bool(_UUID.fullmatch(first) or _PING_KEY.fullmatch(first))


class PingDoor:
    def __init__(
        self,
        ingest: Ingest,
        *,
        max_body: int,
        client_address: ClientAddress,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`count` is told what became of each."""
        self._ingest = ingest
        self._count = count
        self._max_body = max_body
        self._client_address = client_address
        kept = (
            (b"ping-body-limit", str(max_body).encode()),
            (b"access-control-allow-origin", b"*"),
            (b"cache-control", b"no-store"),
        )
        self._answers = {
            PingOutcome.OK: _Answer(200, b"OK", kept),
            PingOutcome.SPOOLED: _Answer(200, b"OK", kept),
            PingOutcome.LIMITED: _Answer(200, b"OK (rate-limited)", kept),
            PingOutcome.CREATED: _Answer(201, b"Created", kept),
            PingOutcome.NOT_FOUND: _Answer(404, b"not found"),
            PingOutcome.AMBIGUOUS: _Answer(409, b"ambiguous slug"),
            PingOutcome.FULL: _Answer(409, b"the project has as many checks as limits.checks allows"),
            PingOutcome.TOO_MANY: _Answer(
                429, b"more new checks than limits.new_checks_per_minute allows", ((b"retry-after", b"60"),)
            ),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method not in _METHODS:
            await self._preflight(method, send)
            return
        try:
            address = _parse(scope["path"], scope["query_string"])
        except _RefusedError as refused:
            self._count("bad_request")
            _log_refused(refused.status, refused.text, method)
            await _answer(send, refused.status, refused.text.encode())
            return
        seq, received_at = self._ingest.arrived(address.target)
        try:
            body, end, size = _NO_BODY if method == "GET" and not _has_body(scope) else await self._body(receive)
            query = parse_qs(scope["query_string"].decode("latin-1")) if scope["query_string"] else {}
            remote, scheme = self._client_address(scope)
            request = PingRequest(
                target=address.target,
                kind=address.kind,
                received_at=received_at,
                seq=seq,
                exit_status=address.exit_status,
                rid=_rid(query),
                host=_host(query["host"][0]) if "host" in query else "",
                method=method,
                scheme=scheme,
                remote=remote,
                agent=_agent(scope),
                body=body,
                body_end=end,
                body_size=size,
                client_at=scope.get(CLIENT_AT),
                happened_at=received_at - _seconds(query, "ago") if "ago" in query else None,
                took=_seconds(query, "took") if "took" in query else None,
                metrics=figures.of_query(query["metric"]) if "metric" in query else {},
                covers=coverage.of_query(query),
            )
            result = await self._ingest.submit(request)
        except _RefusedError as refused:
            self._count("bad_request")
            _log_refused(refused.status, refused.text, method)
            await _answer(send, refused.status, refused.text.encode())
        except InvalidValueError as error:
            self._count("bad_request")
            _log_refused(400, str(error), method)
            await _answer(send, 400, str(error).encode())
        except OverloadedError as error:
            self._come_again(error, method, received_at)
            await _answer(send, 503, b"try again later", [(b"retry-after", str(error.retry_after).encode())])
        except StoreError as error:
            self._come_again(error, method, received_at)
            await _answer(send, 503, b"try again later", [(b"retry-after", b"30")])
        except Exception as error:  # the log is told; the client hears that nothing was stored, and tries again
            if (without := run_out(error)) is not None:
                self._come_again(without, method, received_at)
                await _answer(send, 503, b"try again later", [(b"retry-after", str(without.retry_after).encode())])
                return
            # No blind interval comes of it: a ping that meets a fault of ours must not excuse all other checks.
            self._count("failed")
            log.exception("ping", error=repr(error))
            await _answer(send, 500, b"nothing was stored")
        else:
            self._count(result.outcome.value)
            await self._tell(result.outcome, scope, send)
        finally:
            self._ingest.gone(seq)

    def _come_again(self, error: HeartflyError, method: str, received_at: datetime) -> None:
        """It is we who could not store it, so its silence is not the job's."""
        self._count("refused")
        self._ingest.refused(received_at)
        _log_refused(503, str(error), method)

    async def _tell(self, outcome: PingOutcome, scope: Scope, send: Send) -> None:
        said = self._answers[outcome]
        if "extensions" in scope and WHOLE in scope["extensions"]:
            await send(said.whole)
        else:
            await _answer(send, said.status, said.body, said.headers)

    async def _preflight(self, method: str, send: Send) -> None:
        """A browser asks whether it may ping; that is no ping."""
        allow = [(b"allow", b"GET, HEAD, POST, OPTIONS")]
        if method == "OPTIONS":
            cors = [
                (b"access-control-allow-origin", b"*"),
                (b"access-control-allow-methods", b"GET, HEAD, POST"),
                (b"access-control-allow-headers", b"*"),
                (b"access-control-max-age", b"86400"),
            ]
            await _answer(send, 204, b"", [*allow, *cors])
        else:
            await _answer(send, 405, b"method not allowed", allow)

    async def _body(self, receive: Receive) -> tuple[bytes, bytes, int]:
        """The first bytes of the body, its last if there were more, and how many there were."""
        parts: list[bytes] = []
        size = kept = 0
        end = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _RefusedError(400, "the body did not arrive")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if chunk and kept < self._max_body:
                parts.append(chunk[: self._max_body - kept])
                kept += len(parts[-1])
            if size > kept:
                end = ((end or b"".join(parts)[-END_BYTES:]) + chunk[-(size - kept) :])[-END_BYTES:]
            if not message.get("more_body"):
                return b"".join(parts), end, size


def _log_refused(status: int, why: str, method: str) -> None:
    line("ping", outcome="refused", code=status, reason=why, method=method)


def _parse(path: str, query: bytes) -> Address:
    parts = path.removeprefix("/ping").strip("/").split("/")
    if _UUID.fullmatch(parts[0]):
        target: Target = ByUuid(parts[0].lower())
        rest = parts[1:]
    elif _PING_KEY.fullmatch(parts[0]) and len(parts) > 1:
        if not _SLUG.fullmatch(parts[1]):
            raise _RefusedError(400, "invalid url format")
        create = b"create=1" in query.split(b"&")
        target = BySlug(digest(parts[0]), parts[1], create)
        rest = parts[2:]
    else:
        raise _RefusedError(404, "not found")
    if len(rest) > 1:
        raise _RefusedError(404, "not found")
    action = rest[0] if rest else ""
    if action in _ACTIONS:
        return Address(target, _ACTIONS[action], None)
    if action.isascii() and action.isdigit():
        if len(action) > 3 or int(action) > 255:
            raise _RefusedError(400, "invalid url format")
        status = int(action)
        return Address(target, PingKind.FAIL if status else PingKind.SUCCESS, status)
    raise _RefusedError(404, "not found")


def _rid(query: dict[str, list[str]]) -> str | None:
    if "rid" not in query:
        return None
    rid = query["rid"][0]
    if not _UUID.fullmatch(rid):
        raise _RefusedError(400, "invalid uuid format")
    return rid.lower()


def _host(said: str) -> str:
    """As far as it can be shown: no signal is refused for the name of a machine."""
    return "".join(char for char in said if char.isprintable()).strip()[:LONGEST_HOST]


def _seconds(query: dict[str, list[str]], name: str) -> timedelta:
    """How long something was is believed; what a clock elsewhere says the time is counts nothing."""
    told = query[name][0]
    if not _SECONDS.fullmatch(told) or float(told) > OLDEST.total_seconds():
        raise _RefusedError(400, f"{name}: must be 0 to {OLDEST.total_seconds():.0f} seconds")
    return timedelta(seconds=float(told))


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


def _agent(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"user-agent":
            text: str = value[:200].decode("latin-1").replace("\x00", "")
            return text
    return ""


def _fields(status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> list[tuple[bytes, bytes]]:
    """A new list each time: whoever handles an answer later may add to it in place."""
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    kind = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    return [*kind, *length, *headers]


async def _answer(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _fields(status, body, headers)})
    await send({"type": "http.response.body", "body": body})
