"""Many sums as one: what a call adds to counts, times, units and money stands side by side in one whole number.

Adding two such numbers adds up all that is in them, in a tenth of a microsecond. Each lane is as wide as what it may
ever hold, so none runs over into the next; nothing in them is negative.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import compress
from typing import NamedTuple

_COUNT = 64
N, ERRORS, TIMED, UNPRICED, ODD, LATENCY = (_COUNT * place for place in range(6))
"""Where these begin. The last, microseconds, is two lanes wide."""
_FIXED = 8 * _COUNT
_WIDTH = 512
"""Of a measure: how many told it, and behind that how much. Money of 86 digits, added up 2^64 times, is 350 bits."""
_MASK = (1 << _COUNT) - 1
_BYTES = _WIDTH // 8


def place_of(lane: int) -> int:
    """Where that measure begins: one that told it, and TOLD bits behind it the amount."""
    return _FIXED + lane * _WIDTH


TOLD = _COUNT


class Sums(NamedTuple):
    """`lanes`: of measures that somebody told, in order; and of each how many did, and how much."""

    n: int
    n_errors: int
    n_timed: int
    n_unpriced: int
    n_odd: int
    latency_us: int
    lanes: tuple[int, ...]
    tellers: Sequence[int]
    amounts: Sequence[int]


def sums_in(value: int) -> Sums:
    n_lanes = max(0, -((_FIXED - value.bit_length()) // _WIDTH))
    form, all_lanes = _form(n_lanes)
    told = form.unpack(value.to_bytes(form.size, "little"))
    lanes, tellers, amounts = all_lanes, told[8::2], told[9::2]
    if 0 in tellers:
        lanes = tuple(compress(lanes, tellers))
        amounts = tuple(compress(amounts, tellers))
        tellers = tuple(filter(None, tellers))
    n, n_errors, n_timed, n_unpriced, n_odd, low, high = told[:7]
    numbers = [int.from_bytes(one, "little") for one in amounts]
    return Sums(n, n_errors, n_timed, n_unpriced, n_odd, low | high << _COUNT, lanes, tellers, numbers)


@lru_cache(maxsize=256)
def _form(n_lanes: int) -> tuple[struct.Struct, tuple[int, ...]]:
    return struct.Struct("<8Q" + f"Q{_BYTES - 8}s" * n_lanes), tuple(range(n_lanes))


def with_lanes(value: int, lanes: Mapping[int, int]) -> int:
    """The same with its measures in other lanes; those that have none any more are odd values, one for each teller."""
    found = value & ((1 << _FIXED) - 1)
    sums = sums_in(value)
    for lane, n, amount in zip(sums.lanes, sums.tellers, sums.amounts, strict=True):
        now = lanes.get(lane)
        found += n << ODD if now is None else (n | amount << TOLD) << place_of(now)
    return found


class Layout(dict[str, int]):
    """The lane of each measure, in the order in which they came up.

    Kinds of units may be of any name: of more than `most` of them those count that come first by the alphabet. `bar`
    only sinks, so in whatever order they come, the same are left at the end.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._kinds: set[str] = set()
        self._bar: str | None = None

    def of_kind(self, name: str, measure: str) -> int | None:
        """None: there are too many kinds, and it is none of those that count."""
        if self._bar is not None and name > self._bar:
            return None
        self._kinds.add(name)
        return self.of(measure)

    def of(self, measure: str) -> int:
        lane = self.get(measure)
        if lane is None:
            lane = self[measure] = len(self)
        return lane

    @property
    def is_over(self) -> bool:
        """Whether there are too many kinds."""
        return len(self._kinds) > self._most

    @property
    def is_wide(self) -> bool:
        """Whether it is time to `narrow` it."""
        return len(self._kinds) > 2 * self._most

    def narrow(self, kinds_of: Iterable[str]) -> Mapping[int, int]:
        """Forget kinds that are too many: by the lane until now, that of each measure that still counts.

        `kinds_of`: prefixes of measures that are of a kind.
        """
        if self.is_over:
            kept = sorted(self._kinds)[: self._most]
            self._kinds, self._bar = set(kept), kept[-1]
        of_kinds: Sequence[str] = [f"{one}:" for one in kinds_of]
        before = dict(self)
        self.clear()
        now: dict[int, int] = {}
        for one, lane in before.items():
            of_kind = any(one.startswith(prefix) for prefix in of_kinds)
            if not of_kind or one.partition(":")[2] in self._kinds:
                now[lane] = self.of(one)
        return now
