"""All pages as one ASGI application: its routes, and what holds for every one of them.

Headers that keep a browser from running, framing, storing or telling anything; bodies up to 64 KiB; errors that look
like the house; one log line a request, and an id that leads to it. What a page shows stands in the file that its
handler is in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, cast

from litestar import Litestar
from litestar.exceptions import HTTPException
from structlog.contextvars import bound_contextvars

from heartfly.errors import HeartflyError
from heartfly.logs import line
from heartfly.web import refresh
from heartfly.web.error_pages import new_request_id, wrong
from heartfly.web.request import REQUEST_ID, STATE, PageRequest, guard
from heartfly.web.routes import HANDLERS
from heartfly.web.state import WebState

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 64 * 1024
SEE_OTHER = 303
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"cache-control": b"no-store",
    # Not `no-referrer`: browsers then hide from us, too, where a form comes from.
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
_SIGN_IN = frozenset({"/sign-in", "/sign-in/2fa", "/sign-in/passkey"})
"""Who tries to get in: the log tells from where, so that tries can be counted."""
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def pages(state: WebState) -> Pages:
    return Pages(_framework(), state)


@cache
def _framework() -> Litestar:
    """The routes, alike for all who serve them: what they work on comes with each request (see request.py)."""
    return Litestar(
        route_handlers=list(HANDLERS),
        guards=[guard],
        request_class=PageRequest,
        request_max_body_size=MAX_BODY,
        exception_handlers={HeartflyError: wrong, HTTPException: wrong, Exception: wrong},
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


class Pages:
    """Around the framework: headers that every answer has, answers to HEAD, and the canonical line."""

    def __init__(self, framework: Litestar, state: WebState) -> None:
        self.framework = framework
        self._given: dict[str, Any] = {STATE: state}
        self._clock = state.api.clock
        self._instruments = state.api.instruments
        self._headers = _HEADERS | (dict([_HSTS]) if state.is_https else {})
        self._client_address = state.api.client_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, started, status = scope["method"], self._clock.monotonic(), 0
        is_head = method == "HEAD"
        request_id = new_request_id()
        asked = scope | self._given | {REQUEST_ID: request_id}
        asked |= {"method": "GET", "web_is_head": True} if is_head else {}
        again_s = refresh.seconds_in(scope["query_string"].decode("latin-1")) if method == "GET" else 0

        async def send_on(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # A list of its own for each answer: what is appended to a shared one is sent to the next caller.
                given = list(message["headers"])
                names = {name.lower() for name, _ in given}
                given += [(name, value) for name, value in self._headers.items() if name not in names]
                given.append((b"x-request-id", request_id.encode()))
                if (
                    again_s
                    and b"refresh" not in names
                    and status != SEE_OTHER
                    and (b"content-type", b"text/html; charset=utf-8") in given
                ):
                    given.append((b"refresh", str(again_s).encode()))
                message = {**message, "headers": given}
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # The framework spells the same ASGI shapes as typed dictionaries.
        application = cast("Application", self.framework)
        try:
            with bound_contextvars(request_id=request_id):
                await application(asked, receive, send_on)
        finally:
            took = self._clock.monotonic() - started
            session = asked.get("web_session") or asked.get("web_bound")
            project, route = asked.get("web_project"), asked.get("path_template", "")
            known = method if method in _METHODS else "other"
            if asked.get("web_stream"):
                self._instruments.requests.add(known, route, f"{status // 100}xx")
            else:
                self._instruments.request(known, route or "none", status, took)
            line(
                "page",
                method=method,
                route=route,
                status=status,
                took_ms=round(took * 1000, 3),
                request_id=request_id,
                user=str(session.user_id) if session is not None else "",
                project=project.slug if project is not None else "",
                **({"client": self._client_address(scope)[0]} if method == "POST" and route in _SIGN_IN else {}),
            )
