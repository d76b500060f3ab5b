"""Whether an endpoint is slower, or fails more often, than is usual for it at that time.

Usual is the median of the same hours of past weeks; what they differ by among themselves is usual, too. What was seen
once may be chance: it takes two looks in a row to say that an endpoint is degraded, and two to say that it is well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

from heartfly.core.baseline import amount

IN_A_ROW = 2
_SPREADS = 3
_MORE_MS = 100
_MORE_SHARE = Fraction(2, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Of some time. `p95_ms`: of those that told their time; None: too few did. `errors`: how many ended with 5xx."""

    n: int
    p95_ms: Fraction | None
    errors: int

    @property
    def share(self) -> Fraction:
        return Fraction(self.errors, self.n) if self.n else Fraction()


Usual = tuple[Fraction | None, Fraction | None]
"""What is usual, and from where on it is not; None: nothing tells it."""


def degraded(now: Seen, past: Sequence[Seen], *, factor: int, least: int) -> str:
    """How, in words; empty: it is not, or that cannot be told. `past`: those with fewer than `least` tell nothing."""
    (usual_ms, most_ms), (usual_share, most_share) = expected(past, factor=factor, least=least)
    if now.n < least or usual_share is None or most_share is None:
        return ""
    said = []
    if usual_ms is not None and most_ms is not None and now.p95_ms is not None and now.p95_ms >= most_ms:
        said.append(f"p95 {_ms(now.p95_ms)}, usual {_ms(usual_ms)}")
    if now.share >= most_share:
        said.append(f"{amount(now.share * 100)}% of requests failed, usual {amount(usual_share * 100)}%")
    return "; ".join(said)


def expected(past: Sequence[Seen], *, factor: int, least: int) -> tuple[Usual, Usual]:
    """Of p95 in milliseconds, and of the share that fails."""
    past = [one for one in past if one.n >= least]
    times = [one.p95_ms for one in past if one.p95_ms is not None]
    return (
        _limit(times, factor, Fraction(_MORE_MS)) if times else (None, None),
        _limit([one.share for one in past], factor, _MORE_SHARE) if past else (None, None),
    )


def _limit(past: Sequence[Fraction], factor: int, more: Fraction) -> tuple[Fraction, Fraction]:
    """What is usual, and from where on it is not."""
    middle = median(past)
    spread = _SPREADS * median(abs(one - middle) for one in past)
    return middle, max(middle * factor, middle + more, middle + spread)


def _ms(value: Fraction) -> str:
    return f"{amount(Fraction(round(value)))} ms"


@dataclass(frozen=True, slots=True)
class Standing:
    """`is_bad`: as is said; `other`: how many looks in a row have said otherwise."""

    is_bad: bool
    other: int


def stepped(known: Mapping[str, Standing], bad: Collection[str]) -> dict[str, Standing]:
    """After one more look, in which these were bad and all others well. What is not in it is well."""
    found: dict[str, Standing] = {}
    for name in {*known, *bad}:
        before = known.get(name, Standing(is_bad=False, other=0))
        if (name in bad) == before.is_bad:
            after = Standing(before.is_bad, 0)
        elif before.other + 1 >= IN_A_ROW:
            after = Standing(not before.is_bad, 0)
        else:
            after = Standing(before.is_bad, before.other + 1)
        if after.is_bad or after.other:
            found[name] = after
    return found
