"""What requests come to: how many, how they ended, how long they took, what they carried. Adds up in any order.

How requests are told apart (endpoint, customer, status) is of those who keep the figures; what an endpoint is, of
core/paths.py. Times are whole microseconds, and a request that told no time counts in none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from heartfly.core.amounts import Amount
from heartfly.core.packed import Lanes, added, apart, merged
from heartfly.core.sketches import Histogram


class Cube(IntEnum):
    """By what requests are summed up, besides time and status."""

    TOTAL = 0
    ENDPOINT = 1
    CUSTOMER = 2
    PAIR = 3  # customer and endpoint


SHEETED = (Cube.TOTAL, Cube.ENDPOINT, Cube.CUSTOMER)
"""Of which each hour and day has a sheet besides its rows (core/sheets.py)."""
OTHER = 0
"""In place of an endpoint's number: the project has more endpoints than it may."""
UNKNOWN_STATUS = 0


@dataclass(slots=True, eq=False)
class Figures:
    """`n_timed`: of `n`, those that told how long they took. `latency_us`: their sum; `latency_max_us` 0: of none.

    `bytes_in` and `bytes_out`: of those that told them. Times stay packed until somebody asks for them: most who ask
    want the sums.
    """

    n: int = 0
    n_timed: int = 0
    latency_us: int = 0
    latency_max_us: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    _told: Histogram | None = None
    _packed: list[bytes | str] | None = None
    """To be added. A text: many of them (core/packed.py)."""
    _lanes: Lanes | None = None
    """What is packed, added up for percentiles."""
    _of: tuple[Figures, Figures] | None = None
    """What is in the first and not in the second, to be added."""

    @property
    def latencies(self) -> Histogram:
        """In milliseconds."""
        found = self._told
        if found is None:
            found = self._told = Histogram()
        if self._packed:
            found.merge(merged(_each(self._packed)))
            self._packed = self._lanes = None
        if self._of is not None:
            found.merge(_difference(*(one.latencies for one in self._of)))
            self._of = None
        return found

    def add_packed(self, latencies: bytes | str) -> None:
        """`latencies`: as core/packed.py has them; a text: many."""
        if self._packed is None:
            self._packed = [latencies]
        else:
            self._packed.append(latencies)
        self._lanes = None

    def merge(self, other: Figures) -> None:
        """No request may be in both."""
        self.n += other.n
        self.n_timed += other.n_timed
        self.latency_us += other.latency_us
        self.latency_max_us = max(self.latency_max_us, other.latency_max_us)
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        if other._told is not None or other._of is not None:
            self.latencies.merge(other.latencies)
        elif other._packed:
            if self._packed is None:
                self._packed = []
            self._packed += other._packed
            self._lanes = None

    def without(self, some: Figures) -> Figures:
        """All of `some` must be in it. The longest is not known of what is left."""
        return Figures(
            n=self.n - some.n,
            n_timed=self.n_timed - some.n_timed,
            latency_us=self.latency_us - some.latency_us,
            bytes_in=self.bytes_in - some.bytes_in,
            bytes_out=self.bytes_out - some.bytes_out,
            _of=(self, some),
        )

    def percentile_ms(self, percent: Amount) -> Amount | None:
        """Of those that told their time, wrong by 1.1 % at most; None: none did. `percent`: as in core/sketches.py."""
        return self.percentiles_ms([percent])[0]

    def percentiles_ms(self, percents: Sequence[Amount]) -> Sequence[Amount | None]:
        """Each of them, for little more than one."""
        if self._packed is None or self._told is not None or self._of is not None:
            return self.latencies.percentiles(percents)
        if self._lanes is None:  # without a look at each bucket
            self._lanes = added(_each(self._packed))
        return self._lanes.percentiles(percents)


def _each(found: Iterable[bytes | str]) -> Iterator[bytes]:
    for one in found:
        if isinstance(one, str):
            yield from apart(one)
        else:
            yield one


def _difference(whole: Histogram, some: Histogram) -> Histogram:
    above = {bucket: left for bucket, n in whole.above.items() if (left := n - some.above.get(bucket, 0)) > 0}
    return Histogram(whole.zero - some.zero, above)
