"""How much must go wrong before anybody is told, and how much must go well before a check is up again.

Counting only: which failures are counted, and what becomes of the check, is decided in core/check.py. What is counted
is kept in a `Memory`, beside what bounds (core/bounds.py) must remember.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec.structs import replace

MOST_FAILURES = 20
MOST_LAST = 50
MOST_RECOVER = 20

_BAD, _GOOD = "x", "."


class Tolerance(msgspec.Struct, frozen=True, omit_defaults=True):
    """`failures`: so many in a row are an alarm; None: one, or with a `share` none. `share`: so many percent of the
    `last` runs are one, too. `recover`: so many successes in a row end it.
    """

    failures: int | None = None
    share: int | None = None
    last: int | None = None
    recover: int = 1

    @property
    def in_row(self) -> int | None:
        return 1 if self.failures is None and self.share is None else self.failures

    @property
    def tolerates_nothing(self) -> bool:
        return self.in_row == 1 and self.recover == 1

    @property
    def of_last(self) -> int | None:
        """So many of the last runs must have failed: the share of them, rounded up."""
        return None if self.share is None or self.last is None else max(1, -(-self.share * self.last // 100))

    @property
    def text(self) -> str:
        """Such as `after 3 in a row or 50% of the last 10, up after 2`."""
        parts = [] if self.in_row is None else [f"{self.in_row} in a row"]
        if self.of_last is not None:
            parts.append(f"{self.share}% of the last {self.last}")
        return f"after {' or '.join(parts)}, up after {self.recover}"


NO_TOLERANCE = Tolerance()


class Begun(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a run began, by its start, or by its end if it had none."""

    at: datetime
    rid: str | None = None


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a check remembers of its past for its tolerance and its bounds; nothing, where it has none.

    As it is stored, a field is there only if it is not empty: the list of checks finds by `bad` those that fail.
    """

    bad: int = 0
    """Failures and misses in a row, that of an alarm included."""
    bad_since: datetime | None = None
    good: int = 0
    """Successes in a row since it is down."""
    recent: str = ""
    """How the last runs went, the oldest first."""
    begun: tuple[Begun, ...] = ()
    """The newest runs, the oldest of them first."""
    reported: tuple[str, ...] = ()
    """Who has reported in this round."""
    round_at: datetime | None = None
    """When this round began. None beside reports: it is over, and they count for late ones only."""
    excused_start: datetime | None = None
    """The slot whose start may have come unheard: only its end is wanted."""


NOTHING_KEPT = Memory()


def with_failure(tolerance: Tolerance, memory: Memory, at: datetime) -> Memory:
    """One more, at this instant."""
    return replace(
        memory,
        bad=memory.bad + 1,
        bad_since=memory.bad_since or at,
        good=0,
        recent=_recent(tolerance, memory.recent, _BAD),
    )


def with_success(tolerance: Tolerance, memory: Memory, *, down: bool = False) -> Memory:
    """`down`: of a check that is. With `good` left over, it is not up again yet."""
    recent = _recent(tolerance, memory.recent, _GOOD)
    good = memory.good + 1 if down and memory.good + 1 < tolerance.recover else 0
    return replace(memory, bad=0, bad_since=None, good=good, recent=recent)


def without_failure(memory: Memory) -> Memory:
    """The last one was none. It may have been the first of its row."""
    if not memory.bad:
        return memory
    bad_since = memory.bad_since if memory.bad > 1 else None
    return replace(memory, bad=memory.bad - 1, bad_since=bad_since, recent=memory.recent[:-1])


def with_failure_before(tolerance: Tolerance, memory: Memory) -> Memory:
    """One more of which we hear only after the run that followed it."""
    known = _recent(tolerance, memory.recent[:-1] + _BAD, memory.recent[-1:] or _GOOD)
    return replace(memory, recent=known)


def is_alarm(tolerance: Tolerance, memory: Memory) -> bool:
    """Whether what is counted, the last of it a failure, is more than is tolerated."""
    in_row = tolerance.in_row
    return (in_row is not None and memory.bad >= in_row) or is_share(tolerance, memory)


def is_share(tolerance: Tolerance, memory: Memory) -> bool:
    of_last = tolerance.of_last
    return of_last is not None and memory.recent.count(_BAD) >= of_last


def share_words(tolerance: Tolerance, memory: Memory) -> str:
    """If the share is an alarm and the row alone is none: how many of the last failed."""
    in_row = tolerance.in_row
    if (in_row is not None and memory.bad >= in_row) or not is_share(tolerance, memory):
        return ""
    return f"{memory.recent.count(_BAD)} of the last {tolerance.last}"


def fitting(tolerance: Tolerance, memory: Memory) -> Memory:
    """Without what this tolerance does not ask for."""
    if tolerance == NO_TOLERANCE:
        return replace(memory, bad=0, bad_since=None, good=0, recent="")
    return replace(memory, recent="" if tolerance.last is None else memory.recent[-tolerance.last :])


def standing(tolerance: Tolerance, memory: Memory) -> str:
    """How near to an alarm it is: `1 of 3`, `2 of 5 in the last 10`, or both."""
    parts = [] if tolerance.in_row is None else [f"{memory.bad} of {tolerance.in_row}"]
    if tolerance.of_last is not None:
        parts.append(f"{memory.recent.count(_BAD)} of {tolerance.of_last} in the last {tolerance.last}")
    return ", ".join(parts)


def _recent(tolerance: Tolerance, known: str, one: str) -> str:
    """What is not known yet counts as gone well, so that the first failure alone is no share of all."""
    return "" if tolerance.last is None else (known + one)[-tolerance.last :]
