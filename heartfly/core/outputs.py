"""What differs between two outputs of one job: lines, without what differs in every run.

Times, dates, ids, hex, durations and how a terminal shows it never count; numbers count unless somebody chooses.
The lines are told as they were said. Bounded in characters, lines and work, whatever a job says: what is beyond the
bounds is not compared, and the answer says so. Whose outputs they are is decided elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

MOST_CHARS = 100_000
"""Of each output."""
MOST_LINES = 1_000
"""Of each, between the beginning and the end that are the same: comparing takes the square of it at worst."""
AROUND = 3
"""Lines beside a difference."""
_MOST_ALIKE = 8
"""A line that is there more often is compared only beside others: else a thousand of it take a million steps."""

# A terminal's commands: colours and the like (SGR), any other control sequence, titles and links, and the short ones.
COMMAND = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]{0,64})m|\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9AB]|\x1b[=>78DEHMc]"
)
_BREAK = re.compile(r"\r\n|\r|\n")

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?[AaPp][Mm]\b)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|CET|CEST|[+-]\d\d:?\d\d)\b)?"
_WEEKDAY = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? )?"
_DATE = (
    r"(?:\d{4}[-/.]\d\d[-/.]\d\d|\d{1,2}[./]\d{1,2}[./]\d{4}|\d{1,2}[ /-]" + _MONTH + r"[ /-]\d{4}"
    r"|" + _MONTH + r" {1,2}\d{1,2}(?:,? \d{4})?)"
)
_UNIT = (
    r"(?:nanoseconds?|microseconds?|milliseconds?|seconds?|minutes?|hours?|days?"
    r"|ns|us|µs|μs|ms|secs?|s|mins?|m|hrs?|h|d)"
)
_MASKS = tuple(
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "<id>"),
        (rf"\b{_WEEKDAY}{_DATE}(?:[T :,]{{1,2}}{_CLOCK})?{_ZONE}(?: \d{{4}})?(?!\w)", "<time>"),
        (rf"(?<![\d:.]){_CLOCK}(?![\d:]){_ZONE}", "<time>"),
        (r"(?<![\w.])1[5-9]\d{8}(?:\d{3}){0,3}(?:\.\d{1,9})?(?![\w.])", "<time>"),  # since 1970, in s to ns
        (rf"(?<![\w.])\d{{1,15}}(?:[.,]\d{{1,9}})? ?{_UNIT}(?!\w)(?: ?\d{{1,9}}(?:\.\d{{1,9}})? ?{_UNIT}(?!\w)){{0,6}}",
         "<duration>"),
        (r"\b0x[0-9a-fA-F]{1,64}\b", "<hex>"),
        (r"\b(?=[0-9a-f]{0,63}[a-f])(?=[0-9a-f]{0,63}[0-9])[0-9a-f]{7,128}\b", "<hex>"),
        (r"\b(?=[0-9A-F]{0,63}[A-F])(?=[0-9A-F]{0,63}[0-9])[0-9A-F]{7,128}\b", "<hex>"),
        (r"\b(?=[0-9A-Z]{0,25}[0-9])[0-9A-HJKMNP-TV-Z]{26}\b", "<id>"),
        (r"(?<=\w)\[\d{1,10}\](?=:)", "[<id>]"),  # who writes, in a line of syslog
        (r"(?i)\b(pid|tid|thread|process)([ =:#]{1,2})\d{1,10}\b", r"\1\2<id>"),
    )
)  # fmt: skip
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Compared(NamedTuple):
    """`sign`: `-` only there, `+` only here, a space both, `…` that as many lines as `text` says are the same.

    `there`, `here`: the number of the line, from 1 on; 0: it has none.
    """

    sign: str
    there: int
    here: int
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """`lines`: what differs, with some around; empty: they say the same. `is_whole`: all of both was compared."""

    lines: tuple[Compared, ...]
    is_whole: bool


def plain(text: str) -> str:
    """Without a terminal's commands."""
    return COMMAND.sub("", text)


def split(text: str) -> list[str]:
    """Into lines, as an editor counts them: a break at the end begins none."""
    lines = _BREAK.split(text)
    return lines[:-1] if lines and not lines[-1] else lines


def normalised(line: str, *, numbers: bool = True) -> str:
    """As it is compared. `numbers` False: they do not count either."""
    line = line.rstrip()
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line if numbers else _NUMBER.sub("<n>", line)


def compared(there: str, here: str, *, numbers: bool = True) -> Difference:
    """What `here` says that `there` did not, and the other way round."""
    is_whole = max(len(there), len(here)) <= MOST_CHARS
    old, new = split(plain(there[:MOST_CHARS])), split(plain(here[:MOST_CHARS]))
    a, b = ([normalised(line, numbers=numbers) for line in lines] for lines in (old, new))
    first = _same(a, b)
    last = _same(a[first:][::-1], b[first:][::-1])
    a, b = a[first : len(a) - last], b[first : len(b) - last]
    is_whole = is_whole and max(len(a), len(b)) <= MOST_LINES
    a, b = a[:MOST_LINES], b[:MOST_LINES]
    if not a and not b:
        return Difference((), is_whole)
    often = {line for lines in (a, b) for line, n in Counter(lines).items() if n > _MOST_ALIKE}
    matcher = SequenceMatcher(often.__contains__, a, b, autojunk=False)
    steps = [(what, i + first, j + first, k + first, m + first) for what, i, j, k, m in matcher.get_opcodes()]
    end = (first + len(a), first + len(b))
    # What is the same before and after, which the matcher never saw.
    steps = [("equal", 0, first, 0, first), *steps, ("equal", end[0], end[0] + last, end[1], end[1] + last)]
    return Difference(tuple(_told(steps, old, new)), is_whole)


def _same(a: Sequence[str], b: Sequence[str]) -> int:
    """How many lines are the same from the beginning on."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _told(steps: Sequence[tuple[str, int, int, int, int]], old: Sequence[str], new: Sequence[str]) -> list[Compared]:
    made: list[Compared] = []
    for at, (what, i, j, k, m) in enumerate(steps):
        if what != "equal":
            made += [Compared("-", n + 1, 0, old[n]) for n in range(i, j)]
            made += [Compared("+", 0, n + 1, new[n]) for n in range(k, m)]
            continue
        before = 0 if at == 0 else min(AROUND, m - k)
        after = 0 if at == len(steps) - 1 else min(AROUND, m - k - before)
        made += [Compared(" ", i + n + 1, k + n + 1, new[k + n]) for n in range(before)]
        if n_left := m - k - before - after:
            made.append(Compared("…", 0, 0, str(n_left)))
        made += [Compared(" ", j - n + 1, m - n + 1, new[m - n]) for n in range(after, 0, -1)]
    return made
