"""The page in the place of one that could not be had: what is the matter, what to do about it, and the request's id.

The same id is in the answer's head (`X-Request-Id`) and in each line that the request left in the log. Which error is
which answer is decided in api/problems.py, for pages and programs alike.
"""

from __future__ import annotations

import secrets
from typing import Any, cast
from urllib.parse import quote

from litestar import Request, Response

from heartfly.api import problems
from heartfly.web.request import HTML, REQUEST_ID, REQUIRED, STATE, FactorNeededError, SignInNeededError
from heartfly.web.state import WebState

_READING = frozenset({"GET", "HEAD"})
_ADVICE = {
    400: "Go back, and open the page anew.",
    403: "Go back. If you think that you should be allowed to, ask one of the project’s owners to change your role.",
    404: "Look for a slip in the address. What was here may have been deleted or moved, or be in a project that you "
    "are not a member of.",
    405: "Go back, and use the page’s own buttons.",
    413: "Go back, and send less.",
    422: "Go back, and correct it.",
    429: "Wait a little, then try again.",
    500: "Try once more. If it stays so, tell whoever runs this Heartfly, with the request’s id: the log says more "
    "under it.",
    503: "Try again in a little while. If it stays so, tell whoever runs this Heartfly, with the request’s id.",
}
_CHANGED = "Go back, open the page anew to see how it is now, and do it again if it is still wanted."


def new_request_id() -> str:
    """Says nothing of who asked for what; no two are alike."""
    return secrets.token_hex(8)


def wrong(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The page for any exception. The framework's exception handler for all pages."""
    scope = cast("dict[str, Any]", request.scope)
    state: WebState = scope[STATE]
    if isinstance(error, SignInNeededError | FactorNeededError):
        there = "/sign-in" if isinstance(error, SignInNeededError) else REQUIRED
        asked = f"?next={quote(error.path, safe='')}" if error.path else ""
        return Response(b"", status_code=303, headers={"Location": f"{state.root}{there}{asked}"}, media_type=HTML)
    told = problems.answer(request, error)
    problem = told.content
    headers = {name: value for name, value in told.headers.items() if name.lower() != "www-authenticate"}
    context = {
        "me": scope.get("web_session"),
        "is_bound": scope.get("web_bound") is not None,
        "project": scope.get("web_project"),
        "projects": scope.get("web_memberships", []),
        "form_token": "",
        "path": "",
        "problem": problem,
        "detail": problem.detail[:1].upper() + problem.detail[1:],
        "request_id": scope[REQUEST_ID],
        "is_sent": scope["method"] not in _READING,
        "advice": _ADVICE.get(problem.status, _CHANGED),
        "wait_s": headers.get("Retry-After", ""),
    }
    return Response(
        state.renderer.now("error.html", context), status_code=problem.status, media_type=HTML, headers=headers
    )
