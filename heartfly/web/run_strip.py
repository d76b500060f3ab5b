"""A check's newest runs as a strip of bars in its line of the list: a path for each sort of outcome, and words.

Shape tells, colour only helps: what went well is low, what failed is full, what was missed is hollow, degraded is two
thin bars, unverified two short ones, superseded a stroke at the foot. Bars that follow one another are one stroke with
dashes, so that a thousand lines stay light; pages.css has the widths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from heartfly.checks.recent import MOST
from heartfly.core.words import RunOutcome

STEP, TALL = 4, 16
WIDTH = MOST * STEP
_DRAWN = {
    RunOutcome.OK: "o", RunOutcome.FAILED: "b", RunOutcome.HUNG: "b", RunOutcome.MISSED: "m",
    RunOutcome.DEGRADED: "d", RunOutcome.UNVERIFIED: "u", RunOutcome.SUPERSEDED: "s",
}  # fmt: skip
_MIDDLES = {"o": "11", "b": "8", "d": "9.5", "u": "12", "s": "15"}
"""Of a bar, from above."""


@dataclass(frozen=True, slots=True)
class Strip:
    paths: tuple[tuple[str, str], ...]
    said: str


@lru_cache(maxsize=4_096)
def strip(outcomes: tuple[RunOutcome, ...]) -> Strip:
    """The newest run is at the right end, however many there are."""
    left = WIDTH - STEP * len(outcomes)
    # A full bar hides what is below: the stroke of what went well goes on under it, and is so much shorter to say.
    covered = [RunOutcome.OK if _DRAWN[outcome] == "b" else outcome for outcome in outcomes]
    drawn: dict[str, str] = {}
    for name, x, n in [*_stretches(covered, left), *(one for one in _stretches(outcomes, left) if one[0] == "b")]:
        drawn[name] = drawn.get(name, "") + _path(name, x, n)
    if "o" in drawn and RunOutcome.OK not in outcomes:
        del drawn["o"]
    return Strip(tuple(drawn.items()), _words(outcomes))


def _stretches(outcomes: Sequence[RunOutcome], left: int) -> Iterator[tuple[str, int, int]]:
    """How each is drawn, where it begins, and how many bars it has."""
    x = left
    for name, group in groupby(outcomes, lambda outcome: _DRAWN[outcome]):
        n = len(list(group))
        yield name, x, n
        x += n * STEP


def _path(name: str, x: int, n: int) -> str:
    if name == "m":
        return "".join(f"M{x + i * STEP}.5 .5h2v15h-2z" for i in range(n))
    return f"M{x} {_MIDDLES[name]}h{n * STEP}"


def _words(outcomes: Sequence[RunOutcome]) -> str:
    counts = Counter(outcomes)
    told = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in RunOutcome if counts[outcome])
    return f"{len(outcomes)} runs: {told}" if len(outcomes) > 1 else f"1 run: {outcomes[0].value}" if outcomes else ""
