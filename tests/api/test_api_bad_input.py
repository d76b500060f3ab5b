"""Hostile and broken requests: always a problem document of the 4xx kind, never a 5xx."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from heartfly.api.native import native_api
from heartfly.core.nesting import MAX_DEPTH, too_deep
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from tests.api.door import Door, House, Reply, state_of
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024

BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "white space": (b"  \n", 400),
    "no JSON": (b"name=x", 400),
    "half of it": (b'{"name": "x"', 400),
    "two of them": (b'{"name": "x"} {"name": "y"}', 400),
    "a list": (b"[]", 400),
    "null": (b"null", 400),
    "a text": (b'"x"', 400),
    "a number": (b"1e999999999", 400),
    "NaN": (b'{"name": "x", "grace": NaN}', 400),
    "no UTF-8": (b'{"name": "\xff\xfe"}', 400),
    "overlong UTF-8": (b'{"name": "\xc0\xaf"}', 400),
    "UTF-16": ('{"name": "x"}'.encode("utf-16"), 400),
    "a byte order mark": (b'\xef\xbb\xbf{"name": "x"}', 400),
    "half a surrogate pair": (rb'{"name": "\ud800"}', 400),
    "the wrong half": (rb'{"name": "\udc00"}', 400),
    "surrogate bytes": (b'{"name": "\xed\xa0\x80"}', 400),
    "40,000 lists": (b"[" * 40_000, 400),
    "40,000 lists, closed": (b"[" * 40_000 + b"]" * 40_000, 400),
    "40,000 objects": (b'{"a":' * 40_000, 400),
    "33 deep": (b'{"filters":' + b"[" * 32 + b"]" * 32 + b"}", 400),
    "5,000 digits": (b'{"name": "x", "grace": ' + b"9" * 5_000 + b"}", 422),
    "a huge exponent": (b'{"name": "x", "grace": 1e999999999}', 422),
    "a fraction": (b'{"name": "x", "grace": 0.5}', 422),
    "NUL": (rb'{"name": "a\u0000b"}', 422),
    "NUL as a byte": (b'{"name": "a\x00b"}', 400),
    "an unknown field": (b'{"name": "x", "nmae": "x"}', 422),
    "a field of a megabyte": (b'{"name": "x", "' + b"k" * (MIB - 100) + b'": 1}', 422),
    "a megabyte of quotes": (b'{"name": "' + b'\\"' * 500_000, 400),
    "a megabyte of brackets": (b"[" + b"[]," * 349_000 + b"[]]", 400),
    "more than a megabyte": (b'{"name": "' + b"x" * MIB + b'"}', 413),
}


def is_problem(reply: Reply) -> bool:
    told = reply.json
    return (
        reply.headers["content-type"] == "application/problem+json"
        and told["status"] == reply.status
        and {"type", "title", "status", "detail", "errors"} == set(told)
        and told["type"].startswith("urn:heartfly:problem:")
    )


async def test_bodies_that_cannot_be_are_refused_wherever_they_are_sent(house: House) -> None:
    check = (await house.full("POST", "/v1/checks", {"name": "x"})).json
    heard, slowest = {}, 0.0

    for name, (body, _) in BODIES.items():
        for method, path in (("POST", "/v1/checks"), ("PATCH", f"/v1/checks/{check['id']}")):
            began = time.process_time()
            reply = await house.full(method, path, body=body)
            slowest = max(slowest, time.process_time() - began)
            heard[name, method] = (reply.status, is_problem(reply))

    assert {(name, m): (status, True) for name, (_, status) in BODIES.items() for m in ("POST", "PATCH")} == heard
    assert 0.5 > slowest  # seconds of CPU; 0.05 where this was written
    assert [check] == (await house.full("GET", "/v1/checks")).json["items"]


async def test_a_length_that_lies_does_not_open_the_door_to_more(house: House) -> None:
    body = b'{"name": "' + b"x" * (2 * MIB) + b'"}'

    small = await house.full("POST", "/v1/checks", body=body, headers=[("Content-Length", "10")])
    large = await house.full("POST", "/v1/checks", body=b"{}", headers=[("Content-Length", "2000000")])

    assert (413, 413) == (small.status, large.status)


async def test_json_is_json_whatever_it_is_called(house: House) -> None:
    kinds = (
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "nonsense",
        "",
    )

    heard = [
        (await house.full("POST", "/v1/checks", {"name": kind or "none"}, headers=[("Content-Type", kind)])).status
        for kind in kinds
    ]

    assert [201] * len(kinds) == heard


async def test_queries_that_cannot_be_are_refused_by_name(house: House) -> None:
    queries = {
        "limit=0": "limit",
        "limit=1001": "limit",
        "limit=x": "limit",
        "limit=": "limit",
        "limit=" + "9" * 5000: "limit",
        "limit=1.5": "limit",
        "status=sideways": "status",
        "status=up&status=%00": "status",
        "tag=%00": "tag",
        "tag=a%0Ab": "tag",
        "q=%00": "q",
        "q=" + "x" * 201: "q",
        "slug=%00": "slug",
        "cursor=%00": "cursor",
        "cursor=": "cursor",
    }

    heard = {}
    for query in queries:
        reply = await house.full("GET", f"/v1/checks?{query}")
        assert (422, True) == (reply.status, is_problem(reply)), (query, reply.body)
        heard[query] = reply.fields[0]

    assert queries == heard


async def test_queries_that_are_only_odd_find_nothing(house: House) -> None:
    odd = ("q=%FF%FE", "tag=%ED%A0%80", "slug=%C0%AF", "q=%F0%9F%90%9B", "&&&=&", "=1", "q='%20OR%201=1--")

    for query in odd:
        assert (await house.full("GET", f"/v1/checks?{query}")).status in {200, 422}, query


async def test_a_parameter_that_is_not_known_is_refused_by_its_name(house: House) -> None:
    check = (await house.full("POST", "/v1/checks", {"name": "x"})).json
    asked = {
        "/v1/checks?stauts=down": "stauts",
        "/v1/checks?limit=1&Limit=1": "Limit",
        "/v1/checks?%00": "\x00",
        "/v1/checks?%": "%",
        "/v1/checks?" + "x" * 5000 + "=1": "x" * 100,
        f"/v1/checks/{check['id']}?verbose": "verbose",
        "/v1/notifications?in_state=failed": "in_state",
        "/v1/audit?of=check": "of",
        "/v1/checks?upsert=slug": "upsert",
    }

    for path, name in asked.items():
        reply = await house.full("GET", path)
        assert (400, True, [name]) == (reply.status, is_problem(reply), reply.fields), path
    posted = await house.full("POST", "/v1/checks?upsert=slug&dry_run=1", {"name": "y", "slug": "y"})
    assert (400, ["dry_run"]) == (posted.status, posted.fields)
    assert "known are upsert" in posted.json["detail"]
    assert 1 == len((await house.full("GET", "/v1/checks")).json["items"])
    assert 401 == (await house.nobody("GET", "/v1/checks?unknown=1")).status


async def test_ids_that_cannot_be_read_as_ids_that_are_not_there(house: House) -> None:
    missing = await house.full("GET", "/v1/checks/3f0f8f9e-6a1c-4a55-8d4c-111111111111")
    odd = (
        "x",
        "%00",
        "a\x00b",
        "1",
        "-1",
        "..",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "x" * 5000,
    )

    for one in odd:
        reply = await house.full("GET", f"/v1/checks/{one}/pings")
        assert (404, missing.json["title"]) == (reply.status, reply.json["title"]), one


async def test_addresses_and_methods_that_are_not_there_are_problems_too(house: House) -> None:
    nowhere = [await house.full("GET", path) for path in ("/", "/v1", "/v1/nothing", "/v1/checks/", "//v1//nothing")]
    wrong = await house.full("PUT", "/v1/checks", {"name": "x"})

    assert [404, 404, 404] == [reply.status for reply in nowhere[:3]]
    assert all(is_problem(reply) for reply in nowhere if reply.status != 200)
    assert (405, True, {"GET", "POST", "OPTIONS"}) == (
        wrong.status,
        is_problem(wrong),
        set(wrong.headers["allow"].split(", ")),
    )


async def test_every_answer_says_how_it_may_be_used(house: House) -> None:
    for reply in (
        await house.full("GET", "/v1/checks"),
        await house.nobody("GET", "/v1/checks"),
        await house.full("GET", "/nothing"),
        await house.full("POST", "/v1/checks", body=b"x"),
        await house.nobody("GET", "/v1/openapi.json"),
    ):
        assert ("nosniff", "no-store", "no-referrer", "default-src 'none'; frame-ancestors 'none'") == (
            reply.headers["x-content-type-options"],
            reply.headers["cache-control"],
            reply.headers["referrer-policy"],
            reply.headers["content-security-policy"],
        )
        assert "set-cookie" not in reply.headers


async def test_over_https_every_answer_demands_it_for_a_year(db: Database, clock: SimClock, ids: IdSource) -> None:
    here = state_of(db, clock, ids)
    there = replace(here, base_url="https://beat.example.org")
    answers = [await Door(native_api(each), "")("GET", "/v1/checks") for each in (here, there)]

    assert [None, "max-age=31536000"] == [each.headers.get("strict-transport-security") for each in answers]


async def test_a_question_about_the_head_gets_no_body(house: House) -> None:
    whole = await house.full("GET", "/v1/checks")

    head = await house.full("HEAD", "/v1/checks")

    assert (200, b"", str(len(whole.body))) == (head.status, head.body, head.headers["content-length"])


@pytest.mark.parametrize("n", [MAX_DEPTH, MAX_DEPTH + 1])
def test_depth_is_counted_outside_of_texts_only(n: int) -> None:
    text: Any = ']}[{\\"' * 10
    value = text
    for i in range(n):
        value = {text: value} if i % 2 else [value, text]

    assert (n > MAX_DEPTH) == too_deep(json.dumps(value).encode())


@pytest.mark.parametrize(
    "piece", [b'"', b'"\\', b"\\", b'\\"', b'"a",', b"[", b"[]{", b'{"', b'"[\\'], ids=lambda piece: piece.decode()
)
def test_no_body_takes_long_to_be_looked_at(piece: bytes) -> None:
    raw = (piece * 1_000_000)[:1_000_000]
    begun = time.process_time()

    too_deep(raw)

    # A MiB takes some 10 to 50 ms; a search that is quadratic takes an hour.
    assert 5 > time.process_time() - begun


def test_depth_is_counted_like_by_hand() -> None:
    def by_hand(raw: bytes) -> bool:
        depth = deepest = 0
        for byte in raw:
            depth += (byte in b"[{") - (byte in b"]}")
            deepest = max(deepest, depth)
        return deepest > MAX_DEPTH

    for shape in itertools.product(range(30, 36), range(1, 4)):
        raw = b"[" + b",".join([b"[" * shape[0] + b"]" * shape[0]] * shape[1]) + b"]"
        assert by_hand(raw) == too_deep(raw)
