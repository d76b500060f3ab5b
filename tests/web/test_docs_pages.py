"""The documents and the reference in the browser: all of them, no link dead, and nothing that runs."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urldefrag, urljoin

import msgspec
import pytest

from heartfly.api.native import openapi
from heartfly.web.bookshelf import Bookshelf
from heartfly.web.markdown import document
from heartfly.web.reference import book
from tests.one_database import on_sqlite
from tests.web.browser import Browser
from tests.web.conftest import Town

SHELF = Bookshelf("")
TAGS = [tag.name for tag in book()]
PATHS = [
    "/docs",
    "/docs/reference",
    *(f"/docs/{name}" for name in SHELF.names),
    *(f"/docs/reference/{t}" for t in TAGS),
]
"""Of all pages."""


def ids(page: str) -> list[str]:
    return re.findall(r'\sid="([^"]+)"', page)


def links(page: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'<(?:a|img)[^>]*\s(?:href|src)="([^"]*)"', page)]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@on_sqlite
@pytest.mark.anyio
async def test_every_document_is_shown_and_no_link_of_them_is_dead(town: Town) -> None:
    """Anybody may read them: none of it is about anyone."""
    found = {}
    for path in PATHS:
        reply = await town.nobody.get(path)
        page = reply.body.decode()
        assert 200 == reply.status, path
        assert 1 == len(re.findall(r"<h1[ >]", page)), path
        assert [] == re.findall(r"<[^>]*\s(?:style|on\w+)=|<script(?! type=\"module\" src=)|<!--", page), path
        assert len(ids(page)) == len(set(ids(page))), path
        assert page.rstrip().endswith("</html>"), path
        found[path] = page

    dead = set()
    for path, page in found.items():
        for target in links(page):
            whole, anchor = urldefrag(urljoin(path, target))
            if re.match(r"https?:", whole) or whole.startswith(("/static/", "/sign-in", "/v1/")) or whole == "/":
                continue
            other = found.get(whole)
            if other is None:
                is_image = whole.startswith("/docs/images/") and 200 == (await town.nobody.get(whole)).status
                if not is_image:
                    dead.add((path, target))
            elif anchor and anchor not in ids(other):
                dead.add((path, target))
    assert set() == dead


@pytest.mark.anyio
async def test_headings_are_found_by_their_words(town: Town) -> None:
    found = (await town.nobody.get("/docs?q=READY+not")).body.decode()
    nothing = (await town.nobody.get("/docs?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E")).body.decode()

    assert '<a href="/docs/operations#ready-or-not">Ready or not</a>' in found
    assert "1 heading<" in found
    assert "No heading has these words" in nothing
    assert "<script>alert" not in nothing


@pytest.mark.anyio
async def test_what_is_no_document_is_not_there(town: Town) -> None:
    for path in (
        "/docs/nothing", "/docs/decisions/nothing", "/docs/images/nothing.png", "/docs/images/..%2Finstall.md",
        "/docs/reference/nothing", "/docs/..", "/docs/%2E%2E%2Fpyproject",
    ):  # fmt: skip
        assert 404 == (await town.nobody.get(path)).status, path


@pytest.mark.anyio
async def test_the_reference_tells_every_route_with_an_example(town: Town) -> None:
    told = msgspec.json.decode(openapi())
    pages = {tag: (await town.nobody.get(f"/docs/reference/{tag}")).body.decode() for tag in TAGS}
    overview = (await town.nobody.get("/docs/reference")).body.decode()
    browser: Browser = town.nobody

    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            page = pages[operation["tags"][0]]
            where = re.search(
                rf'<section class="route" aria-labelledby="{operation["operationId"]}">.*?</section>', page, re.DOTALL
            )
            assert where is not None, (method, path)
            shown = unescape(where[0])
            assert f'<span class="verb">{method.upper()}</span> {path}<' in shown
            for parameter in operation.get("parameters", ()):
                assert f"<code>{parameter['name']}</code>" in shown, (method, path, parameter["name"])
            for status in operation["responses"]:
                assert f"<td>{status} " in shown
            example = re.search(r"<code>(curl .*?)</code></pre>", shown, re.DOTALL)
            assert example is not None
            assert f"http://beat.example.org{path}" in example[1]
            assert ("-d '" in example[1]) == bool(operation.get("requestBody", {}).get("required"))
            assert f"{method.upper()} {path}<" in unescape(overview)
    assert browser.cookies == {}


def test_a_shape_is_told_with_what_it_is_made_of() -> None:
    (checks,) = [tag for tag in book() if tag.name == "checks"]
    shapes = {shape.name: shape for shape in checks.shapes}
    fields = {field.name: field for field in shapes["CheckIn"].fields}
    create = next(one for one in checks.operations if one.id == "create_check")
    limit = next(
        field
        for one in checks.operations
        if one.id == "list_checks"
        for field in one.parameters
        if field.name == "limit"
    )

    assert ("list of text", "") == (fields["tags"].kind, fields["tags"].shape)
    assert ("list of text or GateIn", "GateIn") == (fields["gates"].kind, fields["gates"].shape)
    assert "whole number or null" == fields["max_run"].kind
    assert "instant or null" == fields["first_ping_by"].kind
    assert {"ScheduleIn", "GateIn", "Problem", "FieldError"} <= set(shapes)
    assert ("up" in shapes["Status"].words, ()) == (True, tuple(shapes["Status"].fields))
    assert ("CheckIn", True) == (create.body, create.example.startswith("-d '{"))
    assert ("query", "whole number (at least 1, at most 1000)") == (limit.place, limit.kind)


def test_markdown_is_shown_as_the_pages_allow() -> None:
    made = document(
        "# A title\n<!-- run -->\n## One `two`, three!\n\n<b>no</b> [x](other.md#a) [y](javascript:alert(1))\n\n"
        "|a|b|\n|---|--:|\n|1|<i>2|\n\n```sh\necho '<hi>'\n```\n\n    inset & in\n\n## One `two`, three!\n",
        link=lambda target: target.upper(),
    )

    assert ("A title", ["a-title", "one-two-three", "one-two-three-1"]) == (
        made.title, [heading.anchor for heading in made.headings],
    )  # fmt: skip
    assert "One two, three!" == made.headings[1].text
    assert "<h1" not in made.body
    assert "&lt;b&gt;no&lt;/b&gt;" in made.body
    assert '<a href="OTHER.MD#A">x</a>' in made.body
    assert "[y](javascript:alert(1))" in made.body  # no link at all
    assert '<th class="num">b</th>' in made.body
    assert "style=" not in made.body
    assert "run" not in made.body
    assert "<code>echo &#x27;&lt;hi&gt;&#x27;\n</code></pre>" in made.body
    assert "<code>inset &amp; in\n</code></pre>" in made.body


def test_links_mean_the_same_behind_a_proxy_that_serves_us_under_a_path() -> None:
    made = Bookshelf("/beat").get("operations")

    assert made is not None
    assert 'href="/beat/docs/' in made.body
    assert 'href="/docs/' not in made.body
