"""How near each project is to what it may store: as it was last summed up, and what this process stored since.

What is stored, and what becomes of what is too much, others say. What other processes store is known with the next sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class _Seen:
    stored: int
    added: int
    """What this process had stored by then, all in all."""


class Turned(NamedTuple):
    """Projects that are full since the sum before, and those that are no more; in order."""

    full: tuple[int, ...]
    free: tuple[int, ...]


class Filling:
    """`most`: of each project; 0: any, and then nothing is counted. Before the first sum nobody else's is known.

    `room_for`: a project is full when it has no room for so many more. 0: when it has more than it may.
    """

    def __init__(self, most: int, *, room_for: int = 0) -> None:
        self.most = most
        self._room_for = room_for
        self._seen: dict[int, _Seen] = {}
        self._added: Counter[int] = Counter()
        self._full: frozenset[int] = frozenset()

    def add(self, pid: int, n: int) -> None:
        """Stored; negative: removed."""
        if self.most:
            self._added[pid] += n

    def stored(self, pid: int) -> int:
        seen = self._seen.get(pid, _Seen(0, 0))
        return seen.stored + self._added[pid] - seen.added

    def is_full(self, pid: int) -> bool:
        return 0 < self.most < self.stored(pid) + self._room_for

    def added(self) -> Mapping[int, int]:
        """For `sum_up`; asked for before the database is, as what is stored meanwhile may be in its sum already."""
        return dict(self._added)

    def sum_up(self, sums: Mapping[int, int], added: Mapping[int, int]) -> Turned:
        """What is stored in each project that has anything."""
        self._seen = {pid: _Seen(n, added.get(pid, 0)) for pid, n in sums.items()}
        for pid in added.keys() - sums.keys():
            self._seen[pid] = _Seen(0, added[pid])
        was, self._full = self._full, frozenset(pid for pid in self._seen if self.is_full(pid))
        return Turned(tuple(sorted(self._full - was)), tuple(sorted(was - self._full)))
