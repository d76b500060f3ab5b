"""Middleware for WSGI: Flask, Django, Pyramid, Bottle. The same records as the twin for ASGI."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from heartfly_client.recorder.record import Record, text_of
from heartfly_client.recorder.recorder import Recorder

Environ = dict[str, Any]


class WSGIRecorder:
    def __init__(
        self,
        app: Callable[[Environ, Any], Iterable[bytes]],
        recorder: Recorder,
        *,
        customer: Callable[[Environ], str | None] | None = None,
        template: Callable[[Environ], str | None] | None = None,
        customer_header: str = "",
        key_header: str = "authorization",
        request_id_header: str = "x-request-id",
    ) -> None:
        """`customer` and `template` are asked once the request is answered; WSGI has no place for a route."""
        self.app = app
        self._recorder = recorder
        self._customer = customer
        self._template = template
        self._headers = tuple(
            f"HTTP_{header.upper().replace('-', '_')}" for header in (key_header, request_id_header, customer_header)
        )

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        one = _One(self, environ)

        def started(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            one.status = status
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        source = environ.get("wsgi.input")
        if source is not None:
            one.source = environ["wsgi.input"] = _Counted(source)
        try:
            one.body = self.app(environ, started)
        except Exception:
            one.status = one.status or "500"
            one.end()
            raise
        return one

    def record(self, one: _One) -> None:
        environ = one.environ
        try:
            key, request_id, customer = (environ.get(name) for name in self._headers)
            if self._customer is not None:
                customer = text_of(self._customer(environ)) or customer
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            self._recorder.record(Record(
                one.at, time.perf_counter_ns() - one.begun, environ["REQUEST_METHOD"],
                path.encode("latin-1", "replace").decode("utf-8", "replace"),
                text_of(self._template(environ)) if self._template is not None else None,
                int(one.status[:3]) if one.status else None,
                one.source.n if one.source is not None else 0, one.n_out, environ.get("REMOTE_ADDR"),
                environ.get("HTTP_HOST"), environ.get("HTTP_USER_AGENT"), key, customer, request_id,
            ))  # fmt: skip
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a record, the request is not to know of it
            self._recorder.lost(error)


class _One:
    """An answer on its way: its record is made when the server closes it."""

    def __init__(self, owner: WSGIRecorder, environ: Environ) -> None:
        self._owner = owner
        self.environ = environ
        self.at, self.begun = time.time_ns(), time.perf_counter_ns()
        self.status = ""
        self.source: _Counted | None = None
        self.body: Iterable[bytes] = ()
        self.n_out = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.body:
            self.n_out += len(piece)
            yield piece

    def close(self) -> None:
        try:
            if hasattr(self.body, "close"):
                self.body.close()
        finally:
            self.end()

    def end(self) -> None:
        self._owner.record(self)


class _Counted:
    """The request's body as it is read."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.n = 0

    def read(self, *size: int) -> bytes:
        return self._taken(self._source.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._taken(self._source.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return list(map(self._taken, self._source.readlines(*hint)))

    def __iter__(self) -> Iterator[bytes]:
        for line in self._source:
            yield self._taken(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def _taken(self, piece: bytes) -> bytes:
        self.n += len(piece)
        return piece
