"""What a day's proof adds up for each meter and customer, and in which words it tells what does not agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from heartfly.usage.asked import WIDE
from heartfly.usage.named import Named


@dataclass(slots=True)
class Sum:
    n: int = 0
    total: Decimal = Decimal(0)
    low: Decimal | None = None
    high: Decimal | None = None

    def add(self, values: Sequence[Decimal]) -> None:
        """At least one."""
        self.n += len(values)
        with localcontext(WIDE):
            self.take(sum(values, Decimal(0)), min(values), max(values))

    def take(self, total: Decimal, low: Decimal | None, high: Decimal | None) -> None:
        self.total = WIDE.add(self.total, total)
        if low is not None and (self.low is None or low < self.low):
            self.low = low
        if high is not None and (self.high is None or high > self.high):
            self.high = high


Sums = dict[tuple[int, int], Sum]
"""By version and subject."""


def differing(expected: Sums, seen: Sums) -> Iterator[tuple[tuple[int, int], Sum, Sum]]:
    for key in sorted(expected.keys() | seen.keys()):
        a, b = expected.get(key, Sum()), seen.get(key, Sum())
        if (a.n, a.total, a.low, a.high) != (b.n, b.total, b.low, b.high):
            yield key, a, b


class Words:
    """What does not agree, by the names that people know."""

    def __init__(self, named: Named, said: list[str]) -> None:
        self._named = named
        self.say = said.append

    def whose(self, version_id: int, subject_id: int) -> str:
        return f"meter {self._named.slugs[version_id]}, customer {self._named.customer(subject_id)}"

    def differ(self, when: str, expected: Sums, seen: Sums, names: tuple[str, str]) -> None:
        by, in_ = names
        for key, a, b in differing(expected, seen):
            self.say(f"{self.whose(*key)}, {when}: expected {_told(a)} (by {by}), seen {_told(b)} (in {in_})")


def _told(one: Sum) -> str:
    n = f"{one.n} event{'s' if one.n != 1 else ''}"
    if one.low is None:
        return n  # it counts them, or tells their values apart
    total, low, high = (f"{x.normalize(WIDE):f}" for x in (one.total, one.low, one.high) if x is not None)
    return f"{total} of {n} (from {low} to {high})"
