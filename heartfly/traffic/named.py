"""Who and what numbers stand for in an answer: endpoints as texts, and customers, each under the id that finds him.

Whoever is known by several names is one customer; a name of which nobody is known is a customer of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.core.traffic import OTHER
from heartfly.traffic.asked import OTHER_ENDPOINTS
from heartfly.traffic.filters import Wanted, endpoints_of
from heartfly.usage.whose import owners_of, subjects_of


class Named(NamedTuple):
    """`key`: what a filter takes. A tuple, as there is one of each customer whenever some are told."""

    key: str
    name: str


ERASED = Named("", "(erased)")
"""Whose name is gone, until his hours are folded anew."""


async def customers_of(read: AsyncConnection, pid: int, subjects: Iterable[int]) -> Mapping[int, Named]:
    """By the number of a name."""
    wanted = set(subjects)
    found = await subjects_of(read, pid, wanted)
    named = {
        number: Named(one.text, one.text) if one.customer is None else Named(one.customer.uuid, one.customer.name)
        for number, one in found.items()
    }
    return dict.fromkeys(wanted, ERASED) | named


async def n_customers_of(read: AsyncConnection, pid: int, subjects: Collection[int]) -> int:
    """How many they are; of those whose names are gone nobody can tell, and they are one."""
    owners = await owners_of(read, pid, subjects)
    gone = len(subjects) - len(owners)
    strangers = sum(1 for customer_id in owners.values() if customer_id is None)
    return strangers + len(set(owners.values()) - {None}) + min(gone, 1)


async def endpoints_called(
    read: AsyncConnection, pid: int, wanted: Wanted, keys: Iterable[int | str]
) -> Mapping[int | str, str]:
    """By its number, or by what it is called if it has none yet."""
    some, names = list(keys), wanted.names
    if any(isinstance(key, int) and key != OTHER and key not in names for key in some):
        names = await endpoints_of(read, pid)  # one was named since
    return {key: key if isinstance(key, str) else names.get(key, OTHER_ENDPOINTS) for key in some}
