"""Ids made by the process that writes, so that a batch needs no answer from the database.

63 bits: milliseconds since 2024 (41), node (10), sequence (12). They sort by time of creation,
stay unique across 1,024 nodes, and never mean more than identity and rough order.
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta

_BASE = datetime(2024, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def first_id(at: datetime) -> int:
    """No id made then or later is smaller, but for a clock that was set; at least 0, at most what an id can be."""
    ms = max(0, (at - _BASE) // _MILLISECOND)
    return min(ms << 22, (1 << 63) - 1)


def public_ids(at: datetime, n: int) -> list[str]:
    """New UUIDs (version 7) that begin with this instant, in milliseconds; 74 bits of each are random.

    For rows of which many come at a time: in an index they stand together, where random ones would cost a page each.
    """
    ms = f"{(at - _EPOCH) // _MILLISECOND:012x}"
    begin, chance = f"{ms[:8]}-{ms[8:]}-7", os.urandom(10 * n).hex()
    found = []
    for i in range(0, 20 * n, 20):
        variant = "89ab"[int(chance[i + 3], 16) & 3]
        found.append(f"{begin}{chance[i : i + 3]}-{variant}{chance[i + 4 : i + 7]}-{chance[i + 7 : i + 19]}")
    return found


class IdSource:
    def __init__(self, node: int) -> None:
        self._node = (node & 0x3FF) << 12
        self._last = 0
        self._at: tuple[datetime | None, int] = (None, 0)
        """The last instant that was asked for, which a batch has in common, and what its ids begin with."""
        self._lock = threading.Lock()

    def next(self, now: datetime) -> int:
        """A new id, larger than every one before it from this source, also when the clock steps back."""
        at, first = self._at
        if at is not now:
            first = self._first(now)
            self._at = (now, first)
        with self._lock:
            found = self._last = self._after(self._last, first)
        return found

    def several(self, now: datetime, n: int) -> list[int]:
        """New ids, each larger than the one before."""
        first = self._first(now)
        found: list[int] = []
        with self._lock:
            while len(found) < n:
                start = self._after(self._last, first)
                # As many as one millisecond's sequence has left.
                some = range(start, start + min(n - len(found), 0x1000 - (start & 0xFFF)))
                found += some
                self._last = some[-1]
        return found

    def _first(self, now: datetime) -> int:
        return ((now - _BASE) // _MILLISECOND) << 22 | self._node

    def _after(self, last: int, first: int) -> int:
        if first > last:
            return first
        following = last + 1
        # The sequence field overflowed into the node field: take the next millisecond.
        if following & 0x3FFFFF & ~0xFFF != self._node:
            return ((last >> 22) + 1) << 22 | self._node
        return following
