"""Files of prices, and prices that people give: what is wrong is told by its place, and the rest is taken."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from heartfly.core import price_csv
from heartfly.core.litellm_prices import price_list
from heartfly.core.money import rate_text
from heartfly.core.price_csv import price_table
from heartfly.core.price_given import price_given
from heartfly.errors import InvalidValueError

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "provider": "OpenAI", "product": "gpt", "unit": "pages", "amount": "0.5", "currency": "USD",
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"unit": "Two Words"}, "unit"), ({"tier": "Very Slow!"}, "tier"), ({"condition": "sometimes"}, "condition"),
        ({"amount": "a lot"}, "amount"), ({"currency": "XXY"}, "currency"), ({"provider": " "}, "provider"),
        ({"from_at": MARCH, "to_at": MARCH}, "to_at"),
    ],
)  # fmt: skip
def test_a_price_that_is_none_is_told_by_its_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        price_given(**(GOOD | given))
    assert field == refused.value.field


def test_a_price_that_is_given_has_one_spelling() -> None:
    price = price_given(**(GOOD | {"product": "", "tier": "Default", "condition": "above_200000_tokens"}))
    assert ("openai", "*", "above_200k_tokens") == (price.provider, price.product, price.condition)


HEADING = "provider,product,unit,amount,currency"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\xff\xfe", "is not UTF-8"), (b"", "has no column"), (b"provider,unit", "has no column"),
        (f"{HEADING},colour".encode(), "has a column 'colour'"),
        (f'{HEADING}\na,b,pages,"{"1" * 200_000}",USD'.encode(), "is no CSV"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_refused_as_a_whole(raw: bytes, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        price_table(raw, from_at=MARCH)


def test_of_a_table_wrong_rows_are_told_and_the_others_taken() -> None:
    rows = ["a,b,pages,3.75E-08,USD", "", "a,b,pages,much,USD", "a,b", "a,b,seconds,1,USD"]
    found = price_table("\n".join([HEADING, *rows]).encode(), from_at=MARCH)

    assert (2, 4, [4, 5]) == (len(found.prices), found.n_rows, [line for line, _ in found.wrong])


def test_a_table_of_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_csv, "MOST_ROWS", 1)
    with pytest.raises(InvalidValueError, match="more than 1 rows"):
        price_table(f"{HEADING}\na,b,pages,1,USD\na,b,seconds,1,USD".encode(), from_at=MARCH)


ENTRIES: dict[str, Any] = {
    "plain": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
    "nobody": {"input_cost_per_token": 1e-06},
    "silent": {"litellm_provider": "openai", "mode": "chat"},
    "\u0000": {"litellm_provider": "\u0000", "input_cost_per_token": 1e-06},
    "a": {"alias_of": "b"}, "b": {"alias_of": "c"}, "c": 7,
    "loop": {"alias_of": "loop"},
    "tiers": {
        "litellm_provider": "xai", "input_cost_per_token": 3e-06,
        "tiered_pricing": [
            {"range": [0, 1000], "input_cost_per_token": 1e-06}, {"range": ["x", 2]}, 7,
            {"range": [1000, 2000], "input_cost_per_token_above_200k_tokens": 2e-06},
        ],
    },
    "twice": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "input_cost_per_token_standard": 2e-06},
    "openai/plain": {"litellm_provider": "openai", "input_cost_per_token": 9e-06},
    "searched": {
        "litellm_provider": "openai", "search_context_cost_per_query": {"search_context_size_low": 0.01, "other": "x"},
        "guardrail_cost_per_unit": {"contentPolicy": 0.1, "!!": 0.2},
    },
}  # fmt: skip


def test_of_a_list_what_cannot_be_mapped_is_told_and_never_dropped() -> None:
    found = price_list(json.dumps(ENTRIES).encode())

    told = {(one.entry, one.reason) for one in found.unmapped}
    assert ("nobody", "names no provider") in told
    assert {"silent", "c", "loop", "tiers", "openai/plain", "searched"} <= {one.entry for one in found.unmapped}
    assert {"plain", "openai/plain", "tiers", "twice", "searched"} == {price.product for price in found.prices}
    assert len(ENTRIES) == found.n_entries


def test_of_two_keys_for_one_price_the_first_counts_and_the_other_is_told() -> None:
    late, early = "input_cost_per_token_above_200k_tokens_priority", "input_cost_per_token_priority_above_200k_tokens"
    found = price_list(json.dumps({"a": {"litellm_provider": "openai", late: 1e-06, early: 2e-06}}).encode())

    assert [("input_tokens", "priority", "0.000001")] == [(p.unit, p.tier, rate_text(p.amount)) for p in found.prices]
    assert [(early, "has another price of input_tokens than a key before it; the first one counts")] == [
        (one.key, one.reason) for one in found.unmapped
    ]


def test_an_entry_that_repeats_another_is_no_second_product_and_no_price_is_no_remark() -> None:
    same = {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "output_cost_per_token": None}
    found = price_list(json.dumps({"a": same, "openai/a": same}).encode())

    assert [("openai", "a", "input_tokens")] == [(p.provider, p.product, p.unit) for p in found.prices]
    assert [] == found.unmapped


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff"])
def test_a_list_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidValueError):
        price_list(raw)
