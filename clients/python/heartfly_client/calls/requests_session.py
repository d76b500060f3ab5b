"""A session of `requests`, or of what has the same `send`: each request of it is told of."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from heartfly_client.calls.bodies import Body
from heartfly_client.calls.http import head_of, hear, may_name_model, model_sent
from heartfly_client.sender.times import RealTime

if TYPE_CHECKING:
    from heartfly_client.calls.call import Call
    from heartfly_client.calls.calls import Calls

Session = TypeVar("Session")
_is_inside: ContextVar[bool] = ContextVar("heartfly_calls_requests", default=False)


def listening(calls: Calls, session: Session, *, key: str) -> Session:
    """The same session, whose `send` tells of what it sends. Redirects are part of the request that led to them."""
    send: Callable[..., Any] = session.send  # type: ignore[attr-defined]

    def sent(request: Any, **options: Any) -> Any:
        if _is_inside.get():
            return send(request, **options)
        call, joined = None, False
        try:
            parts = urlsplit(request.url)
            call, joined = calls.asked(parts.hostname or "", parts.path or "/", key=key)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the request is not to know
            calls.lost(error)
        token = _is_inside.set(True)
        failed: BaseException | None = None
        answer: Any = None
        try:
            answer = send(request, **options)
        except BaseException as error:
            failed = error
            raise
        else:
            return answer
        finally:
            _is_inside.reset(token)
            if call is not None:
                _end(calls, call, request, answer, failed, joined=joined, is_streamed=bool(options.get("stream")))

    session.send = sent  # type: ignore[attr-defined]
    return session


def _end(
    calls: Calls,
    call: Call,
    request: Any,
    answer: Any,
    failed: BaseException | None,
    *,
    joined: bool,
    is_streamed: bool,
) -> None:
    try:
        body = None
        if answer is not None:
            head = head_of(answer.status_code, answer.headers.items())
            hear(call, head, RealTime().now())
            content = request.body.encode() if isinstance(request.body, str) else request.body
            if isinstance(content, bytes) and may_name_model(content, request.headers.get("content-type") or ""):
                call.asked_for(model_sent(content))
            if not is_streamed and Body.may_say(head.content_type):  # `send` has read it
                body = Body(head.content_type, "")
                body.add(answer.content)
        if failed is not None:
            call.error(failed)
        call.closed(body)
        if not joined:
            call.over()
    except Exception as error:  # noqa: BLE001 - the same
        calls.lost(error)
