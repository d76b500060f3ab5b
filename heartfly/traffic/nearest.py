"""What somebody may have meant whose filter names an endpoint or a customer that there is none of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.db.models import usage_names
from heartfly.errors import InvalidValueError
from heartfly.traffic.asked import OTHER_ENDPOINTS, Asked
from heartfly.traffic.filters import endpoints_of, subjects_called

MOST_NAMES = 5_000
"""Customers that are looked at, those that came up last: there may be millions."""
_SHOWN = 3
_ALIKE = 0.5
"""From 0 to 1; less has little in common."""

Nearest = Mapping[tuple[str, str], Sequence[str]]
"""By filter and value, the most alike first, perhaps none; only of values that are nobody's."""


async def nearest(read: AsyncConnection, pid: int, asked: Asked) -> Nearest:
    found: dict[tuple[str, str], Sequence[str]] = {}
    if asked.endpoints:
        known = set((await endpoints_of(read, pid)).values())
        for value in asked.endpoints:
            if value not in known and value != OTHER_ENDPOINTS:
                found["endpoint", value] = _alike(value, sorted(known))
    unknown = [value for value in asked.customers if not await _is_known(read, pid, value)]
    if unknown:
        names = await _subjects(read, pid)
        found |= {("customer", value): _alike(value, names) for value in unknown}
    return found


async def _is_known(read: AsyncConnection, pid: int, customer: str) -> bool:
    try:
        return bool(await subjects_called(read, pid, [customer]))
    except InvalidValueError:  # it looks like the id of one, and is nobody's
        return False


def _alike(value: str, names: Sequence[str]) -> Sequence[str]:
    return get_close_matches(value, names, n=_SHOWN, cutoff=_ALIKE)


async def _subjects(read: AsyncConnection, pid: int) -> Sequence[str]:
    query = sa.select(usage_names.c.text).where(usage_names.c.pid == pid, usage_names.c.kind == "subject")
    return list((await read.execute(query.order_by(usage_names.c.id.desc()).limit(MOST_NAMES))).scalars())
