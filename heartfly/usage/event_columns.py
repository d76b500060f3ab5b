"""Columns of texts that events of one type tell, as numbers: times, status codes. For requests and for calls alike.

What a column holds that is no status and no time is not known, and counts as that.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from heartfly.core.amounts import ONE, amount
from heartfly.core.sketches import SCALE, bucket_of, end_of
from heartfly.core.traffic import UNKNOWN_STATUS

NOTHING = -(1 << 40)
"""In place of a bucket: the time was nothing."""
_MICROSECOND = ONE // 1_000
"""Of an amount of milliseconds."""
_MOST_US = 10**15
"""Thirty years: what says that it took longer tells no time."""
_MOST_KNOWN = 50_000
_UNTIMED = (-1, NOTHING)


def _end_us(bucket: int) -> int:
    end, of = end_of(bucket)
    return end * 1_000 // of


_PLAIN = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,3})?\n)*[0-9]{1,9}(?:\.[0-9]{1,3})?", re.ASCII)
"""Milliseconds that are whole microseconds, a line each."""
_FIRST = -10 * (1 << SCALE)
"""A bucket below that of a microsecond."""
_BUCKETS = [NOTHING, *range(_FIRST, 31 * (1 << SCALE))]
_ENDS_US = [0, *(_end_us(bucket) for bucket in _BUCKETS[1:])]
"""The last whole microsecond of each of these buckets."""


def times_in(texts: Sequence[str | None], known: Times) -> tuple[Sequence[int], Sequence[int]]:
    """Microseconds and buckets, as `Times`. Plain ones, which are most, all at once."""
    if None not in texts:
        joined = "\n".join(texts)  # type: ignore[arg-type]
        # A text may have lines of its own.
        if joined.count("\n") == len(texts) - 1 and _PLAIN.fullmatch(joined):
            us = [int(ms * 1000 + 0.5) for ms in map(float, texts)]  # type: ignore[arg-type] # far from any half
            return us, [_BUCKETS[bisect_left(_ENDS_US, one)] for one in us]
    found = [known[text] for text in texts]
    return [us for us, _ in found], [bucket for _, bucket in found]


class Times(dict[str | None, tuple[int, int]]):
    """What texts of milliseconds come to: whole microseconds, -1 of what is no time, and the exact value's bucket."""

    def __missing__(self, text: str | None) -> tuple[int, int]:
        value = None if text is None else amount(text)
        found = _UNTIMED
        if value is not None and value >= 0:
            us = (value + _MICROSECOND // 2) // _MICROSECOND
            if us <= _MOST_US:
                found = (us, bucket_of(value) if value else NOTHING)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[text] = found
        return found


class Statuses(dict[str | None, int]):
    def __missing__(self, text: str | None) -> int:
        is_one = text is not None and len(text) == 3 and text.isascii() and text.isdecimal() and text[0] != "0"
        found = int(text) if is_one and text is not None else UNKNOWN_STATUS
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[text] = found
        return found
