"""What requests come to: how many, how they ended, how long they took, what they carried. Adds up in any order.

How requests are told apart (endpoint, customer, status) is of those who keep the figures; what an endpoint is, of
core/paths.py. Times are whole microseconds, and a request that told no time counts in none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from heartfly.core.amounts import Amount
from heartfly.core.sketches import Histogram


class Cube(IntEnum):
    """By what requests are summed up, besides time and status."""

    TOTAL = 0
    ENDPOINT = 1
    CUSTOMER = 2
    PAIR = 3  # customer and endpoint


OTHER = 0
"""In place of an endpoint's number: the project has more endpoints than it may."""
UNKNOWN_STATUS = 0


@dataclass(slots=True)
class Figures:
    """`n_timed`: of `n`, those that told how long they took. `latency_us`: their sum; `latency_max_us` 0: of none.

    `latencies`: in milliseconds. `bytes_in` and `bytes_out`: of those that told them.
    """

    n: int = 0
    n_timed: int = 0
    latency_us: int = 0
    latency_max_us: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    latencies: Histogram = field(default_factory=Histogram)

    def merge(self, other: Figures) -> None:
        """No request may be in both."""
        self.n += other.n
        self.n_timed += other.n_timed
        self.latency_us += other.latency_us
        self.latency_max_us = max(self.latency_max_us, other.latency_max_us)
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.latencies.merge(other.latencies)

    def percentile_ms(self, percent: Amount) -> Amount | None:
        """Of those that told their time, wrong by 1.1 % at most; None: none did. `percent`: as in core/sketches.py."""
        return self.latencies.percentile(percent)
