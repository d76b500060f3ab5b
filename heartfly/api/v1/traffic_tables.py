"""Answers about requests as JSON, as CSV that no spreadsheet runs, or as lines of JSON: as `Accept` or `format` say.

A table has the items only; how sure they are, and where the next page is, stands in its headers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar import Response

from heartfly.api.request import ApiRequest
from heartfly.api.v1.figures import NEXT, iso, plain
from heartfly.errors import InvalidValueError

Format = Literal["json", "csv", "ndjson"]
_FORMS: Mapping[str, Format] = {"json": "json", "csv": "csv", "ndjson": "ndjson"}
CSV, LINES = "text/csv", "application/x-ndjson"
STATE, UP_TO, PARTIAL = "Heartfly-State", "Heartfly-Complete-Up-To", "Heartfly-Partial"


def form_of(request: ApiRequest, form: str | None) -> Format:
    """`form`: as it was asked for; else JSON, if it is accepted at all. InvalidValueError."""
    if form is not None:
        if form not in _FORMS:
            raise InvalidValueError("format", f"must be one of {', '.join(_FORMS)}")
        return _FORMS[form]
    named = [one.partition(";")[0].strip().lower() for one in request.headers.get("accept", "").split(",")]
    if "application/json" in named:
        return "json"
    return "csv" if CSV in named else "ndjson" if LINES in named else "json"


def answered(answer: Any, form: Format) -> Response[Any]:
    """`answer`: with `items`, each of one shape, in the order of the columns."""
    if form == "json":
        return Response(answer)
    headers = headers_of(answer)
    if form == "ndjson":
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in answer.items)
        return Response(lines, media_type=LINES, headers=headers)
    return Response(_csv(answer.items, _columns(answer)), media_type=CSV, headers=headers)


def headers_of(answer: Any) -> Mapping[str, str]:
    found: dict[str, str] = {}
    if getattr(answer, "next", None) is not None:
        found[NEXT] = answer.next
    if hasattr(answer, "state"):
        found |= {STATE: answer.state, UP_TO: iso(answer.complete_up_to), PARTIAL: str(answer.partial).lower()}
    return found


def _columns(answer: Any) -> Sequence[str]:
    """Of the items' shape, also when there are none; what is no plain value has no column."""
    (of,) = (one.type for one in msgspec.structs.fields(type(answer)) if one.name == "items")
    shape = of.__args__[0]
    fields = [one.name for one in msgspec.structs.fields(shape) if one.name != "statuses"]
    first = [name for name in fields if name in _FIRST]
    return [*first, *(name for name in fields if name not in _FIRST)]


_FIRST = ("from_at", "to_at", "open", "key", "name", "share", "row", "column")
"""What an item is of stands before what it comes to."""


def _csv(items: Sequence[Any], columns: Sequence[str]) -> str:
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(columns)
    for one in items:
        rows.writerow([cell_of(getattr(one, name)) for name in columns])
    return written.getvalue()


def cell_of(value: Any) -> str:
    """Texts from outside that a spreadsheet would run begin with an apostrophe."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else plain(value) if isinstance(value, str) else str(value)


def demand_json(form: Format) -> None:
    if form != "json":
        raise InvalidValueError("format", "this answer is no table: it is told as json only")
