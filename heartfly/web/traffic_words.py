"""Figures of requests for people: how many, what share, how long, and by how much that is more than before.

Sums are exact and told exactly where there is room; a percentile is told with how far it may be wrong
(core/sketches.py). What is unknown is a dash, never a zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from heartfly.core.amounts import ONE, Amount, decimal_of
from heartfly.core.sketches import rounded, spelled
from heartfly.core.traffic import UNKNOWN_STATUS, Figures
from heartfly.traffic.asked import ByStatus

NONE = "–"
CLASSES = ("2xx", "3xx", "4xx", "5xx", "none")
"""As bars are stacked, from below; 1xx are with 3xx, and none are those whose status nobody told."""
_WHOLE = re.compile(r"(?<![\d.])\d+")
"""What stands before a decimal point."""
P50, P95, P99 = 50 * ONE, 95 * ONE, 99 * ONE
THROTTLED = 429
_UNITS = (("G", 10**9), ("M", 10**6), ("k", 10**3))
_EXACT_BELOW = 100_000
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Summed:
    """Of all statuses together, and how many ended how. `client` and `server`: errors; `throttled` are of `client`."""

    figures: Figures
    by_class: dict[str, int]
    client: int
    server: int
    throttled: int

    @property
    def n(self) -> int:
        return self.figures.n

    @property
    def errors(self) -> int:
        return self.client + self.server


def class_of(status: int) -> str:
    if status == UNKNOWN_STATUS:
        return "none"
    return {1: "3xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}.get(status // 100, "none")


def summed(by_status: ByStatus) -> Summed:
    by_class = dict.fromkeys(CLASSES, 0)
    for status, figures in by_status.of.items():
        by_class[class_of(status)] += figures.n
    throttled = by_status.of.get(THROTTLED)
    n_throttled = throttled.n if throttled else 0
    return Summed(by_status.total(), by_class, by_class["4xx"], by_class["5xx"], n_throttled)


def exact(n: int) -> str:
    return f"{n:,}"


def grouped(text: str) -> str:
    """The same numbers, thousands apart: `26,482,052.5`, `1,010 ± 20`."""
    return _WHOLE.sub(lambda whole: f"{int(whole[0]):,}", text)


def count(n: int) -> str:
    """To three digits where it is long."""
    if n < _EXACT_BELOW:
        return exact(n)
    for unit, size in _UNITS:
        if n >= size:
            return f"{_digits(Decimal(n) / size)} {unit}"
    return exact(n)


def percent(n: int, of: int) -> str:
    """Never rounded to nothing, nor to all."""
    if not of:
        return NONE
    if n and n * 10_000 < of:
        return "< 0.01 %"
    share = (Decimal(100 * n) / of).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    if n < of and share == 100:
        share = Decimal("99.99")
    return f"{share.normalize():f} %"


def near(value: Amount | None) -> str:
    """With how far the true one may be."""
    return NONE if value is None else grouped(spelled(value))


@lru_cache(4_096)
def short_ms(value: Amount | None) -> str:
    """Where there is no room for that: to as many digits as are sure."""
    return NONE if value is None else f"{decimal_of(rounded(value)[0]).normalize():,f}"


def exact_ms(value: Amount | None) -> str:
    """As it was told."""
    return NONE if value is None else f"{decimal_of(value):,f} ms"


def whole_ms(us: int) -> str:
    """What was measured, and not estimated."""
    return f"{(Decimal(us) / 1_000).quantize(Decimal('0.1')).normalize():,f} ms"


def size(n: int) -> str:
    for unit, of in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= of:
            return f"{_digits(Decimal(n) / of)} {unit}"
    return f"{n} B"


def more(now: int, before: int | None) -> str:
    """By how many per cent it is more than before. Empty: there is nothing to compare."""
    if not before:
        return ""
    change = Decimal(100 * (now - before)) / before
    return f"{_signed(change.quantize(Decimal('0.1')))} %"


def more_points(now: tuple[int, int], before: tuple[int, int] | None) -> str:
    """Of two shares (so many of so many), in points of a per cent."""
    if before is None or not before[1] or not now[1]:
        return ""
    change = Decimal(100 * now[0]) / now[1] - Decimal(100 * before[0]) / before[1]
    return f"{_signed(change.quantize(Decimal('0.01')))} points"


def more_ms(now: Amount | None, before: Amount | None) -> str:
    """Empty also where the difference is within what both may be wrong by."""
    if now is None or before is None:
        return ""
    if abs(now - before) <= rounded(now)[1] + rounded(before)[1]:
        return "as before"
    return f"{_signed(Decimal(_digits(decimal_of(now - before))))} ms"


MEASURES: dict[str, Amount] = {"p50": P50, "p95": P95, "p99": P99}


def measured(figures: Figures) -> dict[str, Amount | None]:
    """By the names of MEASURES; no more than the longest of all, which is known exactly."""
    longest = figures.latency_max_us * (ONE // 1_000)
    found = figures.percentiles_ms(list(MEASURES.values()))
    return {name: None if of is None else min(of, longest) for name, of in zip(MEASURES, found, strict=True)}


def _signed(value: Decimal) -> str:
    """With a true minus sign."""
    if not value:
        return "±0"
    return f"{'+' if value > 0 else chr(0x2212)}{abs(value).normalize():,f}"


def _digits(value: Decimal) -> str:
    whole = abs(int(value))
    places = max(0, _DIGITS - len(str(whole)))
    return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):f}"
