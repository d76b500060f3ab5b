"""How many pings this node took by HTTP, by parts of a minute: by them is seen whether far fewer come than usually do.

Mail comes another way, and what Heartfly pings by itself none at all: a broken proxy stops neither, so neither counts.
Nothing is written here: the beat takes along what has ended (monitor/volume_guard.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from heartfly.core.volume import MINUTE, PART, minute_of, part_of, parts_of

_SCHEMES = frozenset({"http", "https"})
_MOST_PARTS = 120
"""Twenty minutes. While nothing can be written for longer nobody hears either, and such time does not count."""

Minutes = Mapping[datetime, Sequence[int]]
"""What came in each part of a minute, by its beginning."""


class Tally:
    """`note` and `settled` are called in the server's loop, the others in any thread."""

    def __init__(self) -> None:
        self._parts: dict[datetime, int] = {}
        self._settled: dict[datetime, int] = {}

    def note(self, scheme: str, at: datetime) -> None:
        """A ping was taken, at `at`."""
        if scheme not in _SCHEMES:
            return
        part = part_of(at)
        n = self._parts.get(part)
        if n is None and len(self._parts) >= _MOST_PARTS:
            del self._parts[min(self._parts)]
        self._parts[part] = (n or 0) + 1

    def minutes(self, through: datetime) -> Minutes:
        """Those of which something is to be written, as far as their parts have ended by `through`."""
        parts, settled = self._parts.copy(), self._settled
        ended = {part: n for part, n in parts.items() if part + PART <= through}
        anew = {minute_of(part) for part, n in ended.items() if settled.get(part) != n}
        return {minute: [ended.get(part, 0) for part in parts_of(minute)] for minute in sorted(anew)}

    def settled(self, minutes: Minutes) -> None:
        """They stand in the database now. What is long over is forgotten."""
        for minute, counts in minutes.items():
            self._settled.update(zip(parts_of(minute), counts, strict=True))
            for part in [part for part in self._settled if part < minute - MINUTE]:
                self._parts.pop(part, None)
                del self._settled[part]
