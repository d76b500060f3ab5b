"""Which requests are sent: of each route that the application has, by its own tables, the nastiest that it can be sent.

A route that a table gained since has its cases by itself where its parameters tell what it takes; where a body must be
known, `lacking` names the route.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from heartfly.api import native
from heartfly.api.parameters import _parameters
from heartfly.web import pages
from tests.api.test_api_hostile_bodies import FIELDS
from tests.api.test_api_tenants import ROUTES as NATIVE
from tests.single import bodies, doors, nasty, whole
from tests.single.site import Case, Site
from tests.web.test_gates import FORMS as OF_GATES
from tests.web.test_gates import PAGES
from tests.web.test_who_may import ROUTES as OF_PAGES

Route = tuple[str, str]
_HOLE = "\x01hole\x01"
_AS_JSON = {"Content-Type": "application/json"}
_AS_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_LAST = ("DELETE",)
_ENDS = re.compile(r"/(sign-out|delete|erase|leave|remove|revoke|revoke-others|archive|cancel|rotate.*|off)$")


def routes_of(framework: Litestar) -> dict[Route, frozenset[str]]:
    """With the names of what stands in their queries."""
    return {
        (method, re.sub(r":\w+}", "}", route.path)): _parameters(handler)
        for route in framework.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }


def all_routes() -> set[Route]:
    """Of every door."""
    return {*routes_of(native._framework()), *routes_of(pages._framework()), *doors.routes()}


def cases(site: Site) -> Iterator[tuple[Route, Iterator[Case]]]:
    """By route; those last that take something away."""
    of_api, of_pages = routes_of(native._framework()), routes_of(pages._framework())
    of_doors = doors.cases(site)
    order = sorted({*of_api, *of_pages, *of_doors}, key=lambda route: (_is_last(route), route[1], route[0]))
    for route in order:
        found: list[Iterator[Case]] = []
        if route in of_api:
            found.append(_of_api(site, route, of_api[route]))
        if route in of_pages:
            found.append(_of_pages(site, route))
        yield route, chain(*found, *of_doors.get(route, ()))


def _is_last(route: Route) -> bool:
    return route[0] in _LAST or bool(_ENDS.search(route[1]))


def lacking() -> set[Route]:
    """Routes that take a body of which none is known here."""
    of_api = {route for route in routes_of(native._framework()) if route[0] in {"POST", "PUT", "PATCH"}}
    of_pages = {route for route in routes_of(pages._framework()) if route[0] == "POST"}
    return (of_api - {*NATIVE, *bodies.FOREIGN}) | (of_pages - {*OF_PAGES})


# --- the API, and other makers'


def _of_api(site: Site, route: Route, names: frozenset[str]) -> Iterator[Case]:
    method, template = route
    body = NATIVE[route][0] if route in NATIVE else bodies.FOREIGN.get(route)
    path, sent, headers = site.filled(template), b"", _AS_JSON
    if body is not None:
        body = _filled(site, body)
        sent = json.dumps(body).encode()
    if template.startswith(tuple(bodies.FORMS)):
        headers = _AS_FORM
        sent = _as_form(body).encode()
    yield Case("as it is", method, path, sent, headers)
    yield from _in_paths(site, method, template, sent, headers, by="key")
    yield from _in_queries(method, path, sorted(names), sent, headers)
    if body is None:
        return
    if headers is _AS_FORM:
        yield from _in_forms(method, path, [*_flat(body)], by="key")
        return
    for i, (text, _) in enumerate(FIELDS.get(route, ())):
        yield Case(f"hostile body {i}", method, path, text.encode(), headers)
    for what, query, raw in _large(route):
        yield Case(f"large: {what}", method, path + query, raw, headers)
    for i, one in enumerate((body, *whole.BODIES.get(route, ()))):
        told = f"whole {i}, " if i else ""
        if i:
            yield Case(f"{told}as it is", method, path, json.dumps(one).encode(), headers)
        for name, make in in_json(one, () if i else [(name,) for name in _properties(route)]):
            yield Case(told + name, method, path, make, headers)


@cache
def _large(of: Route) -> list[tuple[str, str, bytes]]:
    return [(what, query, raw) for route, what, query, raw in whole.large() if route == of]


def in_json(
    body: Any,
    more: Sequence[tuple[Any, ...]] = (),
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The body with each nasty value in the place of each of its values. `more`: places that it has not."""
    values = nasty.of_json()
    for where in dict.fromkeys((*leaves_of(body), *more)):
        holed = json.dumps(_with(body, where, _HOLE), ensure_ascii=False)
        for name, value in values.items():
            yield f"{_told(where)}: {name}", partial(_put, holed, value)
    for name, value in nasty.SHAPES.items():
        yield f"the body: {name}", partial(_put, value, "")


def _put(holed: str, value: str) -> bytes:
    return holed.replace(json.dumps(_HOLE, ensure_ascii=False), value).encode("utf-8", "surrogatepass")


def _filled(site: Site, body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _filled(site, one) for name, one in body.items()}
    if isinstance(body, list):
        return [_filled(site, one) for one in body]
    if isinstance(body, str) and body.startswith("{") and body[1:-1] in site.ids:
        return site.ids[body[1:-1]]
    return body


def leaves_of(body: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value stands, and where something stands that holds values: each is put in the place of each."""
    if at:
        yield at
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, one in inner:
        yield from leaves_of(one, (*at, name))


def _with(body: Any, where: tuple[Any, ...], value: Any) -> Any:
    if not where:
        return value
    first, rest = where[0], where[1:]
    if isinstance(body, list):
        return [_with(one, rest, value) if i == first else one for i, one in enumerate(body)]
    held = body if isinstance(body, dict) else {}
    return {**held, first: _with(held.get(first), rest, value)}


def _told(where: tuple[Any, ...]) -> str:
    return ".".join(map(str, where))


_document: dict[str, Any] = {}


def _properties(route: Route) -> Iterator[str]:
    """The fields that the schema knows, of the body of a route of the native API."""
    if not _document:
        _document.update(msgspec.json.decode(native.openapi()))
    operation = _document["paths"].get(route[1], {}).get(route[0].lower(), {})
    for told in operation.get("requestBody", {}).get("content", {}).values():
        yield from _fields(told["schema"])


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        schema = _document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield from schema.get("properties", {})
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _fields(one)


# --- what stands in addresses


def _in_paths(
    site: Site, method: str, template: str, body: bytes, headers: Mapping[str, str], *, by: str
) -> Iterator[Case]:
    for name in re.findall(r"{(\w+)}", template):
        if name == "project":
            continue
        for what, text in {**nasty.NUMBERS, **nasty.TIMES, **nasty.LONG_IN_QUERIES}.items():
            value = quote(text.encode("utf-8", "surrogatepass"), safe="")[: nasty.LINE]
            yield Case(f"{{{name}}}: {what}", method, site.filled(template, **{name: value}), body, headers, by)


def _in_queries(
    method: str,
    path: str,
    names: Sequence[str],
    body: bytes,
    headers: Mapping[str, str],
) -> Iterator[Case]:
    for name in names:
        for what, text in nasty.IN_QUERIES.items():
            value = _quoted(text)
            yield Case(f"?{name}={what}", method, f"{path}?{name}={value}", body, headers)
        for what, text in nasty.LONG_IN_QUERIES.items():
            yield Case(f"?{name}={what}, long", method, f"{path}?{name}={_quoted(text)}", body, headers)
        often = "&".join(f"{name}={n}" for n in range(600))
        yield Case(f"?{name} 600 times", method, f"{path}?{often}", body, headers)
    for name, query in nasty.RANGES.items():
        known = "&".join(f"{one}={_quoted(value)}" for one, value in query if one in names)
        if known:
            yield Case(f"range: {name}", method, f"{path}?{known}", body, headers)
    many = "&".join(f"n{n}=1" for n in range(1_500))
    yield Case("?many names", method, f"{path}?{many}", body, headers)


def _quoted(text: str) -> str:
    return quote_plus(text.encode("utf-8", "surrogatepass"))[: nasty.LINE]


# --- forms and pages


def _flat(body: Any, at: str = "") -> Iterator[tuple[str, str]]:
    for name, one in body.items():
        place = f"{at}[{name}]" if at else name
        if isinstance(one, dict):
            yield from _flat(one, place)
        else:
            yield place, str(one)


def _as_form(body: Any) -> str:
    return _encoded([*_flat(body)])


def _form(pairs: Sequence[tuple[str, str]]) -> bytes:
    return _encoded(pairs).encode()


def _encoded(pairs: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{quote_plus(name)}={quote_plus(value.encode('utf-8', 'surrogatepass'))}" for name, value in pairs)


def _in_forms(method: str, path: str, pairs: Sequence[tuple[str, str]], *, by: str) -> Iterator[Case]:
    for name in dict.fromkeys(name for name, _ in pairs):
        others = [(one, value) for one, value in pairs if one != name]
        for what, text in {**nasty.IN_QUERIES, **(nasty.FORM_TEXTS)}.items():
            yield Case(f"{name}={what}", method, path, partial(_form, [*others, (name, text)]), _AS_FORM, by)
    for what, form in nasty.FORMS.items():
        yield Case(f"the form: {what}", method, path, form, _AS_FORM, by)
    for what, (kind, form) in nasty.MULTIPART.items():
        yield Case(f"the form: {what}", method, path, form, {"Content-Type": kind}, by)


def _of_pages(site: Site, route: Route) -> Iterator[Case]:
    method, template = route
    path = site.filled(template)
    if method == "GET":
        for query in PAGES.get(template, ("",)):
            yield Case(f"as it is{query}", method, path + query, by="page")
        yield from _in_paths(site, method, template, b"", {}, by="page")
        names = nasty.NAMES_OF_PAGES
        for what, text in nasty.IN_QUERIES.items():
            value, start = _quoted(text), 0
            each = max(1, nasty.LINE // (len(value) + 12))
            while start < len(names):
                some = names[start : start + each]
                start += each
                query = "&".join(f"{name}={value}" for name in some)
                yield Case(f"?{','.join(some)}={what}", method, f"{path}?{query}", by="page")
        for name, asked in nasty.RANGES.items():
            query = "&".join(f"{one}={_quoted(value)}" for one, value in asked)
            yield Case(f"range: {name}", method, f"{path}?{query}", by="page")
        return
    known: dict[str, str] = dict(OF_PAGES[route].sent)
    for fields, _ in OF_GATES.get(template, ()):
        known |= fields
    pairs = [(name, site.filled(value) if value in {"{check}", "{slug}"} else value) for name, value in known.items()]
    yield Case("as it is", method, path, _encoded(pairs).encode(), _AS_FORM, "page")
    yield from _in_paths(site, method, template, _encoded(pairs).encode(), _AS_FORM, by="page")
    yield from _files(method, path) if template in _TAKES_FILES else ()
    pairs += [(name, "") for name in site.fields.get(path, ()) if name not in known]
    yield from _in_forms(method, path, pairs or [("x", "")], by="page")


_TAKES_FILES = {"/p/{project}/usage/backfills/{backfill}/events", "/p/{project}/status-pages/{page}/logo"}


def _files(method: str, path: str) -> Iterator[Case]:
    a_text = b'Content-Disposition: form-data; name="events"\r\nContent-Type: text/plain; charset='
    half = b"a" * 450_000
    for name, charset in {"Punycode": b"punycode", "IDNA": b"idna", "UTF-7": b"utf-7"}.items():
        kind, form = nasty.file_of(half + b"-" + half, a_text + charset)
        yield Case(f"a file's text by {name}", method, path, form, {"Content-Type": kind}, "page")
    for field in ("file", "logo"):
        head = b'Content-Disposition: form-data; name="%b"; filename="f"' % field.encode()
        for name, content in {**doors.BODIES, **doors.PICTURES}.items():
            kind, form = nasty.file_of(content, head)
            yield Case(f"{field}: {name}", method, path, form, {"Content-Type": kind}, "page")
