"""LiteLLM's public list of prices, as prices of ours: which of its keys is which kind of unit, tier and condition.

The rules are those of its own calculator (MIT licence), as of version 1.110. Numbers are taken as they are written.
What is no price of ours is told with the reason; nothing is left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from heartfly.core.amounts import ONE
from heartfly.core.events import read
from heartfly.core.money import Rate, rate_of_json
from heartfly.core.price_given import product_of, provider_of
from heartfly.core.prices import CONTEXT, KIND, STANDARD, Condition, Price, condition_text
from heartfly.errors import InvalidValueError

CURRENCY = "USD"
UNITS: Mapping[str, str] = {
    "input_cost_per_token": "input_tokens",
    "output_cost_per_token": "output_tokens",
    "output_cost_per_reasoning_token": "reasoning_tokens",
    "citation_cost_per_token": "citation_tokens",
    "cache_read_input_token_cost": "cached_tokens",
    "input_cost_per_token_cache_hit": "cached_tokens",
    "explicit_cache_read_input_token_cost": "explicit_cached_tokens",
    "cache_creation_input_token_cost": "cache_write_tokens",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_tokens",
    "cache_creation_input_token_cost_above_12hr": "cache_write_12h_tokens",
    "input_cost_per_audio_token": "input_audio_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
    "cache_read_input_audio_token_cost": "cached_audio_tokens",
    "cache_creation_input_audio_token_cost": "cache_write_audio_tokens",
    "input_cost_per_image_token": "input_image_tokens",
    "output_cost_per_image_token": "output_image_tokens",
    "cache_read_input_image_token_cost": "cached_image_tokens",
    "input_cost_per_video_token": "input_video_tokens",
    "output_cost_per_video_token": "output_video_tokens",
    "input_cost_per_character": "input_characters",
    "output_cost_per_character": "output_characters",
    "input_cost_per_image": "input_images",
    "output_cost_per_image": "images",
    "input_cost_per_pixel": "input_pixels",
    "output_cost_per_pixel": "output_pixels",
    "cost_per_second": "seconds",
    "input_cost_per_second": "seconds",
    "output_cost_per_second": "output_seconds",
    "input_cost_per_audio_per_second": "input_audio_seconds",
    "input_cost_per_video_per_second": "input_video_seconds",
    "output_cost_per_video_per_second": "output_video_seconds",
    "input_cost_per_request": "requests",
    "input_cost_per_query": "queries",
    "input_cost_per_text_message": "text_messages",
    "google_maps_grounding_cost_per_query": "maps_queries",
    "ocr_cost_per_page": "pages",
    "annotation_cost_per_page": "annotated_pages",
    "ocr_cost_per_credit": "ocr_credits",
    "code_interpreter_cost_per_session": "code_interpreter_sessions",
    "file_search_cost_per_gb_per_day": "file_search_gb_days",
    "vector_store_cost_per_gb_per_day": "vector_store_gb_days",
}
"""By key: the kind of unit of which it is the price of one."""
TIERS: Mapping[str, str] = {"batches": "batch"} | {
    name: name for name in ("priority", "flex", "balanced", "decisions", "ultrafast", "fast")
}
NOT_PRICES: Mapping[str, str] = {
    "off_peak_pricing": "holds at some times of the day only, which no condition can say",
    "provider_specific_entry": "is a factor by which other prices grow, and no price",
    "fedramp_uplift_multiplier": "is a factor by which other prices grow, and no price",
    "regional_endpoint_uplift_multiplier": "is a factor by which other prices grow, and no price",
    "regional_processing_uplift_multiplier_eu": "is a factor by which other prices grow, and no price",
    "regional_processing_uplift_multiplier_us": "is a factor by which other prices grow, and no price",
    "input_dbu_cost_per_token": "is in units of a vendor (DBU), and in no currency",
    "output_dbu_cost_per_token": "is in units of a vendor (DBU), and in no currency",
}
_SOUNDS_LIKE_MONEY = re.compile(r"cost|price|pricing|multiplier")
_SIZED: Mapping[str, str] = {"output_cost_per_image": "images", "output_cost_per_second": "output_seconds"}
_TIER = "|".join(TIERS)
_KEY = re.compile(
    rf"(?P<base>.+?)(?:_(?P<early>{_TIER}))?"
    rf"(?:_above_(?:(?P<tokens>\d{{1,12}}k?)_tokens|(?P<seconds>\d{{1,6}})s_interval))?(?:_(?P<late>{_TIER}))?"
)
_SIZE = re.compile(r"(?P<base>output_cost_per_(?:image|second))_(?P<size>[0-9][0-9.]{0,7}[kKp]?)")
_FAMILIES = (
    (re.compile(r"(vertex_ai|fireworks_ai)-.+"), r"\1"),
    (re.compile(r"text-completion-(.+)"), r"\1"),
    (re.compile(r"bedrock_converse"), "bedrock"),
    (re.compile(r"cohere_chat"), "cohere"),
    (re.compile(r"azure_text"), "azure"),
)
"""Providers that are one, by several of its interfaces."""
_INCLUSIVE = frozenset({"xai"})
"""Providers whose higher price begins at the threshold, not above it."""
_MOST_ALIASES = 5
_EXAMPLE = "sample_spec"


@dataclass(frozen=True, slots=True)
class Unmapped:
    """`key` empty: the entry as a whole."""

    entry: str
    key: str
    reason: str


@dataclass(slots=True)
class PriceList:
    """What a file of prices holds. `prices`: since ever, for ever; of no key two."""

    n_entries: int = 0
    prices: list[Price] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)


def price_list(raw: bytes) -> PriceList:
    """InvalidValueError: it is no such file."""
    try:
        document = read(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidValueError("file", f"is no JSON: {str(error)[:200]}") from error
    if not isinstance(document, dict) or not any(isinstance(one, dict) for one in document.values()):
        raise InvalidValueError("file", "is no list of prices by model, as LiteLLM has it")
    found = PriceList(n_entries=len(document))
    of_product: dict[tuple[str, str], dict[tuple[str, str, str], Rate]] = {}
    bare_first = sorted(document, key=lambda name: _is_prefixed(name, document[name]))
    for name in bare_first:
        _take(name, document, found, of_product)
    for (provider, product), rates in of_product.items():
        for (unit, tier, condition), amount in rates.items():
            found.prices.append(
                Price(
                    provider=provider, product=product, unit=unit, tier=tier, condition=condition,
                    amount=amount, currency=CURRENCY,
                )
            )  # fmt: skip
    return found


_Rates = dict[tuple[str, str, str], Rate]


def _take(name: str, document: Mapping[str, Any], found: PriceList, of_product: dict[tuple[str, str], _Rates]) -> None:
    def tell(key: str, reason: str) -> None:
        found.unmapped.append(Unmapped(name, key, reason))

    if name == _EXAMPLE:
        tell("", "is an example of the format, and no product")
        return
    entry = _resolved(document, name)
    given = entry.get("litellm_provider") if entry is not None else None
    if entry is None or not isinstance(given, str):
        tell("", "names no provider")
        return
    try:
        provider, product = provider_of(_family(given)), product_of(_product(name, given))
    except InvalidValueError as error:
        tell("", str(error))
        return
    rates = _Rates()
    for key, value in entry.items():
        for unit, tier, condition, amount_or_reason in _read(key, value, inclusive=given in _INCLUSIVE):
            place = (unit, tier, condition)
            if isinstance(amount_or_reason, str):
                tell(key, amount_or_reason)
            elif rates.setdefault(place, amount_or_reason) != amount_or_reason:
                if key == "tiered_pricing":  # the calculator asks it first
                    tell(key, f"has another price of {unit} than the entry itself; it is the one that counts")
                    rates[place] = amount_or_reason
                else:
                    tell(key, f"has another price of {unit} than a key before it; the first one counts")
    if not rates:
        tell("", "has no price")
        return
    taken = of_product.get((provider, product))
    if taken is None:
        of_product[provider, product] = rates
    elif taken != rates:
        tell("", f"has other prices than another entry for {product}; they are kept under its whole name")
        of_product[provider, name] = rates


def _resolved(document: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    entry = document.get(name)
    for _ in range(_MOST_ALIASES):
        if not isinstance(entry, dict):
            return None
        if "alias_of" not in entry:
            return entry
        entry = document.get(str(entry["alias_of"]))
    return None


def _is_prefixed(name: str, entry: Any) -> bool:
    provider = entry.get("litellm_provider") if isinstance(entry, dict) else None
    return isinstance(provider, str) and name.startswith((f"{provider}/", f"{_family(provider)}/"))


def _family(provider: str) -> str:
    for shape, named in _FAMILIES:
        if found := shape.fullmatch(provider):
            return found.expand(named)
    return provider


def _product(name: str, provider: str) -> str:
    """As callers name it: without the provider before it."""
    for prefix in (f"{provider}/", f"{_family(provider)}/"):
        if name.startswith(prefix) and len(name) > len(prefix):
            return name[len(prefix) :]
    return name


_Read = tuple[str, str, str, Rate | str]
"""Unit, tier, condition; what one costs, or why that is no price of ours."""


def _read(key: str, value: Any, *, inclusive: bool) -> Iterator[_Read]:
    if not _SOUNDS_LIKE_MONEY.search(key) and key != "provider_specific_entry":
        return
    if key in NOT_PRICES:
        yield "", "", "", NOT_PRICES[key]
    elif key == "search_context_cost_per_query" and isinstance(value, dict):
        for size, amount in value.items():
            yield f"search_queries_{size.removeprefix('search_context_size_')}", STANDARD, "", _rate(amount)
    elif key == "guardrail_cost_per_unit" and isinstance(value, dict):
        for policy, amount in value.items():
            unit = "guardrail_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", policy).lower()
            yield unit, STANDARD, "", _rate(amount) if KIND.fullmatch(unit) else "is of a kind with no usable name"
    elif key == "tiered_pricing" and isinstance(value, list):
        for one in value:
            yield from _of_tiers(one, inclusive=inclusive)
    elif value is not None:
        yield _of_key(key, value, inclusive=inclusive)


def _of_tiers(one: Any, *, inclusive: bool) -> Iterator[_Read]:
    """A row of such a table: for calls that put in more tokens than its range begins with."""
    bounds = one.get("range") if isinstance(one, dict) else None
    try:
        start = Decimal(str(bounds[0])) if isinstance(bounds, list) and bounds else None
    except InvalidOperation:
        start = None
    if start is None or not 0 <= start < 10**12 or start != start.to_integral_value():
        yield "", "", "", "has a row that is not for a range of tokens"
        return
    above = _above(str(int(start)), inclusive=inclusive) if start else ""
    for key, value in one.items():
        if key == "range":
            continue
        unit, tier, condition, amount = _of_key(key, value, inclusive=inclusive)
        if condition:
            amount = "has a condition within a range"
        yield unit, tier, above, amount


def _of_key(key: str, value: Any, *, inclusive: bool) -> _Read:
    named = _KEY.fullmatch(key)
    base = named["base"] if named else key
    if named is None or (unit := _unit(base)) is None:
        return "", "", "", "is no price that is known here"
    if named["early"] and named["late"]:
        return "", "", "", "names two tiers"
    condition = ""
    if named["tokens"]:
        condition = _above(named["tokens"], inclusive=inclusive)
    elif named["seconds"]:
        condition = f"above_{named['seconds']}_{unit}"
    return unit, TIERS.get(named["early"] or named["late"] or "", STANDARD), condition, _rate(value)


def _unit(base: str) -> str | None:
    if base in UNITS:
        return UNITS[base]
    sized = _SIZE.fullmatch(base)
    return f"{_SIZED[sized['base']]}_{sized['size'].lower().replace('.', '_')}" if sized else None


def _above(tokens: str, *, inclusive: bool) -> str:
    n = int(tokens.removesuffix("k")) * (1_000 if tokens.endswith("k") else 1)
    return condition_text(Condition(n * ONE, inclusive, CONTEXT))


def _rate(value: Any) -> Rate | str:
    """Numbers are texts here, as they were written (core/events.py)."""
    found = rate_of_json(value) if isinstance(value, str) else None
    return f"is no exact decimal of a price: {str(value)[:50]}" if found is None else found
