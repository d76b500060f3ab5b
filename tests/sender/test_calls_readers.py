"""What answers and headers of vendors say, by recorded shapes: nothing is counted twice, and nothing is guessed."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from heartfly_client.calls.bodies import MOST, Body
from heartfly_client.calls.providers import place_of, provider_of
from heartfly_client.calls.ratelimits import limits_in
from heartfly_client.calls.readers import read, read_all, run_cost, run_units
from heartfly_client.paths import Rules
from hypothesis import given
from hypothesis import strategies as st

from tests.sender.vendors import CHAT, CHAT_STREAM, MESSAGE, MESSAGE_STREAM, RUN

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)

EMBEDDING = {"object": "list", "model": "embed-x", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-x",
    "error": None,
    "usage": {
        "input_tokens": 328,
        "input_tokens_details": {"cached_tokens": 300},
        "output_tokens": 52,
        "output_tokens_details": {"reasoning_tokens": 50},
        "total_tokens": 380,
    },
    "service_tier": "flex",
}
AUDIO = {
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 60},
        "completion_tokens_details": {"audio_tokens": 40, "reasoning_tokens": 0},
    }
}
TRANSCRIPT = {"text": "hello", "usage": {"type": "duration", "seconds": 12}}
DEEPSEEK = {
    "usage": {
        "prompt_tokens": 100,
        "prompt_cache_hit_tokens": 64,
        "prompt_cache_miss_tokens": 36,
        "completion_tokens": 7,
    }
}
GEMINI = {
    "candidates": [{"content": {}}],
    "usageMetadata": {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 900,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 5,
        "totalTokenCount": 1025,
    },
    "modelVersion": "gemini-x",
    "responseId": "g-1",
}
CONVERSE = {"output": {}, "usage": {"inputTokens": 30, "outputTokens": 628, "cacheReadInputTokens": 7}}
COHERE = {"meta": {"billed_units": {"input_tokens": 5, "output_tokens": 2, "search_units": 1}}}


def units_of(found: dict[str, Decimal]) -> dict[str, int]:
    assert all(isinstance(one, Decimal) for one in found.values())
    return {kind: int(amount) for kind, amount in found.items()}


@pytest.mark.parametrize(
    ("answer", "units"),
    [
        (CHAT, {"input_tokens": 86, "cached_tokens": 1920, "output_tokens": 172, "reasoning_tokens": 128}),
        (EMBEDDING, {"input_tokens": 8}),
        (RESPONSE, {"input_tokens": 28, "cached_tokens": 300, "output_tokens": 2, "reasoning_tokens": 50}),
        (AUDIO, {"input_tokens": 30, "cached_tokens": 10, "input_audio_tokens": 60, "output_tokens": 10,
                 "output_audio_tokens": 40}),
        (TRANSCRIPT, {"seconds": 12}),
        (DEEPSEEK, {"input_tokens": 36, "cached_tokens": 64, "output_tokens": 7}),
        (MESSAGE, {"input_tokens": 21, "cached_tokens": 188_086, "cache_write_tokens": 750,
                   "cache_write_1h_tokens": 250, "output_tokens": 393, "search_queries_medium": 2}),
        (GEMINI, {"input_tokens": 100, "cached_tokens": 900, "output_tokens": 20, "reasoning_tokens": 5}),
        (CONVERSE, {"input_tokens": 30, "cached_tokens": 7, "output_tokens": 628}),
        (COHERE, {"input_tokens": 5, "output_tokens": 2, "search_units": 1}),
        ({"usage": None}, {}),
        ({"hello": "world"}, {}),
    ],
)  # fmt: skip
def test_units_of_an_answer_count_nothing_twice(answer: dict[str, Any], units: dict[str, int]) -> None:
    assert units == units_of(read(answer).units)


def test_an_answer_names_its_model_tier_and_id() -> None:
    assert ("gpt-x", "flex") == (read(RESPONSE).model, read(RESPONSE).tier)
    assert ("gpt-x-2026-03-01", "") == (read(CHAT).model, read(CHAT).tier)
    assert ("gemini-x", "g-1") == (read(GEMINI).model, read(GEMINI).request_id)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ({"message": "secret", "type": "insufficient_quota", "code": "insufficient_quota"}, "insufficient_quota"),
        ({"message": "secret", "type": "overloaded_error"}, "overloaded_error"),
        ({"code": 429, "message": "secret", "status": "RESOURCE_EXHAUSTED"}, "RESOURCE_EXHAUSTED"),
        ({"message": "secret", "code": "a secret sentence"}, "error"),
    ],
)
def test_of_an_error_its_word_is_told_and_never_what_it_says(error: dict[str, Any], word: str) -> None:
    assert word == read({"error": error}).error


def test_a_stream_of_messages_comes_to_what_its_last_words_say() -> None:
    body = Body("text/event-stream; charset=utf-8", "")
    for n in range(0, len(MESSAGE_STREAM), 7):
        body.add(MESSAGE_STREAM[n : n + 7])

    found = read_all(body.documents())

    assert units_of(read(MESSAGE).units) == units_of(found.units)
    assert "claude-x-20260301" == found.model
    assert body.size < len(MESSAGE_STREAM)


@given(st.lists(st.integers(1, 200), max_size=40))
def test_however_a_stream_is_cut_it_says_the_same(cuts: list[int]) -> None:
    body, at = Body("text/event-stream", ""), 0
    for n in [*cuts, len(CHAT_STREAM)]:
        body.add(CHAT_STREAM[at : at + n])
        at += n

    assert units_of(read(CHAT).units) == units_of(read_all(body.documents()).units)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda content: zlib.compress(content, wbits=-15)),
        ("identity", bytes),
    ],
)
def test_what_is_packed_is_read(encoding: str, pack: Any) -> None:
    body = Body("application/json", encoding)
    body.add(pack(json.dumps(CHAT).encode()))

    assert [CHAT] == body.documents()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x"])
def test_what_cannot_be_unpacked_is_said_to_be_so(encoding: str) -> None:
    body = Body("application/json", encoding)
    body.add(b"\x01\x02\x03 nonsense")

    with pytest.raises(ValueError, match=r"."):
        body.documents()


def test_a_bomb_is_not_unpacked() -> None:
    body = Body("application/json", "gzip")
    body.add(gzip.compress(b" " * (64 * MOST)))
    assert body.whole

    with pytest.raises(ValueError, match="too long"):
        body.documents()


def test_of_what_is_too_long_nothing_is_held() -> None:
    for kind in ("application/json", "text/event-stream"):
        body = Body(kind, "")
        for _ in range(5):
            body.add(b"x" * MOST)
        assert (False, 0, 5 * MOST) == (body.whole, body.size, body.n)


def test_a_run_of_apify_costs_its_total_or_the_sum_of_its_parts() -> None:
    run = json.loads(json.dumps(RUN), parse_float=Decimal)["data"]
    assert Decimal("0.0125500000000001") == run_cost(run)
    parts = {"A": Decimal("0.1"), "B": Decimal("0.2"), "C": None}
    assert Decimal("0.3") == run_cost({"usageUsd": parts})
    assert None is run_cost({})
    assert {"seconds": Decimal("90.5"), "compute_units": Decimal("0.0502")} == run_units(run)
    assert None is read(RUN | {"data": RUN["data"] | {"status": "RUNNING"}}).run


# --- headers


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"X-RateLimit-Limit-Requests": "60", "x-ratelimit-remaining-requests": "59",
          "x-ratelimit-reset-requests": "1s"},
         {"requests.limit": "60", "requests.remaining": "59", "requests.reset": "2026-11-28T12:00:01.000Z"}),
        ({"x-ratelimit-reset-tokens": "6m0s"}, {"tokens.reset": "2026-11-28T12:06:00.000Z"}),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, {"tokens.reset": "2026-11-28T13:02:03.500Z"}),
        ({"x-ratelimit-reset-tokens": "12ms"}, {"tokens.reset": "2026-11-28T12:00:00.012Z"}),
        ({"anthropic-ratelimit-input-tokens-limit": "80000",
          "anthropic-ratelimit-input-tokens-reset": "2026-11-28T12:00:05Z"},
         {"input_tokens.limit": "80000", "input_tokens.reset": "2026-11-28T12:00:05.000Z"}),
        ({"x-ratelimit-limit": "5000", "x-ratelimit-reset": "1795867200", "x-ratelimit-used": "3"},
         {"requests.limit": "5000", "requests.reset": "2026-11-28T12:00:00.000Z"}),
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "7", "ratelimit-reset": "30"},
         {"requests.limit": "100", "requests.remaining": "7", "requests.reset": "2026-11-28T12:00:30.000Z"}),
        ({"ratelimit-policy": '"default";q=100;w=60, "daily";q=5000;w=86400', "ratelimit": '"default";r=50;t=30'},
         {"requests.limit": "100", "requests.window": "60", "daily.limit": "5000", "daily.window": "86400",
          "requests.remaining": "50", "requests.reset": "2026-11-28T12:00:30.000Z"}),
        ({"retry-after": "20"}, {"retry_at": "2026-11-28T12:00:20.000Z"}),
        ({"retry-after": "Sat, 28 Nov 2026 12:00:09 GMT"}, {"retry_at": "2026-11-28T12:00:09.000Z"}),
        ({"x-ratelimit-limit-requests": "many", "retry-after": "soon", "x-ratelimit-reset": "", "limit": "3",
          "x-ratelimit-reset-tokens": "99999999999999999999"}, {}),
        ({"authorization": "Bearer sk-secret", "set-cookie": "limit=1"}, {}),
    ],
)  # fmt: skip
def test_what_a_provider_says_of_its_limits_is_told(headers: dict[str, str], told: dict[str, str]) -> None:
    assert {f"ratelimit.{name}": text for name, text in told.items()} == limits_in(headers.items(), NOW)


@given(st.dictionaries(st.sampled_from(["x-ratelimit-reset-requests", "retry-after", "ratelimit"]), st.text()))
def test_no_header_breaks_anything(headers: dict[str, str]) -> None:
    limits_in(headers.items(), NOW)


# --- hosts and paths


@pytest.mark.parametrize(
    ("host", "path", "place"),
    [
        ("api.openai.com", "/v1/chat/completions", ("openai", "", "/v1/chat/completions")),
        ("api.openai.com", "/v1/files/file-abc123DEF456ghi789JKL0", ("openai", "", "/v1/files/{id}")),
        ("API.Anthropic.com.", "/v1/messages", ("anthropic", "", "/v1/messages")),
        ("shop.openai.azure.com", "/openai/deployments/gpt-x/chat/completions",
         ("azure", "gpt-x", "/openai/deployments/{model}/chat/completions")),
        ("generativelanguage.googleapis.com", "/v1beta/models/gemini-x:generateContent",
         ("gemini", "gemini-x", "/v1beta/models/{model}:generateContent")),
        ("europe-west1-aiplatform.googleapis.com", "/v1/projects/p/locations/l/publishers/google/models/g-x:predict",
         ("vertex_ai", "g-x", "/v1/projects/p/locations/l/publishers/google/models/{model}:predict")),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "/model/anthropic.claude-x-v1%3A0/converse",
         ("bedrock", "anthropic.claude-x-v1:0", "/model/{model}/converse")),
        ("api.apify.com", "/v2/actor-runs/HG7ML7M8z78YcAPEB", ("apify", "", "/v2/actor-runs/{run}")),
        ("s3.eu-west-1.amazonaws.com", "/b", ("aws", "", "/b")),
        ("storage.googleapis.com", "/b", ("google", "", "/b")),
        ("api.example.com", "/users/17", ("api.example.com", "", "/users/{id}")),
        ("", "", ("unknown", "", "")),
    ],
)  # fmt: skip
def test_hosts_are_providers_and_models_in_paths_are_told_apart(
    host: str, path: str, place: tuple[str, str, str]
) -> None:
    assert place == place_of(host, path, {}, Rules())


def test_a_program_s_own_hosts_come_first() -> None:
    own = {"proxy.example.com": "openai", "api.openai.com": "mine"}
    assert ("openai", "mine") == (provider_of("a.proxy.example.com", own), provider_of("api.openai.com", own))
