"""What the doors that speak other makers' formats have in common: in, by the one road for events, and what went wrong.

Each wire makes its events into ours before anything looks at them; so what lies in the dead letter is ours, whatever
it came as. What is no event is told in the wire's own names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import MethodNotAllowedException, NotFoundException

from heartfly.api import problems
from heartfly.api.body import NotJsonError
from heartfly.api.event_bodies import MAX_BYTES, demand_few, events_of, is_large
from heartfly.api.problems import Problem
from heartfly.api.request import ApiRequest
from heartfly.core.events import written
from heartfly.usage.apply import Outcome, Told
from heartfly.usage.ingest import Unreadable
from heartfly.usage.sources import HEADER

Headers = dict[str, str]


async def body_of(request: ApiRequest) -> list[Any]:
    """What stands in the place of each event. As `events_in`."""
    return await events_of(await request.body(), encoding=_encoding(request))


async def object_of(request: ApiRequest, *, most: int = MAX_BYTES) -> dict[str, Any]:
    """The same, of a body that is one object. `most`: bytes of it. NotJsonError: it is none."""
    found = await events_of(await request.body(), encoding=_encoding(request), most=most)
    if len(found) != 1 or not isinstance(found[0], dict):
        raise NotJsonError("the body must be an object")
    return found[0]


async def take(request: ApiRequest, found: Sequence[Any], wire: str) -> list[Told]:
    """After the commit. Too many of them: InvalidValueError, nothing was stored."""
    demand_few(found)
    request.demand_pace(len(found))
    large = is_large(await request.body(), _encoding(request))
    source = request.headers.get(HEADER, "")
    return await request.api.events.take(request.caller.pid, found, wire=wire, source=source, beside=large)


def _encoding(request: ApiRequest) -> str:
    return request.headers.get("content-encoding", "")


def unfit(one: Any, reason: str) -> Unreadable:
    """Something that this wire says is none of its events."""
    return Unreadable(written(one).replace("\0", "").encode("utf-8", "replace").decode(), reason)


def what_is_wrong(told: Sequence[Told], names: Mapping[str, str], *, place: str) -> str | None:
    """The first that was rejected, with its place and its field as the wire calls it; None: none was."""
    bad = [(index, one) for index, one in enumerate(told) if one.outcome is Outcome.REJECTED]
    if not bad:
        return None
    index, first = bad[0]
    field = renamed(first.field, names)
    where = f"{place}[{index}]" + (f".{field}" if field else "")
    more = f" ({len(bad) - 1} more are wrong)" if len(bad) > 1 else ""
    return f"{where}: {first.reason}{more}; the other events of this request are kept"


def renamed(field: str, names: Mapping[str, str]) -> str:
    """`properties.size` as the wire says it. `names`: ours to theirs."""
    head, dot, rest = field.partition(".")
    return names.get(head, head) + dot + rest


Answer = Callable[[Request[Any, Any, Any], Exception], Response[Any]]


def refusals(
    worded: Callable[[Request[Any, Any, Any], Problem], tuple[Any, str, Headers]],
    declined: str = "",
    *,
    statuses: Mapping[int, int] = MappingProxyType({}),
) -> Answer:
    """An exception handler that tells what the API tells, in a wire's words: content, media type, more headers.

    `declined`: what is said of a call that the wire has and we have not, after its method and path. `statuses`: ours
    to those that the wire has in their place.
    """

    def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        told = problems.answer(request, error)
        problem = told.content
        if declined and isinstance(error, (NotFoundException, MethodNotAllowedException)):
            path = request.scope["path"].partition("/")[2].partition("/")[2]
            problem = problems.make(problem.status, f"{request.method} /{path[:200]} {declined}")
        problem = msgspec.structs.replace(problem, status=statuses.get(problem.status, problem.status))
        content, media_type, more = worded(request, problem)
        return Response(content, status_code=problem.status, media_type=media_type, headers=dict(told.headers) | more)

    return answer
