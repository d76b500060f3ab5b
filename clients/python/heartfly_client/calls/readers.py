"""What an answer says of itself: units used, model, tier, request id, and what it cost, by the shape of its JSON.

Nothing is counted twice: `input_tokens` are those that were not read from a cache, nor written to one, and are no
audio; `output_tokens` those that are neither reasoning nor audio. The others are kinds of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
_ENDED = frozenset({"SUCCEEDED", "FAILED", "TIMED-OUT", "ABORTED"})
_STANDARD = frozenset({"", "auto", "default", "standard", "on_demand"})


@dataclass(slots=True)
class Reading:
    """`run`: an Apify run that has ended, whose cost is known for good. `error`: a word, never a message."""

    units: dict[str, Decimal] = field(default_factory=dict)
    model: str = ""
    tier: str = ""
    request_id: str = ""
    error: str = ""
    run: Mapping[str, Any] | None = None


def parsed(body: bytes | str) -> Any:
    """Numbers as exact decimals. ValueError, RecursionError: it is no JSON."""
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


def read(found: Any, *, provider: str = "") -> Reading:
    """Of one answer. What has no shape that is known here says nothing."""
    if not isinstance(found, Mapping):
        found = plain(found)
    return read_all([found], provider=provider)


def read_all(documents: Iterable[Any], *, provider: str = "") -> Reading:
    """Of the events of a stream, in order: what a later one says holds."""
    reading = Reading()
    usage: dict[str, Any] = {}
    is_anthropic = provider == "anthropic"
    for document in documents:
        for one in _layers(document):
            is_anthropic = is_anthropic or one.get("type") in {"message", "message_start", "message_delta"}
            _names(one, reading)
            for name in ("usage", "usageMetadata", "usage_metadata"):
                if isinstance(told := one.get(name), Mapping):
                    usage |= {key: value for key, value in told.items() if value is not None}
            if isinstance(meta := one.get("meta"), Mapping) and isinstance(meta.get("billed_units"), Mapping):
                usage |= dict(meta["billed_units"])
            if _is_run(one):
                reading.run = one
    if reading.run is None:
        reading.units = _units(usage, is_anthropic=is_anthropic)
        reading.tier = reading.tier or _tier(usage.get("service_tier"))
    return reading


def plain(answer: Any) -> Any:
    """A client's object as the mapping that it was made of."""
    for name in ("model_dump", "to_dict", "dict"):
        if callable(method := getattr(answer, name, None)):
            return method()
    return answer


def _layers(document: Any) -> Iterable[Mapping[str, Any]]:
    """An answer, and what is inside where streams and envelopes put it."""
    if isinstance(document, list):  # Gemini streams a list
        for one in document:
            yield from _layers(one)
    elif isinstance(document, Mapping):
        yield document
        for name in ("message", "response", "data"):
            if isinstance(inner := document.get(name), Mapping):
                yield inner


def _names(one: Mapping[str, Any], reading: Reading) -> None:
    for name in ("model", "modelVersion"):
        if isinstance(text := one.get(name), str) and text:
            reading.model = text
    reading.tier = _tier(one.get("service_tier")) or reading.tier
    error = one.get("error")
    if isinstance(error, Mapping):
        words = (error.get(name) for name in ("code", "status", "type"))
        reading.error = next((word for word in words if isinstance(word, str) and _WORD.fullmatch(word)), "error")
    if not reading.request_id and isinstance(id_ := one.get("responseId"), str):
        reading.request_id = id_


def _tier(told: object) -> str:
    return told if isinstance(told, str) and told not in _STANDARD and _WORD.fullmatch(told) else ""


# --- units


def _units(usage: Mapping[str, Any], *, is_anthropic: bool) -> dict[str, Decimal]:
    if not usage:
        return {}
    if "promptTokenCount" in usage or "candidatesTokenCount" in usage:
        found = _gemini(usage)
    elif is_anthropic or "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
        found = _anthropic(usage)
    elif "inputTokens" in usage:
        found = _converse(usage)
    else:
        found = _openai(usage)
    return {kind: amount for kind, amount in found.items() if amount > 0}


def _openai(usage: Mapping[str, Any]) -> dict[str, Decimal]:
    """Chat completions, embeddings, the responses API, and whoever speaks as they do."""
    put_in = _of(usage, "prompt_tokens", "input_tokens")
    put_out = _of(usage, "completion_tokens", "output_tokens")
    of_input = _inner(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    of_output = _inner(usage, "completion_tokens_details", "output_tokens_details", "output_token_details")
    cached = _of(of_input, "cached_tokens") or _of(usage, "prompt_cache_hit_tokens")
    written = _of(of_input, "cache_write_tokens", "cache_creation_tokens")
    heard, said = _of(of_input, "audio_tokens"), _of(of_output, "audio_tokens")
    reasoned = _of(of_output, "reasoning_tokens")
    return {
        "input_tokens": put_in - cached - written - heard,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "input_audio_tokens": heard,
        "output_tokens": put_out - reasoned - said,
        "reasoning_tokens": reasoned,
        "output_audio_tokens": said,
        "seconds": _of(usage, "seconds"),  # of transcriptions that are paid by time
        "search_units": _of(usage, "search_units"),
    }


def _anthropic(usage: Mapping[str, Any]) -> dict[str, Decimal]:
    """What was read from and written to a cache is not among `input_tokens`."""
    written = _of(usage, "cache_creation_input_tokens")
    for_an_hour = _of(_inner(usage, "cache_creation"), "ephemeral_1h_input_tokens")
    return {
        "input_tokens": _of(usage, "input_tokens"),
        "cached_tokens": _of(usage, "cache_read_input_tokens"),
        "cache_write_tokens": written - for_an_hour,
        "cache_write_1h_tokens": for_an_hour,
        "output_tokens": _of(usage, "output_tokens"),
        # As price lists have searches whose size nobody chose.
        "search_queries_medium": _of(_inner(usage, "server_tool_use"), "web_search_requests"),
    }


def _gemini(usage: Mapping[str, Any]) -> dict[str, Decimal]:
    """Thoughts are not among the candidates; what was cached is part of the prompt."""
    cached = _of(usage, "cachedContentTokenCount")
    return {
        "input_tokens": _of(usage, "promptTokenCount") + _of(usage, "toolUsePromptTokenCount") - cached,
        "cached_tokens": cached,
        "output_tokens": _of(usage, "candidatesTokenCount"),
        "reasoning_tokens": _of(usage, "thoughtsTokenCount"),
    }


def _converse(usage: Mapping[str, Any]) -> dict[str, Decimal]:
    """Bedrock's."""
    return {
        "input_tokens": _of(usage, "inputTokens"),
        "cached_tokens": _of(usage, "cacheReadInputTokens"),
        "cache_write_tokens": _of(usage, "cacheWriteInputTokens"),
        "output_tokens": _of(usage, "outputTokens"),
    }


def _inner(told: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((inner for name in names if isinstance(inner := told.get(name), Mapping)), {})


def _of(told: Mapping[str, Any], *names: str) -> Decimal:
    for name in names:
        value = told.get(name)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return Decimal(value)
        if isinstance(value, float):
            return Decimal(str(value))
    return Decimal()


# --- Apify


def _is_run(one: Mapping[str, Any]) -> bool:
    return "actId" in one and one.get("status") in _ENDED and isinstance(one.get("stats"), Mapping)


def run_units(run: Mapping[str, Any]) -> dict[str, Decimal]:
    stats = _inner(run, "stats")
    found = {"seconds": _of(stats, "runTimeSecs"), "compute_units": _of(stats, "computeUnits")}
    return {kind: amount for kind, amount in found.items() if amount > 0}


def run_cost(run: Mapping[str, Any]) -> Decimal | None:
    """In USD: the total that is told, else the sum of its parts. None: neither is."""
    if "usageTotalUsd" in run:
        return _of(run, "usageTotalUsd")
    parts = _inner(run, "usageUsd")
    return sum((_of(parts, name) for name in parts), Decimal()) if parts else None
