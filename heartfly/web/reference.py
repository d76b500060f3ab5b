"""The reference of the API, as pages: read from our own OpenAPI document, so that it tells what holds and no more."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response, get

from heartfly.api.native import openapi
from heartfly.errors import NotFoundError
from heartfly.web.request import FOR_ALL, PageRequest

_REF = "#/components/schemas/"
_EXAMPLES = {"date-time": "2026-03-02T01:30:00Z", "date": "2026-03-02", "uuid": "3f0f8f9e-6a1c-4a55-8d4c-0b7a1f2e9c11"}
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Field:
    """Of a shape, or a parameter. `shape`: the name of the one that it has, or has a list of; empty: none of ours."""

    name: str
    kind: str
    shape: str
    is_required: bool
    about: str
    place: str = ""
    """Of a parameter: path, query or header."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`words`: of one that is a choice of words, those; then it has no fields."""

    name: str
    about: str
    fields: Sequence[Field]
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    phrase: str
    kind: str
    shape: str


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    method: str
    path: str
    summary: str
    about: str
    parameters: Sequence[Field]
    body: str
    """The name of its shape; empty: none is sent."""
    answers: Sequence[Answer]
    example: str
    """What is sent, as curl has it after the address."""


@dataclass(frozen=True, slots=True)
class Tag:
    name: str
    operations: Sequence[Operation]
    shapes: Sequence[Shape]
    """All that its operations take and give, and what is in those."""


@get("/docs/reference", opt=FOR_ALL)
async def tags(request: PageRequest) -> Response[bytes]:
    return await request.page("reference.html", shelf=request.web.bookshelf, tags=book(), tag=None)


@get("/docs/reference/{tag:str}", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[bytes]:
    tag = next((one for one in book() if one.name == request.path_value("tag")), None)
    if tag is None:
        raise NotFoundError("the API has no such part; its contents are at /docs/reference")
    base_url = request.api.base_url
    return await request.page(
        "reference.html", shelf=request.web.bookshelf, tags=book(), tag=tag, base_url=base_url, quoted=shlex.quote
    )


@cache
def book() -> Sequence[Tag]:
    """In the order of the document."""
    told = msgspec.json.decode(openapi())
    shapes: Mapping[str, Any] = told["components"]["schemas"]
    found: dict[str, list[tuple[Operation, set[str]]]] = {}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            one = _operation(method.upper(), path, operation, shapes)
            found.setdefault(operation["tags"][0], []).append((one, set(_named(operation))))
    return [
        Tag(name, [one for one, _ in its], [_shape(each, shapes[each]) for each in _all(shapes, its)])
        for name, its in found.items()
    ]


def _operation(method: str, path: str, told: Mapping[str, Any], shapes: Mapping[str, Any]) -> Operation:
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return Operation(
        id=told["operationId"],
        method=method,
        path=path,
        summary=told["summary"],
        about=told.get("description", ""),
        parameters=[_parameter(one) for one in told.get("parameters", ())],
        body=_ref(body),
        answers=[_answer(status, one) for status, one in told["responses"].items()],
        example=_sent(body, shapes, is_needed=told.get("requestBody", {}).get("required", False)),
    )


def _parameter(told: Mapping[str, Any]) -> Field:
    schema = told["schema"]
    about = told.get("description", "")
    default = schema.get("default")
    if default not in (None, "") and str(default) not in about:
        about = f"{about} {json.dumps(default)} if not said.".strip()
    kind = _kind(schema).removesuffix(" or null").removesuffix(", null")  # in an address nothing is null
    return Field(told["name"], kind, _ref(schema), bool(told.get("required")), about, told["in"])


def _answer(status: str, told: Mapping[str, Any]) -> Answer:
    contents: Mapping[str, Mapping[str, Any]] = told.get("content", {})
    kind = next(iter(contents), "")
    content = contents.get(kind, {})
    return Answer(status, HTTPStatus(int(status)).phrase, kind, _ref(content.get("schema", {})))


def _shape(name: str, told: Mapping[str, Any]) -> Shape:
    needed = set(told.get("required", ()))
    fields = [
        Field(field, _kind(its), _ref(its), field in needed, its.get("description", ""))
        for field, its in told.get("properties", {}).items()
    ]
    return Shape(name, told.get("description", ""), fields, [str(word) for word in told.get("enum", ())])


def _kind(schema: Mapping[str, Any]) -> str:
    """In words: `text or null`, `list of CheckOut`, `one of slug, null`."""
    if "$ref" in schema:
        return _ref(schema)
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return " or ".join(dict.fromkeys(_kind(one) for one in schema[name]))
    if "enum" in schema:
        return "one of " + ", ".join("null" if one is None else str(one) for one in schema["enum"])
    kind: Any = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(_kind({**schema, "type": one}) for one in kind)
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(values := schema.get("additionalProperties"), dict) and values:
        return f"object of {_kind(values)}"
    bounds = [f"at least {schema['minimum']:g}"] if "minimum" in schema else []
    bounds += [f"at most {schema['maximum']:g}"] if "maximum" in schema else []
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    word: str = {"date-time": "instant", "date": "day"}.get(schema.get("format", ""), words.get(kind, kind))
    return word + (f" ({', '.join(bounds)})" if bounds else "")


def _ref(schema: Mapping[str, Any]) -> str:
    """The first shape of ours in it."""
    return next(_named(schema), "")


def _named(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        if "$ref" in told:
            yield told["$ref"].removeprefix(_REF)
        for value in told.values():
            yield from _named(value)
    elif isinstance(told, list):
        for value in told:
            yield from _named(value)


def _all(shapes: Mapping[str, Any], its: Sequence[tuple[Operation, set[str]]]) -> Sequence[str]:
    left, found = set[str]().union(*(named for _, named in its)), set[str]()
    while left:
        name = left.pop()
        found.add(name)
        left |= set(_named(shapes[name])) - found
    return sorted(found)


def _sent(schema: Mapping[str, Any], shapes: Mapping[str, Any], *, is_needed: bool) -> str:
    """A body that could be sent: what is required, or the first field if nothing is."""
    if not schema or not is_needed:
        return ""
    return f"-d {shlex.quote(json.dumps(_example(schema, shapes), ensure_ascii=False))}"


def _example(schema: Mapping[str, Any], shapes: Mapping[str, Any], depth: int = 0) -> Any:
    if "$ref" in schema:
        return _example(shapes[_ref(schema)], shapes, depth)
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return _example(schema[name][0], shapes, depth)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object" if depth < _DEEPEST:
            its: Mapping[str, Any] = schema.get("properties", {})
            told = schema.get("required") or list(its)[:1]
            return {name: _example(its[name], shapes, depth + 1) for name in told}
        case "array" if depth < _DEEPEST:
            return [_example(schema.get("items", {}), shapes, depth + 1)]
        case "array":
            return []
        case "integer" | "number":
            return int(schema.get("minimum", 60))
        case "boolean":
            return True
        case "object":
            return {}
        case _:
            return _EXAMPLES.get(schema.get("format", ""), "…")
