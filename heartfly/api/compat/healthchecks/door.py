"""Which call goes where, and what holds for all of them: the key, the body, what browsers may, how errors are told.

A body is JSON whatever the content type says, and is read before the key, which may stand in it. Every address is
the same with a slash at its end and without, and nobody is sent elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

import msgspec

from heartfly.accounts.guards import Bearer
from heartfly.accounts.keys import Scope as KeyScope
from heartfly.api import problems
from heartfly.api.compat.healthchecks import badges, checks, history, paths, watching
from heartfly.api.compat.healthchecks.asked import Access, Answer, Asked, Methods, SaidNoError, no, told
from heartfly.api.event_bodies import unpacked
from heartfly.api.ping import Receive, Scope, Send
from heartfly.api.state import ApiState
from heartfly.core.nesting import too_deep, too_many
from heartfly.errors import InvalidValueError, NotFoundError, UnauthenticatedError
from heartfly.public.badges import Badges

MOST_BYTES = 1024 * 1024
"""Of a body, and of what comes out of a packed one."""
MOST_VALUES = 50_000
"""In a body: whoever has no key yet costs no more than that. A check has some twenty."""


@dataclass(frozen=True, slots=True)
class Route:
    """`template`: the path as the log tells it. `cors`: whether pages of any origin may call it."""

    template: str
    pattern: re.Pattern[str]
    methods: Methods
    cors: bool = True


def _api(rest: str, methods: Methods, *, cors: bool = True) -> Route:
    """`rest`: of the path, after the version; `{check}` and `{n}` are parts."""
    pattern = re.escape(rest).replace(r"\{check\}", "(?P<check>[^/]+)").replace(r"\{n\}", "(?P<n>[^/]+)")
    return Route(f"/api/v{{version}}/{rest}", re.compile(rf"/api/v(?P<version>[123])/{pattern}/?"), methods, cors)


READ, WRITE, ANYBODY = Access.READ, Access.WRITE, Access.ANYBODY
ROUTES = (
    _api("checks", {"GET": (checks.list_checks, READ), "POST": (checks.create_check, WRITE)}),
    _api(
        "checks/{check}",
        {
            "GET": (checks.get_check, READ),
            "POST": (checks.update_check, WRITE),
            "DELETE": (checks.delete_check, WRITE),
        },
    ),
    _api("checks/{check}/pause", {"POST": (checks.pause_check, WRITE)}),
    _api("checks/{check}/resume", {"POST": (checks.resume_check, WRITE)}),
    _api("checks/{check}/pings", {"GET": (history.list_pings, WRITE)}),
    _api("checks/{check}/pings/{n}/body", {"GET": (history.ping_body, WRITE)}),
    _api("checks/{check}/flips", {"GET": (history.list_flips, READ)}),
    _api("channels", {"GET": (checks.list_channels, WRITE)}),
    _api("badges", {"GET": (badges.list_badges, READ)}),
    _api("status", {"GET": (watching.read_status, ANYBODY)}, cors=False),
    _api("metrics", {"GET": (watching.read_metrics, ANYBODY)}, cors=False),
    Route("/b/{states}/{badge}", paths.OF_CHECK, {"GET": (badges.show_badge, ANYBODY)}, cors=False),
    Route("/badge/{key}/{badge}", paths.OF_TAG, {"GET": (badges.show_badge, ANYBODY)}, cors=False),
    Route(
        "/projects/{project}/metrics/{key}",
        paths.OF_PROJECT,
        {"GET": (watching.show_project, ANYBODY)},
        cors=False,
    ),
)
_NOWHERE = Route("", re.compile(""), {})


class HealthchecksDoor:
    def __init__(self, state: ApiState, guard: Bearer) -> None:
        self._state = state
        self._guard = guard
        self._badges = Badges(state.database, state.sealer, state.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route, parts = _route(scope["path"])
        scope["path_template"] = route.template
        try:
            answer = await self._answer(scope, receive, route, parts)
        except SaidNoError as refused:
            answer = refused.answer
        except NotFoundError:
            answer = told({"error": "not found"}, status=404)
        except InvalidValueError as error:
            answer = told({"error": str(error)}, status=400)
        except Exception as error:  # noqa: BLE001 - answered, and logged if nobody expected it, as the framework does
            problem, more = problems.of_error(error)
            answer = replace(told({"error": problem.detail}, status=problem.status), headers=more)
        await _tell(send, answer, _for_browsers(route, answer.headers))

    async def _answer(self, scope: Scope, receive: Receive, route: Route, parts: Mapping[str, str]) -> Answer:
        method = scope["method"]
        if route is _NOWHERE:
            raise no(404, "not found")
        if method == "OPTIONS" and route.cors:
            return Answer(status=204)
        # Who only wants the head of a badge gets it; of the API they answer that there is no such method.
        known = route.methods.get("GET" if method == "HEAD" and not route.cors else method)
        if known is None:
            return Answer(status=405, headers={"Allow": ", ".join(route.methods)})
        handler, access = known
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        raw = await _body(receive)
        asked = Asked(
            api=self._state,
            badges=self._badges,
            recognise=self._guard.recognise,
            version=int(parts.get("version", "3")),
            parts=parts,
            query=parse_qs(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True),
            headers=headers,
            body=_object(raw, headers.get("content-encoding", "")) if method == "POST" else {},
            remote=self._state.client_address(scope)[0],
        )
        if access is not Access.ANYBODY:
            asked = replace(asked, whose=await self._whose(scope, asked, access))
        return await handler(asked)

    async def _whose(self, scope: Scope, asked: Asked, access: Access) -> Any:
        secret = asked.headers.get("x-api-key") or asked.body.get("api_key")
        if not isinstance(secret, str) or not secret:
            raise no(401, "missing api key")
        try:
            caller = await self._guard.recognise(secret)
        except (UnauthenticatedError, UnicodeError) as error:
            raise no(401, "wrong api key") from error
        scope["auth"] = caller
        if (KeyScope.WRITE if access is Access.WRITE else KeyScope.READ) not in caller.scopes:
            raise no(401, "wrong api key")
        return caller


def _route(path: str) -> tuple[Route, Mapping[str, str]]:
    for route in ROUTES:
        if (found := route.pattern.fullmatch(path)) is not None:
            return route, {name: part for name, part in found.groupdict().items() if part is not None}
    return _NOWHERE, {}


def _object(raw: bytes, encoding: str) -> Mapping[str, Any]:
    content = unpacked(raw, encoding, most=MOST_BYTES)
    if not content:
        return {}
    if too_deep(content) or too_many(content, MOST_VALUES):
        raise no(400, "could not parse request body")
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError):  # ValueError: not UTF-8, or a number of 5,000 digits
        raise no(400, "could not parse request body") from None
    if not isinstance(found, dict):
        raise no(400, "json validation error: value is not an object")
    return found


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise no(400, "could not parse request body")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise no(413, "the body is larger than 1 MiB")
        if not message.get("more_body"):
            return b"".join(parts)


def _for_browsers(route: Route, given: Mapping[str, str]) -> dict[str, str]:
    if not route.cors:
        return dict(given)
    return {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Headers": "X-Api-Key",
        "Access-Control-Allow-Methods": ", ".join(route.methods),
        "Access-Control-Max-Age": "600",
        **given,
    }


async def _tell(send: Send, answer: Answer, more: Mapping[str, str]) -> None:
    headers = dict(more)
    if answer.status != 204:
        headers |= {"Content-Length": str(len(answer.body)), "Content-Type": answer.media_type}
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": fields})
    await send({"type": "http.response.body", "body": answer.body})
