"""What came by syslog, and the events that it becomes: what waits in memory is bounded by number and by bytes.

Equal lines are told apart by the order in which one sender's came, so that each line is made into an event once,
however often the event is sent to the database. Where lines come from, and what is dropped, is server/syslog.py's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any

from heartfly.core.access.as_event import Shape, event_text
from heartfly.core.access.formats import reader
from heartfly.core.access.line_ids import Ids
from heartfly.core.access.request import Parser, Unread
from heartfly.core.events import read
from heartfly.core.syslog import message_of
from heartfly.logs import logger

log = logger("heartfly.syslog")

Line = tuple[str, bytes]
"""Who sent it, and what."""
MOST_BYTES = 64 * 1024 * 1024
_OVERHEAD = 100
_AT_ONCE = 1_000
_BYTES_AT_ONCE = 4 * 1024 * 1024
_MOST_SENDERS = 1_000


class Waiting:
    """Lines that wait to be made into events, in the order in which they came."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: deque[Line] = deque()
        self._n_bytes = 0

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def is_full(self) -> bool:
        return len(self._lines) >= self._most or self._n_bytes >= MOST_BYTES

    @property
    def is_a_batch(self) -> bool:
        """There is no use in waiting for more."""
        return len(self._lines) >= _AT_ONCE or self._n_bytes >= _BYTES_AT_ONCE

    def add(self, peer: str, raw: bytes) -> None:
        self._lines.append((peer, raw))
        self._n_bytes += _OVERHEAD + len(raw)

    def batch(self) -> list[Line]:
        """The first of them; they wait no more."""
        some: list[Line] = []
        n_bytes = 0
        while self._lines and len(some) < _AT_ONCE and n_bytes < _BYTES_AT_ONCE:
            some.append(self._lines.popleft())
            n_bytes += _OVERHEAD + len(some[-1][1])
        self._n_bytes -= n_bytes
        return some


class Lines:
    def __init__(self, format_: str, shape: Shape) -> None:
        self._format = format_
        self._shape = shape
        self._senders: OrderedDict[tuple[str, str], tuple[Parser, Ids]] = OrderedDict()

    def events(self, some: Sequence[Line]) -> tuple[list[Any], int]:
        """Of the lines that can be read, and how many cannot. Once of each line, in the order in which they came."""
        made = []
        for peer, raw in some:
            try:
                event = self._event(peer, raw)
            except Exception as error:  # noqa: BLE001 - told in the log; it holds up no other line
                # Its kind alone: the words of an error may hold the line, and a line a query.
                log.warning("syslog line", error=type(error).__name__)
                event = None
            if event is not None:
                made.append(event)
        return made, len(some) - len(made)

    def _event(self, peer: str, raw: bytes) -> Any:
        message = message_of(raw)
        parse, ids = self._sender(peer, message.host)
        found = parse(message.text.decode("utf-8", "replace"))
        if found is None or isinstance(found, Unread):
            return None
        text, _, _ = event_text(found, ids.of(message.text, found.at), self._shape)
        return read(text)

    def _sender(self, peer: str, host: str) -> tuple[Parser, Ids]:
        """Of too many the one is forgotten that has been silent for longest."""
        known = self._senders.get((peer, host))
        if known is None:
            known = self._senders[peer, host] = (reader(self._format), Ids(self._shape.source))
            if len(self._senders) > _MOST_SENDERS:
                self._senders.popitem(last=False)
        else:
            self._senders.move_to_end((peer, host))
        return known
