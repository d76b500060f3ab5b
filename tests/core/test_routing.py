"""Which endpoint a request counts for."""

from __future__ import annotations

import pytest

from heartfly.core.paths import rules_of
from heartfly.core.routing import MOST_CHARACTERS, Router

RULES = Router(rules_of(["/users/{name}", "sku-* {sku}"]))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (("GET", "/users/{id}", "/users/17", None), "GET /users/{id}"),
        (("GET", None, "/users/17", None), "GET /users/{id}"),
        (("GET", "/any", None, None), "GET /any"),
        ((None, None, None, None), "- -"),
        (("", "/a", "/a", None), "- /a"),
    ],
)
def test_without_rules_a_route_is_what_the_event_says(told: tuple[str | None, ...], expected: str) -> None:
    assert expected == Router().endpoint(*told)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (("GET", "/users/ada", "/users/ada", None), "GET /users/{name}"),
        (("GET", "/users/{id}", "/users/17", None), "GET /users/{name}"),
        (("GET", "/p/sku-x7", "/p/sku-x7", None), "GET /p/{sku}"),
        (("GET", "/old/{rule}", "/p/sku-x7", "1-abcd"), "GET /p/{sku}"),
        (("GET", "/users/:name", "/users/ada", None), "GET /users/:name"),
        (("GET", "/{rest:path}", "/p/sku-x7", None), "GET /{rest:path}"),
        (("GET", "/users/ada", None, None), "GET /users/ada"),
        (("GET", None, "/users/ada", None), "GET /users/{name}"),
    ],
)
def test_by_rules_a_route_is_made_of_the_path_but_a_frameworks_stays(
    told: tuple[str | None, ...], expected: str
) -> None:
    assert expected == RULES.endpoint(*told)


def test_an_endpoint_has_so_many_characters() -> None:
    assert MOST_CHARACTERS == len(Router().endpoint("GET", "/" + "a" * 1_000, None, None))


def test_a_method_is_the_same_however_it_is_written() -> None:
    assert "GET /a" == Router().endpoint("get", "/a", None, None)
    assert "GET /users/{name}" == RULES.endpoint("Get", None, "/users/ada", None)
