"""The vendors' own clients, as they are on PyPI, make meters and customers of a real server, and ask what they used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from corehttp.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from metronome import Metronome, NotFoundError, UnprocessableEntityError
from openmeter import Client as OpenMeter

from heartfly.clock import SystemClock
from tests.server_process import Server

pytestmark = pytest.mark.e2e

NOW = SystemClock().now()
DAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
WITHIN: Any = {"from_parameter": DAY + timedelta(minutes=1), "to": DAY + timedelta(minutes=59)}
"""Of a part of an hour figures are worked out of the events themselves, whether or not they are folded."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    return (server.folder / "heartfly-data" / "cli-key").read_text().strip()


@pytest.fixture
def openmeter(server: Server, key: str) -> Iterator[Any]:
    """As any: the package has two classes of one name, of which type checkers take the wrong one."""
    with OpenMeter(endpoint=f"{server.url}/openmeter", token=key) as client:
        yield client


@pytest.fixture
def metronome(server: Server, key: str) -> Iterator[Metronome]:
    with Metronome(bearer_token=key, base_url=f"{server.url}/metronome") as client:
        yield client


def costly(type_: str) -> list[dict[str, Any]]:
    """Twelve events of one day, of three subjects in two regions, whose costs no float adds up."""
    return [
        {
            "id": f"{type_}-{n}", "source": "shop", "specversion": "1.0", "type": type_, "subject": f"{type_}/{n % 3}",
            "time": (DAY + timedelta(minutes=5) + n * timedelta(minutes=4)).isoformat(),
            "data": {"cost": f"0.1{n:017d}", "at": {"region": ("eu", "us")[n % 2]}, "tier-name": "gold"},
        }
        for n in range(12)
    ]  # fmt: skip


def summed(events: list[dict[str, Any]], *by: str) -> dict[tuple[str, ...], Decimal]:
    sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for event in events:
        minute = datetime.fromisoformat(event["time"])
        known = {"subject": event["subject"], "region": event["data"]["at"]["region"], "minute": minute.isoformat()}
        sums[tuple(known[name] for name in by)] += Decimal(event["data"]["cost"])
    return dict(sums)


def added(found: Iterable[tuple[Any, str]]) -> dict[tuple[Any, ...], Decimal]:
    sums: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for by, value in found:
        sums[by,] += Decimal(value)
    return dict(sums)


@pytest.fixture(scope="module")
def made(server: Server, key: str) -> list[dict[str, Any]]:
    """The events that `made_cost` counts, which was made after them."""
    events = costly("made")
    with OpenMeter(endpoint=f"{server.url}/openmeter", token=key) as client:
        client.events.ingest_events(events)  # type: ignore[arg-type]
        definition: Any = {
            "slug": "made_cost", "name": "Cost", "aggregation": "SUM", "eventType": "made", "valueProperty": "$.cost",
            "groupBy": {"at.region": "$['at']['region']", "tier-name": '$["tier-name"]'}, "eventFrom": DAY.isoformat(),
            "description": "is not kept",
        }  # fmt: skip
        client.meters.create(definition)
        counting: Any = {"slug": "made", "aggregation": "COUNT", "eventType": "made", "valueProperty": "$.is.ignored"}
        client.meters.create(counting)
    return events


def test_openmeter_s_client_makes_a_meter_that_knows_what_came_before(
    openmeter: Any, made: list[dict[str, Any]]
) -> None:
    meter = openmeter.meters.get("made_cost")

    rows = openmeter.meters.query_json("made_cost", group_by=["subject", "at.region"], **WITHIN).data
    (of_one,) = openmeter.meters.query_json(
        meter.id, subject=["made/1"], filter_group_by={"at.region": "us"}, window_time_zone="Asia/Kolkata", **WITHIN
    ).data
    minutely = openmeter.meters.query_json("made_cost", window_size="MINUTE", window_time_zone="UTC", **WITHIN).data
    (counted,) = openmeter.meters.query_json("made", **WITHIN).data

    sums = summed(made, "subject", "region")
    assert sums == {(row.subject, row.group_by["at.region"]): Decimal(row["valueExact"]) for row in rows}
    assert sums["made/1", "us"] == Decimal(of_one["valueExact"])
    assert summed(made, "minute") == {(row.window_start.isoformat(),): Decimal(row["valueExact"]) for row in minutely}
    assert "12" == counted["valueExact"]
    assert ("SUM", "made", "$.cost", DAY) == (
        meter.aggregation, meter.event_type, meter.value_property, meter.event_from,
    )  # fmt: skip
    assert {"at.region": "$.at.region", "tier-name": '$["tier-name"]'} == meter.group_by


def test_openmeter_s_client_asks_for_subjects_and_values_of_groups(openmeter: Any, made: list[dict[str, Any]]) -> None:
    early: Any = {"from_parameter": WITHIN["from_parameter"], "to": DAY + timedelta(minutes=10)}
    meters = openmeter.meters

    assert sorted({one["subject"] for one in made}) == meters.list_subjects("made", **WITHIN)
    assert ["made/0", "made/1"] == meters.list_subjects("made", **early)
    assert ["eu", "us"] == meters.list_group_by_values("made_cost", "at.region", **WITHIN)
    first = WITHIN | {"to": DAY + timedelta(minutes=7)}
    assert ["eu"] == meters.list_group_by_values("made_cost", "at.region", **first)
    assert [] == meters.list_group_by_values("made_cost", "at.region")  # nothing in the last 24 hours
    for group, said in (("subject", "has no group subject"), ("region", "has no group key region")):
        with pytest.raises(HttpResponseError, match=f"the meter {said}"):
            meters.list_group_by_values("made_cost", group)


def test_openmeter_s_client_renames_regroups_and_deletes_a_meter(
    openmeter: Any,
) -> None:
    events = costly("edited")
    openmeter.events.ingest_events(events)
    definition: Any = {"slug": "edited", "aggregation": "SUM", "eventType": "edited", "valueProperty": "$.cost"}
    openmeter.meters.create(definition | {"groupBy": {"tier-name": '$["tier-name"]'}})

    edit: Any = {"name": "Edited", "groupBy": {"at.region": "$.at.region"}}
    edited = openmeter.meters.update("edited", edit)
    kept = openmeter.meters.update("edited", {"name": "Again"})

    assert ("Edited", {"at.region": "$.at.region"}) == (edited.name, edited.group_by)
    assert ("Again", {"at.region": "$.at.region"}) == (kept.name, kept.group_by)
    rows = openmeter.meters.query_json("edited", group_by=["at.region"], **WITHIN).data
    assert summed(events, "region") == added((row.group_by["at.region"], row["valueExact"]) for row in rows)
    with pytest.raises(HttpResponseError, match="aggregation: cannot be changed by this call"):
        openmeter.meters.update("edited", {"aggregation": "MAX"})
    with pytest.raises(ResourceExistsError, match="there is a meter edited already"):
        openmeter.meters.create(definition)

    openmeter.meters.delete("edited")

    assert "edited" not in [one.slug for one in openmeter.meters.list()]
    assert openmeter.meters.get("edited").deleted_at is not None
    with pytest.raises(ResourceNotFoundError):
        openmeter.meters.delete("none")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"slug": "No Slug"}, "slug: must be 1 to 60"),
    ({"aggregation": "MEDIAN"}, "aggregation: must be one of SUM, COUNT, UNIQUE_COUNT, AVG, MIN, MAX, LATEST"),
    ({"eventType": ""}, "eventType: must name at least one type"),
    ({"valueProperty": None}, "valueProperty: is required for sum"),
    ({"valueProperty": "$.items[0].cost"}, "valueProperty: must be the path of one property"),
    ({"valueProperty": '$["\\x"]'}, "valueProperty: must be the path of one property"),
    ({"valueProperty": "cost"}, "valueProperty: must be the path of one property"),
    ({"groupBy": {"region": "$.at.region"}}, "groupBy.region: a group has the name of its property here; call it at."),
    ({"groupBy": {name: f"$.{name}" for name in "abcdef"}}, "groupBy: must be up to 5 names"),
    ({"groupBy": {"customer": "$.customer"}}, "groupBy[0]: customer is what everything can be grouped by"),
    ({"eventFrom": "yesterday"}, "eventFrom: must be an instant"),
    ({"eventFrom": "1900-01-01T00:00:00Z"}, "eventFrom: must be within 1970 to 2200"),
]  # fmt: skip


def test_openmeter_s_client_hears_which_field_of_a_meter_is_wrong(openmeter: Any) -> None:
    right: Any = {"slug": "wrong", "aggregation": "SUM", "eventType": "a", "valueProperty": "$.cost"}
    for change, said in WRONG:
        with pytest.raises(HttpResponseError) as told:
            openmeter.meters.create(right | change)
        assert said in str(told.value), change
    with pytest.raises(ResourceNotFoundError):
        openmeter.meters.get("wrong")


def test_openmeter_s_client_names_subjects_and_their_usage_becomes_a_customer_s(
    server: Server, key: str, openmeter: Any
) -> None:
    events = costly("named")
    openmeter.events.ingest_events(events)
    definition: Any = {"slug": "named", "aggregation": "SUM", "eventType": "named", "valueProperty": "$.cost"}
    openmeter.meters.create(definition)
    first, bare = openmeter.subjects.upsert([{"key": "named-1", "displayName": "First"}, {"key": "bare"}])
    acme = server.api("POST", "/v1/customers", key, {"name": "Acme", "aliases": ["named/0", "named/1"]})["id"]

    (renamed,) = openmeter.subjects.upsert([{"key": "named/1", "displayName": "Acme Ltd"}])
    whole = openmeter.meters.query_json("named", group_by=["customer_id"], **WITHIN).data

    assert [("named-1", "First"), ("bare", "bare")] == [(one.key, one.display_name) for one in (first, bare)]
    assert ("named/1", "Acme Ltd") == (renamed.key, renamed.display_name)
    sums = summed(events, "subject")
    assert {(acme,): sums["named/0",] + sums["named/1",], (None,): sums["named/2",]} == added(
        (row.customer_id, row["valueExact"]) for row in whole
    )
    listed = {one.key: one.display_name for one in openmeter.subjects.list()}
    assert {"named-1": "First", "bare": "bare", "named/0": "Acme Ltd", "named/1": "Acme Ltd"}.items() <= listed.items()
    assert "First" == openmeter.subjects.get(first.id).display_name

    openmeter.subjects.delete("named-1")

    with pytest.raises(ResourceNotFoundError):
        openmeter.subjects.get("named-1")
    with pytest.raises(ResourceNotFoundError):
        openmeter.subjects.delete("named-1")
    assert ["First"] == [
        one["name"] for one in server.api("GET", "/v1/customers?archived=true", key)["items"] if one["archived_at"]
    ]
    with pytest.raises(HttpResponseError, match="key: must not be empty"):
        openmeter.subjects.upsert([{"key": "kept"}, {"key": ""}])
    with pytest.raises(ResourceNotFoundError):
        openmeter.subjects.get("kept")


def test_openmeter_s_client_makes_finds_replaces_and_deletes_customers(openmeter: Any) -> None:
    wanted: Any = {"name": "Globex", "key": "globex", "usageAttribution": {"subjectKeys": ["gx_1", "gx-2"]}}
    made = openmeter.customers.create(wanted)
    other: Any = {"name": "Initech 100%", "key": "initech"}
    initech = openmeter.customers.create(other)

    assert (["globex", "gx-2", "gx_1"], None) == (made.usage_attribution.subject_keys, made.key)
    assert "initech" == initech.key
    assert {made.id} == {openmeter.customers.get(name).id for name in (made.id, "gx_1", "globex")}
    for sought in ({"name": "GLOB"}, {"subject": "x_"}, {"key": "LOBE"}, {"name": "globex", "subject": "gx"}):
        page = openmeter.customers.list(**sought)
        assert ([made.id], 1) == ([one.id for one in page.items_property], page.total_count), sought
    assert [] == openmeter.customers.list(name="_lobex").items_property
    ordered = openmeter.customers.list(order_by="name", order="DESC", page=2, page_size=1, name="e")
    assert 1 == len(ordered.items_property)
    assert ordered.total_count >= 2
    with pytest.raises(ResourceExistsError, match="'gx_1' is what another customer is called"):
        openmeter.customers.create(other | {"key": "gx_1"})
    with pytest.raises(ResourceExistsError):
        openmeter.customers.update(initech.id, other | {"usageAttribution": {"subjectKeys": ["globex"]}})

    renamed = openmeter.customers.update("globex", {"name": "Globex Corporation"})
    fewer = openmeter.customers.update(made.id, {"name": "Globex", "usageAttribution": {"subjectKeys": ["gx_1"]}})

    assert ["globex", "gx-2", "gx_1"] == renamed.usage_attribution.subject_keys
    assert ["gx_1"] == fewer.usage_attribution.subject_keys

    openmeter.customers.delete("gx_1")

    assert [] == openmeter.customers.list(name="globex").items_property
    (kept,) = openmeter.customers.list(name="globex", include_deleted=True).items_property
    assert kept.deleted_at is not None
    with pytest.raises(ResourceNotFoundError):
        openmeter.customers.get("nobody")


def ids_of(metrics: list[Any] | None) -> list[str] | None:
    return None if metrics is None else [one.id for one in metrics]


def test_metronome_s_sdk_asks_which_metrics_a_customer_and_an_event_count_for(metronome: Metronome) -> None:
    typed: Any = {"event_type_filter": {"in_values": ["matched"]}}
    cost = metronome.v1.billable_metrics.create(
        name="Matched cost", aggregation_type="SUM", aggregation_key="cost", **typed
    )
    filtered: Any = [{"name": "region", "in_values": ["eu"]}]
    in_eu = metronome.v1.billable_metrics.create(
        name="In eu", aggregation_type="COUNT", property_filters=filtered, **typed
    )
    whose = metronome.v1.customers.create(name="Matched", ingest_aliases=["matched"]).data.id
    event: Any = {
        "transaction_id": "matched-1", "customer_id": "matched", "timestamp": DAY.isoformat(), "event_type": "matched",
        "properties": {"cost": "1.5", "region": "us"},
    }  # fmt: skip
    other = event | {"transaction_id": "matched-2", "properties": {"region": "eu", "cost": "much"}}
    metronome.v1.usage.ingest(usage=[event, event | {"properties": {"region": "eu", "cost": "2"}}, other])

    found = metronome.v1.usage.search(transaction_ids=["matched-1", "matched-2"])

    ids = [cost.data.id, in_eu.data.id]
    assert [(False, ids[:1]), (True, None), (False, ids[1:])] == [
        (one.is_duplicate, ids_of(one.matched_billable_metrics)) for one in found
    ]
    (metric,) = found[0].matched_billable_metrics or []
    assert ("Matched cost", "SUM", "cost") == (metric.name, metric.aggregation_type, metric.aggregation_key)
    assert set(ids) <= {one.id for one in metronome.v1.customers.list_billable_metrics(customer_id=whose, limit=1)}
    metronome.v1.billable_metrics.archive(id=ids[0])
    assert ids[0] not in [one.id for one in metronome.v1.customers.list_billable_metrics(customer_id=whose)]
    archived = metronome.v1.customers.list_billable_metrics(customer_id=whose, include_archived=True)
    assert ids[0] in [one.id for one in archived]
    with pytest.raises(NotFoundError):
        list(metronome.v1.customers.list_billable_metrics(customer_id="7fd2c6ae-0000-4000-8000-000000000000"))
    with pytest.raises(UnprocessableEntityError, match="customers have no plans here"):
        list(metronome.v1.customers.list_billable_metrics(customer_id=whose, on_current_plan=True))


def test_what_we_do_not_do_is_declined_in_a_sentence_and_not_tried_again(metronome: Metronome, openmeter: Any) -> None:
    with pytest.raises(NotFoundError) as told:
        metronome.v1.contracts.list(customer_id="7fd2c6ae-0000-4000-8000-000000000000")
    with pytest.raises(ResourceNotFoundError, match="GET /api/v1/features is not answered here: Heartfly meters usage"):
        openmeter.features.list()

    body: Any = told.value.body
    said = "POST /v1/contracts/list is not answered here: Heartfly meters usage and alerts on it, and bills nobody"
    assert said == body["message"]
    assert "0" == told.value.request.headers["x-stainless-retry-count"]
