"""Which error is which answer: RFC 9457 problem documents, one mapping for the whole API.

Rooms raise what is wrong (errors.py) and know no HTTP; the framework raises its own. Both end here. An
error that nobody expected is logged with its traceback and told to the caller without any detail.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from sqlalchemy import exc as database_errors

from heartfly.api.body import NotJsonError, told
from heartfly.api.event_bodies import BodyTooLargeError
from heartfly.api.parameters import UnknownParameterError
from heartfly.errors import (
    ChangedMeanwhileError,
    ConflictError,
    ForbiddenError,
    HeartflyError,
    InvalidValueError,
    NotFoundError,
    OverloadedError,
    StoreError,
    TooManyRequestsError,
    UnauthenticatedError,
    run_out,
)
from heartfly.logs import logger

log = logger("heartfly.api")

MEDIA_TYPE = "application/problem+json"

_STATUS: tuple[tuple[type[HeartflyError], int], ...] = (
    # The first that fits counts, so what is more special stands before.
    (NotJsonError, 400),
    (UnknownParameterError, 400),
    (BodyTooLargeError, 413),
    (InvalidValueError, 422),
    (UnauthenticatedError, 401),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ChangedMeanwhileError, 412),
    (ConflictError, 409),
    (TooManyRequestsError, 429),
    (OverloadedError, 503),
    (StoreError, 503),
    (HeartflyError, 500),
)
TYPES = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    412: "changed-meanwhile",
    413: "too-large",
    422: "invalid-value",
    429: "too-many-requests",
    500: "internal-error",
    503: "overloaded",
}
_AWAY = (database_errors.OperationalError, database_errors.InterfaceError, database_errors.TimeoutError)


class FieldError(msgspec.Struct, frozen=True):
    """`field`: its path, such as `schedule.expression` or `tags[2]`, or the name of a query parameter."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Every answer of 400 and above, as `application/problem+json` (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


def told_as(*statuses: Literal[404, 409, 412, 413, 422]) -> dict[int, ResponseSpec]:
    """For the schema: the problems that a handler may answer with, besides those that every one may."""
    return {
        status: ResponseSpec(Problem, description=_phrase(status), media_type=MEDIA_TYPE, generate_examples=False)
        for status in sorted({400, 401, 403, 429, 500, 503, *statuses})
    }


def answer(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The answer for any exception. The framework's exception handler."""
    problem, headers = of_error(error)
    return Response(problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def of_error(error: Exception) -> tuple[Problem, dict[str, str]]:
    """And more headers of the answer. What nobody expected is logged."""
    problem, headers = _problem(error)
    if problem.status == 500:
        log.error("request", error=repr(error), exc_info=error)
    return problem, headers


def _problem(error: Exception) -> tuple[Problem, dict[str, str]]:
    if isinstance(error, HeartflyError):
        return _of_ours(error)
    if isinstance(error, ValidationException):
        return _of_validation(error), {}
    if isinstance(error, HTTPException):
        return _of_framework(error)
    if isinstance(error, _AWAY):
        log.warning("database", error=type(error).__name__, cause=str(error.__cause__ or "")[:300])
        return make(503, "the database is away; try again"), {"Retry-After": "5"}
    if (refused := run_out(error)) is not None:
        log.warning("memory", error=repr(error))
        return _of_ours(refused)
    return make(500, "something went wrong in Heartfly; it is in its log"), {}


def _of_ours(error: HeartflyError) -> tuple[Problem, dict[str, str]]:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if status == 500:
        return make(500, "something went wrong in Heartfly; it is in its log"), {}
    headers: dict[str, str] = {}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, OverloadedError):
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, StoreError):
        headers["Retry-After"] = "30"
    return make(status, _clean(str(error)), _fields(error)), headers


def _fields(error: HeartflyError) -> list[FieldError]:
    field = getattr(error, "field", "")
    if not field:
        return []
    if not isinstance(error, InvalidValueError):
        return [FieldError(_clean(field), _clean(str(error)))]
    return [FieldError(_clean(one.field), _clean(one.message)) for one in (error, *error.others)]


def _of_validation(error: ValidationException) -> Problem:
    """What the framework found wrong with a parameter, or that a body is missing."""
    extra = error.extra if isinstance(error.extra, list) else []
    errors = [FieldError(_parameter(one), told(_clean(str(one.get("message", ""))))) for one in extra]
    if any(one.field == "data" for one in errors):
        return make(400, "the body must be a JSON object")
    return make(422, "; ".join(f"{one.field}: {one.message}" for one in errors) or "a parameter is wrong", errors)


def _parameter(one: Any) -> str:
    """As the caller spelled it: the framework keeps the name `state` for itself, and so knows that one by another."""
    name = _clean(str(one.get("key", "")))
    return "state" if name == "in_state" else name


def _of_framework(error: HTTPException) -> tuple[Problem, dict[str, str]]:
    status = error.status_code if error.status_code in TYPES or error.status_code >= 500 else 400
    detail = {
        400: "the request cannot be understood",
        404: "there is nothing at this address",
        405: "this address does not take that method",
        413: "the body is larger than 1 MiB, or 4 MiB of events",
    }.get(status, "something went wrong in Heartfly; it is in its log")
    return make(status if status in TYPES else 500, detail), dict(error.headers or {})


def make(status: int, detail: str, errors: list[FieldError] | None = None) -> Problem:
    return Problem(
        type=f"urn:heartfly:problem:{TYPES[status]}",
        title=_phrase(status),
        status=status,
        detail=detail,
        errors=errors or [],
    )


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _clean(text: str) -> str:
    """What came from outside may hold half a surrogate pair, which no JSON can carry."""
    return re.sub(r"[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
