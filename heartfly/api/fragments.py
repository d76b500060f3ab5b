"""Parts of answers, kept as they were rendered: a list of which little has changed is put together out of them.

Kept is which version of its subject a part shows and from when until when it is true; whoever asks says both, so an old
one is never given out. What is least recently used goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable
from datetime import UTC, datetime

MOST_BYTES = 8 * 1024 * 1024
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class Fragments:
    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self.n_bytes = 0
        self._kept: OrderedDict[Hashable, tuple[Hashable, datetime, datetime, bytes]] = OrderedDict()

    def get(self, of: Hashable, version: Hashable, now: datetime) -> bytes | None:
        """None: there is none of this version that is true now."""
        kept = self._kept.get(of)
        if kept is None or kept[0] != version or not kept[1] <= now < kept[2]:
            return None
        self._kept.move_to_end(of)
        return kept[3]

    def put(
        self, of: Hashable, version: Hashable, rendered: bytes, *, now: datetime, turns: Collection[datetime] = ()
    ) -> None:
        """`turns`: the instants from which on, inclusive, it would be rendered otherwise. It was rendered for `now`."""
        before = self._kept.pop(of, None)
        if before is not None:
            self.n_bytes -= len(before[3])
        since = max((at for at in turns if at <= now), default=_EVER[0])
        until = min((at for at in turns if at > now), default=_EVER[1])
        self._kept[of] = (version, since, until, rendered)
        self.n_bytes += len(rendered)
        while self.n_bytes > self._most_bytes:
            _, (_, _, _, oldest) = self._kept.popitem(last=False)
            self.n_bytes -= len(oldest)
