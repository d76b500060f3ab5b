"""Clients of HTTP, and vendors' own, listened to against a provider on a socket: what is told, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx  # noqa: TID251 - the library that is listened to
import httpx2
import openai
import pytest
import requests
from heartfly_client import Calls, calls_of

from tests.sender.receiving import Receiver
from tests.sender.vendors import CHAT, CHAT_STREAM, LIMITS, MESSAGE, MESSAGE_STREAM, RUN, Vendor, vendor

pytestmark = pytest.mark.anyio

SECRETS = ("sk-secret", "the secret", "a secret question", "token=")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(name="vendor")
def vendor_fixture() -> Iterator[Vendor]:
    with vendor() as state:
        state.says("/v1/chat/completions", CHAT, x_request_id="req_1", more=LIMITS)
        state.says("/v1/messages", MESSAGE, request_id="req_2")
        yield state


@pytest.fixture
def calls(receiver: Receiver, tmp_path: Path, vendor: Vendor) -> Iterator[Calls]:
    made = Calls(
        receiver.url, "hf_key", folder=tmp_path / "queue", every_s=0.01, providers={"127.0.0.1": "stub"},
    )  # fmt: skip
    yield made
    made.close()


def told(receiver: Receiver, calls: Calls) -> list[dict[str, Any]]:
    """All events, once it is closed; none holds what is nobody's business."""
    calls.close()
    for secret in SECRETS:
        assert not any(secret in one for one in receiver.known.values())
    return [json.loads(one) for one in receiver.known.values()]


def properties(receiver: Receiver, calls: Calls) -> dict[str, str]:
    (one,) = told(receiver, calls)
    found: dict[str, str] = one["properties"]
    return found


def units(known: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("units."): value for name, value in known.items() if name.startswith("units.")}


def _apart(name: str) -> bool:
    return name.startswith("units.") or name.endswith(("reset", "ms"))


ASKED: dict[str, Any] = {"model": "gpt-x", "messages": [{"role": "user", "content": "a secret question"}]}
AUTH = {"Authorization": "Bearer sk-secret"}
OF_CHAT = {
    "requests": "1", "input_tokens": "86", "cached_tokens": "1920", "output_tokens": "172", "reasoning_tokens": "128",
}  # fmt: skip
OF_MESSAGE = {
    "requests": "1", "input_tokens": "21", "cached_tokens": "188086", "cache_write_tokens": "750",
    "cache_write_1h_tokens": "250", "output_tokens": "393", "search_queries_medium": "2",
}  # fmt: skip

Client = Callable[..., Any]


@pytest.mark.parametrize("client", [httpx.Client, httpx2.Client])
def test_a_client_of_httpx_tells_of_its_calls_by_itself(
    receiver: Receiver, calls: Calls, vendor: Vendor, client: Client
) -> None:
    with client(event_hooks=calls.httpx_hooks(key="prod-1"), base_url=vendor.url, headers=AUTH) as http:
        with calls_of("acme", tags=["web"]):
            answer = http.post("/v1/chat/completions?token=1", json=ASKED)
        assert CHAT == answer.json()

    (one,) = told(receiver, calls)

    known = one["properties"]
    assert ("stub:req_1", "acme") == (one["transaction_id"], one["customer_id"])
    assert OF_CHAT == units(known)
    assert {
        "provider": "stub", "model": "gpt-x", "model_answered": "gpt-x-2026-03-01", "key": "prod-1", "tags": "web",
        "endpoint": "/v1/chat/completions", "status": "200", "request_id": "req_1",
        "ratelimit.requests.limit": "5000", "ratelimit.requests.remaining": "4999",
        "ratelimit.tokens.limit": "160000", "ratelimit.tokens.remaining": "159976",
    } == {name: text for name, text in known.items() if not _apart(name)}  # fmt: skip
    assert known["ratelimit.requests.reset"] > one["timestamp"]
    assert Decimal(known["latency_ms"]) > 0


@pytest.mark.parametrize("client", [httpx.AsyncClient, httpx2.AsyncClient])
async def test_so_does_one_of_an_event_loop_with_the_same_hooks(
    receiver: Receiver, calls: Calls, vendor: Vendor, client: Client
) -> None:
    vendor.says("/v1/chat/completions", CHAT, packed=True, x_request_id="req_1")
    async with client(event_hooks=calls.httpx_hooks(), base_url=vendor.url, headers=AUTH) as http:
        answer = await http.post("/v1/chat/completions", json=ASKED)
        assert CHAT == answer.json()

    known = properties(receiver, calls)

    assert (OF_CHAT, "gpt-x") == (units(known), known["model"])


def test_what_is_streamed_arrives_as_it_was_and_its_usage_is_read_as_it_passes(
    receiver: Receiver, calls: Calls, vendor: Vendor
) -> None:
    vendor.says("/v1/chat/completions", CHAT_STREAM, x_request_id="req_1")
    pieces: list[bytes] = []
    with (
        httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url, headers=AUTH) as http,
        http.stream("POST", "/v1/chat/completions", json=ASKED) as answer,
    ):
        assert {} == receiver.known  # not before it is over
        pieces += answer.iter_bytes()

    assert CHAT_STREAM == b"".join(pieces)
    assert OF_CHAT == units(properties(receiver, calls))


def test_a_stream_that_nobody_reads_to_its_end_is_told_without_units_and_was_not_read(
    receiver: Receiver, calls: Calls, vendor: Vendor
) -> None:
    vendor.says("/v1/chat/completions", CHAT_STREAM)
    with (
        httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url) as http,
        http.stream("POST", "/v1/chat/completions", json=ASKED) as answer,
    ):
        assert not answer.is_stream_consumed

    known = properties(receiver, calls)

    assert ({"requests": "1"}, "200") == (units(known), known["status"])


def test_a_call_that_gets_no_answer_is_told_as_one_and_its_exception_goes_on(
    receiver: Receiver, calls: Calls, vendor: Vendor
) -> None:
    vendor.says("/broken", {}, status=0)
    with httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url) as http:
        reason = ""
        try:
            http.get("/broken")
        except httpx.HTTPError as error:  # `pytest.raises` would keep the request
            reason = str(error)
        assert "disconnected" in reason

    known = properties(receiver, calls)

    assert ("no answer", None, "/broken") == (known["error"], known.get("status"), known["endpoint"])


def test_a_redirect_is_no_call(receiver: Receiver, calls: Calls, vendor: Vendor) -> None:
    vendor.says("/old", {}, status=307, location="/v1/chat/completions")
    with httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url, follow_redirects=True) as http:
        assert 200 == http.post("/old", json=ASKED).status_code

    assert "/v1/chat/completions" == properties(receiver, calls)["endpoint"]


def test_a_refusal_is_told_with_its_word_and_when_to_come_back(
    receiver: Receiver, calls: Calls, vendor: Vendor
) -> None:
    error = {"error": {"message": "the secret answer", "type": "requests", "code": "rate_limit_exceeded"}}
    vendor.says("/v1/chat/completions", error, status=429, retry_after="20")
    with httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url) as http:
        http.post("/v1/chat/completions", json=ASKED)

    (one,) = told(receiver, calls)

    known = one["properties"]
    assert ("429", "rate_limit_exceeded", {"requests": "1"}) == (known["status"], known["error"], units(known))
    assert known["ratelimit.retry_at"] > one["timestamp"]


def test_an_answer_that_is_too_long_or_no_json_arrives_and_says_that_it_was_not_read(
    receiver: Receiver, calls: Calls, vendor: Vendor
) -> None:
    vendor.says("/long", {"data": "x" * 2_000_000, "usage": CHAT["usage"]}, x_request_id="a")
    vendor.answers["/odd"] = 200, {"content-type": "application/json", "x-request-id": "b"}, b'{"usage": '
    with httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url) as http:
        assert 2_000_000 < len(http.get("/long").content)
        assert b'{"usage": ' == http.get("/odd").content

    assert [("answer", {"requests": "1"})] * 2 == [
        (one["properties"]["unread"], units(one["properties"])) for one in told(receiver, calls)
    ]


def test_within_a_block_requests_are_part_of_its_call(receiver: Receiver, calls: Calls, vendor: Vendor) -> None:
    with (
        httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url) as http,
        calls.track(provider="openai", customer="acme", model="mine") as call,
    ):
        http.post("/v1/chat/completions", json=ASKED)
        call.note("purpose", "test")

    (one,) = told(receiver, calls)

    known = one["properties"]
    assert ("openai:req_1", "acme", "openai", "mine") == (
        one["transaction_id"], one["customer_id"], known["provider"], known["model"],
    )  # fmt: skip
    assert (OF_CHAT, "test", "/v1/chat/completions") == (units(known), known["purpose"], known["endpoint"])


def test_a_block_that_ends_before_its_stream_is_told_when_the_stream_is_over(
    receiver: Receiver, calls: Calls, vendor: Vendor
) -> None:
    vendor.says("/v1/chat/completions", CHAT_STREAM, x_request_id="req_1")
    with httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url) as http:
        with calls.track(provider="openai"):
            asked = http.build_request("POST", "/v1/chat/completions", json=ASKED)
            answer = http.send(asked, stream=True)
        answer.read()

    assert OF_CHAT == units(properties(receiver, calls))


# --- vendors' own clients


def test_openai_s_client_is_listened_to_as_it_is(receiver: Receiver, calls: Calls, vendor: Vendor) -> None:
    with httpx2.Client(event_hooks=calls.httpx_hooks()) as http:
        client = openai.OpenAI(api_key="sk-secret", base_url=f"{vendor.url}/v1", http_client=http, max_retries=0)
        asked: Any = {"model": "gpt-x", "messages": [{"role": "user", "content": "a secret question"}]}
        answer = client.chat.completions.create(**asked)
        assert "the secret answer" == answer.choices[0].message.content
        vendor.says("/v1/chat/completions", CHAT_STREAM, x_request_id="req_2")
        stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        assert "thesecret" == "".join(piece.choices[0].delta.content or "" for piece in stream if piece.choices)

    assert [(OF_CHAT, "gpt-x")] * 2 == [
        (units(one["properties"]), one["properties"]["model"]) for one in told(receiver, calls)
    ]


def test_each_try_of_openai_s_client_is_a_call(receiver: Receiver, calls: Calls, vendor: Vendor) -> None:
    vendor.says("/v1/chat/completions", {"error": {"code": "overloaded"}}, status=503, retry_after_ms="1")
    with httpx2.Client(event_hooks=calls.httpx_hooks()) as http:
        client = openai.OpenAI(api_key="sk-secret", base_url=f"{vendor.url}/v1", http_client=http, max_retries=2)
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="gpt-x", messages=[])

    assert ["503"] * 3 == [one["properties"]["status"] for one in told(receiver, calls)]


async def test_anthropic_s_client_is_listened_to_as_it_is(receiver: Receiver, calls: Calls, vendor: Vendor) -> None:
    asked: Any = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "a secret question"}]}
    async with httpx2.AsyncClient(event_hooks=calls.httpx_hooks()) as http:
        client = anthropic.AsyncAnthropic(api_key="sk-secret", base_url=vendor.url, http_client=http, max_retries=0)
        answer = await client.messages.create(**asked)
        assert 393 == answer.usage.output_tokens
        vendor.says("/v1/messages", MESSAGE_STREAM, request_id="req_3")
        async with client.messages.stream(**asked) as stream:
            assert "the secret" == await stream.get_final_text()

    assert {("stub:req_2", "claude-x"), ("stub:req_3", "claude-x")} == {
        (one["transaction_id"], one["properties"]["model"]) for one in told(receiver, calls)
    }
    assert [OF_MESSAGE] * 2 == [units(one["properties"]) for one in told(receiver, calls)]


# --- requests, and Apify


def test_a_session_of_requests_tells_of_its_calls_and_redirects_are_part_of_them(
    receiver: Receiver, calls: Calls, vendor: Vendor
) -> None:
    vendor.says("/old", {}, status=307, location="/v1/chat/completions")
    with calls.requests(requests.Session(), key="prod-1") as session:
        answer = session.post(f"{vendor.url}/old?token=1", json=ASKED, headers=AUTH, timeout=9)
        assert CHAT == answer.json()
        streamed = session.get(f"{vendor.url}/v1/messages", stream=True, timeout=9)
        assert MESSAGE == json.loads(b"".join(streamed.iter_content(7)))
        with pytest.raises(requests.ConnectionError):
            session.get("http://127.0.0.1:9/", timeout=9)

    first, second, third = (one["properties"] for one in told(receiver, calls))
    assert (OF_CHAT, "gpt-x", "prod-1", "200", "/old") == (
        units(first), first["model"], first["key"], first["status"], first["endpoint"],
    )  # fmt: skip
    assert ({"requests": "1"}, "200") == (units(second), second["status"])  # whoever streams reads for himself
    assert ("ConnectionError", None) == (third["error"], third.get("status"))


def test_a_run_of_apify_is_told_once_beside_the_requests_that_asked_for_it(
    receiver: Receiver, calls: Calls, vendor: Vendor
) -> None:
    path = "/v2/actor-runs/HG7ML7M8z78YcAPEB"
    vendor.says(path, {"data": RUN["data"] | {"status": "RUNNING"}})
    with httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url) as http, calls_of("acme"):
        http.get(path)
        vendor.says(path, RUN)
        http.get(path)
        http.get(path)

    found = told(receiver, calls)

    asked = [one for one in found if one["properties"]["provider"] == "stub"]
    (run,) = [one for one in found if one["properties"]["provider"] == "apify"]
    assert ([{"requests": "1"}] * 3, {None}) == (
        [units(one["properties"]) for one in asked], {one["properties"].get("cost") for one in asked},
    )  # fmt: skip
    assert ("acme", "0.0125500000000001") == (run["customer_id"], run["properties"]["cost"])


# --- what breaks nothing


def test_what_is_wrong_with_listening_is_not_the_client_s(
    receiver: Receiver, calls: Calls, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of our own costs what it would have told."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("of our own")

    monkeypatch.setattr("heartfly_client.calls.httpx_hooks.hear", broken)
    monkeypatch.setattr("heartfly_client.calls.requests_session.hear", broken)
    with httpx.Client(event_hooks=calls.httpx_hooks(), base_url=vendor.url) as http:
        assert 200 == http.post("/v1/chat/completions", json=ASKED).status_code
    with calls.requests(requests.Session()) as session:
        assert 200 == session.post(f"{vendor.url}/v1/chat/completions", json=ASKED, timeout=9).status_code

    calls.close()
    assert 2 <= calls.dropped


def test_an_answer_that_a_transport_has_read_before_is_read_as_well(receiver: Receiver, calls: Calls) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=CHAT))
    with httpx.Client(event_hooks=calls.httpx_hooks(), transport=transport) as http:
        assert CHAT == http.post("https://api.openai.com/v1/chat/completions", json=ASKED).json()

    known = properties(receiver, calls)

    assert (OF_CHAT, "openai") == (units(known), known["provider"])
