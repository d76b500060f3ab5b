"""A price as somebody writes it, made into one that can be kept; each field that cannot be is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from heartfly.core import text
from heartfly.core.money import Rate, currency_of, rate
from heartfly.core.prices import ALWAYS, EVERY, KIND, STANDARD, STANDARD_TIERS, Price, condition_of, condition_text
from heartfly.errors import InvalidValueError

MOST_PROVIDER, MOST_PRODUCT = 100, 300
_TIER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}", re.ASCII)


def price_given(
    *,
    provider: str,
    product: str,
    unit: str,
    amount: str,
    currency: str,
    tier: str = "",
    condition: str = "",
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> Price:
    """`from_at` None: since ever. `product` empty: each of the provider. InvalidValueError names the field."""
    if not KIND.fullmatch(unit.strip()):
        raise InvalidValueError("unit", "must be a kind of unit: up to 60 of a-z, 0-9, _ and ., such as input_tokens")
    price = Price(
        provider=provider_of(provider),
        product=product_of(product),
        unit=unit.strip(),
        tier=tier_of(tier),
        condition=condition_in(condition),
        from_at=ALWAYS if from_at is None else max(ALWAYS, from_at),
        to_at=to_at,
        amount=amount_of(amount),
        currency=currency_of(currency),
    )
    if price.to_at is not None and price.to_at <= price.from_at:
        raise InvalidValueError("to_at", "must be after from_at")
    return price


def provider_of(given: str) -> str:
    """Small letters: calls and prices of `OpenAI` and of `openai` are the same provider's."""
    return text.name(given, field="provider", most=MOST_PROVIDER).lower()


def product_of(given: str) -> str:
    return text.name(given, field="product", most=MOST_PRODUCT) if given.strip() else EVERY


def tier_of(given: str) -> str:
    tier = given.strip().lower()
    if tier in STANDARD_TIERS:
        return STANDARD
    if not _TIER.fullmatch(tier):
        raise InvalidValueError("tier", "must be up to 40 of a-z, 0-9, _, . and -, such as batch; empty: standard")
    return tier


def condition_in(given: str) -> str:
    """In its one spelling."""
    if not (text_of_it := given.strip()):
        return ""
    found = condition_of(text_of_it)
    if found is None:
        raise InvalidValueError(
            "condition", "must be such as above_200k_tokens or from_128k_tokens, of tokens put in or of a kind of unit"
        )
    return condition_text(found)


def amount_of(given: str, field: str = "amount") -> Rate:
    found = rate(given.strip())
    if found is None:
        raise InvalidValueError(field, "must be an exact decimal: up to 18 digits before the point, 30 behind")
    return found


def fields_of(price: Price) -> Mapping[str, object]:
    """What says which price it is."""
    return {
        "provider": price.provider,
        "product": price.product,
        "unit": price.unit,
        "tier": price.tier,
        "condition": price.condition,
    }
