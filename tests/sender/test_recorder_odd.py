"""What an application hands to the recorder that is no text is made one, or its record alone is lost and counted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from heartfly_client import ASGIRecorder, Recorder, Target, WSGIRecorder
from heartfly_client.recorder.record import Record, Shape, event_of
from typing_extensions import override

from tests.sender.receiving import Receiver


class Route:
    @override
    def __str__(self) -> str:
        return "/a/<n>"


@pytest.fixture
def recorder(receiver: Receiver, tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "queue", Target(receiver.url, "hf_key"), every_s=3600, tell=lambda _: None)


def told(receiver: Receiver, recorder: Recorder) -> list[dict[str, Any]]:
    recorder.close()
    return [json.loads(one) for one in receiver.known.values()]


@pytest.mark.anyio
async def test_a_customer_may_be_a_number_and_a_route_an_object(receiver: Receiver, recorder: Recorder) -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def nowhere(*_: Any) -> Any:
        return None

    def wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"x"]

    number: Any = lambda _: 42  # noqa: E731 - as an application has it
    route: Any = lambda _: Route()  # noqa: E731 - the same
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/a/17", "headers": [], "client": None}
    await ASGIRecorder(asgi, recorder, customer=number)(scope, nowhere, nowhere)
    answer: Any = WSGIRecorder(wsgi, recorder, customer=number, template=route)(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/a/17"}, lambda *_: None
    )
    answer.close()

    found = told(receiver, recorder)
    assert [("42", "/a/{id}"), ("42", "/a/<n>")] == [(one["customer_id"], one["properties"]["route"]) for one in found]


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER  ", ""])
def test_a_scheme_is_no_part_of_a_key(scheme: str) -> None:
    record = Record(1, 1, "GET", "/", None, 200, 0, 0, None, None, None, f"{scheme}hf_live_0123456789", None, None)

    assert "hf_live_…" == json.loads(event_of(record, "t", Shape()))["properties"]["key"]


def test_a_record_of_which_no_event_can_be_made_is_counted_and_those_beside_it_arrive(
    receiver: Receiver, recorder: Recorder
) -> None:
    good = Record(1_431_849_903_250_000_000, 1, "GET", "/", None, 200, 0, 0, None, None, None, None, None, None)
    odd: Any = 17
    for one in (good, good._replace(user_agent=odd), good):
        recorder.record(one)

    *kept, lost = told(receiver, recorder)

    assert ["http.request"] * 2 == [one["event_type"] for one in kept]
    assert ("http.requests_dropped", {"n": 1}) == (lost["event_type"], lost["properties"])
    assert (2, 1) == (recorder.recorded, recorder.dropped)
