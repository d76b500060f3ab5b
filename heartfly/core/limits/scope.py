"""Whom a limit is for: which calls it counts, with how many counters, and which of two limits is the more special.

A dimension is set to a value, to `each` (a counter for each value), or left at `*` (one counter for all). Of limits of
the same kind, unit and window a more special one replaces a more general one; two of which neither is more special both
hold. What a limit counts is in rules.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from heartfly.errors import InvalidValueError

ANY, EACH = "*", "each"
LITERAL = "="
"""What stands behind it is a value, whatever it is: `=each` is for who is called each."""
MOST_TAGS = 20
MAX_VALUE = 256


class Call(NamedTuple):
    """What is known of a call before it is made; empty: not said."""

    provider: str = ""
    model: str = ""
    key: str = ""
    customer: str = ""
    user: str = ""
    tags: tuple[str, ...] = ()

    def values(self, dimension: str) -> Sequence[str]:
        if dimension == "tag":
            return self.tags
        value: str = getattr(self, dimension)
        return (value,) if value else ()


DIMENSIONS = ("provider", "model", "key", "customer", "user", "tag")

Scope = tuple[tuple[str, str | None], ...]
"""In the order of DIMENSIONS, those that are set: to a value, or None for each."""


def scope_of(given: Mapping[str, str]) -> Scope:
    """InvalidValueError names the dimension."""
    for name in given:
        if name not in DIMENSIONS:
            raise InvalidValueError(f"scope.{name[:100]}", f"is none of {', '.join(DIMENSIONS)}")
    found: list[tuple[str, str | None]] = []
    for dimension in DIMENSIONS:
        text = given.get(dimension, ANY)
        if text == ANY:
            continue
        if text == EACH:
            found.append((dimension, None))
            continue
        value = text.removeprefix(LITERAL)
        if not value or len(value) > MAX_VALUE or not value.isprintable():
            raise InvalidValueError(
                f"scope.{dimension}", f"must be *, each, or a value of 1 to {MAX_VALUE} printable characters"
            )
        # A provider is the same in capitals and small letters, as calls and prices have it.
        found.append((dimension, value.lower() if dimension == "provider" else value))
    return tuple(found)


def written(scope: Scope) -> dict[str, str]:
    """As `scope_of` reads it."""
    return {dimension: EACH if value is None else _literal(value) for dimension, value in scope}


def _literal(value: str) -> str:
    return f"{LITERAL}{value}" if value in {ANY, EACH} or value.startswith(LITERAL) else value


def counters_for(scope: Scope, call: Call) -> list[tuple[str, ...]]:
    """The values of what is counted apart, for each counter that the call goes to; empty: it is none of this scope.

    A call with three tags goes to three counters of a limit for each tag. Who does not say whose it is, is nobody's.
    """
    apart: list[Sequence[str]] = []
    for dimension, value in scope:
        known = call.values(dimension)
        if value is None:
            apart.append(known)
        elif value not in known:
            return []
    return list(product(*apart))


def is_more_special(one: Scope, other: Scope) -> bool:
    """Whether whatever `one` is for is what `other` is for, too, and more closely told."""
    if one == other:
        return False
    told, general = dict(one), dict(other)
    for dimension, value in general.items():
        if dimension not in told:
            return False
        if value is not None and told[dimension] != value:
            return False
    return True


def tags_of(given: Iterable[str]) -> tuple[str, ...]:
    """Once each, in order, so that two calls with the same tags are the same."""
    return tuple(sorted({tag for tag in given if tag}))
