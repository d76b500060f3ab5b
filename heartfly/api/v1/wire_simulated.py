"""What a limit would have denied, as the API tells it."""

from __future__ import annotations

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.core.amounts import text_of
from heartfly.limits.simulate import MOST_VALUES, Simulated


class SimulatedValue(msgspec.Struct, frozen=True, kw_only=True):
    """Of one value of what the limit counts apart, in the order of its scope. `used_at_most`: at one time."""

    values: list[str]
    denied: int
    used_at_most: str


class SimulatedHour(msgspec.Struct, frozen=True, kw_only=True):
    hour: Instant
    denied: int


class SimulatedOut(msgspec.Struct, frozen=True, kw_only=True):
    """Of the calls in [from_at, to_at): the limit was for `fitting` of `calls`, and would have denied `denied`.

    `cut`: there were more calls, from `to_at` on, which were not looked at. `by_value`: the 20 that it would have hit
    hardest; `values`: how many there were.
    """

    from_at: Instant
    to_at: Instant
    calls: int
    fitting: int
    denied: int
    used: str
    first_denied_at: Instant | None
    values: int
    by_value: list[SimulatedValue]
    by_hour: list[SimulatedHour]
    cut: bool


SHAPES = (SimulatedOut,)


def simulated_out(found: Simulated) -> SimulatedOut:
    hardest = sorted(found.fullest, key=lambda values: (-found.by_value[values], -found.fullest[values], values))
    return SimulatedOut(
        from_at=found.from_at,
        to_at=found.to_at,
        calls=found.calls,
        fitting=found.fitting,
        denied=found.denied,
        used=text_of(found.used),
        first_denied_at=found.first_denied_at,
        values=len(found.fullest),
        by_value=[
            SimulatedValue(
                values=list(values), denied=found.by_value[values], used_at_most=text_of(found.fullest[values])
            )
            for values in hardest[:MOST_VALUES]
        ],
        by_hour=[SimulatedHour(hour=hour, denied=n) for hour, n in sorted(found.by_hour.items())],
        cut=found.cut,
    )
