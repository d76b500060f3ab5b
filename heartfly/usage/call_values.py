"""What single properties of calls say: names, tags, money. What is none says nothing, and loses no call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from heartfly.core.amounts import PLACES
from heartfly.core.calls import LONGEST_NAME, UNKNOWN
from heartfly.core.money import Money, rate_of_json

MOST_TAGS = 20
"""Of a call; of more, those that come first by the alphabet."""
_MOST_KNOWN = 50_000


def name_of(text: str | None) -> str:
    return "" if text is None else text[:LONGEST_NAME].strip()


def provider_of(text: str | None) -> str:
    """In small letters, as prices have it."""
    return name_of(text).lower() or UNKNOWN


class Tags(dict[str | None, tuple[str, ...]]):
    """Of `a, b`, or of a JSON list."""

    def __missing__(self, text: str | None) -> tuple[str, ...]:
        found = tags_of(text)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[text] = found
        return found


def tags_of(text: str | None) -> tuple[str, ...]:
    """In order, each once; a single empty one if there is none."""
    told: Sequence[Any] = (text or "").split(",")
    if text is not None and text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):  # it may nest as deep as it likes
            pass  # then it is a text that begins so
        else:
            told = [one for one in listed if isinstance(one, str)]
    tags = sorted({name_of(one) for one in told} - {""})
    return tuple(tags[:MOST_TAGS]) or ("",)


class Costs(dict[str, Money | None]):
    """Money as callers tell it, which may be in JSON's scientific spelling."""

    def __missing__(self, text: str) -> Money | None:
        found = rate_of_json(text)
        money = None if found is None else found * 10**PLACES
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[text] = money
        return money
