"""Who and what numbers stand for in an answer: endpoints as texts, and customers, each under the id that finds him.

Whoever is known by several names is one customer; a name of which nobody is known is a customer of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.traffic import OTHER
from heartfly.traffic.asked import OTHER_ENDPOINTS
from heartfly.traffic.filters import Wanted
from heartfly.usage.whose import subjects_of


@dataclass(frozen=True, slots=True)
class Named:
    """`key`: what a filter takes."""

    key: str
    name: str


async def customers_of(read: AsyncConnection, pid: int, subjects: Iterable[int]) -> Mapping[int, Named]:
    """By the number of a name."""
    found = await subjects_of(read, pid, subjects)
    return {
        number: Named(one.text, one.text) if one.customer is None else Named(one.customer.uuid, one.customer.name)
        for number, one in found.items()
    }


def endpoint_of(wanted: Wanted, key: int | str) -> str:
    """`key`: its number, or what it is called if it has none yet."""
    if isinstance(key, str):
        return key
    return OTHER_ENDPOINTS if key == OTHER else wanted.names[key]
