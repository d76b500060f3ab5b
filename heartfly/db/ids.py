"""Ids made by the process that writes, so that a batch needs no answer from the database.

63 bits: milliseconds since 2024 (41), node (10), sequence (12). They sort by time of creation,
stay unique across 1,024 nodes, and never mean more than identity and rough order.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

_BASE = datetime(2024, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def first_id(at: datetime) -> int:
    """No id made then or later is smaller, but for a clock that was set; at least 0, at most what an id can be."""
    ms = max(0, (at - _BASE) // _MILLISECOND)
    return min(ms << 22, (1 << 63) - 1)


class IdSource:
    def __init__(self, node: int) -> None:
        self._node = (node & 0x3FF) << 12
        self._last = 0
        self._lock = threading.Lock()

    def next(self, now: datetime) -> int:
        """A new id, larger than every one before it from this source, also when the clock steps back."""
        return self.several(now, 1)[0]

    def several(self, now: datetime, n: int) -> list[int]:
        """New ids, each larger than the one before."""
        first = ((now - _BASE) // _MILLISECOND) << 22 | self._node
        found = []
        with self._lock:
            last = self._last
            for _ in range(n):
                candidate = first
                if candidate <= last:
                    candidate = last + 1
                    # The sequence field overflowed into the node field: take the next millisecond.
                    if candidate & 0x3FFFFF & ~0xFFF != self._node:
                        candidate = ((last >> 22) + 1) << 22 | self._node
                last = candidate
                found.append(candidate)
            self._last = last
        return found
