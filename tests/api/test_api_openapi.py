"""The schema at /v1/openapi.json is a sound OpenAPI 3.1 document, says how each route fails, and is true."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api.problems import TYPES
from heartfly.core.words import PingKind
from heartfly.db.models import jobs
from tests.api.conftest import START
from tests.api.door import House
from tests.api.failed import given_up
from tests.api.fired import an_alert
from tests.api.test_api_tenants import (
    BACKFILL,
    CHECK,
    EVENT,
    LIMIT,
    METER,
    METER_PRICE,
    PRICE,
    PUBLIC,
    ROUTES,
    a_job,
    people,
)

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).resolve().parents[2] / "docs" / "api.md"
TYPES_OF: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


@pytest.fixture
async def document(house: House) -> Any:
    reply = await house.nobody("GET", "/v1/openapi.json")
    assert (200, "application/json") == (reply.status, reply.headers["content-type"])
    return reply.json


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def inside(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inside(inner)


def fits(value: Any, schema: Any, document: Any) -> bool:
    """As JSON Schema has it, for the words that are used here; others fail the test that lists them."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return fits(value, document["components"]["schemas"][name], document)
    if any_of := schema.get("anyOf", schema.get("oneOf")):
        return any(fits(value, one, document) for one in any_of)
    if "enum" in schema:
        return value in schema["enum"]
    if schema.get("type") == "object":
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        return (
            isinstance(value, dict)
            and set(schema.get("required", ())) <= set(value)
            and all(
                fits(inner, known[name], document) if name in known else _other(inner, others, document)
                for name, inner in value.items()
            )
        )
    if schema.get("type") == "array":
        return isinstance(value, list) and all(fits(inner, schema["items"], document) for inner in value)
    if "type" not in schema:
        return True
    return isinstance(value, TYPES_OF[schema["type"]]) and (schema["type"] == "boolean" or not isinstance(value, bool))


def _other(value: Any, schema: Any, document: Any) -> bool:
    return schema if isinstance(schema, bool) else fits(value, schema, document)


async def test_it_names_every_route_and_no_other(document: Any) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert {"title", "version"} <= set(document["info"])
    assert set(ROUTES) == {(method, path) for method, path, _ in operations(document)}
    assert PUBLIC.isdisjoint(ROUTES)


async def test_every_reference_leads_somewhere(document: Any) -> None:
    named = {value["$ref"] for value in inside(document) if isinstance(value, dict) and "$ref" in value}

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set() == named - known
    assert set() == known - named, "shapes that nothing uses"


async def test_operations_are_named_once_and_declare_what_stands_in_their_path(document: Any) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(set(names)) == len(names)
    for _, path, operation in operations(document):
        declared = {one["name"]: one["required"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert dict.fromkeys(re.findall(r"\{(\w+)\}", path), True) == declared
        assert operation["summary"]
        assert [{"key": []}] == operation["security"]


async def test_every_operation_says_how_it_fails(document: Any) -> None:
    for method, path, operation in operations(document):
        failures = {status: told for status, told in operation["responses"].items() if status >= "400"}
        assert {"400", "401", "403", "429", "500", "503"} <= set(failures), path
        may_name: set[str] = {"/v1/notifications", "/v1/incidents"}  # a check, as a filter
        may_name |= {"/v1/events/void", "/v1/events/amend", "/v1/events/undo"}  # an event, in the body
        may_name |= {"/v1/prices/preview", "/v1/usage/meter-costs"}  # a price, in the body; a meter, as a filter
        may_name |= {"/v1/usage/sources/retire"}  # a source, in the body
        assert ("404" in failures) == ("{" in path or path in may_name), path
        assert {int(status) for status in failures} <= set(TYPES)
        for told in failures.values():
            assert {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}} == told["content"]
        assert ROUTES[method, path][1] in {int(status) for status in operation["responses"]}


async def test_shapes_that_go_in_refuse_what_they_do_not_know(document: Any) -> None:
    shapes = document["components"]["schemas"]

    for name in (
        "CheckIn",
        "ScheduleIn",
        "GateIn",
        "FiltersIn",
        "ChannelIn",
        "ChannelEdit",
        "KeyIn",
        "KeyEdit",
        "RotateIn",
        "ProjectEdit",
        "CommentIn",
        "RetryIn",
        "TransferIn",
        "MemberIn",
        "MemberEdit",
        "ProjectIn",
        "MeterIn",
        "MeterEdit",
        "VersionIn",
        "PreviewIn",
        "CustomerIn",
        "CustomerEdit",
        "PriceIn",
        "PriceEdit",
        "PricePreviewIn",
        "MeterPriceIn",
        "MeterPriceEnd",
        "ReplayIn",
        "ReplayAllIn",
        "HealthchecksIn",
    ):
        assert shapes[name]["additionalProperties"] is False
    words = {"title", "description", "type", "properties", "required", "additionalProperties", "items", "enum", "anyOf"}
    words |= {"format", "default", "$ref", "oneOf", "maxItems"}
    for shape in shapes.values():
        for value in (shape, *shape.get("properties", {}).values()):
            assert set(value) <= words


async def test_answers_are_as_the_schema_says(house: House, document: Any) -> None:
    check = await house.world.check(START)
    asked_for = {"kind": "webhook", "name": "x", "config": {"url": "https://h.example/x"}}
    channel = (await house.full("POST", "/v1/channels", asked_for)).json["id"]
    await house.full("PATCH", f"/v1/checks/{check.uuid}", {"channels": ["*"], "filters": {"start": ["go"]}})
    await house.world.ping(check, START, body=b"go rows=5")
    await house.world.ping(check, START, exit_status=1)
    await house.world.ping(await house.world.check(START), START, PingKind.FAIL)

    key = (await house.full("POST", "/v1/keys", {"name": "x", "scopes": ["read"]})).json["id"]
    incident = (await house.full("GET", "/v1/incidents")).json["items"][0]["id"]
    await house.full("POST", f"/v1/incidents/{incident}/comments", {"text": "I look at it"})
    told = (await house.full("POST", f"/v1/channels/{channel}/test")).json["id"]
    await given_up(house, START)
    delivery = (await house.full("GET", f"/v1/notifications/{told}")).json["delivery"]["id"]
    link = (await house.full("POST", f"/v1/incidents/{incident}/shares", {})).json["id"]
    ids = {
        "{check_id}": check.uuid,
        "{key_id}": key,
        "{incident_id}": incident,
        "{channel_id}": channel,
    }
    ids |= {"{share_id}": link, "{n}": "1"}
    ids["{view_id}"] = (await house.full("POST", "/v1/views", {"name": "ours", "q": "tag:etl"})).json["id"]
    ada, _ = await people(house)
    ids["{user_id}"] = (await house.full("POST", "/v1/members", {"email": ada, "role": "owner"})).json["id"]
    invited = await house.full("POST", "/v1/invites", {"email": "joan@example.com", "role": "viewer"})
    ids |= {"{invite_id}": invited.json["id"]}
    shown = {"slug": "s", "title": "S", "groups": [{"name": "", "items": [{"name": "x", "tag": "t"}]}]}
    ids["{page_id}"] = (await house.full("POST", "/v1/status-pages", shown)).json["id"]
    await house.full("POST", "/v1/badges/key")
    ids |= {"{notification_id}": told, "{delivery_id}": delivery}
    job = str(uuid.uuid4())
    await house.world.db.write(lambda tx: tx.conn.execute(sa.insert(jobs).values(a_job(house, job))).rowcount)
    assert 202 == (await house.full("POST", f"/v1/jobs/{job}/run")).status
    ids["{job_id}"] = job
    ids["{meter_id}"] = (await house.full("POST", "/v1/meters", METER | {"slug": "traffic"})).json["id"]
    ids["{price_id}"] = (await house.full("POST", "/v1/prices", PRICE)).json["id"]
    await house.full("POST", f"/v1/meters/{ids['{meter_id}']}/prices", METER_PRICE | {"only": {"region": None}})
    await house.full("POST", "/v1/events", [EVENT, EVENT | {"customer_id": "other"}, {}])
    made = await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["acme"]})
    letter = (await house.full("GET", "/v1/dead-letters")).json["items"][0]["id"]
    ids |= {"{customer_id}": made.json["id"], "{transaction_id}": "t-1", "{letter_id}": letter}
    await house.full("POST", "/v1/events/amend", {"transaction_id": "t-1", "reason": "x", "customer_id": "other"})
    ids |= await an_alert(house)
    budget = {"name": "Models", "currency": "USD", "amount": "100"}
    ids["{budget_id}"] = (await house.full("POST", "/v1/budgets", budget)).json["id"]
    a_silence = {"kind": "maintenance", "scope": "project", "lasts": 3600}
    ids["{silence_id}"] = (await house.full("POST", "/v1/silences", a_silence)).json["id"]
    ids["{watch_id}"] = (await house.full("POST", "/v1/usage/watches", {"kind": "source"})).json["id"]
    ids["{limit_id}"] = (await house.full("POST", "/v1/limits", LIMIT)).json["id"]
    for _ in range(3):  # the third is denied
        await house.full("POST", "/v1/limits/check", CHECK)
    ids["{backfill_id}"] = (await house.full("POST", "/v1/backfills", BACKFILL)).json["id"]
    await house.full("POST", f"/v1/backfills/{ids['{backfill_id}']}/events", [EVENT | {"transaction_id": "t-9"}])
    asked = 0
    for method, path, operation in operations(document):
        if method != "GET" or path.endswith(("/body", "/export")):
            continue
        for name, value in ids.items():
            path = path.replace(name, value)  # noqa: PLW2901 - filled in
        reply = await house.full("GET", path)
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert fits(reply.json, schema, document), (path, reply.json)
        asked += 1
    for reply in (await house.nobody("GET", "/v1/checks"), await house.full("POST", "/v1/checks", {"name": ""})):
        assert fits(reply.json, {"$ref": "#/components/schemas/Problem"}, document)
    assert asked >= 8


async def test_the_page_about_the_api_covers_every_route_and_every_problem() -> None:
    page = DOCS.read_text(encoding="utf-8")

    told = set(re.findall(r"^\| `(GET|POST|PATCH|DELETE) (/v1/[^`?]*)", page, re.MULTILINE))
    assert {(method, re.sub(r"\{\w+_id\}", "{id}", path)) for method, path in set(ROUTES) | PUBLIC} == told
    assert {str(status) for status in TYPES} == set(re.findall(r"^\| (\d{3}) \|", page, re.MULTILINE))
    for status, word in TYPES.items():
        assert f"| {status} | `urn:heartfly:problem:{word}` |" in page


async def test_the_page_about_the_api_explains_every_field_of_a_check(document: Any) -> None:
    page = DOCS.read_text(encoding="utf-8")

    for shape in ("CheckOut", "CheckIn"):
        for name in document["components"]["schemas"][shape]["properties"]:
            assert f"| `{name}` |" in page, name


async def test_the_page_about_the_api_explains_every_field_of_an_incident(document: Any) -> None:
    page = DOCS.read_text(encoding="utf-8")
    section = page[page.index("## An incident") : page.index("## Pings")]

    for name in document["components"]["schemas"]["WholeIncidentOut"]["properties"]:
        assert f"`{name}`" in section, name


async def test_the_page_about_the_api_explains_every_field_of_an_explanation(document: Any) -> None:
    page = DOCS.read_text(encoding="utf-8")
    section = page[page.index("## An explanation") : page.index("## A channel")]

    for name in document["components"]["schemas"]["ExplainOut"]["properties"]:
        assert f"`{name}`" in section, name


async def test_no_page_is_served_that_would_load_from_elsewhere(house: House) -> None:
    for path in ("/schema", "/schema/swagger", "/schema/redoc", "/docs", "/v1/docs", "/v1"):
        assert 404 == (await house.full("GET", path)).status
