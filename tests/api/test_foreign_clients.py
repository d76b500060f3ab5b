"""The vendors' own clients, as they are on PyPI, against a real server; and what the docs tell people to write."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from corehttp.exceptions import HttpResponseError
from metronome import BadRequestError, Metronome, NotFoundError
from openmeter import Client as OpenMeter
from segment.analytics.client import Client as Segment
from typing_extensions import override

from heartfly.clock import SystemClock
from tests.server_process import Server

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).resolve().parents[2] / "docs" / "usage-clients.md"
AT = SystemClock().now().replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    full = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    made = server.api("POST", "/v1/keys", full, {"name": "sender", "scopes": ["ingest"]})
    return str(made["secret"])


@pytest.fixture
def front(server: Server) -> Iterator[str]:
    """Hands each request on to the server, and loses the answer to every first one."""
    seen: set[bytes] = set()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept = {k: v for k, v in self.headers.items() if k.lower() in {"authorization", "content-type"}}
            request = urllib.request.Request(server.url + self.path, body, kept, method="POST")
            with urllib.request.urlopen(request, timeout=20) as reply:
                status = reply.status
            if body not in seen:
                seen.add(body)
                status = 500
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
    thread.join(60)


def ours(id_: str, at: datetime = AT, **properties: str) -> dict[str, Any]:
    return {
        "transaction_id": id_,
        "customer_id": "acme",
        "timestamp": at.isoformat(),
        "event_type": "api_call",
        "properties": properties,
    }


def cloud(id_: str, **properties: str) -> Any:
    return {
        "id": id_, "source": "web", "specversion": "1.0", "type": "api_call", "subject": "acme",
        "time": AT.isoformat(), "data": properties,
    }  # fmt: skip


def outcomes(server: Server, key: str, *events: dict[str, Any]) -> list[str]:
    """What our own door says to them: `duplicate` of one that is kept with this very content."""
    reply = server.api("POST", "/v1/events?dry_run=true", key, list(events))
    return [one["outcome"] for one in reply["results"]]


def test_metronome_s_sdk_sends_again_what_it_was_not_told_of_and_it_counts_once(
    server: Server, key: str, front: str
) -> None:
    client = Metronome(bearer_token=key, base_url=f"{front}/metronome")
    events = [ours(f"m-{n}", bytes="0.100000000000000001") for n in range(3)]

    client.v1.usage.ingest(usage=events)  # type: ignore[arg-type]

    assert ["duplicate"] * 3 == outcomes(server, key, *events)


def test_metronome_s_sdk_hears_of_a_bad_event_at_once(server: Server, key: str) -> None:
    client = Metronome(bearer_token=key, base_url=f"{server.url}/metronome")
    late = ours("m-9", SystemClock().now().astimezone(UTC) + timedelta(hours=25))

    with pytest.raises(BadRequestError) as told:
        client.v1.usage.ingest(usage=[ours("m-8"), late])  # type: ignore[list-item]

    assert "events[1].timestamp: is more than 24 hours ahead" in json.dumps(told.value.body)
    assert "0" == told.value.request.headers["x-stainless-retry-count"]
    assert ["duplicate"] == outcomes(server, key, ours("m-8"))


def test_openmeter_s_client_sends_one_event_and_many(server: Server, key: str) -> None:
    with OpenMeter(endpoint=f"{server.url}/openmeter", token=key) as client:
        client.events.ingest_event(cloud("o-1", bytes="1.10"))
        client.events.ingest_events([cloud("o-2"), cloud("o-3")])

    kept = [ours("web#o-1", bytes="1.10"), ours("web#o-2"), ours("web#o-3")]
    assert ["duplicate"] * 3 == outcomes(server, key, *kept)


def test_openmeter_s_client_hears_of_a_bad_event(server: Server, key: str) -> None:
    with OpenMeter(endpoint=f"{server.url}/openmeter", token=key) as client, pytest.raises(HttpResponseError) as told:
        client.events.ingest_events([cloud("o-8"), cloud("o-9") | {"subject": ""}])

    assert "events[1].subject: must not be empty" in str(told.value)
    assert ["duplicate"] == outcomes(server, key, ours("web#o-8"))


@pytest.mark.parametrize("packed", [False, True])
def test_segment_s_library_sends_what_is_tracked(server: Server, key: str, *, packed: bool) -> None:
    failed: list[Exception] = []
    client = Segment(
        key, host=f"{server.url}/segment", gzip=packed, on_error=lambda error, _: failed.append(error), max_retries=1
    )
    client.track("acme", "api_call", {"bytes": "1.10"}, timestamp=AT, message_id=f"s-{packed}")
    client.identify("acme", {"plan": "gold"}, timestamp=AT, message_id=f"i-{packed}")
    client.flush()
    client.shutdown()

    kept = [
        ours(f"s-{packed}", bytes="1.10"),
        ours(f"i-{packed}", plan="gold") | {"event_type": "identify"},
    ]
    assert [] == failed
    assert ["duplicate"] * 2 == outcomes(server, key, *kept)


def test_segment_s_library_hears_of_what_is_none(server: Server, key: str) -> None:
    failed: list[Exception] = []
    client = Segment(key, host=f"{server.url}/segment", on_error=lambda error, _: failed.append(error))
    client.track("acme", "x" * 200, timestamp=AT, message_id="s-9")
    client.flush()
    client.shutdown()

    (error,) = failed
    assert "batch[0].event: is longer than 128 characters" in str(error)


def snippets() -> dict[str, str]:
    """The first Python of each section, by its heading."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = {
        name: re.search(r"```python\n(.*?)```", text, re.DOTALL) for name, text in zip(*[iter(parts)] * 2, strict=True)
    }
    return {name: block[1] for name, block in found.items() if block}


@pytest.mark.parametrize(
    ("name", "id_"),
    [("Metronome's SDK", "req-1001"), ("OpenMeter's client", "checkout#req-2001"), ("Segment's library", "req-3001")],
)
def test_what_the_docs_tell_people_to_write_sends_an_event(server: Server, key: str, name: str, id_: str) -> None:
    text = snippets()[name].replace("https://heartfly.example.com", server.url).replace("hf_...", key)
    # The page has a date of its own, from which on no event is kept some day.
    text = text.replace("2026-11-28T13:00:00Z", AT.isoformat())

    exec(compile(text, name, "exec"), {})

    (told,) = outcomes(server, key, ours(id_, bytes="1532.25", region="eu"))
    assert ("conflict" if name.startswith("Segment") else "duplicate") == told  # which stamps the time itself


def test_every_client_of_the_page_has_its_snippet_run() -> None:
    assert ["Metronome's SDK", "OpenMeter's client", "Segment's library"] == list(snippets())


def test_metronome_s_sdk_makes_customers_and_moves_their_aliases(server: Server) -> None:
    full = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    client = Metronome(bearer_token=full, base_url=f"{server.url}/metronome")

    one = client.v1.customers.create(name="N" * 200, ingest_aliases=["team-1", "team-2"]).data
    other = client.v1.customers.create(name="Other").data

    assert ("N" * 160, ["team-1", "team-2"], "team-1") == (one.name, one.ingest_aliases, one.external_id)
    assert other.external_id == other.id
    client.v1.customers.set_ingest_aliases(customer_id=other.id, ingest_aliases=["team-2"])
    client.v1.customers.set_name(customer_id=one.id, name="One")
    read = client.v1.customers.retrieve(customer_id=one.id).data
    assert ("One", ["team-1"]) == (read.name, read.ingest_aliases)
    assert [other.id] == [row.id for row in client.v1.customers.list(ingest_alias="team-2")]
    assert [one.id, other.id] == [row.id for row in client.v1.customers.list(limit=1)]
    assert [other.id] == [row.id for row in client.v1.customers.list(customer_ids=[other.id, "none"])]

    client.v1.customers.archive(id=other.id)

    assert [one.id] == [row.id for row in client.v1.customers.list()]
    assert [other.id] == [row.id for row in client.v1.customers.list(only_archived=True)]
    with pytest.raises(NotFoundError) as told:
        client.v1.customers.retrieve(customer_id="d6300dbb-882e-4d2d-8dec-5125d16b65d0")
    assert {"message": "there is no such customer"} == told.value.body


def test_metronome_s_sdk_finds_events_whose_they_are_and_what_contradicts_them(server: Server) -> None:
    full = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    client = Metronome(bearer_token=full, base_url=f"{server.url}/metronome")
    whose = client.v1.customers.create(name="Searched", ingest_aliases=["searched"]).data
    event = ours("f-1", bytes="0.100000000000000001") | {"customer_id": "searched"}
    client.v1.usage.ingest(usage=[event, event | {"properties": {"bytes": "2"}}])  # type: ignore[list-item]

    kept, contradicting = client.v1.usage.search(transaction_ids=["f-1", "none"])

    assert ("searched", AT, False) == (kept.customer_id, kept.timestamp, kept.is_duplicate)
    assert {"bytes": "0.100000000000000001"} == kept.properties
    assert kept.matched_customer is not None
    assert (whose.id, "Searched") == (kept.matched_customer.id, kept.matched_customer.name)
    assert ({"bytes": "2"}, True) == (contradicting.properties, contradicting.is_duplicate)
