"""LiteLLM's list of prices comes in whole: what it says of a price is what such a call costs, to the last digit."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from heartfly.audit.record import Actor
from heartfly.core.amounts import ONE
from heartfly.core.litellm_prices import PriceList, price_list
from heartfly.core.money import money_text, rate_text
from heartfly.core.prices import ALWAYS, Book
from heartfly.usage.price_imports import Imported, import_prices, read_file
from heartfly.usage.price_reading import read_book
from tests.litellm_file import whole_file
from tests.usage.factory import NOW, PID, Plant

pytestmark = pytest.mark.anyio

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "litellm-prices-sample.json"


@pytest.fixture(scope="module")
def sample() -> PriceList:
    return price_list(SAMPLE.read_bytes())


def of_one(found: PriceList, provider: str, product: str) -> dict[str, str]:
    return {
        " ".join(text for text in (one.unit, one.tier, one.condition) if text): rate_text(one.amount)
        for one in found.prices
        if (one.provider, one.product) == (provider, product)
    }


def test_each_kind_tier_and_condition_is_a_price_of_its_own(sample: PriceList) -> None:
    assert {
        "input_tokens": "0.0000025",
        "input_tokens batch": "0.00000125",
        "input_tokens priority": "0.00000425",
        "output_tokens": "0.00001",
        "output_tokens batch": "0.000005",
        "output_tokens priority": "0.000017",
        "cached_tokens": "0.00000125",
        "cached_tokens priority": "0.000002125",
    }.items() <= of_one(sample, "openai", "gpt-4o").items()
    long = of_one(sample, "bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert {
        "cache_write_1h_tokens above_200k_tokens": "0.000012",
        "cache_write_1h_tokens": "0.000006",
    }.items() <= long.items()
    assert "above_8_input_video_seconds" in str(of_one(sample, "vertex_ai", "multimodalembedding"))
    assert {"images_1k", "images_0_5k"} <= of_one(sample, "fal_ai", "fal-ai/nano-banana-2").keys()
    assert "requests" in of_one(sample, "perplexity", "pplx-70b-online")
    assert "pages batch" in of_one(sample, "mistral", "mistral-ocr-latest")
    assert "guardrail_content_policy_units" in of_one(sample, "bedrock", "guardrails")
    assert "search_queries_low" in str([one.unit for one in sample.prices])


def test_a_table_of_ranges_is_conditions(sample: PriceList) -> None:
    assert {
        "input_tokens": "0.00000005",
        "output_tokens": "0.0000004",
        "input_tokens above_256k_tokens": "0.00000025",
        "output_tokens above_256k_tokens": "0.000002",
    } == of_one(sample, "dashscope", "qwen-flash")


def test_where_a_provider_begins_at_the_threshold_the_condition_says_so(sample: PriceList) -> None:
    conditions = Counter(one.condition for one in sample.prices if one.provider == "xai")

    assert conditions["from_200k_tokens"]
    assert not conditions["above_200k_tokens"]


def test_another_name_of_a_product_has_its_prices(sample: PriceList) -> None:
    assert of_one(sample, "bedrock", "global.anthropic.claude-fable-5-1") == of_one(
        sample, "bedrock", "claude-fable-latest"
    )
    assert of_one(sample, "bedrock", "claude-fable-latest")


def test_what_is_no_price_is_told_with_its_reason(sample: PriceList) -> None:
    told = {(one.entry, one.key): one.reason for one in sample.unmapped}

    assert "example" in told["sample_spec", ""]
    assert "has no price" == told["no-price", ""]
    assert "times of the day" in told["deepseek-flash", "off_peak_pricing"]
    assert any("DBU" in reason for reason in told.values())
    assert any("range of tokens" in reason for reason in told.values())
    assert any(key == "provider_specific_entry" for _, key in told)


def test_an_entry_of_the_same_name_with_other_prices_keeps_its_whole_name() -> None:
    one, other = (
        {"litellm_provider": "a", "input_cost_per_token": 1},
        {"litellm_provider": "a", "input_cost_per_token": 2},
    )
    found = price_list(json.dumps({"a/x": other, "x": one}).encode())

    assert [{"input_tokens": "1"}, {"input_tokens": "2"}] == [of_one(found, "a", name) for name in ("x", "a/x")]
    assert ["a/x"] == [one.entry for one in found.unmapped]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("input_cost_per_token", -1, "exact decimal"),
        ("input_cost_per_token", "much", "exact decimal"),
        ("input_cost_per_token", [1], "exact decimal"),
        ("input_cost_per_wish", 1, "known here"),
        ("input_cost_per_token_flex_above_1k_tokens_batches", 1, "two tiers"),
        ("tiered_pricing", [{"range": ["x", 2], "input_cost_per_token": 1}], "range of tokens"),
        ("tiered_pricing", 7, "known here"),
    ],
)
def test_a_value_that_is_none_is_told(key: str, value: Any, words: str) -> None:
    found = price_list(json.dumps({"m": {"litellm_provider": "a", "output_cost_per_token": 1, key: value}}).encode())

    assert [("m", key, True)] == [(one.entry, one.key, words in one.reason) for one in found.unmapped]
    assert 1 == len(found.prices)


async def lay(plant: Plant, raw: bytes, days: int = 0) -> Imported:
    file = read_file(raw, "litellm", from_at=NOW + timedelta(days=days))
    return await import_prices(plant.usage, PID, file, over_hand=False, actor=Actor("test"), at=NOW, ids=plant.ids)


async def test_only_what_differs_becomes_a_new_version(plant: Plant) -> None:
    raw = SAMPLE.read_bytes()
    first = await lay(plant, raw)
    again = await lay(plant, raw, days=1)
    assert (first.n_new, 0, False) == (again.n_same, again.n_new + again.n_changed, bool(again.plan))

    entries = json.loads(raw)
    entries["gpt-4o"]["input_cost_per_token"] = 1e-07
    del entries["whisper-1"]
    changed = await lay(plant, json.dumps(entries).encode(), days=2)
    assert (1, 0, {"whisper-1"}) == (changed.n_changed, changed.n_new, {one.price.product for one in changed.missing})

    async with plant.usage.read() as read:
        book = await read_book(read, PID)
    for day, expected in ((1, "0.0000025"), (2, "0.0000001")):
        found = book.cost("openai", "gpt-4o", "", {"input_tokens": ONE}, NOW + timedelta(days=day))
        assert {"USD": expected} == {name: money_text(value) for name, value in found.amounts.items()}


# --- the whole file, and what its rows cost by other code

KINDS = {
    "input_tokens": "input_cost_per_token",
    "output_tokens": "output_cost_per_token",
    "cached_tokens": "cache_read_input_token_cost",
    "cache_write_tokens": "cache_creation_input_token_cost",
    "cache_write_1h_tokens": "cache_creation_input_token_cost_above_1hr",
    "input_audio_tokens": "input_cost_per_audio_token",
    "output_audio_tokens": "output_cost_per_audio_token",
    "reasoning_tokens": "output_cost_per_reasoning_token",
    "images": "output_cost_per_image",
    "output_seconds": "output_cost_per_second",
    "seconds": "input_cost_per_second",
    "queries": "input_cost_per_query",
    "input_characters": "input_cost_per_character",
    "requests": "input_cost_per_request",
    "pages": "ocr_cost_per_page",
}
PUT_IN = ("input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens", "input_audio_tokens")
SUFFIXES = {"": "", "batch": "_batches", "priority": "_priority", "flex": "_flex"}


def price(entry: Mapping[str, Any], kind: str, tier: str, context: Decimal) -> Decimal | None:
    """By the keys of the entry alone: its tier before the standard one, then the highest threshold that is passed."""
    for suffix in dict.fromkeys((SUFFIXES[tier], "")):
        best: tuple[int, Decimal] | None = None
        for key, value in entry.items():
            base = KINDS[kind]
            if key == base + suffix:
                passed = -1
            elif key.startswith(f"{base}_above_") and key.endswith(f"_tokens{suffix}"):
                number = key[len(base) + 7 : -len(f"_tokens{suffix}")]
                if not number.removesuffix("k").isdigit():
                    continue
                passed = int(number.removesuffix("k")) * (1000 if number.endswith("k") else 1)
                if not (context >= passed if entry["litellm_provider"] == "xai" else context > passed):
                    continue
            else:
                continue
            if best is None or passed > best[0]:
                best = (passed, value)
        if best is not None:
            return best[1]
    return None


def expected(entry: Mapping[str, Any], units: Mapping[str, Decimal], tier: str) -> Decimal | None:
    total, context = Decimal(0), sum((units.get(kind, Decimal(0)) for kind in PUT_IN), Decimal(0))
    for kind, n in units.items():
        of_unit = price(entry, kind, tier, context)
        if of_unit is None and kind == "reasoning_tokens":
            of_unit = price(entry, "output_tokens", tier, context)
        if of_unit is None:
            return None
        total += n * of_unit
    return total


def knows(entry: Mapping[str, Any], tier: str) -> bool:
    return not tier or any(key.endswith(SUFFIXES[tier]) and "cost" in key for key in entry)


@pytest.mark.slow
async def test_the_whole_file_comes_in_and_a_thousand_rows_cost_what_decimals_say(plant: Plant) -> None:
    raw = whole_file()
    found = await lay(plant, raw)
    file = price_list(raw)
    entries = json.loads(raw, parse_float=Decimal, parse_int=Decimal)
    assert (len(entries), len(file.prices)) == (file.n_entries, found.n_new)
    assert file.n_entries > 4_000
    assert len(file.prices) > 15_000
    _nothing_is_left_out(entries, file)
    assert not (await lay(plant, raw, days=1)).plan

    async with plant.usage.read() as read:
        book = await read_book(read, PID)
    draw = random.Random(1)
    flat = {name: one for name, one in entries.items() if _is_flat(name, one, file)}
    tried, unknown = 0, 0
    with localcontext(Context(prec=120)):
        while tried < 1_000:
            name = draw.choice(list(flat))
            entry = flat[name]
            priced = [kind for kind, key in KINDS.items() if key in entry]
            tiers = [tier for tier in SUFFIXES if knows(entry, tier)]
            if not priced:
                continue
            tier = draw.choice(tiers)
            kinds = draw.sample(priced, draw.randint(1, len(priced)))
            if draw.random() < 0.1:
                kinds.append("reasoning_tokens")
            units = {kind: Decimal(draw.choice([1, 17, 999, 128_000, 200_000, 200_001, 300_000])) for kind in kinds}
            _same(book, name, entry, units, tier)
            unknown += expected(entry, units, tier) is None
            tried += 1
    assert unknown < 200


def _same(book: Book, name: str, entry: Mapping[str, Any], units: Mapping[str, Decimal], tier: str) -> None:
    provider, product = place_of(name, entry)
    told = {kind: int(n) * ONE for kind, n in units.items()}
    cost = book.cost(provider, product, tier, told, NOW)
    wanted = expected(entry, units, tier)
    assert (wanted is not None) is cost.known, (name, units, tier, cost.unpriced)
    if wanted is not None:
        assert wanted == Decimal(money_text(cost.amounts["USD"])), (name, units, tier)


SECOND_NAMES = {"input_cost_per_token_cache_hit", "cost_per_second"}
"""Keys that say once more what another one says."""
FAMILIES = {"bedrock_converse": "bedrock", "cohere_chat": "cohere", "azure_text": "azure"}


def place_of(name: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    given = str(entry["litellm_provider"])
    family = FAMILIES.get(given, given.removeprefix("text-completion-"))
    family = next((one for one in ("vertex_ai", "fireworks_ai") if given.startswith(f"{one}-")), family)
    bare = name.removeprefix(f"{given}/")
    return family, bare if bare != name else name.removeprefix(f"{family}/")


def _is_flat(name: str, entry: Mapping[str, Any], file: PriceList) -> bool:
    """What the other code knows: no table of ranges, no key of two meanings, and no entry of another name or of the
    same one."""
    odd = {"tiered_pricing", "alias_of", "input_cost_per_token_cache_hit"}
    renamed = {one.entry for one in file.unmapped if not one.key}
    return bool(entry.get("litellm_provider")) and not odd & entry.keys() and name not in renamed


def _nothing_is_left_out(entries: Mapping[str, Any], file: PriceList) -> None:
    """Each key that tells of money is a price, or is told."""
    told = {(one.entry, one.key) for one in file.unmapped} | {(one.entry, "") for one in file.unmapped if not one.key}
    n_keys = Counter[tuple[str, str]]()
    for one in file.prices:
        n_keys[one.provider, one.product] += 1
        assert one.from_at == ALWAYS
    for name, entry in entries.items():
        if (name, "") in told or "alias_of" in entry:
            continue
        money = [key for key in entry if "cost" in key and not isinstance(entry[key], list | dict)]
        mapped = [key for key in money if (name, key) not in told and entry[key] is not None]
        assert n_keys[place_of(name, entry)] >= len(set(mapped) - SECOND_NAMES), name
